"""Saving under adversity: killed, on a full disk, in a read-only or vanishing folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.main import run
from engine.export.leftovers import notes

ROOT = Path(__file__).resolve().parents[1]


def test_killed_at_fifty_moments_results_are_whole_or_absent_and_the_next_start_cleans_up(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.torture.kill_saving", "--kills", "50", "--below", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    counts = {what: int(count) for count, what in re.findall(r"^ *(\d+)  (.*)$", done.stdout, re.MULTILINE)}
    assert set(counts) == {"nothing", "left hidden", "whole"}
    assert sum(counts.values()) == 50
    assert counts["left hidden"] > 0, "no kill met a saving at work: nothing was tried"


DIES = """
import os, sys
from pathlib import Path
from factories import make_explanation
from engine.export import folder

def write(path, content):
    if path.name == "saliency.npz":
        os.kill(os.getpid(), 9)
    path.write_bytes(content)

folder._write = write
folder.save_explanation(make_explanation(), Path(sys.argv[1]))
"""


@pytest.mark.parametrize("arguments", [[], ["tasks"]], ids=["app", "command"])
def test_the_next_start_of_any_kind_removes_what_a_killed_saving_left_anywhere(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, beside = tmp_path / "results", tmp_path / "results" / "mine"
    beside.mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", DIES, str(out)], cwd=ROOT / "tests", check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    (left,) = out.glob(".xaimed-*.partial")
    assert any(left.iterdir())
    assert run(arguments, open_app=lambda _: 0) == 0
    capsys.readouterr()
    assert list(out.iterdir()) == [beside]
    assert list(notes().iterdir()) == []


def test_notes_lead_to_nothing_but_what_a_saving_left(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x", encoding="utf-8")
    notes().mkdir(parents=True)
    name = f".xaimed-00000000-1-{'0' * 16}.partial"
    elsewhere, link = notes() / "precious", notes() / name
    elsewhere.symlink_to(tmp_path / "precious")  # not called as such folders are
    (tmp_path / name).symlink_to(tmp_path / "precious")  # called so, but a link
    link.symlink_to(tmp_path / name)
    os.utime(link, (0, 0), follow_symlinks=False)
    assert run([], open_app=lambda _: 0) == 0
    assert (tmp_path / "precious" / "file").exists()
