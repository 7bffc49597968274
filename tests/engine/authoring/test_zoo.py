"""The small animals of the zoo (`tests/torture/zoo.py`): imported with their own answers, or refused with the cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.sources import SOURCES
from tests.torture.zoo import Source, missing, table, visit

SMALL = [source for source in SOURCES if source.small]


@pytest.mark.parametrize("source", SMALL, ids=lambda source: f"{source.kind}: {source.name}")
def test_a_source_is_imported_with_its_own_answers_or_refused_with_the_cause(source: Source, tmp_path: Path) -> None:
    if absent := missing(source):
        pytest.skip(f"needs {absent}")
    outcome = visit(source, tmp_path)
    assert outcome.passed, f"{outcome.words}\n{outcome.said}"


def test_every_source_has_a_name_of_its_own_and_there_are_enough_of_them() -> None:
    names = [(source.kind, source.name) for source in SOURCES]
    assert len(set(names)) == len(names)
    assert len(names) >= 40
    assert sum(bool(source.refused) for source in SOURCES) >= 10
    assert len(table([])) == 4
