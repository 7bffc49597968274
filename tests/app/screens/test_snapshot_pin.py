"""Snapshots are drawn anew under the pinned version of Textual only."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from checkout import ROOT, SUPPORT
from snapshot_pin import pinned_version, refuse_update, why_not_update


class Options:
    def __init__(self, *, update: bool) -> None:
        self.update = update

    def getoption(self, name: str, default: object = None) -> object:
        return self.update if name == "update_snapshots" else default


def test_the_pinned_version_is_the_one_that_is_tested() -> None:
    assert pinned_version() == version("textual")
    assert why_not_update() == ""


def test_updates_are_refused_under_another_version_and_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snapshot_pin.version", lambda _: "9.9.9")
    with pytest.raises(pytest.UsageError, match=r"9\.9\.9 is installed: .* Install textual=="):
        refuse_update(Options(update=True))  # type: ignore[arg-type]
    refuse_update(Options(update=False))  # type: ignore[arg-type]  # comparing stays possible


def test_pytest_itself_ends_before_the_first_test(tmp_path: Path) -> None:
    code = (
        "import sys, pytest, snapshot_pin\n"
        "snapshot_pin.version = lambda _: '9.9.9'\n"
        f"words = {str(ROOT / 'tests' / 'app' / 'test_words.py')!r}\n"
        "sys.exit(pytest.main(['--snapshot-update', words, '-p', 'no:cacheprovider']))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{SUPPORT}:{ROOT}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "Snapshots are drawn under textual" in ended.stderr
    assert "passed" not in ended.stdout


def test_a_loose_pin_is_refused(tmp_path: Path) -> None:
    loose = tmp_path / "pyproject.toml"
    loose.write_text('[project]\ndependencies = ["textual>=8"]\n', encoding="utf-8")
    with pytest.raises(AssertionError, match="pinned exactly"):
        pinned_version(loose)
