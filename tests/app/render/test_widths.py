"""Names whose width terminals dispute shift nothing that stands beside them, whatever a terminal makes of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from unicodedata import category

import pyte
import pytest
from fake_program import program
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from textual.strip import Strip
from wcwidth import wcswidth, wcwidth

from engine.text import safe_text
from xaimed_tui.render.pixel_screen import PixelScreen

NAMES = (
    "plain.png",
    "\U0001f469\U0001f3fd\u200d\u2695\ufe0f doctor.png",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family.png",
    "\U0001f44d\U0001f3ff thumb.png",
    "\U0001f1e9\U0001f1ea flag.png",
    "1\ufe0f\u20e3 key.png",
    "2\u20e3 key.png",
    "\u2764\ufe0f heart.png",
    "\u2764 heart.png",
    "e\u0301 \u00e9 mark.png",
    "\u1112\u1161\u11ab\u1100\u1173\u11af jamo.png",
    "\uff46\uff55\uff4c\uff4c.png",
    "\u00b1\u2014\u2460 ambiguous.png",
    "\u4dc0\u2630\U0001d306 signs.png",
    "\u9aa8.png",
)
"""Names of files as people and telephones give them."""

INDIC = "\u0939\u093f\u0928\u094d\u0926\u0940.png"
"""Its vowel signs take a column of their own in some terminals, and none in others."""


@pytest.mark.parametrize("name", NAMES)
def test_a_safe_name_is_as_wide_for_terminals_that_know_sequences_as_for_those_that_add_up_characters(
    name: str,
) -> None:
    shown = safe_text(name)
    assert cell_len(shown) == wcswidth(shown) == sum(map(wcwidth, shown))


def test_names_that_differ_in_what_is_disputed_only_still_differ() -> None:
    names = [*NAMES, "\U0001f469\u200d\u2695\ufe0f doctor.png", "\U0001f44d thumb.png", "1\u20e3 key.png", "1 key.png"]
    assert len({safe_text(name) for name in names}) == len(names)


def on_a_terminal(lines: list[tuple[int, int, Strip]], columns: int, screen: PixelScreen) -> str:
    return screen.written(lines, Console(force_terminal=True, color_system=None, width=columns))


@pytest.mark.parametrize("label", [INDIC, "\U0001f1e9\U0001f1ea.png", "\U0001f469\U0001f3fd.png"])
@pytest.mark.parametrize("narrow", [False, True])
def test_what_stands_beside_a_text_of_disputed_width_keeps_its_column(label: str, narrow: bool) -> None:
    """`narrow`: the terminal draws the text two columns wider than thought, else two narrower."""
    row = Strip([Segment(label + " " * (12 - cell_len(label)))], 12)
    other = Strip([Segment("x" * 12)], 12)
    divider = Strip([Segment("|beside")], 7)
    screen = PixelScreen()
    terminal = pyte.Screen(30, 2)
    stream = pyte.Stream(terminal)
    drawn = "+" * (cell_len(label) + (2 if narrow else -2))
    for lines in ([(0, 0, other), (0, 12, divider)], [(0, 0, row)], [(0, 0, other)], [(0, 0, row), (0, 12, divider)]):
        stream.feed(on_a_terminal(lines, 30, screen).replace(label, drawn))
        assert terminal.display[0].index("|beside") == 12
        if lines[0][2] is row:
            assert terminal.display[0][:12].rstrip() == drawn


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_in_tmux_the_divider_beside_such_names_is_a_straight_line(tmp_path: Path) -> None:
    code = program("nothing").replace("super().__init__()", f"super().__init__(names={(*NAMES, INDIC)!r})")
    script = tmp_path / "app.py"
    script.write_text(code.replace("start.start()", "start.start(task='HIS Breast Cancer', model='Paper CNN')"))
    tmux = ["tmux", "-L", f"xaimed-{tmp_path.name}", "-f", "/dev/null", "-u"]
    try:
        start = f"cd {tmp_path} && HOME={tmp_path} {sys.executable} {script}"
        subprocess.run([*tmux, "new-session", "-d", "-x", "120", "-y", "40", start], check=True, timeout=20)
        end = time.monotonic() + 60
        shown = ""
        while "jamo" not in shown or "confidence" not in shown:
            assert time.monotonic() < end, shown
            time.sleep(0.3)
            shown = subprocess.run(
                [*tmux, "capture-pane", "-p"], check=True, timeout=20, capture_output=True, text=True
            ).stdout
        for keys in ("j", "k"):
            subprocess.run([*tmux, "send-keys", keys], check=True, timeout=20)
            time.sleep(0.5)
            shown = subprocess.run(
                [*tmux, "capture-pane", "-p"], check=True, timeout=20, capture_output=True, text=True
            ).stdout
    finally:
        subprocess.run([*tmux, "kill-server"], check=False, timeout=20)
    rows = [line for line in shown.splitlines() if ".png" in line and "▕" in line]
    assert len(rows) >= len(NAMES), shown
    # Tmux 3.3 gives the vowel signs of Indic scripts a column each, which the table of `wcwidth` does not.
    ends = {sum(1 if category(sign) == "Mc" else wcwidth(sign) for sign in row[: row.index("▕")]) for row in rows}
    assert len(ends) == 1, shown
