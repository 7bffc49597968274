"""Try a model as a physician would use it: one prediction, every method with few samples, and the self-test."""

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
from engine.images.compliance import is_grey, why_not_compliant
from engine.images.image import read_image
from engine.images.listing import list_images
from engine.progress import StopSignal

if TYPE_CHECKING:
    from engine.bundle.model_bundle import ModelBundle
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.results.diagnosis import Diagnosis

_SAMPLES = 300
"""Samples for each method: enough to tell how long a map takes, too few for a map worth looking at."""

_WARM_UP_SAMPLES = 100
"""Samples of the run before, which pays for what happens once: imports, choosing batch size and precision."""

_PREDICTIONS = 3
"""Predictions that are timed. The median hides the first, which is slow."""


@dataclass(frozen=True, slots=True)
class MethodCheck:
    """How a method did in a check.

    Attributes:
        method: its key.
        seconds: how long the map with few samples took.
        full_map_seconds: how long a full map would take, scaled by the samples: a rough guess. None if the method
            failed.
        warnings: warnings of the map.
        failure: why there is no map, else empty.
    """

    method: str
    seconds: float
    full_map_seconds: float | None
    warnings: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of checking a model.

    Attributes:
        image: the image that the model was tried on.
        made_up: whether the image is noise, for want of a sample.
        diagnosis: the model's answer for the image.
        seconds: duration of one prediction, the median of three.
        methods: the methods in the order they are shown.
        selftest: result of the self-test; None if the bundle declares none.
        layer: the CAMs' target layer; empty if the network has none.
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
        image: the image to use; by default the first compliant sample of the model, or noise if there is none.
        begun: called with the key of each method before it is tried.
        stop: checked before every forward pass of a method.

    Raises:
        Stopped: the check was stopped.
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
    """Return the image to try a model on, and whether it is noise.

    Raises:
        ImageError: the image cannot be read.
    """
    if image is not None:
        return read_image(image), False
    if bundle.samples is not None:
        for file in list_images(bundle.samples):
            if why_not_compliant(file.path, bundle.input):
                continue
            sample = read_image(file.path)
            if bundle.input.accepts(is_grey(sample)):  # which only the pixels tell
                return sample, False
    return noise_image(bundle), True


def _try(
    classifier: Classifier, image: MedicalImage, method: str, begun: Callable[[str], None], stop: StopSignal
) -> MethodCheck:
    begun(method)
    try:
        # With another seed, so that the measured run below cannot use the same samples again.
        explain_method(classifier, image, method, _with_samples(method, _WARM_UP_SAMPLES, seed=1), stop=stop)
        made = explain_method(classifier, image, method, _with_samples(method, _SAMPLES, seed=0), stop=stop)
        if stop.is_set():  # the map is then of the samples drawn so far
            raise Stopped(method_name(method))
    except Stopped:
        raise
    except XAIMedError as error:
        return MethodCheck(method, 0.0, None, failure=error.message)
    usual = _usual_samples(classifier.bundle, method)
    full_map_seconds = made.seconds * usual / made.samples if made.samples and usual else made.seconds
    return MethodCheck(method, made.seconds, full_map_seconds, made.warnings)


def _with_samples(method: str, samples: int, *, seed: int) -> Settings:
    """Return settings with this number of samples, moved into the method's range; without one if it draws none."""
    possible = declared_samples(method)
    if possible is None:
        return Settings(seed=seed)
    return Settings(samples={method: min(max(samples, possible[0]), possible[1])}, seed=seed)


def _usual_samples(bundle: ModelBundle, method: str) -> int:
    """Return how many samples a map of the method takes by default; 0 if it draws none."""
    samples = chosen_parameters(method, bundle, Settings()).get("samples", 0)
    return samples if isinstance(samples, int) else 0
