"""Text from outside: nothing in it acts on a terminal, and what differs looks different."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nasty_text import acts, texts

from engine.text import safe_name, safe_text, shorten, shorten_together


@given(texts)
@example("a\x1b[2Jb")
def test_nothing_that_acts_on_a_terminal_is_left(text: str) -> None:
    assert acts(safe_text(text)) == set()
    assert acts(safe_text(text, multiline=True), allowed="\n") == set()
    safe_text(text).encode("utf-8")  # no lone surrogate


@given(texts)
def test_no_space_but_the_common_ones_and_no_tower_of_marks_is_left(text: str) -> None:
    shown = safe_text(text)
    assert {c for c in shown if unicodedata.category(c) == "Zs"} <= {" ", "\u3000"}
    run = 0
    for character in shown:
        run = run + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        assert run <= 4


def original(shown: str) -> str:
    """What `safe_text` was given, worked out of what it gave."""
    return re.sub(r"⟨U\+([0-9A-F]{4,6})⟩|([\u2400-\u2421])", lambda m: _character(m[1], m[2]), shown)


def _character(code: str | None, picture: str | None) -> str:
    if code is not None:
        return chr(int(code, 16))
    assert picture is not None
    return "\x7f" if picture == "␡" else chr(ord(picture) - 0x2400)


@given(texts)
def test_the_original_can_be_worked_out_so_no_two_texts_look_the_same(text: str) -> None:
    assert original(safe_text(text)) == text


@given(texts, texts, st.integers(10, 60))
@example("a\x1bb", "a␛b", 40)
@example("a\u202eb", "a⟨U+202E⟩b", 40)
@example("x" * 50 + "1" + "x" * 50, "x" * 50 + "2" + "x" * 50, 20)
def test_names_that_differ_differ_still_when_they_are_shortened(one: str, other: str, limit: int) -> None:
    assert (safe_name(one, limit) == safe_name(other, limit)) == (one == other)


def test_a_name_that_imitates_a_shortened_one_is_told_apart() -> None:
    long = "patient-" + "0" * 60 + "-slice-0001.png"
    for limit in range(2, 60):
        assert safe_name(safe_name(long, limit) + "", limit) != safe_name(long, limit)


@given(st.lists(texts, max_size=6), st.integers(10, 60))
@example(["x" * 50 + "1" + "x" * 50, "x" * 50 + "2" + "x" * 50], 20)
@example(["a" * 30 + "b" * 30, "a" * 9 + "…" + "b" * 10], 20)
@example(["a" * 30 + "b" * 30, shorten("a" * 30 + "b" * 30, 20) + "", "a" * 29 + "c" + "b" * 30], 20)
def test_names_that_stand_together_differ_still_when_they_are_shortened(names: list[str], limit: int) -> None:
    from rich.cells import cell_len

    safe = [safe_text(name) for name in names]
    shown = shorten_together(safe, limit)
    assert len(shown) == len(names)
    for one, look in zip(safe, shown, strict=True):
        assert cell_len(look) <= limit
        assert acts(look) == set()
        for other, other_look in zip(safe, shown, strict=True):
            assert (look == other_look) == (one == other)


def test_names_that_stand_together_bear_digits_only_where_they_would_look_alike() -> None:
    assert shorten_together(["background", "DAB", "nuclei"], 8) == ["backgro…", "DAB", "nuclei"]
    assert shorten_together(["patient-0000000000-slice-01.png", "patient-1.png"], 20) == [
        "patient-0…ice-01.png",
        "patient-1.png",
    ]
    first, second = shorten_together(["patient-0000000000-slice.png", "patient-0000000001-slice.png"], 20)
    assert first != second


@given(texts, st.integers(1, 60))
def test_a_shortened_name_fits_and_is_safe(text: str, limit: int) -> None:
    from rich.cells import cell_len

    shown = safe_name(text, limit)
    assert cell_len(shown) <= limit
    assert acts(shown) == set()


@given(texts, st.integers(1, 60))
def test_a_text_that_is_cut_says_so_and_fits(text: str, limit: int) -> None:
    whole, cut = safe_text(text), safe_text(text, limit=limit)
    assert len(cut) <= limit
    assert cut == (whole if len(whole) <= limit else whole[: limit - 1] + "…")


@given(texts)
def test_making_safe_twice_changes_nothing(text: str) -> None:
    once = safe_text(text)
    assert safe_text(once) == once
    assert safe_text(safe_text(text, multiline=True), multiline=True) == safe_text(text, multiline=True)
    assert "\n" not in safe_text(safe_text(text, multiline=True))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Lungs 2 – größer, 肺.png", "Lungs 2 – größer, 肺.png"),
        ("\x1b[31m\x9b", "␛[31m⟨U+009B⟩"),
        ("a\u202eb\udcff", "a⟨U+202E⟩b⟨U+DCFF⟩"),
        ("␛⟨U+202E⟩⟨x⟩", "⟨U+241B⟩⟨U+27E8⟩U+202E⟩⟨x⟩"),
        ("a\u00a0b", "a⟨U+00A0⟩b"),
        (
            "\U0001f469\U0001f3fd\u200d\u2695\ufe0f.png",
            "\U0001f469⟨U+1F3FD⟩⟨U+200D⟩\u2695⟨U+FE0F⟩.png",
        ),
        ("\U0001f1e9\U0001f1ea", "⟨U+1F1E9⟩⟨U+1F1EA⟩"),
        ("1\ufe0f\u20e3", "1⟨U+FE0F⟩⟨U+20E3⟩"),
    ],
)
def test_what_is_seen_is_plain(text: str, shown: str) -> None:
    assert safe_text(text) == shown


def test_names_are_cut_in_the_middle_where_they_differ_least() -> None:
    assert shorten("patient-000000000000000000-slice-0001.png", 30) == "patient-000…3e263a…ce-0001.png"
