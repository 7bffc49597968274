"""The whole answer for one image: diagnosis, maps, statistics and agreement, computed and held together."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from engine.consensus import Consensus, consensus
from engine.errors import DeviceError, ExplanationError, Stopped
from engine.explainers.base import Explainer, Request
from engine.grid import GridStatistics, grid_statistics
from engine.images.view import picture_view
from engine.methods import METHODS, Choices, make_plug_in, method_keys, plug_in, run_plug_in
from engine.progress import NeverStop, ProgressCallback, StopSignal, no_progress
from engine.text import safe_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.bundle import ModelBundle
    from engine.classifier import Classifier
    from engine.diagnosis import Diagnosis
    from engine.images.raster import MedicalImage
    from engine.saliency import SaliencyMap

NEVER_STOP = NeverStop()

FEWEST: Mapping[str, int] = {"rise": 16, "lime": 100}
"""The fewest samples that a sampled method takes."""

MOST_SAMPLES = 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may choose about an explanation.

    Attributes:
        methods: keys of the methods to run, in order; all that there are unless given (`engine.methods`).
        target: name of the class to explain; None for the predicted one.
        samples: number of samples by method key (`rise`, `lime`); what is not given comes from the bundle, else 4,000
            and 1,000.
        until: `samples` uses all of them; `certain` stops as soon as the three top cells are settled.
        estimator: RISE's, see `engine.explainers.rise`; None for the bundle's, else `centred`.
        layer: the CAMs' target layer; None for the bundle's, else the last convolution.
        seed: of all random numbers; None derives one from image, model and method.
    """

    methods: tuple[str, ...] = field(default_factory=method_keys)
    target: str | None = None
    samples: Mapping[str, int] = field(default_factory=dict)
    until: Literal["samples", "certain"] = "samples"
    estimator: Literal["centred", "paper"] | None = None
    layer: str | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything about one image that screens, files and batches show.

    Attributes:
        image: the image as read.
        view: (h, w, C) uint8, C 1 or 3: the part of the image that the network saw (the image itself for
            `stretch`, its centre for `crop`, the padded image for `fit`), at the image's own resolution. Maps and
            cells lie on it: a map's edges are the view's edges.
        diagnosis: the network's answer.
        target: name of the class that is explained.
        maps: the saliency maps by method key, in the order in which they are shown; a method that failed or was
            stopped before a first map is not in it.
        statistics: grid statistics by method key.
        consensus: the agreement of the maps that are there.
        failures: for every method that gave no map, one line why.
        settings: what was asked for.
        bundle: the model.
        environment: names and versions that reproducing needs (`xaimed`, `torch`, `device`, `python`, ...).
        assumed: what no file of the bundle says and had to be assumed, a sentence each.
    """

    image: MedicalImage
    view: NDArray[np.uint8]
    diagnosis: Diagnosis
    target: str
    maps: Mapping[str, SaliencyMap]
    statistics: Mapping[str, GridStatistics]
    consensus: Consensus
    failures: Mapping[str, str]
    settings: Settings
    bundle: ModelBundle
    environment: Mapping[str, str]
    assumed: tuple[str, ...] = ()


def derive_seed(image_sha256: str, bundle_digest: str, method: str) -> int:
    """The seed of a method's random numbers, below 2**32: the same input gives the same map."""
    material = f"{image_sha256}:{bundle_digest}:{method}".encode()
    return int.from_bytes(hashlib.sha256(material).digest()[:4], "big")


def explain_method(
    classifier: Classifier,
    image: MedicalImage,
    method: str,
    settings: Settings,
    *,
    target: str | None = None,
    progress: ProgressCallback = no_progress,
    stop: StopSignal = NEVER_STOP,
) -> SaliencyMap:
    """One method's map for one image.

    Args:
        classifier: the network; its lock is taken.
        image: an image compliant with the model.
        method: a key, one of `engine.methods.method_keys`.
        settings: parameters; `settings.methods` is not looked at.
        target: class to explain; None for `settings.target`, else the predicted class.
        progress: called from this thread.
        stop: asked before every pass.

    Raises:
        Stopped: stopped before there was a map worth showing.
        ExplanationError: unknown method, class or layer, a parameter out of range, or the network gave NaN.
        NotCompliantError: the image cannot be fed to this model.
        DeviceError: neither the device's memory nor the machine's suffices.
    """
    explainer = make_explainer(method, classifier.bundle, settings)

    def make() -> SaliencyMap:
        name = target or settings.target or classifier.diagnose(image).predicted
        digest = classifier.bundle.digest
        request = Request(
            classifier=classifier,
            tensor=classifier.tensor(image),
            target=classifier.class_index(name),
            seed=settings.seed if settings.seed is not None else derive_seed(image.sha256, digest, method),
            progress=progress,
            stop=stop,
            kept=classifier.kept_for(image.sha256),
        )
        return explainer.explain(request) if method in METHODS else run_plug_in(explainer, request)

    with classifier.lock:
        saliency = classifier.with_memory(make)
        return replace(saliency, warnings=(*classifier.moved, *saliency.warnings))


