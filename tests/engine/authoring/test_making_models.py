"""`xaimed models init` and `convert`: a first model.toml from what a network reveals, and weights out of a pickle."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from command_line import Run
from factories import MODEL_CODE, approve, make_model
from safetensors.torch import load_file
from torch import nn

from engine.bundle.model_bundle import read_bundle
from engine.text import safe_text
from engine.trust.permission import standing_of

FLAT = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.head = nn.Linear(4 * SIDE * SIDE, OUTPUTS)

    def forward(self, x):
        return END(self.head(self.relu(self.conv(x)).flatten(1)))
"""
"""A network that takes one size only."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    return tmp_path / "tasks"


def flat_model(
    folder: Path, side: int, *, channels: int = 3, outputs: int = 2, end: str = "", constants: str = ""
) -> Path:
    """An approved model without `model.toml`."""
    code = FLAT.replace("CHANNELS", str(channels)).replace("SIDE", str(side)).replace("OUTPUTS", str(outputs))
    made = make_model(folder / "Lungs" / "CNN", code=constants + code.replace("END", end))
    (made / "model.toml").unlink()
    torch.manual_seed(0)
    weights = {
        "conv.weight": torch.randn(4, channels, 3, 3),
        "conv.bias": torch.zeros(4),
        "head.weight": torch.randn(outputs, 4 * side * side) / 10,
        "head.bias": torch.zeros(outputs),
    }
    torch.save(weights, made / "weights.pt")
    approve(made)
    return made


def test_a_draft_tells_the_size_the_outputs_the_layers_and_what_it_does_not_know(xaimed: Run, folder: Path) -> None:
    model = flat_model(folder, 50)
    status, out, err = xaimed("models", "init", "Lungs")
    assert (status, err) == (0, "")
    text = (model / "model.toml").read_text()
    assert tomllib.loads(text) == {
        "input": {"size": [50, 50], "channels": 3},
        "output": {"activation": "none"},
        "explain": {},
    }
    assert "# height, width; as head takes them" in text
    assert "# as conv takes them" in text
    assert '# classes = ["class 0", "class 1"] # CHECK: names, in the order of the 2 outputs' in text
    assert "# mean = [0.0, 0.0, 0.0]" in text
    assert '# target_layer = "relu" ' in text
    assert "#       4      50x50  Conv2d  conv" in text
    assert 'approve the model again: xaimed trust "Lungs/CNN"' in out
    assumed = " ".join(read_bundle(model).assumed)  # what is not known is still said to be assumed
    assert "Mean and std are not declared" in assumed
    assert "The classes are not declared" in assumed
    assert "size" not in assumed


def test_a_draft_makes_the_model_usable_once_it_is_approved_again(xaimed: Run, folder: Path) -> None:
    model = flat_model(folder, 50)
    said = (
        "The input size is not declared: 50 x 50 pixels (height x width), which gives head as many numbers as it takes."
    )
    assert said in xaimed("models", "check", "Lungs", "--methods", "gradcam")[1]
    xaimed("models", "init", "Lungs")
    assert standing_of(read_bundle(model)).state == "changed"
    approve(model)
    status, out, _ = xaimed("models", "check", "Lungs", "--methods", "gradcam")
    assert (status, said in out) == (0, False)


def test_an_unusual_size_is_found_by_trying_all(xaimed: Run, folder: Path) -> None:
    flat_model(folder, 37, channels=1)
    text = xaimed("models", "init", "Lungs", "--print")[1]
    assert tomllib.loads(text)["input"] == {"size": [37, 37], "channels": 1}
    assert not (folder / "Lungs" / "CNN" / "model.toml").exists()


@pytest.mark.parametrize(
    ("outputs", "end", "expected", "said"),
    [
        (1, "nn.functional.sigmoid", {"activation": "sigmoid"}, 'classes = ["negative", "positive"]'),
        (3, "nn.Softmax(1)", {"activation": "softmax"}, 'classes = ["class 0", "class 1", "class 2"]'),
        (3, "nn.functional.sigmoid", {"activation": "sigmoid", "multilabel": True}, "as each output has a sigmoid"),
    ],
)
def test_a_draft_tells_what_is_applied_at_the_end(
    xaimed: Run, folder: Path, outputs: int, end: str, expected: dict[str, object], said: str
) -> None:
    flat_model(folder, 28, outputs=outputs, end=end)
    text = xaimed("models", "init", "Lungs", "--print")[1]
    assert tomllib.loads(text)["output"] == expected
    assert said in text


def test_a_draft_carries_over_the_constants_of_the_architecture(xaimed: Run, folder: Path) -> None:
    constants = "INPUT_SIZE = (28, 28)\nMEAN = (0.5, 0.25, 0.125)\nRESIZE = 'fit'\n"
    flat_model(folder, 28, constants=f"{constants}CLASSES = ('a\\u202e', '\"b\"')\n")
    text = xaimed("models", "init", "Lungs", "--print")[1]
    assert safe_text(text, multiline=True) == text
    found = tomllib.loads(text)
    assert found["input"] == {"size": [28, 28], "channels": 3, "resize": "fit", "mean": [0.5, 0.25, 0.125]}
    assert found["output"]["classes"] == ["a\u202e", '"b"']


@pytest.mark.parametrize(
    "line", ["", "x = x + torch.linspace(0, 1, x.shape[3], device=x.device); torch.set_default_dtype(torch.float64)"]
)
def test_where_any_size_is_taken_the_draft_leaves_it_open(xaimed: Run, folder: Path, line: str) -> None:
    code = MODEL_CODE.replace("def forward(self, x):\n", f"def forward(self, x):\n        {line}\n")
    model = make_model(folder / "Lungs" / "CNN", code=f"import torch\n{code}")
    (model / "model.toml").unlink()
    approve(model)
    text = xaimed("models", "init", "Lungs", "--print")[1]
    assert "size" not in tomllib.loads(text)["input"]
    assert "# size = [224, 224]          # CHECK: the network takes 28, 32, 48, 50, 64" in text


def test_a_model_toml_that_is_there_is_not_touched(xaimed: Run, folder: Path) -> None:
    model = make_model(folder / "Lungs" / "CNN", approved=True)
    before = (model / "model.toml").read_bytes()
    status, _, err = xaimed("models", "init", "Lungs")
    assert (status, "this file exists already; add --print" in err) == (1, True)
    assert (model / "model.toml").read_bytes() == before


def test_what_is_not_approved_is_not_run_for_a_draft(xaimed: Run, folder: Path, tmp_path: Path) -> None:
    make_model(folder / "Lungs" / "CNN", trace=tmp_path / "ran")
    status, _, err = xaimed("models", "init", "Lungs", "--print")
    assert (status, "was not approved" in err) == (1, True)
    assert not (tmp_path / "ran").exists()


# Converting


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def test_a_pickle_is_loaded_only_by_whoever_says_to_trust_it(xaimed: Run, tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(2)}, "trap": Trap(tmp_path / "ran")}, tmp_path / "w.pt")
    status, out, err = xaimed("models", "convert", tmp_path / "w.pt")
    assert (status, out) == (1, "")
    assert "this is a pickle. Loading it runs whatever code its maker put into it, with your rights" in err
    assert "add --yes if you trust its maker" in err
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "w.safetensors").exists()
    status, out, err = xaimed("models", "convert", tmp_path / "w.pt", "--yes")
    assert (status, "this is a pickle" in err) == (0, True)
    assert (tmp_path / "ran").exists()
    assert torch.equal(load_file(tmp_path / "w.safetensors")["a"], torch.ones(2))
    assert "The file holds several things; 'state_dict' was taken." in out
    assert "1 tensors, 8 bytes. It holds no code." in out


def test_a_whole_network_gives_its_weights_and_neither_asks_for_its_class_nor_for_trust(
    xaimed: Run, tmp_path: Path
) -> None:
    net, whole = tmp_path / "net.py", tmp_path / "whole.pt"
    net.write_text("from torch import nn\n\n\nclass Net(nn.Sequential):\n    pass\n")
    made = f"import torch; exec(open({str(net)!r}).read()); torch.save(Net(nn.Conv2d(3, 2, 3)), {str(whole)!r})"
    subprocess.run([sys.executable, "-c", made], check=True)  # its class is `__main__.Net`, as in a notebook
    status, _, err = xaimed("models", "convert", whole, "--out", tmp_path / "w")
    assert (status, err) == (0, "")
    assert {key: tuple(value.shape) for key, value in load_file(tmp_path / "w").items()} == {
        "0.bias": (2,),
        "0.weight": (2, 3, 3, 3),
    }


def test_where_no_code_need_run_none_is_asked_about(xaimed: Run, tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    torch.save({"model": {"module.a": shared, "module.b": shared[::2]}, "epoch": 7}, tmp_path / "w.pt")
    status, out, err = xaimed("models", "convert", tmp_path / "w.pt")
    assert (status, err) == (0, "")
    found = load_file(tmp_path / "w.safetensors")
    assert {key: value.tolist() for key, value in found.items()} == {"a": [0, 1, 2, 3, 4, 5], "b": [0, 2, 4]}
    assert "DataParallel" in out


def test_what_holds_no_weights_is_refused_in_one_line(xaimed: Run, tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": 1}}, tmp_path / "number.pt")
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "empty.pt").touch()
    for name, said in (
        ("number", "it holds no network: no state_dict of tensors by their names was found in it"),
        ("list", "it holds no network"),
        ("text", "text.pt: it "),
        ("empty", "empty.pt: it "),
        ("missing", "there is no such file"),
    ):
        status, out, err = xaimed("models", "convert", tmp_path / f"{name}.pt", "--yes")
        assert (status, out) == (1, ""), name
        assert said in err.splitlines()[-1], err
        assert not (tmp_path / f"{name}.safetensors").exists()


def test_nothing_is_overwritten(xaimed: Run, tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "w.pt")
    (tmp_path / "w.safetensors").write_text("precious")
    status, _, err = xaimed("models", "convert", tmp_path / "w.pt")
    assert (status, "this file exists already; name another with --out" in err) == (1, True)
    assert (tmp_path / "w.safetensors").read_text() == "precious"


def test_a_converted_pickle_makes_a_model_that_can_be_added(xaimed: Run, folder: Path, tmp_path: Path) -> None:
    xaimed("tasks", "add", "Lungs", "--description", "x")
    (tmp_path / "whole.pkl").write_bytes(pickle.dumps(nn.Sequential(nn.Conv2d(3, 2, 3))))
    code = "from torch import nn\n\ndef build_model():\n    return nn.Sequential(nn.Conv2d(3, 2, 3))\n"
    (tmp_path / "net.py").write_text(code)
    add = ("models", "add", "Lungs", "CNN", "--architecture", tmp_path / "net.py", "--weights")
    assert xaimed(*add, tmp_path / "whole.pkl")[0] == 1
    assert xaimed("models", "convert", tmp_path / "whole.pkl", "--yes")[0] == 0
    assert xaimed(*add, tmp_path / "whole.safetensors")[0] == 0


def test_a_pickle_that_names_a_class_is_converted_with_the_file_that_defines_it(xaimed: Run, tmp_path: Path) -> None:
    net, whole = tmp_path / "net.py", tmp_path / "whole.pkl"
    net.write_text("from torch import nn\n\n\nclass Net(nn.Sequential):\n    pass\n")
    made = (
        "import pickle; from torch import nn; "
        f"exec(open({str(net)!r}).read()); pickle.dump(Net(nn.Conv2d(3, 2, 3)), open({str(whole)!r}, 'wb'))"
    )
    subprocess.run([sys.executable, "-c", made], check=True)
    status, _, err = xaimed("models", "convert", whole, "--yes")
    assert status == 1
    assert "it needs a class that cannot be found" in err
    assert "--architecture" in err
    status, _, err = xaimed("models", "convert", whole, "--yes", "--architecture", net, "--out", tmp_path / "w")
    assert status == 0
    assert set(load_file(tmp_path / "w")) == {"0.bias", "0.weight"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"import torch\n", "it is Python code, not a file of weights"),
        (b"", "it is empty"),
        (b"\x00" * 100, "it is a file that begins with zeros only"),
        (b"<html>not found</html>", "it is a web page (HTML)"),
    ],
)
def test_a_file_that_is_no_pickle_is_not_called_one_and_nothing_is_asked(
    xaimed: Run, tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    status, out, err = xaimed("models", "convert", tmp_path / "w.pt")
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert f"w.pt: {said}" in err
    assert "a pickle" not in err


@pytest.mark.parametrize(
    ("channels", "key", "constant"), [(3, "accept_grey", "ACCEPT_GREY"), (1, "accept_colour", "ACCEPT_COLOUR")]
)
def test_a_draft_asks_which_images_are_accepted_and_carries_over_what_is_said(
    xaimed: Run, folder: Path, channels: int, key: str, constant: str
) -> None:
    flat_model(folder, 28, channels=channels, outputs=1)
    text = xaimed("models", "init", "Lungs", "--print")[1]
    (asked,) = (line for line in text.splitlines() if f"{key} = " in line)
    assert asked.startswith(f"# {key} = true")
    assert "CHECK: may " in asked
    assert "# threshold = 0.5 " in text
    flat_model(folder, 28, channels=channels, outputs=1, constants=f"{constant} = False\nTHRESHOLD = 0.3\n")
    found = tomllib.loads(xaimed("models", "init", "Lungs", "--print")[1])
    assert found["input"][key] is False
    assert found["output"]["threshold"] == 0.3


def test_a_draft_does_not_take_a_threshold_for_a_sign_of_multilabel(xaimed: Run, folder: Path) -> None:
    flat_model(folder, 28, outputs=2, constants="THRESHOLD = 0.3\n")
    status, _, err = xaimed("models", "init", "Lungs", "--print")
    assert status == 1
    assert "declares a threshold, but the network has 2 outputs" in err
