"""Harmful words, drawn at random, go through every subcommand and every screen; see `tests/torture/words.py`."""

from __future__ import annotations

import pytest
from nasty_text import acts
from torture.hostile_words import KINDS, harm_in
from torture.words import say

from engine.text import safe_text


def test_nothing_of_them_arrives_at_a_terminal_and_names_stay_different(capsys: pytest.CaptureFixture[str]) -> None:
    counts = say(2, seed=1, screens_every=2)
    with capsys.disabled():
        print(f"[{counts['command lines']} command lines, {counts['bytes of screens']:,} bytes of screens]", end=" ")
    assert counts["examples"] == 2
    assert counts["walks through all screens"] == 1
    assert counts["command lines"] > 100


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("markup", "forms of our own", "marks")])
def test_what_means_harm_would_be_found_among_the_bytes(kind: str) -> None:
    for part in KINDS[kind]:
        if part not in ("\r", "\n") and acts(part):
            assert harm_in(f"a{part}b".encode("utf-8", "surrogatepass"), [part]), ascii(part)
            assert not harm_in(safe_text(f"a{part}b").encode(), [part])
