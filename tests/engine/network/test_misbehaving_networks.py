"""Networks that misbehave: every command says the true cause and what helps, or uses them and says so."""

from __future__ import annotations

import json
import textwrap
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Run
from factories import approve
from PIL import Image
from torch import nn

from engine.network.expected_input import SideSearch
from engine.network.torch_state import StateWatch

HEAD = """
import torch
from collections import namedtuple
from dataclasses import dataclass
from torch import nn
from torch.nn import functional as F
"""

BODY = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 3)

    def features(self, x):
        return F.relu(self.conv(x)).mean((2, 3))

    def forward(self, x):
        return self.head(self.features(x))
"""


def network(forward: str = "", init: str = "", body: str = BODY) -> str:
    """`architecture.py` of a small network with another `forward`, and more in `__init__`."""
    code = body
    if forward:
        code = code[: code.rindex("    def forward")] + textwrap.indent(textwrap.dedent(forward).strip(), "    ") + "\n"
    return HEAD + code.replace(
        "nn.Linear(6, 3)\n", f"nn.Linear(6, 3)\n        {init}\n" if init else "nn.Linear(6, 3)\n"
    )


@dataclass(frozen=True)
class Bad:
    """A network that cannot be used: what is said about the cause, and about what helps."""

    code: str
    cause: tuple[str, ...]
    remedy: str


REFUSED = {
    "two inputs": Bad(
        network("def forward(self, image, age):\n    return self.head(self.features(image)) + age"),
        ("the network takes 2 inputs (image, age), and XAIMed feeds it one image",),
        "forward takes the image alone and supplies the rest",
    ),
    "a pair": Bad(
        network("def forward(self, both):\n    image, age = both\n    return self.head(self.features(image)) + age"),
        ("the network takes 2 things at once, and XAIMed feeds it one image in line 17",),
        "forward takes the image alone and supplies the rest",
    ),
    "a dictionary": Bad(
        network('def forward(self, batch):\n    return self.head(self.features(batch["image"]))'),
        ("the network takes a dictionary or a list of inputs",),
        "forward takes the image alone and supplies the rest",
    ),
    "three dimensions": Bad(
        HEAD + "def build_model():\n    return nn.Sequential(nn.Conv3d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), "
        "nn.Flatten(), nn.Linear(4, 2))",
        ("0 (Conv3d) is three-dimensional: it takes inputs of five dimensions", "volumes"),
        "use a network for two-dimensional images",
    ),
    "a series": Bad(
        network("def forward(self, x):\n    b, t, c, h, w = x.shape\n    return self.head(self.features(x[:, 0]))"),
        ("the network takes an input of 5 dimensions",),
        "use a network for two-dimensional images",
    ),
    "batches of eight": Bad(
        network("def forward(self, x):\n    return self.head(self.features(x).view(8, 6))"),
        ("the network takes only batches of 8 images, a number written into its code in line 17 of architecture.py",),
        "write x.shape[0] in place of that number",
    ),
    "half": Bad(
        network("def forward(self, x):\n    return self.head(self.features(x.half()))"),
        ("its code turns the image into float16 (.half()), and conv (Conv2d) has float32 weights in line",),
        "remove .half(), .double() and dtype=... from its forward",
    ),
    "double": Bad(
        network("def forward(self, x):\n    return self.head(self.features(x).double())"),
        ("its code turns the image into float64 (.double()), and head (Linear) has float32 weights in line 17",),
        "remove .half(), .double() and dtype=... from its forward",
    ),
    "its own weights halved": Bad(
        network("def forward(self, x):\n    self.half()\n    return self.head(self.features(x.half()))"),
        ("its code turns its own weights into float16 (.half()) as it runs, conv.weight for one",),
        "remove .half(), .double() and dtype=... from its forward",
    ),
    "its own weights doubled": Bad(
        network("def forward(self, x):\n    self.double()\n    return self.head(self.features(x.double()))"),
        ("its code turns its own weights into float64 (.double()) as it runs",),
        "remove .half(), .double() and dtype=... from its forward",
    ),
    "weights halved, not the image": Bad(
        network("def forward(self, x):\n    self.half()\n    return self.head(self.features(x))"),
        ("its code turns the weights of conv (Conv2d) into float16 (.half()), and the image is float32",),
        "remove .half(), .double() and dtype=... from its forward",
    ),
    "optional inputs": Bad(
        network(
            "def forward(self, x, age=None, sex=None):\n    return self.head(torch.cat([self.features(x), age], 1))"
        ),
        ("the network needs more than the image: age, sex is not given in line 17",),
        "forward takes the image alone and supplies the rest",
    ),
    "a list of images": Bad(
        network("def forward(self, images):\n    return self.head(self.features(images[0]))"),
        (
            "the network takes a list of inputs, or drops the batch dimension: its first layer, conv (Conv2d)",
            "was given (3, ",
        ),
        "make its forward take a (batch, channels, height, width) tensor",
    ),
    "no batch": Bad(
        network("def forward(self, x):\n    c, h, w = x.shape\n    return self.head(self.features(x[None]))[0]"),
        ("the network takes an image without a batch, and was fed (1, 3, ",),
        "make its forward take a (batch, channels, height, width) tensor",
    ),
    "channels last": Bad(
        network("def forward(self, x):\n    return self.head(self.features(x.permute(0, 3, 1, 2)))"),
        (
            "the network takes its channels last, and was fed them first: its first layer, conv (Conv2d)",
            "was given (1, ",
        ),
        'set layout = "nhwc" under [input] in model.toml',
    ),
    "parts that do not fit": Bad(
        network(
            "def forward(self, x):\n    return self.head(self.more(self.conv(x)).mean((2, 3)))",
            "self.more = nn.Conv2d(8, 6, 3)",
        ),
        ("its parts do not fit together: more (Conv2d) takes 8 channels, and the layers before it give 6",),
        "mend its code",
    ),
    "cuda": Bad(
        network('def forward(self, x):\n    return self.head(self.features(x.to("cuda:7")))'),
        ("its code chooses a device by itself, as .cuda() does", "in line 17 of architecture.py"),
        "remove .cuda() and .to(device) from its forward",
    ),
    "batch statistics of one": Bad(
        network(
            "def forward(self, x):\n    return self.head(self.norm(self.features(x)))",
            "self.norm = nn.BatchNorm1d(6, track_running_stats=False)",
        ),
        ("norm (BatchNorm1d) keeps no statistics of its training (track_running_stats=False)",),
        "train it with track_running_stats=True",
    ),
    "training mode": Bad(
        network(
            "def forward(self, x):\n    self.norm.train()\n    return self.head(self.norm(self.features(x)))",
            "self.norm = nn.BatchNorm1d(6)",
        ),
        ("its code switches norm (BatchNorm1d) to training mode", "in line 19"),
        "remove .train() and training=True from its code",
    ),
    "four channels": Bad(
        network(body=BODY.replace("Conv2d(3,", "Conv2d(4,")),
        ("its first layer, conv", "takes 4 channels"),
        "use a network for 1 (grey) or 3 (RGB) channels",
    ),
    "argmax": Bad(
        network("def forward(self, x):\n    return self.head(self.features(x)).argmax(1)"),
        ("the network gives int64 numbers, such as the number of the most probable class",),
        "make it return the scores before argmax",
    ),
    "nothing": Bad(
        network("def forward(self, x):\n    self.answer = self.head(self.features(x))"),
        ("the network gives a NoneType without any tensor",),
        "make its forward return a (batch, classes) tensor",
    ),
    "two heads": Bad(
        network("def forward(self, x):\n    f = self.features(x)\n    return self.head(f), f"),
        (
            "the network gives several outputs, and which of them are the scores of the classes is not said: "
            "0 (1, 3), 1 (1, 6)",
        ),
        'name one of them under [output] in model.toml, such as select = "0"',
    ),
    "a map": Bad(
        network("def forward(self, x):\n    return self.conv(x)"),
        ("the network gives (1, 6, ", " for 1 image(s), not one number a class"),
        "make its forward return a (batch, classes) tensor",
    ),
}

USED = {
    "fixed batch of one": (
        network("def forward(self, x):\n    return self.head(self.features(x).view(1, 6))"),
        "The network takes only one image at a time",
    ),
    "squeeze": (
        network("def forward(self, x):\n    return self.head(self.features(x)).squeeze()"),
        "The network drops the batch dimension of a single image",
    ),
    "squeezed features": (
        network("def forward(self, x):\n    return F.softmax(self.head(self.features(x).squeeze()), dim=1)"),
        "is passed together with a copy",
    ),
    "batch statistics": (
        network(
            "def forward(self, x):\n    return self.head(F.relu(self.norm(self.conv(x))).amax((2, 3)))",
            "self.norm = nn.BatchNorm2d(6, track_running_stats=False)",
        ),
        "in its batch (norm keeps no statistics of its training: track_running_stats=False), so all answers",
    ),
    "a dictionary of outputs": (
        network(
            "def forward(self, x):\n    m = F.relu(self.conv(x))\n"
            '    return {"map": m, "out": self.head(m.mean((2, 3)))}'
        ),
        "out is taken as the scores, as nothing else has their shape",
    ),
    "a list of one": (
        network("def forward(self, x):\n    return [self.head(self.features(x))]"),
        "The network gives a list with one tensor, 0, which is taken as the scores.",
    ),
    "a named tuple": (
        network(
            "def forward(self, x):\n    f = self.features(x)\n    return Out(self.head(f), None, self.head(2 * f))"
        ).replace("class Net", 'Out = namedtuple("Out", "logits aux2 aux1")\n\n\nclass Net'),
        "logits is taken as the scores, by its name",
    ),
    "a dataclass": (
        network("def forward(self, x):\n    f = self.features(x)\n    return Out(f, self.head(f))").replace(
            "class Net", "@dataclass\nclass Out:\n    hidden: object\n    logits: object\n\n\nclass Net"
        ),
        "logits is taken as the scores, by its name",
    ),
    "an object": (
        network("def forward(self, x):\n    return Out(self.head(self.features(x)))").replace(
            "class Net", "class Out:\n    def __init__(self, logits):\n        self.logits = logits\n\n\nclass Net"
        ),
        "The network gives a Out with one tensor, logits",
    ),
    "a view": (
        network(
            "def forward(self, x):\n    return self.last(self.pool(F.relu(self.norm(self.conv(x)))).view(-1, 54))",
            "self.norm, self.pool, self.last = nn.BatchNorm2d(6), nn.MaxPool2d(4), nn.Linear(54, 3)",
        ),
        "The classes have no names",
    ),
    "logits and probabilities": (
        network("def forward(self, x):\n    y = self.head(self.features(x))\n    return y, torch.softmax(y, 1)"),
        "0 is taken as the scores, as the others say the same",
    ),
}


def put(folder: Path, code: str, *, declared: str = "[input]\nsize = [12, 12]\nchannels = 3\n") -> Path:
    """An approved model with seeded random weights."""
    model = folder / "tasks" / "Lungs" / "CNN"
    model.mkdir(parents=True)
    (model / "architecture.py").write_text(code, encoding="utf-8")
    space: dict[str, object] = {"__name__": "made"}
    exec(compile(code, "made", "exec", dont_inherit=True), space)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = space["build_model"]() if "build_model" in space else space["Net"]()
    torch.save(built.state_dict(), model / "weights.pt")
    if declared:
        (model / "model.toml").write_text(declared, encoding="utf-8")
    approve(model)
    return model


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    path = tmp_path / "patient.png"
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def four(xaimed: Run, image: Path) -> dict[str, tuple[int, str, str]]:
    """What each of the four commands says."""
    return {
        "predict": xaimed("predict", image, "--task", "Lungs"),
        "explain": xaimed("explain", image, "--task", "Lungs", "--out", image.parent / "out", "--methods", "gradcam"),
        "check": xaimed("models", "check", "Lungs"),
        "init": xaimed("models", "init", "Lungs", "--print"),
    }


@pytest.mark.parametrize("kind", REFUSED)
def test_every_command_says_the_true_cause_and_what_helps(xaimed: Run, tmp_path: Path, image: Path, kind: str) -> None:
    bad = REFUSED[kind]
    put(tmp_path, bad.code)
    for command, (status, out, err) in four(xaimed, image).items():
        assert (status, out) == (1, ""), command
        assert err.startswith("xaimed: Lungs/CNN: "), (command, err)
        assert err.count("\n") == 1, (command, err)
        for cause in bad.cause:
            assert cause in err, (command, err)
        assert bad.remedy in err, (command, err)


@pytest.mark.parametrize("kind", USED)
def test_what_can_be_used_all_the_same_is_used_and_every_command_says_how(
    xaimed: Run, tmp_path: Path, image: Path, kind: str
) -> None:
    code, said = USED[kind]
    put(tmp_path, code)
    status, out, err = xaimed("predict", image, "--task", "Lungs", "--json")
    assert status == 0, err
    assert said in out + err
    assert len(json.loads(out)[0]["probabilities"]) == 3
    status, out, err = xaimed(
        "explain", image, "--task", "Lungs", "--out", tmp_path / "out", "--samples", "lime=100,rise=60"
    )
    assert status == 0, err
    assert said in out + err
    status, out, err = xaimed("models", "check", "Lungs", "--json")
    assert status == 0, err
    found = json.loads(out)
    assert said in " ".join([*found["warnings"], *found["assumed"]])
    status, out, err = xaimed("models", "init", "Lungs", "--print")
    assert status == 0, err
    if "is taken as the scores" in said:
        assert said in out
        assert tomllib.loads(out)["output"]["select"] in said


# What the weights say about the input


FLAT = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.pool, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.Linear(4 * 10 * 10, 2)

    def forward(self, x):
        return self.head(self.pool(F.relu(self.conv(x))).RESHAPED)
"""
DENSE = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense, self.head = nn.Linear(28 * 28, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(F.relu(self.dense(x.flatten(1))))
"""


@pytest.mark.parametrize("reshaped", ["flatten(1)", "view(x.shape[0], 400)", "view(-1, 400)", "reshape(1, 400)"])
def test_channels_and_size_are_read_off_the_weights_before_anything_is_assumed(
    xaimed: Run, tmp_path: Path, image: Path, reshaped: str
) -> None:
    put(tmp_path, HEAD + FLAT.replace("RESHAPED", reshaped), declared="")
    status, out, err = xaimed("models", "check", "Lungs", "--methods", "gradcam", "--json")
    assert status == 0, err
    assert json.loads(out)["input"] == {"size": [20, 20], "channels": 1}
    assumed = " ".join(json.loads(out)["assumed"])
    assert "The number of channels is not declared: 1 (grey), as conv takes them." in assumed
    assert "The input size is not declared: 20 x 20 pixels (height x width), which" in assumed
    draft = tomllib.loads(xaimed("models", "init", "Lungs", "--print")[1])["input"]
    assert (draft["channels"], draft.get("size", [20, 20])) == (1, [20, 20])


def test_a_size_that_is_declared_wrongly_is_refused_with_what_the_first_dense_layer_takes(
    xaimed: Run, tmp_path: Path, image: Path
) -> None:
    code = HEAD + FLAT.replace("RESHAPED", "flatten(1)")
    put(tmp_path, code, declared="[input]\nsize = [32, 32]\nchannels = 1\n")
    err = xaimed("predict", image, "--task", "Lungs")[2]
    assert (
        "the network does not take a 32x32 input of 1 channels: head (Linear) takes 400 numbers an image, and is given "
        "1,024; set size = [20, 20] under [input] in model.toml" in err
    )


def test_channels_that_are_declared_wrongly_are_refused_with_what_the_first_layer_takes(
    xaimed: Run, tmp_path: Path, image: Path
) -> None:
    code = HEAD + FLAT.replace("RESHAPED", "flatten(1)")
    put(tmp_path, code, declared="[input]\nsize = [20, 20]\nchannels = 3\n")
    err = xaimed("predict", image, "--task", "Lungs")[2]
    assert "its first layer, conv (Conv2d), takes 1 channels, and it was fed 3; set channels = 1 under [input]" in err


def test_a_network_without_convolutions_tells_channels_and_size_too(xaimed: Run, tmp_path: Path, image: Path) -> None:
    put(tmp_path, HEAD + DENSE, declared="")
    assert xaimed("predict", image, "--task", "Lungs", "--json")[0] == 0
    put(tmp_path / "declared", HEAD + DENSE)
    err = xaimed("--tasks", tmp_path / "declared" / "tasks", "predict", image, "--task", "Lungs")[2]
    assert "dense (Linear) takes 784 numbers an image, and is given 432" in err
    assert "set size = [28, 28] and channels = 1 under [input] in model.toml" in err


def test_what_is_declared_about_the_output_is_taken_and_a_wrong_name_lists_the_outputs(
    xaimed: Run, tmp_path: Path, image: Path
) -> None:
    both = network("def forward(self, x):\n    f = self.features(x)\n    return {'a': [f, self.head(f)], 'b': 2 * f}")
    declared = '[input]\nsize = [12, 12]\nchannels = 3\n[output]\nselect = "a.1"\n'
    put(tmp_path, both, declared=declared)
    status, out, err = xaimed("predict", image, "--task", "Lungs", "--json")
    assert status == 0
    assert "several outputs" not in out + err
    put(tmp_path / "wrong", both, declared=declared.replace("a.1", "c"))
    err = xaimed("--tasks", tmp_path / "wrong" / "tasks", "predict", image, "--task", "Lungs")[2]
    assert "the network has no output 'c', only a.0 (1, 6), a.1 (1, 3), b (1, 6)" in err


def test_declared_classes_tell_which_output_has_their_scores(xaimed: Run, tmp_path: Path, image: Path) -> None:
    declared = '[input]\nsize = [12, 12]\nchannels = 3\n[output]\nclasses = ["a", "b", "c"]\n'
    put(tmp_path, REFUSED["two heads"].code, declared=declared)
    status, out, _ = xaimed("predict", image, "--task", "Lungs", "--json")
    assert status == 0
    assert "0 is taken as the scores, as nothing else fits 3 classes" in out


def test_a_search_for_a_size_says_so_and_ends_in_time(xaimed: Run, tmp_path: Path, image: Path) -> None:
    strict = network(
        "def forward(self, x):\n    assert x.shape[2:] == (417, 417)\n    return self.head(self.features(x))"
    )
    put(tmp_path, strict, declared="")
    status, out, err = xaimed("models", "init", "Lungs", "--print")
    assert status == 0
    assert tomllib.loads(out)["input"]["size"] == [417, 417]
    assert "it does not take 224x224 pixels; trying other sizes" in err
    search = SideSearch(NeverTwice(), 3, StateWatch(), seconds=0.4)
    started = time.monotonic()
    sides = search.run()
    assert time.monotonic() - started < 5
    assert (sides.accepted, sides.complete) == ((), False)


class NeverTwice(nn.Module):
    """Takes a while to fail for every size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.05)
        raise ValueError("never")
