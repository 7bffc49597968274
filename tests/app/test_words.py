"""The small functions that turn things into words."""

from __future__ import annotations

from pathlib import Path

import pytest

from xaimed_tui.screens.explain.diagnosis_panel import bar
from xaimed_tui.wording import path_text, reflow, seconds_text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0.00 s"), (0.0004, "1 ms"), (0.0312, "31 ms"), (0.416, "0.42 s"), (12.34, "12.3 s"), (200, "3 min 20 s")],
)
def test_durations_read_as_people_write_them(seconds: float, words: str) -> None:
    assert seconds_text(seconds) == words


def test_a_long_path_is_cut_at_its_beginning_and_the_home_folder_is_a_tilde() -> None:
    assert path_text(Path("/data/hospital/slides"), 12) == "…ital/slides"
    assert path_text(Path.home() / "scans", 40) == "~/scans"


def test_a_paragraph_broken_by_hand_is_one_line_and_a_table_stays_a_table() -> None:
    long = "word " * 16
    text = f"{long}\ngoes on.\n\n  class      F1\n  IDC        0.75\nShort line.\nAnother."
    assert reflow(text) == f"{long.rstrip()} goes on.\n\n  class      F1\n  IDC        0.75\nShort line.\nAnother."


@pytest.mark.parametrize(("share", "text"), [(0.0, "····"), (0.5, "██··"), (1.0, "████"), (0.28125, "█▏··")])
def test_a_bar_shows_eighths_of_a_character(share: float, text: str) -> None:
    assert bar(share, 4) == text


def test_a_path_of_wide_letters_has_no_more_columns_than_it_may() -> None:
    assert path_text(Path("/漢字漢字"), 9) == "/漢字漢字"
    assert path_text(Path("/漢字漢字"), 8) == "…字漢字"
    assert path_text(Path("/漢字漢字"), 6) == "…漢字"
    assert path_text(Path("/scans/may"), 5) == "…/may"
