"""Saving under adversity: killed, on a full disk, in a read-only or vanishing folder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_killed_at_fifty_moments_results_are_whole_or_absent_and_the_next_start_cleans_up(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.torture.kill_saving", "--kills", "50", "--below", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    counts = {what: int(count) for count, what in re.findall(r"^ *(\d+)  (.*)$", done.stdout, re.MULTILINE)}
    assert set(counts) == {"nothing", "left hidden", "whole"}
    assert sum(counts.values()) == 50
    assert counts["left hidden"] > 0, "no kill met a saving at work: nothing was tried"
