"""What is tuned by measuring is decided once and then kept, so that maps stay the same."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from engine.acceleration import tuning
from engine.acceleration.tuning import Tuning, tune, untuned
from engine.storage import places


def _probe_with_best(best: int, calls: list[int]):
    def probe(images: torch.Tensor, precision: str) -> None:
        calls.append(len(images))
        time.sleep(0.001 if len(images) == best else 0.0007 * len(images))

    return probe


def test_the_fastest_batch_is_taken_and_stored() -> None:
    calls: list[int] = []
    image = torch.zeros(1, 3, 8, 8)
    first = tune(_probe_with_best(16, calls), image, model="m", device="cpu", asked="fp32")
    assert first == Tuning(batch=16, precision="fp32")
    calls.clear()
    assert tune(_probe_with_best(4, calls), image, model="m", device="cpu", asked="fp32") == first
    assert calls == []


def test_another_model_or_input_size_is_measured_anew() -> None:
    calls: list[int] = []
    probe = _probe_with_best(16, calls)
    tune(probe, torch.zeros(1, 3, 8, 8), model="m", device="cpu", asked="fp32")
    seen = len(calls)
    tune(probe, torch.zeros(1, 3, 8, 8), model="n", device="cpu", asked="fp32")
    tune(probe, torch.zeros(1, 3, 9, 8), model="m", device="cpu", asked="fp32")
    assert len(calls) > 2 * seen


def test_a_damaged_record_is_replaced() -> None:
    image = torch.zeros(1, 3, 8, 8)
    tune(_probe_with_best(16, []), image, model="m", device="cpu", asked="fp32")
    record = next((places.cache() / "tuning").glob("*.json"))
    record.write_text('{"batch": -3')
    assert tune(_probe_with_best(8, []), image, model="m", device="cpu", asked="fp32").batch == 8
    assert "8" in record.read_text()


def test_nothing_is_measured_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "file"))
    calls: list[int] = []
    image = torch.zeros(1, 3, 50, 50)
    found = tune(_probe_with_best(16, calls), image, model="m", device="cpu", asked="auto")
    assert calls == []
    assert found == Tuning(batch=64, precision="fp32")
    sides = (64, 65, 224, 225)
    assert [untuned(torch.zeros(1, 1, side, side), "bf16").batch for side in sides] == [64, 16, 16, 4]


def test_auto_keeps_the_best_batch_of_float32_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "native_precision", lambda _: "bf16")

    def probe(images: torch.Tensor, precision: str) -> None:
        best = 32 if precision == "bf16" else 8
        time.sleep((0.0004 if precision == "bf16" else 0.0012) * (1 if len(images) == best else len(images)))

    found = tune(probe, torch.zeros(1, 3, 8, 8), model="m", device="cpu", asked="auto")
    assert found == Tuning(batch=32, precision="bf16", exact_batch=8)
    assert found.batch_for("bf16") == 32
    assert found.batch_for("fp32") == 8
    assert tune(probe, torch.zeros(1, 3, 8, 8), model="m", device="cpu", asked="auto") == found
