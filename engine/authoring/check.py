"""Try a model as a physician would use it: one prediction, every method with few samples, and the self-test.

A check ends in time: on a slow network fewer samples are drawn, and what there is no time for is not tried.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.authoring.selftest import SelfTestCheck, noise_image, run_selftest
from engine.errors import ExplanationError, Stopped, XAIMedError
from engine.explainers.base import FEWEST_SAMPLES
from engine.explainers.registry import is_quick, method_keys, method_name
from engine.explainers.settings import Settings, check_settings, chosen_parameters, declared_samples
from engine.explanation.explain import explain_method
from engine.explanation.request import NEVER_STOP
from engine.images.compliance import is_grey, why_not_compliant
from engine.images.image import read_image
from engine.images.listing import list_images
from engine.network.sources.black_box import BLACK_BOX
from engine.progress import Progress, StopSignal

if TYPE_CHECKING:
    from engine.bundle.model_bundle import ModelBundle
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.results.diagnosis import Diagnosis
    from engine.results.saliency import SaliencyMap

SECONDS = 60.0
"""The longest that a check takes unless more is asked for."""

SAMPLES = 300
"""Samples for each method: enough to tell how long a map takes, too few for a map worth looking at."""

_WARM_UP_SAMPLES = 100
"""Samples of the run before, which pays for what happens once: imports, choosing batch size and precision."""

_PREDICTIONS = 3
"""Predictions that are timed. The median hides the first, which is slow."""

_SETTING_UP = 40
"""Passes at the most before a method's first sample, which cannot be stopped: a faster copy is made and compared, and
batch size and precision are chosen."""

_QUICK = 10
"""A method that draws no samples counts as so many of them where the work to come is estimated."""

Advanced = Callable[[float, float], None]
"""Is told how much of a check is done, and how much there is, both in samples."""


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
        samples: how many samples the map was made from; 0 if the method draws none.
        note: that there was too little time for what was asked, else empty.
        barred: whether there is no map because such a network, a black box, cannot have one: the check then passes.
    """

    method: str
    seconds: float
    full_map_seconds: float | None
    warnings: tuple[str, ...] = ()
    failure: str = ""
    samples: int = 0
    note: str = ""
    barred: bool = False


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
        return self.maps_made and (self.selftest is None or not self.selftest.failure)

    @property
    def maps_made(self) -> bool:
        """Whether every method that was tried gave a map, but those that such a network cannot have."""
        return not any(method.failure and not method.barred for method in self.methods)


