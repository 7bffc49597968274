"""What lists tasks and reads models loads no torch: `xaimed --version`, `xaimed tasks` and Home stay quick."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = (
    "engine",
    *(f"engine.storage.{name}" for name in ("places", "reading", "writing", "partial")),
    *(f"engine.results.{name}" for name in ("cells", "diagnosis", "saliency", "statistics", "certainty", "consensus")),
    *(f"engine.bundle.{name}" for name in ("model_bundle", "model_toml", "architecture_py", "digest", "specs")),
    *(f"engine.trust.{name}" for name in ("permission", "approvals", "inspection", "execution", "bundled")),
    *(f"engine.library.{name}" for name in ("tasks", "names", "trash", "hidden", "changes", "add_model")),
    "engine.explainers.registry",
    "engine.explainers.settings",
    "engine.export.record",
    "engine.cli.main",
)


@pytest.mark.parametrize("heavy", ["torch", "torchvision", "skimage", "lime", "pytorch_grad_cam"])
def test_light_modules_load_nothing_heavy(heavy: str) -> None:
    code = f"import sys, {', '.join(LIGHT)}; print({heavy!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
