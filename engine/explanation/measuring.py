"""Measure *of this network* for a model and a method, or look it up: which images, which class, which seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from engine.errors import ExplanationError, ImageError, NotCompliantError
from engine.evidence.figures import figures_digest, figures_key, keep_figures, known_figures
from engine.evidence.of_this_network import (
    IMAGES,
    MOST_SAMPLES,
    QUESTION,
    Measurement,
    inputs_of,
    judge_figures,
)
from engine.explainers.base import Request
from engine.explainers.gradcam import GradCam
from engine.explainers.plugins import run_plug_in
from engine.explainers.registry import plug_in
from engine.explainers.settings import Settings, chosen_parameters, make_explainer
from engine.explanation.request import NEVER_STOP, derive_seed
from engine.images.image import read_image
from engine.images.listing import list_images
from engine.progress import ProgressCallback, StopSignal, no_progress

if TYPE_CHECKING:
    from pathlib import Path

    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.results.evidence import OfThisNetwork
    from engine.results.saliency import SaliencyMap


def known_answer(classifier: Classifier, method: str, settings: Settings) -> OfThisNetwork | None:
    """Return what is known of a model and a method without any pass; None if it was not measured yet.

    Raises:
        ExplanationError: a plug-in that cannot be used.
    """
    bundle = classifier.bundle
    known = known_figures(figures_digest(bundle), figures_key(bundle, method, settings))
    return None if known is None else judge_figures(known)


def known_or_measured(
    classifier: Classifier,
    method: str,
    settings: Settings,
    image: MedicalImage,
    others: Callable[[], Iterable[MedicalImage]] = tuple,
    *,
    progress: ProgressCallback = no_progress,
    stop: StopSignal = NEVER_STOP,
) -> OfThisNetwork:
    """Return whether a method's maps are of this network: as measured before, else measured now and kept.

    What is stopped goes on where it was when the same is asked again, of whatever image.

    Args:
        classifier: the network; its lock is taken for each map, and it is left as it is.
        method: the method's key.
        settings: with which its maps are made.
        image: to measure with, where the model has no samples of its own; mirrored copies make four where there are no
            more.
        others: gives more images to measure with; those that cannot be fed to the model are left out.
        progress: told after every map.
        stop: asked before every pass.

    Raises:
        Stopped: stopped before the end.
        ExplanationError, DeviceError: it cannot be measured.
        NotCompliantError: the image cannot be fed to this model.
    """
    if (known := known_answer(classifier, method, settings)) is not None:
        return known
    bundle = classifier.bundle
    key = figures_key(bundle, method, settings)
    measurement = classifier.unfinished.get(key)
    if not isinstance(measurement, Measurement):
        images = [] if bundle.samples is None else compliant_images(classifier, bundle.samples)
        images = images or [image, *_compliant(classifier, others(), IMAGES - 1)]
        measurement = classifier.unfinished[key] = begin(classifier, method, images)
    figures = measurement.run(fewer_samples(classifier, method, settings), progress=progress, stop=stop)
    classifier.unfinished.pop(key, None)
    keep_figures(figures_digest(bundle), key, figures)
    return judge_figures(figures)


def begin(classifier: Classifier, method: str, images: Sequence[MedicalImage]) -> Measurement:
    """Return a measurement that has not begun, for the class that the trained network predicts for each image.

    Raises:
        NotCompliantError: an image cannot be fed to this model.
        DeviceError: there is not enough memory.
    """
    digest = classifier.bundle.digest
    with classifier.lock:
        inputs = inputs_of(classifier, [classifier.tensor(image) for image in images[:IMAGES]])
        targets = classifier.with_memory(lambda: _predicted(classifier, inputs))
    requests = [
        Request(classifier, tensor, target, derive_seed(str(number), digest, method))
        for number, (tensor, target) in enumerate(zip(inputs, targets, strict=True))
    ]
    return Measurement(requests, derive_seed("weights", digest, QUESTION))


def fewer_samples(classifier: Classifier, method: str, settings: Settings) -> Callable[[Request], SaliencyMap]:
    """Return what makes a method's map with as many samples as the question needs.

    Raises:
        ExplanationError: a parameter out of range, or a plug-in that cannot be used.
    """
    samples = chosen_parameters(method, classifier.bundle, settings).get("samples")
    fewer = {method: min(samples, MOST_SAMPLES)} if isinstance(samples, int) else {}
    own = {key: dict(values) for key, values in settings.parameters.items() if key == method}
    own.get(method, {}).pop("samples", None)
    return explaining(classifier, method, replace(settings, samples=fewer, parameters=own, until="samples"))


def explaining(classifier: Classifier, method: str, settings: Settings) -> Callable[[Request], SaliencyMap]:
    """Return what makes a method's map for a request, with its parameters set.

    Raises:
        ExplanationError: a parameter out of range, or a plug-in that cannot be used.
    """
    explainer = make_explainer(method, classifier.bundle, settings)
    if plug_in(method) is None:
        return explainer.explain
    return lambda request: run_plug_in(explainer, request)


def passing_together(
    classifier: Classifier, method: str, settings: Settings
) -> Callable[[Sequence[Request]], None] | None:
    """Return what passes the images of several requests at once for a method; None for methods that cannot.

    Raises:
        ExplanationError: a parameter out of range.
    """
    explainer = make_explainer(method, classifier.bundle, settings)
    return explainer.pass_together if isinstance(explainer, GradCam) else None


def compliant_images(classifier: Classifier, folder: Path) -> list[MedicalImage]:
    """Return up to four of a folder's images, evenly spread over it; those that cannot be fed are left out."""
    try:
        files = list_images(folder)
    except ImageError:
        return []
    chosen = range(0, len(files), max(len(files) // IMAGES, 1))
    return _compliant(classifier, readable(files[place].path for place in chosen), IMAGES)


def readable(paths: Iterable[Path], bits: int | None = None) -> Iterator[MedicalImage]:
    """Yield the images in these files, without those that cannot be read; `bits` are those of `read_image`."""
    for path in paths:
        try:
            yield read_image(path, bits=bits)
        except ImageError:
            continue


def _compliant(classifier: Classifier, images: Iterable[MedicalImage], most: int) -> list[MedicalImage]:
    """Return the first images that the model takes."""
    found: list[MedicalImage] = []
    for image in images:
        if len(found) == most:
            break
        try:
            classifier.tensor(image)
        except (NotCompliantError, ExplanationError):
            continue
        found.append(image)
    return found


def _predicted(classifier: Classifier, inputs: Sequence[torch.Tensor]) -> list[int]:
    """Return the index of the class that the network predicts for each input."""
    with classifier.many_passes("fp32"):
        batch = torch.cat(list(inputs)).to(classifier.device)
        probabilities = classifier.probabilities(classifier.logits(batch)).cpu()
    if classifier.one_logit:
        return [int(value) for value in probabilities[:, 1] >= classifier.threshold]
    return [int(index) for index in probabilities.argmax(dim=1)]
