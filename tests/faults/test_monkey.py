"""A monkey at the terminal for a few seconds; `python -m tests.torture.monkey` lets it play for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.monkey import EngineName, Size, modes_left, watch


@pytest.mark.parametrize(
    ("seed", "size", "engine"), [(1, (80, 24), "fake"), (2, (20, 6), "fake"), (3, (160, 50), "real")]
)
def test_after_a_monkey_the_app_lives_goes_home_and_quits(
    seed: int, size: Size, engine: EngineName, tmp_path: Path
) -> None:
    outcome = watch(seed, seconds=4, size=size, engine=engine, place=tmp_path)
    assert outcome.well, outcome
    assert outcome.events > 5


def test_what_is_left_at_a_terminal_is_seen() -> None:
    assert modes_left(b"") == ()
    assert modes_left(b"\x1b[?1049h\x1b[?25l\x1b[>25u\x1b[?25h\x1b[<u\x1b[?1049l") == ()
    left = modes_left(b"\x1b[?1000;1006h\x1b[?25l\x1b[?1000l")
    assert left == ("the cursor is hidden", "the mouse is reported in SGR")
    assert modes_left(b"\x1b[>q\x1b[>25u") == ("keys are reported in Kitty's way",)
