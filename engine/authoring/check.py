"""Trying a model as a physician would meet it: one prediction, the methods with few samples, and its self-test."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.authoring.selftest import SelfTestCheck, noise_image, run_selftest
from engine.errors import ExplanationError, Stopped, XAIMedError
from engine.explainers.registry import method_keys, method_name
from engine.explainers.settings import Settings, chosen_parameters, declared_samples
from engine.explanation.explain import NEVER_STOP, explain_method
from engine.images.compliance import why_not_compliant
from engine.images.image import read_image
from engine.images.listing import list_images
from engine.progress import StopSignal

if TYPE_CHECKING:
    from engine.bundle.model_bundle import ModelBundle
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.results.diagnosis import Diagnosis

FEW = 300
"""Samples of a check: enough to tell the time that a map takes, too few for one to look at."""

_FIRST = 100
"""Samples of a run before it, which bears what is settled once: imports, batch size, precision."""

_PREDICTIONS = 3


@dataclass(frozen=True, slots=True)
class MethodCheck:
    """How a method fared.

    Attributes:
        method: its key.
        seconds: of the check.
        whole: seconds that a whole map would take, scaled by the samples: a rough guess. None if it failed.
        warnings: those of its map.
        failure: why there is no map, else empty.
    """

    method: str
    seconds: float
    whole: float | None
    warnings: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What a physician would meet.

    Attributes:
        image: the image it was tried on.
        made_up: whether that is noise, as there was no sample.
        diagnosis: the answer for it.
        seconds: of one prediction, the median of three.
        methods: the methods in the order in which they are shown.
        selftest: None if the bundle declares none.
        layer: at which the CAMs look; empty if there is none.
    """

    image: MedicalImage
    made_up: bool
    diagnosis: Diagnosis
    seconds: float
    methods: tuple[MethodCheck, ...]
    selftest: SelfTestCheck | None
    layer: str

    @property
    def passed(self) -> bool:
        """Whether everything worked."""
        good = self.selftest is None or not self.selftest.failure
        return good and not any(method.failure for method in self.methods)


def check_model(
    classifier: Classifier,
    image: Path | None = None,
    *,
    begun: Callable[[str], None] = lambda method: None,
    stop: StopSignal = NEVER_STOP,
) -> Check:
    """Try a model on an image.

    Args:
        classifier: the model, loaded.
        image: the image; the first of its samples unless given, and noise if there is none.
        begun: called with the key of each method before it is tried.
        stop: asked before every pass of a method.

    Raises:
        Stopped: it was stopped.
        ImageError, NotCompliantError: the image cannot be used.
        ExplanationError: the network gives no valid answer for it.
    """
    chosen, made_up = image_for(classifier.bundle, image)
    answers = [classifier.diagnose(chosen) for _ in range(_PREDICTIONS)]
    try:
        layer = classifier.default_layer
    except ExplanationError:
        layer = ""
    return Check(
        image=chosen,
        made_up=made_up,
        diagnosis=answers[0],
        seconds=statistics.median(answer.seconds for answer in answers),
        methods=tuple(_try(classifier, chosen, method, begun, stop) for method in method_keys()),
        selftest=run_selftest(classifier),
        layer=layer,
    )


def image_for(bundle: ModelBundle, image: Path | None = None) -> tuple[MedicalImage, bool]:
    """The image to try a model on, and whether it is noise.

    Raises:
        ImageError: it cannot be read.
    """
    if image is not None:
        return read_image(image), False
    if bundle.samples is not None:
        for file in list_images(bundle.samples):
            if not why_not_compliant(file.path, bundle.input):
                return read_image(file.path), False
    return noise_image(bundle), True


def _try(
    classifier: Classifier, image: MedicalImage, method: str, begun: Callable[[str], None], stop: StopSignal
) -> MethodCheck:
    begun(method)
    try:
        explain_method(classifier, image, method, _with_samples(method, _FIRST, seed=1), stop=stop)
        made = explain_method(classifier, image, method, _with_samples(method, FEW, seed=0), stop=stop)
        if stop.is_set():
            raise Stopped(method_name(method))
    except Stopped:
        raise
    except XAIMedError as error:
        return MethodCheck(method, 0.0, None, failure=error.message)
    usual = _usual_samples(classifier.bundle, method)
    whole = made.seconds * usual / made.samples if made.samples and usual else made.seconds
    return MethodCheck(method, made.seconds, whole, made.warnings)


def _with_samples(method: str, samples: int, *, seed: int) -> Settings:
    """Settings with so many samples, or as many as are possible, if the method draws any."""
    possible = declared_samples(method)
    if possible is None:
        return Settings(seed=seed)
    return Settings(samples={method: min(max(samples, possible[0]), possible[1])}, seed=seed)


def _usual_samples(bundle: ModelBundle, method: str) -> int:
    """How many samples a map of the method takes if nobody says otherwise; 0 if it draws none."""
    samples = chosen_parameters(method, bundle, Settings()).get("samples", 0)
    return samples if isinstance(samples, int) else 0
