"""README's blocks of Python run as they are written, one after another as in one session."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkout import ROOT
from factories import make_image
from PIL import Image
from torch import nn

BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What a reader has before: a patch in a file, an image in memory, and a network (with a stride, to be quick)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XAIMED_TASKS", raising=False)
    Image.fromarray(make_image(height=48, width=48).pixels.astype(np.uint8)).save("patch.png")
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 8, stride=8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    net.append(nn.Linear(8, 2))
    array = make_image(height=96, width=96).pixels.astype(np.uint8)
    return {"net": net, "array": array, "torch": torch}


def test_the_blocks_of_python_run_as_written(session: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    assert len(BLOCKS) == 4
    for block in BLOCKS[:3]:
        exec(compile(block, "README.md", "exec"), session)
    out = " ".join(capsys.readouterr().out.split())
    assert list(Path("results").iterdir()) == [Path("results/patch")]
    for words in ("Explained: ", "LIME", "RISE", "Grad-CAM", "Agreement", "approval does not apply", "class 1 [["):
        assert words in out


def test_the_test_of_a_plug_in_runs_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tests" / "plugins" / "layercam")
    written: dict[str, Any] = {}
    exec(compile(BLOCKS[3], "README.md", "exec"), written)
    written["test_layercam_keeps_the_rules"]()
