"""Spoilt documents of every kind: a message, never a fault, and nothing else is hidden by one of them."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.torture import fuzz


@pytest.mark.parametrize("number", range(13))
def test_spoilt_documents_end_with_a_message_or_an_answer(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))  # what the fuzzer sets is put back afterwards
    targets = fuzz.targets(tmp_path)
    assert len(targets) == 13
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        taken, faults = fuzz.try_spoilt(targets[number], 100, seed=7)
    assert faults == []
    texts = ("task_description.txt", "description.txt")  # whatever is in them is shown, made safe
    assert taken < 100 or targets[number].name in texts, "something was spoilt"
