"""Threads are settled before torch and numpy read the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.threads import cores_allowed, settle_threads


@pytest.mark.parametrize(
    ("content", "cores"),
    [("max 100000\n", None), ("400000 100000\n", 4), ("150000 100000\n", 1), ("5000 100000\n", 1), ("what\n", None)],
)
def test_a_containers_quota_is_read(tmp_path: Path, content: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert cores_allowed(tmp_path / "cpu.max") == cores


def test_a_machine_without_quotas_has_none(tmp_path: Path) -> None:
    assert cores_allowed(tmp_path / "missing") is None


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    settle_threads()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"


def test_the_program_settles_them_before_numpy_is_there() -> None:
    code = "import sys, xaimed_tui.__main__, engine.cli.main; print('numpy' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
