"""The test kit for plug-ins passes sound methods, and names each rule that another one breaks."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from checkout import ROOT

from engine.bundle.keys import Key
from engine.errors import Stopped
from engine.explainers.base import Reporter, Request, scaled_map
from engine.explainers.registry import BUILT_IN, Choices, Declaration, Factory
from engine.network.classifier import Classifier
from engine.results.saliency import SaliencyMap
from engine.testing import check_method, faults, small_classifier


@pytest.fixture(scope="module")
def model() -> Classifier:
    return small_classifier()


@pytest.mark.parametrize("method", BUILT_IN, ids=lambda method: method.key)
def test_the_built_in_methods_keep_the_rules(method: object, model: Classifier) -> None:
    class Declared:
        declares = Declaration(parameters=method.parameters, layer=method.layer)  # type: ignore[attr-defined]

        def __call__(self, choices: Choices, /) -> object:
            return method.make(choices)  # type: ignore[attr-defined]

    assert faults(Declared(), classifier=model) == ()  # type: ignore[arg-type]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Factory]:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "plugins" / "layercam"))
    from xaimed_layercam import LayerCam

    yield LayerCam
    sys.modules.pop("xaimed_layercam", None)


@pytest.mark.parametrize("scaling", ["none", "tanh"])
def test_the_example_keeps_the_rules(example: Factory, model: Classifier, scaling: str) -> None:
    check_method(example, classifier=model, parameters={"scaling": scaling})


@dataclass(frozen=True)
class Occluding:
    """Hides one half of the image after the other: a sound method that makes two passes."""

    choices: Choices
    key: ClassVar[str] = "occluding"

    def explain(self, request: Request) -> SaliencyMap:
        raw = np.zeros(request.size)
        half = request.size[0] // 2
        with torch.inference_mode():
            for done, rows in enumerate((slice(None, half), slice(half, None)), start=1):
                self.ask(request)
                hidden = request.tensor.clone()
                hidden[..., rows, :] = 0
                logits = request.classifier.logits(hidden)[0]
                raw[rows] = -float(request.classifier.target_logit(logits, request.target))
                self.report(request, done)
        return self.finished(scaled_map(raw, request, method=self.key, parameters={}, started=0.0), request)

    def ask(self, request: Request) -> None:
        if request.stop.is_set():
            raise Stopped(self.key)

    def report(self, request: Request, done: int) -> None:
        Reporter(self.key, 2, request.progress).report(done)

    def finished(self, made: SaliencyMap, request: Request) -> SaliencyMap:
        return made


def test_a_sound_method_has_no_faults_and_the_kit_needs_no_network_of_its_own(model: Classifier) -> None:
    check_method(Occluding)
    assert faults(Occluding, classifier=model) == ()


def finishing(change: Callable[[SaliencyMap, Request], SaliencyMap]) -> type[Occluding]:
    return type("Spoiled", (Occluding,), {"finished": lambda self, made, request: change(made, request)})


def train(made: SaliencyMap, request: Request) -> SaliencyMap:
    request.classifier.network.train()
    return made


def hook(made: SaliencyMap, request: Request) -> SaliencyMap:
    request.classifier.network[0].register_forward_hook(lambda *_: None)  # type: ignore[index]
    return made


def write(made: SaliencyMap, request: Request) -> SaliencyMap:
    request.tensor.zero_()
    return made


def nudge(made: SaliencyMap, request: Request) -> SaliencyMap:
    with torch.no_grad():
        next(request.classifier.network.parameters()).add_(1)
    return made


def draw(made: SaliencyMap, request: Request) -> SaliencyMap:
    values = np.random.permutation(made.values.ravel()).reshape(made.values.shape)
    return replace(made, values=values)


BROKEN: dict[str, tuple[object, str]] = {
    "modes": (finishing(train), "It changes the network's modes."),
    "hooks": (finishing(hook), "It changes the network's hooks."),
    "input": (finishing(write), "It changes its input."),
    "weights": (finishing(nudge), "It changes the network's weights or buffers."),
    "random": (finishing(draw), "It draws from the global random generators instead of from request.seed."),
    "twice": (finishing(draw), "The same request gives another map the second time."),
    "range": (
        finishing(lambda made, _: replace(made, values=made.values * 2)),
        "About its map: its map has values outside [0, 1].",
    ),
    "shape": (
        finishing(lambda made, _: replace(made, values=made.values[1:])),
        "About its map: its map is float32 (31, 32) instead of float32 (32, 32).",
    ),
    "target": (
        finishing(lambda made, _: replace(made, target="down")),
        "About its map of another class: its map is of 'occluding' for 'down' instead of 'occluding' for 'up'.",
    ),
    "never asks": (
        type("Deaf", (Occluding,), {"ask": lambda self, request: None}),
        "It makes 2 of 2 passes without asking request.stop before.",
    ),
    "goes on": (
        type("Stubborn", (Occluding,), {"ask": lambda self, request: request.stop.is_set()}),
        "Stopped before it begins, it makes 2 more passes.",
    ),
    "silent": (type("Silent", (Occluding,), {"report": lambda *_: None}), "It reports no progress."),
    "backwards": (
        type("Back", (Occluding,), {"report": lambda self, request, done: Occluding.report(self, request, 3 - done)}),
        "Its progress goes back, or beyond its total.",
    ),
    "unfinished": (
        type("Half", (Occluding,), {"report": lambda self, request, done: Occluding.report(self, request, 1)}),
        "Its last report of progress is 1 of 2.",
    ),
    "declares": (
        type("Odd", (Occluding,), {"declares": ("samples",)}),
        "Its attribute declares is a tuple instead of a Declaration.",
    ),
    "default": (
        type(
            "Wrong", (Occluding,), {"declares": Declaration(parameters=(Key.whole("grid", 99, 2, 64, "cells a side"),))}
        ),
        "Its parameter grid does not take 99, which it declares.",
    ),
    "purpose": (
        type("Mute", (Occluding,), {"declares": Declaration(parameters=(Key.whole("grid", 7, 2, 64, ""),))}),
        "Its parameter grid does not say what it is for.",
    ),
    "raises": (
        finishing(lambda made, _: 1 / 0),  # type: ignore[arg-type, return-value]
        "It raises ZeroDivisionError: division by zero.",
    ),
    "no method": (lambda choices: replace, "It raises AttributeError: 'function' object has no attribute 'key'."),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_rule_is_named(name: str) -> None:
    factory, said = BROKEN[name]
    model = small_classifier()  # a network of its own, which may be spoiled
    assert said in faults(factory, classifier=model)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match=re.escape(said)):
        check_method(factory, classifier=small_classifier())  # type: ignore[arg-type]


def test_the_kit_leaves_the_global_random_state_alone(model: Classifier) -> None:
    np.random.seed(3)
    torch.manual_seed(3)
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    faults(finishing(draw), classifier=model)
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.random.get_rng_state())
