"""Networks that misbehave: every command says the true cause and what helps, or uses them and says so."""

from __future__ import annotations

import json
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Run
from factories import approve
from PIL import Image

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
        "remove .half(), .double() and dtype=... from forward",
    ),
    "double": Bad(
        network("def forward(self, x):\n    return self.head(self.features(x).double())"),
        ("its code turns the image into float64 (.double()), and head (Linear) has float32 weights in line 17",),
        "remove .half(), .double() and dtype=... from forward",
    ),
    "cuda": Bad(
        network('def forward(self, x):\n    return self.head(self.features(x.to("cuda:7")))'),
        ("its code chooses a device by itself, as .cuda() does", "in line 17 of architecture.py"),
        "remove .cuda() and .to(device) from forward in architecture.py",
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
        "remove .train() and training=True from architecture.py",
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
        "make architecture.py return a (batch, classes) tensor",
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
        "make architecture.py return a (batch, classes) tensor",
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
        "depends on the other images in its batch",
    ),
    "a dictionary of outputs": (
        network('def forward(self, x):\n    m = self.conv(x)\n    return {"map": m, "out": self.head(m.mean((2, 3)))}'),
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