def explain(
    classifier: Classifier,
    image: MedicalImage,
    settings: Settings | None = None,
    *,
    progress: ProgressCallback = no_progress,
    stop: StopSignal = NEVER_STOP,
    on_map: Callable[[SaliencyMap], None] | None = None,
) -> Explanation:
    """The whole answer for one image.

    The CAMs are run first, since they are ready at once; a method that cannot work on this network is recorded in
    `failures` and does not keep the others from their work. When stopped, the maps so far are kept.

    Args:
        classifier: the network.
        image: an image compliant with the model.
        settings: what to compute; None for all methods, for the predicted class.
        progress: told how far each method is.
        stop: asked before every pass.
        on_map: called with each map as it is finished.

    Raises:
        ExplanationError: unknown method or class, a parameter out of range, or not one method gave a map.
        NotCompliantError: the image cannot be fed to this model.
        Stopped: stopped before there was any map.
    """
    settings = settings or Settings()
    check_settings(settings)
    for method in settings.methods:
        if method in METHODS:
            make_explainer(method, classifier.bundle, settings)  # wrong parameters are found before the first pass
    diagnosis = classifier.diagnose(image)
    target = settings.target or diagnosis.predicted
    classifier.class_index(target)
    maps: dict[str, SaliencyMap] = {}
    failures: dict[str, str] = {}
    for method in sorted(settings.methods, key=lambda method: not method.startswith("gradcam")):
        try:
            saliency = explain_method(classifier, image, method, settings, target=target, progress=progress, stop=stop)
        except (ExplanationError, DeviceError, Stopped) as error:
            failures[method] = error.message
            continue
        maps[method] = saliency
        if on_map is not None:
            on_map(saliency)
    if not maps:
        if stop.is_set():
            raise Stopped(safe_text(image.path.name))
        raise ExplanationError("; ".join(failures.values()), subject=image.path)
    return assemble(classifier, image, diagnosis, maps, failures=failures, settings=settings)


def assemble(
    classifier: Classifier,
    image: MedicalImage,
    diagnosis: Diagnosis,
    maps: Mapping[str, SaliencyMap],
    *,
    failures: Mapping[str, str] = MappingProxyType({}),
    settings: Settings | None = None,
) -> Explanation:
    """Put maps of one image and one class together with their statistics and agreement.

    Raises:
        ValueError: no maps, or maps of different classes or sizes.
    """
    if not maps:
        raise ValueError("an explanation needs at least one map")
    ordered = {method: maps[method] for method in sorted(maps, key=_place)}
    statistics = {method: grid_statistics(saliency) for method, saliency in ordered.items()}
    return Explanation(
        image=image,
        view=picture_view(image, classifier.bundle.input),
        diagnosis=diagnosis,
        target=next(iter(ordered.values())).target,
        maps=MappingProxyType(ordered),
        statistics=MappingProxyType(statistics),
        consensus=consensus(ordered, statistics),
        failures=MappingProxyType(dict(failures)),
        settings=settings or Settings(),
        bundle=classifier.bundle,
        environment=MappingProxyType(_environment(classifier, ordered)),
        assumed=classifier.assumed,
    )


def check_settings(settings: Settings) -> None:
    """See that settings can be meant, as far as that needs neither a network nor torch.

    Raises:
        ExplanationError: no such method, or a number out of range.
    """
    for method in settings.methods:
        if method not in method_keys():
            raise ExplanationError(f"no such method: {method}", remedy=f"choose among {', '.join(method_keys())}")
    for key, number in settings.samples.items():
        if key not in FEWEST:
            raise ExplanationError(f"{key} draws no samples", remedy="give --samples for rise and lime only")
        if not FEWEST[key] <= number <= MOST_SAMPLES:
            raise ExplanationError(
                f"{number} samples are not possible for {key}",
                remedy=f"give a number from {FEWEST[key]} to {MOST_SAMPLES}",
            )
    if settings.seed is not None and not 0 <= settings.seed < 2**32:
        raise ExplanationError(f"{settings.seed} is no seed", remedy="give a number from 0 to 4294967295")


def make_explainer(method: str, bundle: ModelBundle, settings: Settings) -> Explainer:
    """A method with its parameters: the settings', else the bundle's, else the defaults.

    Raises:
        ExplanationError: no such method, a parameter out of range, or a plug-in that cannot be used.
    """
    check_settings(replace(settings, methods=(method,)))
    if method not in METHODS:
        return make_plug_in(method, Choices(layer=settings.layer))
    if method == "rise":
        from engine.explainers.rise import Rise

        options = _chosen(bundle.explain.rise, settings, "rise")
        if settings.estimator is not None:
            options["estimator"] = settings.estimator
        # Values of a dict have one type for all; `engine.model_toml` and `check_settings` have looked at each.
        return Rise(until=settings.until, **options)  # type: ignore[arg-type]
    if method == "lime":
        from engine.explainers.lime import Lime

        options = _chosen(bundle.explain.lime, settings, "lime")
        return Lime(until=settings.until, **options)  # type: ignore[arg-type]  # as for RISE
    from engine.explainers.gradcam import GradCam

    return GradCam("gradcam" if method == "gradcam" else "gradcam++", settings.layer)


def _chosen(defaults: Mapping[str, int | float | str], settings: Settings, method: str) -> dict[str, int | float | str]:
    options = dict(defaults)
    if method in settings.samples:
        options["samples"] = settings.samples[method]
    return options


def _place(method: str) -> int:
    keys = method_keys()
    return keys.index(method) if method in keys else len(keys)


def _environment(classifier: Classifier, methods: Iterable[str]) -> dict[str, str]:
    import torch

    versions = {
        name: metadata.version(name) for name in ("xaimed", "torch", "numpy", "lime", "grad-cam", "scikit-image")
    }
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **versions,
        **{f"method {method}": found.package for method in methods if (found := plug_in(method)) is not None},
        "device": classifier.device,
        "threads": str(torch.get_num_threads()),
    }
