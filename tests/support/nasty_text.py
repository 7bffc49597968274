"""Texts that have ever done harm on a terminal, and how to see whether one still could."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

NASTY = (
    "\x1b]52;c;aGk=\x07",
    "\x1b[2J",
    "\x1bP",
    "\x9b31m",
    "\x90q\x9c",
    "\x00",
    "\x7f",
    "\r",
    "\n",
    "\t",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u00ad",
    "\u2028",
    "\u3164",
    "\ufe0f",
    "\U000e0041",
    "\ue000",
    "\U0010eeee",
    "\ud800",
    "\udcff",
    "\u00a0",
    "\u2007",
    "\u2800",
    "e" + "\u0301" * 9,
    "[red]b[/]",
    "[@click=app.quit]q[/]",
    "⟨U+202E⟩",
    "␛",
    "…",
    "中",
)
texts = st.lists(st.one_of(st.sampled_from(NASTY), st.text(st.characters(), max_size=4)), max_size=6).map("".join)
"""Texts with all that has ever done harm in them, and any other code points, lone surrogates included."""


def acts(text: str, *, allowed: str = "") -> set[str]:
    """What in a text can act on a terminal, hide, or stand for nothing."""
    bad = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return {character for character in text if unicodedata.category(character) in bad} - set(allowed)
