"""Pasted text is told from keys by bytes, whatever it holds and however it comes."""

from __future__ import annotations

import random

import pytest

from xaimed_tui.terminal.pastes import (
    AT_ONCE,
    BEGIN,
    END,
    LONGEST,
    MOST,
    PATIENCE,
    HalfMark,
    Pasted,
    Pastes,
    without_controls,
)
from xaimed_tui.terminal.rates import Rate

ESCAPES = b"\x1b[48;4000;4000;1;1t\x1b[A\x11\x1b[200~\x1bOPx\x1b[20\x1b[8;9;9t\r"


class Clock:
    """A clock that stands still unless it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def split(*reads: bytes) -> list[bytes | Pasted | HalfMark]:
    pastes = Pastes(Clock())
    return [piece for got in reads for piece in pastes.split(got)]


def test_what_stands_between_the_marks_is_text_and_the_rest_is_typed() -> None:
    assert split(b"ab" + BEGIN + ESCAPES + END + b"cd") == [b"ab", Pasted(ESCAPES.decode(), False, True), b"cd"]
    assert split(BEGIN + END + BEGIN + b"x" + END) == [Pasted("", False, True), Pasted("x", False, True)]
    assert split(b"\x1b[A\x1b") == [b"\x1b[A\x1b"], "keys wait for nothing"
    assert split(b"") == []


@pytest.mark.parametrize("seed", range(30))
def test_marks_may_come_in_pieces(seed: int) -> None:
    draw = random.Random(seed)
    whole, reads = b"ab" + BEGIN + ESCAPES + "ä".encode() * 200 + END + b"cd" + BEGIN + b"e" + END + b"f", []
    while whole:
        size = draw.choice((1, 2, 3, 5, 40))
        reads.append(whole[:size])
        whole = whole[size:]
    typed, texts = b"", []
    for piece in split(*reads):
        if isinstance(piece, Pasted):
            texts.append(piece.text)
        elif isinstance(piece, HalfMark):
            # What was passed on of a mark is taken back.
            typed = typed[: typed.rindex(b"\x1b")]
        else:
            typed += piece
    assert typed == b"abcdf"
    assert texts == [ESCAPES.decode() + "ä" * 200, "e"]


def test_a_paste_whose_end_does_not_come_ends_after_a_while() -> None:
    clock = Clock()
    pastes = Pastes(clock)
    assert list(pastes.split(BEGIN + b"text\x1b[20")) == []
    clock.now = PATIENCE / 2
    assert list(pastes.split(b"")) == []
    clock.now = PATIENCE * 1.1
    assert list(pastes.split(b"")) == [Pasted("text\x1b[20", False, True)]
    assert list(pastes.split(b"j")) == [b"j"]


def test_a_paste_that_never_ends_is_cut_in_time_and_what_follows_is_no_key() -> None:
    clock = Clock()
    pastes = Pastes(clock)
    found: list[object] = [*pastes.split(BEGIN + b"a")]
    while clock.now < 2 * LONGEST:
        clock.now += 0.5
        found += pastes.split(b"a")
    (pasted,) = found
    assert isinstance(pasted, Pasted)
    assert pasted.cut
    assert 30 < len(pasted.text) < 60
    clock.now += PATIENCE + 1
    assert list(pastes.split(b"")) == []
    assert list(pastes.split(b"j")) == [b"j"]


def test_of_a_very_long_paste_only_so_much_is_kept() -> None:
    (pasted, after) = split(BEGIN, *[b"x" * 4096] * (MOST // 4096 + 50), END + b"j")
    assert isinstance(pasted, Pasted)
    assert pasted.cut
    assert len(pasted.text) == MOST
    assert after == b"j"


def test_much_text_at_once_is_a_paste_without_marks_until_nothing_comes() -> None:
    text = b"q1ed\r\x1b[A\x10/" * 40
    assert split(text[: 2 * AT_ONCE], text[2 * AT_ONCE :], b"j") == []
    assert split(text[: 2 * AT_ONCE], text[2 * AT_ONCE :], b"j", b"", b"k") == [
        Pasted((text + b"j").decode(), False, False),
        b"k",
    ]
    assert split(text + BEGIN + b"x" + END + b"k") == [
        Pasted(text.decode(), False, False),
        Pasted("x", False, True),
        b"k",
    ]


@pytest.mark.parametrize(
    "typed",
    [
        b"j" * 900,
        b"jk" * 300,
        b"\x1b[A" * 500 + b"\x1bOB" * 200,
        b"".join(b"\x1b[<35;%d;%dM" % (x, x) for x in range(200)),
        b"/tmp/a-folder-with-a-long-name" * 3,
    ],
    ids=["a held key", "two of them", "arrows", "the mouse", "typed over a slow line"],
)
def test_what_hands_can_do_between_two_reads_is_no_paste(typed: bytes) -> None:
    assert split(typed) == [typed]


def test_of_pasted_text_what_acts_on_a_terminal_or_hides_is_left_out() -> None:
    assert without_controls("a\tb\r\n\x1b[31mc\x00\u202ed\x9b8t") == "a   b\r\n[31mcd8t"
    assert without_controls("漢字 ä🔬") == "漢字 ä🔬"


def test_more_than_hands_make_does_not_pass_and_is_counted_once_it_is_quiet() -> None:
    clock = Clock()
    rate = Rate(20, 10.0, clock)
    assert [rate.passes() for _ in range(30)] == [True] * 20 + [False] * 10
    clock.now = 0.5
    assert [rate.passes() for _ in range(6)] == [True] * 5 + [False]
    assert rate.left_out() == 0, "not while it goes on"
    clock.now = 2.0
    assert rate.left_out() == 11
    assert rate.left_out() == 0
    clock.now = 100.0
    assert sum(rate.passes() for _ in range(30)) == 20
