"""The whole answer for one image, from the engine's public names."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from factories import make_bundle, make_image
from networks import classifier, small_cnn
from torch import nn

import engine
from engine.bundle.model_bundle import ExplainSpec
from engine.errors import ExplanationError, Stopped
from engine.explainers.registry import METHODS, Voters
from engine.explainers.settings import Settings, make_explainer
from engine.explanation.explain import explain
from engine.explanation.request import derive_seed
from engine.progress import Progress
from engine.results.consensus import consensus

_QUICK = Settings(samples={"rise": 200, "lime": 150})
PAPER = ("lime", "rise", "gradcam", "gradcam++")
_HEAVY = ("torch", "textual", "skimage", "lime", "pytorch_grad_cam")


def test_maps_statistics_and_agreement_come_together() -> None:
    image = make_image(height=24, width=24)
    explanation = explain(classifier(small_cnn(3), classes=("a", "b", "c")), image, _QUICK)
    assert tuple(explanation.maps) == METHODS
    assert explanation.target == explanation.diagnosis.predicted
    assert explanation.consensus.methods == PAPER
    assert explanation.consensus.counts.sum() == 3 * sum(not explanation.maps[method].constant for method in PAPER)
    expected = consensus(explanation.maps, explanation.statistics, PAPER)
    assert np.array_equal(explanation.consensus.counts, expected.counts)
    assert explanation.environment["torch"]
    for saliency in explanation.maps.values():
        assert saliency.values.dtype == np.float32
        assert 0.0 <= saliency.values.min() <= saliency.values.max() <= 1.0
        assert not saliency.values.flags.writeable
        assert {"device", "precision"} <= set(saliency.parameters)


def test_who_votes_is_chosen_and_nothing_but_the_counts_changes() -> None:
    model, image = classifier(small_cnn(3), explain=ExplainSpec("4")), make_image(height=24, width=24)
    paper, every = (explain(model, image, replace(_QUICK, voters=voters)) for voters in get_args(Voters))
    assert (paper.consensus.methods, every.consensus.methods) == (PAPER, METHODS)
    gained = every.consensus.counts - paper.consensus.counts
    assert {tuple(cell) for cell in np.argwhere(gained == 1)} == set(paper.statistics["hirescam"].top)
    assert int(gained.sum()) == 3
    assert list(paper.consensus.correlation.items()) == list(every.consensus.correlation.items())
    assert ("gradcam++", "hirescam") in paper.consensus.correlation
    alone = explain(model, image, Settings(methods=("hirescam",)))
    assert (alone.consensus.methods, int(alone.consensus.counts.sum())) == ((), 0)
    with pytest.raises(ExplanationError, match="there are no voters 'nobody'; choose paper or all"):
        explain(model, image, Settings(voters="nobody"))  # type: ignore[arg-type]


def test_explaining_twice_gives_the_same_bits_and_touches_no_global_random_state() -> None:
    import torch

    model, image = classifier(small_cnn(3)), make_image(height=24, width=24)
    np.random.seed(1)
    torch.manual_seed(1)
    before = (np.random.get_state()[1].copy(), torch.random.get_rng_state())
    first, second = explain(model, image, _QUICK), explain(model, image, _QUICK)
    for method in METHODS:
        assert np.array_equal(first.maps[method].values, second.maps[method].values)
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.random.get_rng_state())


def test_any_class_can_be_the_target() -> None:
    image = make_image(height=24, width=24)
    for target in ("a", "b", "c"):
        explanation = explain(
            classifier(small_cnn(3), classes=("a", "b", "c")),
            image,
            Settings(methods=("rise",), target=target, samples={"rise": 64}),
        )
        assert explanation.target == explanation.maps["rise"].target == target


def test_seeds_differ_by_image_model_and_method_unless_given() -> None:
    assert derive_seed("a", "m", "rise") != derive_seed("b", "m", "rise")
    assert derive_seed("a", "m", "rise") != derive_seed("a", "n", "rise")
    assert derive_seed("a", "m", "rise") != derive_seed("a", "m", "lime")
    assert 0 <= derive_seed("a", "m", "rise") < 2**32
    explanation = explain(
        classifier(small_cnn(2)),
        make_image(height=24, width=24),
        Settings(methods=("rise",), samples={"rise": 32}, seed=5),
    )
    assert explanation.maps["rise"].seed == 5


def test_a_method_that_cannot_work_is_recorded_and_the_others_go_on() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 2))
    explanation = explain(classifier(network), make_image(height=24, width=24), _QUICK)
    assert set(explanation.maps) == {"lime", "rise"}
    assert set(explanation.failures) == {"gradcam", "gradcam++", "hirescam"}
    assert "no layer gives a map" in explanation.failures["gradcam"]


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        (Settings(methods=("ride",)), "no such method: ride"),
        (Settings(target="d"), "has no class 'd'"),
        (Settings(samples={"rise": 0}), "0 samples are not possible"),
        (Settings(samples={"gradcam": 10}), "gradcam draws no samples"),
        (Settings(seed=-1), "-1 is no seed"),
    ],
)
def test_wrong_settings_are_found_before_the_first_pass(settings: Settings, cause: str) -> None:
    seen: list[Progress] = []
    with pytest.raises(ExplanationError, match=cause):
        explain(
            classifier(small_cnn(3), classes=("a", "b", "c")),
            make_image(height=24, width=24),
            settings,
            progress=seen.append,
        )
    assert seen == []


def test_the_bundles_defaults_hold_unless_something_is_asked_for() -> None:
    from dataclasses import replace

    bundle = replace(make_bundle(), explain=ExplainSpec(rise={"samples": 123, "estimator": "paper"}))
    assert make_explainer("rise", bundle, Settings()).samples == 123
    assert make_explainer("rise", bundle, Settings()).estimator == "paper"
    asked = make_explainer("rise", bundle, Settings(samples={"rise": 50}, estimator="centred"))
    assert (asked.samples, asked.estimator) == (50, "centred")


def test_stopping_keeps_the_maps_that_are_finished() -> None:
    stop = threading.Event()
    explanation = explain(
        classifier(small_cnn(3)),
        make_image(height=24, width=24),
        _QUICK,
        stop=stop,
        on_map=lambda saliency: stop.set() if saliency.method == "gradcam++" else None,
    )
    assert set(explanation.maps) == {"gradcam", "gradcam++"}
    assert "stopped" in explanation.failures["rise"]


def test_stopping_before_any_map_raises() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        explain(classifier(small_cnn(3)), make_image(height=24, width=24), _QUICK, stop=stop)


def test_previews_come_and_nothing_is_left_behind_when_stopped() -> None:
    model, image = classifier(small_cnn(3)), make_image(height=24, width=24)
    explain(model, image, _QUICK)
    threads = threading.active_count()
    stop = threading.Event()
    previews: list[Progress] = []

    def progress(report: Progress) -> None:
        if report.preview is not None:
            previews.append(report)
            stop.set()

    started = time.perf_counter()
    explanation = explain(
        model, image, Settings(methods=("rise",), samples={"rise": 500_000}), progress=progress, stop=stop
    )
    assert time.perf_counter() - started < 20
    assert explanation.maps["rise"].stopped
    assert previews[0].preview is not None
    assert previews[0].preview.values.shape == (24, 24)
    assert threading.active_count() == threads
    assert model.lock.acquire(blocking=False)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.network.modules())


def test_importing_the_engine_brings_in_nothing_heavy() -> None:
    code = f"import sys, engine; print([name for name in {_HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in engine.__all__:
        assert getattr(engine, name) is not None
    with pytest.raises(AttributeError):
        _ = engine.nothing_of_the_kind
