"""A test kit for plug-ins: does a method keep the rules that `engine.explainers.registry` sets?

    from engine.testing import check_method
    from xaimed_layercam import LayerCam

    def test_the_method_keeps_the_rules() -> None:
        check_method(LayerCam)

`check_method` runs the method a few times on a small network of its own, and raises `AssertionError` with a line for
each rule that is broken; `faults` returns these lines. Neither needs pytest, a model folder or an entry point.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from engine.acceleration.torch_private import hooks_of
from engine.bundle.keys import Key, Scalar, WrongValueError
from engine.errors import Stopped, XAIMedError
from engine.explainers.base import Explainer, Request
from engine.explainers.plugins import map_problem
from engine.explainers.registry import Choices, Declaration, Factory
from engine.network.classifier import Classifier
from engine.progress import Progress
from engine.results.saliency import SaliencyMap

SIDE = 32
"""Pixels a side of the input of `small_classifier`."""

_FEWEST = 64
"""Samples drawn by a method that draws samples, if it may draw so few."""

_SEED = 7


def check_method(
    factory: Factory, *, classifier: Classifier | None = None, parameters: Mapping[str, Scalar] | None = None
) -> None:
    """Check that a method keeps the rules; see `faults` for the arguments.

    Raises:
        AssertionError: it does not. The text has a line for each rule that it breaks.
    """
    found = faults(factory, classifier=classifier, parameters=parameters)
    if found:
        raise AssertionError("\n".join(found))


def faults(
    factory: Factory, *, classifier: Classifier | None = None, parameters: Mapping[str, Scalar] | None = None
) -> tuple[str, ...]:
    """Return a sentence for each rule that a method breaks; empty if it keeps them all.

    Checked are its declaration; shape, range and fields of its maps; that the same request gives the same map whatever
    the global random state; that it asks `stop` before every pass and ends once that is set; that it reports progress;
    and that it leaves the network, its hooks, the input and the global random state as they were.

    Args:
        factory: what the plug-in's entry point refers to.
        classifier: the network to try it on; None for `small_classifier()`.
        parameters: values of parameters that differ from the defaults, by name.
    """
    classifier = classifier or small_classifier()
    declared = getattr(factory, "declares", Declaration())
    if not isinstance(declared, Declaration):
        return (f"Its attribute declares is a {type(declared).__name__} instead of a Declaration.",)
    found = [fault for key in declared.parameters for fault in _of_parameter(key)]
    chosen = {key.name: key.default for key in declared.parameters if key.default is not None}
    if (samples := declared.samples) is not None and samples.least is not None:
        chosen["samples"] = max(int(samples.least), _FEWEST)
    chosen |= parameters or {}
    try:
        explainer = factory(Choices(parameters=chosen))
        if not isinstance(explainer.key, str) or not callable(explainer.explain):
            return (*found, "What it makes has no key that is text, or no method explain.")
        classifier.fast_copy()  # which takes passes of its own
        with _restored_random_state(), classifier.lock:
            found += _of_maps(explainer, classifier)
            found += _of_stop(explainer, classifier)
    except Exception as error:  # the code is not ours, and its error is what the caller wants to know
        found.append(f"It raises {type(error).__name__}: {error}.")
    return tuple(found)


def small_classifier() -> Classifier:
    """Return a network with two convolutions and two classes, `down` and `up`, for images of `SIDE` pixels a side.

    Its weights are always the same. No model folder belongs to it.
    """
    generator = torch.Generator().manual_seed(_SEED)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 2),
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return Classifier.from_module(
        network,
        size=SIDE,
        name="Small network",
        device="cpu",
        precision="fp32",
        classes=("down", "up"),
        activation="none",
        target_layer="4",
    )


def small_input(classifier: Classifier) -> torch.Tensor:
    """Return a (1, C, H, W) input for a network, always the same: a gradient with a bright square and some noise."""
    channels, (height, width) = classifier.bundle.input.channels, classifier.bundle.input.size
    generator = torch.Generator().manual_seed(_SEED)
    made = torch.linspace(0, 1, width).expand(1, channels, height, width).clone()
    made[..., height // 4 : height // 2, width // 2 : 3 * width // 4] += 1
    return (made + torch.rand(made.shape, generator=generator) / 4).to(classifier.device)


@dataclass
class _Witness:
    """Notes in which order a method makes passes, asks whether to stop, and reports progress.

    Attributes:
        stop_at: `is_set` answers yes from this question on; None for never.
        asked: how often it was asked.
        passes: passes made so far.
        unasked: passes made without a question since the pass before.
        late: passes made after the answer was yes.
        reports: what was reported.
    """

    stop_at: int | None = None
    asked: int = 0
    passes: int = 0
    unasked: int = 0
    late: int = 0
    reports: list[Progress] = field(default_factory=list)
    _fresh: bool = False
    _said: bool = False

    def is_set(self) -> bool:
        self.asked += 1
        self._fresh = True
        self._said = self.stop_at is not None and self.asked >= self.stop_at
        return self._said

    def note_pass(self) -> None:
        self.passes += 1
        self.unasked += not self._fresh
        self.late += self._said
        self._fresh = False


def _of_parameter(key: Key[Scalar]) -> Iterator[str]:
    """Yield what is wrong with a parameter's declaration: values that it promises and its check refuses."""
    promised = [key.default, *key.choices]
    if key.kind == "whole number":
        promised += [int(end) for end in (key.least, key.most) if end is not None]
    for value in promised:
        try:
            taken = value is None or key.check(value) == value
        except WrongValueError:
            taken = False
        if not taken:
            yield f"Its parameter {key.name} does not take {value!r}, which it declares."
    if not key.help:
        yield f"Its parameter {key.name} does not say what it is for."


