"""The small animals of the zoo (`tests/torture/zoo.py`): imported with their own answers, or refused with the cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.sources import SOURCES
from tests.torture.zoo import Outcome, Source, missing, table, visit

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


def test_the_table_counts_what_came_of_the_sources_by_kind() -> None:
    loading = [source for source in SOURCES if source.kind == "plain"]
    refused = next(source for source in SOURCES if source.refused)
    found = [Outcome(source, True, "body; differs by 1e-07", 1.0, 1e-7) for source in loading]
    lines = table([*found, Outcome(refused, False, "it was imported")])
    names = "; ".join(source.name for source in loading)
    assert f"| plain | {names} | {len(loading)} of {len(loading)} | 1e-07 |" in lines
    assert f"| refused | {refused.name} | 0 of 1 |  |" in lines
    assert f"| refused: {refused.name} | **fails** it was imported | 0.0 |" in lines
    assert lines[-1].startswith(f"{len(loading)} of {len(loading)} load")