def check_model(
    classifier: Classifier,
    image: Path | None = None,
    *,
    methods: Sequence[str] | None = None,
    samples: int = SAMPLES,
    seconds: float = SECONDS,
    begun: Callable[[str], None] = lambda method: None,
    advanced: Advanced = lambda done, total: None,
    stop: StopSignal = NEVER_STOP,
) -> Check:
    """Try a model on an image.

    Args:
        classifier: the model, loaded.
        image: the image to use; by default the first compliant sample of the model, or noise if there is none.
        methods: keys of the methods to try; None for all.
        samples: for each method that draws any, moved into its range.
        seconds: the longest this may take, but for a pass that has begun; infinite for no limit.
        begun: called with the key of each method before it is tried.
        advanced: called from this thread as the work goes on.
        stop: checked before every forward pass of a method.

    Raises:
        Stopped: the check was stopped.
        ImageError, NotCompliantError: the image cannot be used.
        ExplanationError: an unknown method, or the network gives no valid answer for the image.
    """
    until = time.monotonic() + seconds
    asked = method_keys() if methods is None else tuple(dict.fromkeys(methods))
    check_settings(Settings(methods=asked))
    chosen, made_up = image_for(classifier.bundle, image)
    answers = [classifier.diagnose(chosen) for _ in range(_PREDICTIONS)]
    try:
        layer = classifier.default_layer
    except ExplanationError:
        layer = ""
    work = _Work(classifier, chosen, statistics.median(answer.seconds for answer in answers), samples, advanced, stop)
    found: dict[str, MethodCheck] = {}
    # Those that draw no samples first: whatever the others take, there is time for them.
    waiting = sorted(asked, key=lambda method: not is_quick(method))
    while waiting:
        method = waiting[0]
        begun(method)
        work.left = sum(_cost(each, samples) for each in waiting)
        waiting = waiting[1:]
        left = until - time.monotonic()
        # All that the others will not need, but a fair share in any case.
        rest = left - sum(_SETTING_UP + _cost(each, samples) for each in waiting) * work.each
        found[method] = work.try_method(method, max(rest, left / (len(waiting) + 1)))
    return Check(
        image=chosen,
        made_up=made_up,
        diagnosis=answers[0],
        seconds=work.each,
        methods=tuple(found[method] for method in asked),
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


class _Deadline:
    """A stop signal that is also set once the time is up."""

    def __init__(self, stop: StopSignal, seconds: float) -> None:
        self._stop, self._until = stop, time.monotonic() + seconds

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._stop.is_set() or time.monotonic() > self._until


class _Work:
    """The methods being tried, one after another, and how far they are.

    Attributes:
        each: seconds that one pass takes.
        left: samples of the methods that have not ended.
    """

    def __init__(
        self,
        classifier: Classifier,
        image: MedicalImage,
        each: float,
        samples: int,
        advanced: Advanced,
        stop: StopSignal,
    ) -> None:
        self.each, self.left = each, 0
        self._classifier, self._image, self._samples = classifier, image, samples
        self._advanced, self._stop = advanced, stop
        self._done = 0.0

    def try_method(self, method: str, seconds: float) -> MethodCheck:
        """Try a method for so many seconds at the most.

        Raises:
            Stopped: the person has stopped the check.
        """
        before, total = self._done, self._done + self.left
        try:
            drawn = declared_samples(method) is not None
        except XAIMedError as error:  # a plug-in that cannot be used
            return MethodCheck(method, 0.0, None, failure=error.message)
        samples, warm_up = _affordable(method, self._samples, seconds, self.each)
        usual = _usual_samples(self._classifier.bundle, method)
        if drawn and not samples:
            note = f"not tried, as a map alone would take more than the {max(seconds, 0):.0f} s that are left for it"
            return MethodCheck(method, 0.0, usual * self.each or None, note=note)
        # One pass cannot be stopped, and what it needs may have to be imported first.
        deadline = _Deadline(self._stop, math.inf if is_quick(method) else seconds)
        try:
            if warm_up or not drawn:
                # With another seed, so that the measured run below cannot use the same samples again.
                self._explain(method, warm_up, 1, deadline)
            made = self._explain(method, samples, 0, deadline)
        except Stopped:
            if self._stop.is_set():
                raise
            return MethodCheck(method, 0.0, usual * self.each or None, note=f"no map within {seconds:.0f} s")
        except XAIMedError as error:
            # A black box is no worse for having no layers.
            return MethodCheck(method, 0.0, None, failure=error.message, barred=error.code == BLACK_BOX)
        finally:
            self._done = before + _cost(method, self._samples)
            self._advanced(self._done, total)
        if self._stop.is_set():  # the map is then of the samples drawn so far
            raise Stopped(method_name(method))
        full = made.seconds * usual / made.samples if made.samples and usual else made.seconds
        note = ""
        if made.samples and made.samples < _in_range(method, self._samples):
            note = f"only {made.samples:,} samples were drawn, to end in time"
        # What a person would be told who had stopped it is not said here: the note says why.
        warnings = tuple(each for each in made.warnings if getattr(each, "code", "") != "stopped")
        return MethodCheck(method, made.seconds, full, warnings, samples=made.samples, note=note)

    def _explain(self, method: str, samples: int, seed: int, stop: StopSignal) -> SaliencyMap:
        done, total = self._done, self._done + self.left

        def report(progress: Progress) -> None:
            self._advanced(min(done + progress.done, total), total)

        made = explain_method(
            self._classifier, self._image, method, _with_samples(method, samples, seed=seed), progress=report, stop=stop
        )
        self._done += made.samples
        self.left -= made.samples
        return made


def _cost(method: str, samples: int) -> int:
    """Return how many samples trying a method takes, about."""
    try:
        if declared_samples(method) is None:
            return _QUICK
    except XAIMedError:  # a plug-in that cannot be used, as trying it will say
        return 0
    asked = _in_range(method, samples)
    return asked + min(_WARM_UP_SAMPLES, asked)


def _affordable(method: str, samples: int, seconds: float, each: float) -> tuple[int, int]:
    """Return how many samples of a method to draw in so many seconds, and how many before that to warm up.

    Args:
        method: its key.
        samples: those asked for.
        seconds: may be negative; infinite for no limit.
        each: seconds that one pass takes.
    """
    if declared_samples(method) is None:
        return 0, 0
    asked = _in_range(method, samples)
    warm_up = min(_WARM_UP_SAMPLES, asked)
    if seconds >= (_SETTING_UP + asked + warm_up) * each:
        return asked, warm_up
    possible = int(seconds / each) - _SETTING_UP
    if possible < FEWEST_SAMPLES:
        return 0, 0
    # Without a warm-up the time that a map takes is overrated, not underrated.
    return min(asked, possible), 0


def _with_samples(method: str, samples: int, *, seed: int) -> Settings:
    """Return settings with this number of samples, moved into the method's range; without one if it draws none."""
    if declared_samples(method) is None:
        return Settings(seed=seed)
    return Settings(samples={method: _in_range(method, samples)}, seed=seed)


def _in_range(method: str, samples: int) -> int:
    possible = declared_samples(method)
    return samples if possible is None else min(max(samples, possible[0]), possible[1])


def _usual_samples(bundle: ModelBundle, method: str) -> int:
    """Return how many samples a map of the method takes by default; 0 if it draws none."""
    samples = chosen_parameters(method, bundle, Settings()).get("samples", 0)
    return samples if isinstance(samples, int) else 0
