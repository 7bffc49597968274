"""The time of a forward pass: the median of the runs after the first ten."""

from __future__ import annotations

import itertools

import pytest

from engine.evaluation import speed


def test_it_is_the_median_in_milliseconds_and_the_first_runs_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    took = itertools.chain([9.0] * 10, [0.001] * 24, [0.002] * 2, [0.5] * 24)

    def run() -> None:
        nonlocal now
        now += next(took)

    monkeypatch.setattr(speed.time, "process_time", lambda: now)
    assert speed.milliseconds(run) == pytest.approx(2.0)
    assert next(took, None) is None, "sixty runs"