def _of_maps(explainer: Explainer, classifier: Classifier) -> Iterator[str]:
    tensor = small_input(classifier)
    request = Request(classifier=classifier, tensor=tensor, target=0, seed=_SEED)
    before = _state(classifier, tensor)
    _seed_everything(1)
    drawn = _random_state()
    first = explainer.explain(request)
    if _random_state() != drawn:
        yield "It draws from the global random generators instead of from request.seed."
    for what, value in _state(classifier, tensor).items():
        if value != before[what]:
            yield f"It changes {what}."
    if problem := map_problem(first, explainer.key, request):
        yield f"About its map: {problem}."
        return
    _seed_everything(2)
    # Watched the second time: the first time a method may measure what it then knows of this network.
    witness = _Witness()
    again = _made(explainer, replace(request, kept={}, progress=witness.reports.append, stop=witness), witness)
    if not np.array_equal(first.values, again.values):
        yield "The same request gives another map the second time."
    if witness.unasked:
        yield f"It makes {witness.unasked} of {witness.passes} passes without asking request.stop before."
    yield from _of_progress(witness.reports, explainer.key, request)
    for target in range(1, len(classifier.classes)):
        asked = replace(request, target=target, kept={})
        if problem := map_problem(_made(explainer, asked, _Witness()), explainer.key, asked):
            yield f"About its map of another class: {problem}."
    flat = replace(request, tensor=torch.full_like(tensor, 0.5), kept={})
    try:
        if problem := map_problem(_made(explainer, flat, _Witness()), explainer.key, flat):
            yield f"About its map of an image of one colour: {problem}."
    except XAIMedError:
        pass  # a refusal with a reason will do


def _of_progress(reports: list[Progress], key: str, request: Request) -> Iterator[str]:
    if not reports:
        yield "It reports no progress."
        return
    if any(report.method != key for report in reports):
        yield "It reports progress under another key than its own."
    done = [report.done for report in reports]
    if done != sorted(done) or not all(0 <= report.done <= report.total for report in reports):
        yield "Its progress goes back, or beyond its total."
    elif done[-1] != reports[-1].total:
        yield f"Its last report of progress is {done[-1]} of {reports[-1].total}."
    for report in reports:
        if report.preview is not None and (problem := map_problem(report.preview, key, request)):
            yield f"About a map in its progress: {problem}."
            return


def _of_stop(explainer: Explainer, classifier: Classifier) -> Iterator[str]:
    for stop_at, when in ((1, "before it begins"), (3, "while it runs")):
        witness = _Witness(stop_at=stop_at)
        request = Request(classifier=classifier, tensor=small_input(classifier), target=0, seed=_SEED, stop=witness)
        try:
            made = _made(explainer, request, witness)
        except Stopped:
            made = None
        if witness.late:
            yield f"Stopped {when}, it makes {witness.late} more passes."
        elif witness.asked >= stop_at and stop_at == 1 and made is not None and not made.stopped:
            yield f"Stopped {when}, it neither raises Stopped nor gives a map with stopped=True."


def _made(explainer: Explainer, request: Request, witness: _Witness) -> SaliencyMap:
    """Run the method once, and let the witness see its passes."""
    classifier = request.classifier
    scores = classifier.scores

    def seen(network: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
        witness.note_pass()
        return scores(network, *inputs)

    # On the object, not on its class: other networks are not watched.
    vars(classifier)["scores"] = seen
    try:
        return explainer.explain(request)
    finally:
        del vars(classifier)["scores"]


def _state(classifier: Classifier, tensor: torch.Tensor) -> dict[str, object]:
    """Return what a method must leave as it is, by its name."""
    network = classifier.network
    parameters = dict(network.named_parameters())
    return {
        "its input": tensor.detach().cpu().numpy().tobytes(),
        "the network's weights or buffers": [value.cpu().numpy().tobytes() for value in network.state_dict().values()],
        "the network's modes": [module.training for module in network.modules()],
        "requires_grad of the network's parameters": [value.requires_grad for value in parameters.values()],
        "the gradients of the network's parameters": [value.grad is None for value in parameters.values()],
        "the network's hooks": [list(hooks) for hooks in hooks_of(network)],
        "whether gradients are enabled": torch.is_grad_enabled(),
    }


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _random_state() -> tuple[object, ...]:
    numbers = np.random.get_state(legacy=False)["state"]
    return numbers["key"].tobytes(), numbers["pos"], torch.random.get_rng_state().numpy().tobytes(), random.getstate()


@contextmanager
def _restored_random_state() -> Iterator[None]:
    state, torch_state, own = np.random.get_state(), torch.random.get_rng_state(), random.getstate()
    try:
        yield
    finally:
        random.setstate(own)
        np.random.set_state(state)
        torch.random.set_rng_state(torch_state)
