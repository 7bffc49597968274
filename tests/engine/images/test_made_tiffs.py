"""TIFFs of every kind are read as they were made, and as a second decoder reads them, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture import corpus


@pytest.mark.parametrize("part", range(4))
def test_every_tenth_of_the_made_tiffs_comes_back_as_it_was_made(part: int, tmp_path: Path) -> None:
    outcomes = corpus.Outcomes()
    for made in list(corpus.made_tiffs())[part::40]:
        corpus.check_made(made, tmp_path, outcomes)
    assert outcomes.faults == []
    assert outcomes.counts["TIFFs made here"]["equal"] > 5
