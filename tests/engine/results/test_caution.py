"""Warnings with codes: text for people, a code for programs, and neither gets lost on the way."""

from __future__ import annotations

import copy
import json
import pickle

from engine.results.caution import OTHER, Caution, codes_of


def test_a_caution_is_its_sentence() -> None:
    caution = Caution("bits", "Only 12 of 16 bits are used.")
    assert caution == "Only 12 of 16 bits are used."
    assert json.loads(json.dumps([caution])) == ["Only 12 of 16 bits are used."]


def test_copies_keep_the_code() -> None:
    caution = Caution("bits", "Only 12 of 16 bits are used.")
    for again in (copy.copy(caution), copy.deepcopy(caution), pickle.loads(pickle.dumps(caution))):
        assert (again.code, again) == ("bits", caution)


def test_plain_text_has_the_code_for_everything_else() -> None:
    assert codes_of(["as a plug-in says it", Caution("stack", "Several slices.")]) == (OTHER, "stack")
