"""Explain one image: compute its diagnosis, maps, statistics and agreement, and hold them together."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

from engine.errors import DeviceError, ExplanationError, Stopped
from engine.explainers.plugins import run_plug_in
from engine.explainers.registry import is_quick, method_keys, plug_in, sharing_gradients, voting
from engine.explainers.settings import Settings, check_settings, chosen_fills, foreign_sections, make_explainer
from engine.explanation.request import NEVER_STOP, request_for
from engine.progress import ProgressCallback, StopSignal, no_progress
from engine.results.consensus import Consensus, consensus
from engine.results.statistics import GridStatistics, grid_statistics
from engine.text import safe_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.bundle.model_bundle import ModelBundle
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.results.diagnosis import Diagnosis
    from engine.results.evidence import Evidence
    from engine.results.exact_cells import ExactCells
    from engine.results.saliency import SaliencyMap


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole answer for one image, as screens, files and batches show it.

    Attributes:
        image: the image as read.
        view: (h, w, C) uint8, C 1 or 3: the part of the image that the network saw (the image itself for
            `stretch`, its centre for `crop`, the padded image for `fit`), at the image's own resolution. Maps and
            cells lie on it: a map's edges are the view's edges. Where a program's own function makes the network's
            input (`Classifier.from_module`), it is a picture of that input.
        diagnosis: the network's answer.
        target: name of the class that is explained.
        maps: the saliency maps by method key, in the order in which they are shown, without methods that failed or
            were stopped before a first map.
        statistics: grid statistics by method key.
        consensus: the agreement of those of these maps that vote, see `Settings.voters`.
        failures: for every method that gave no map, one line that says why.
        settings: what was requested.
        bundle: the model.
        environment: names and versions needed to reproduce the answer (`xaimed`, `torch`, `device`, `python`, ...).
        assumed: a sentence for everything that no file of the bundle says and that had to be assumed.
        exact: the exact answer for the nine cells, which judges every map; None where it was not asked for or failed.
        exact_failure: one line that says why there is no exact answer although it was asked for; else empty.
        evidence: what is known of every map's worth, by method key; none is known of a method without an entry.
        pixel_aspect: the height of a pixel of the view divided by its width; pictures are drawn by it.
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
    exact: ExactCells | None = None
    exact_failure: str = ""
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    pixel_aspect: float = 1.0

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the picture, maps with cells, agreement, answer and warnings."""
        from engine.explanation.notebook import explanation_html

        return explanation_html(self)

    def show(self, *, file: TextIO | None = None, width: int | None = None) -> None:
        """Print the explanation: with pictures on a terminal, else as plain text.

        Pictures are half blocks in the colours that the terminal has; without colours (`NO_COLOR`) they are characters,
        heavier where a map is higher. The cells and their numbers are always text, too.

        Args:
            file: where to print; None for standard output.
            width: columns to use; None for the terminal's, or 80 where there is none.
        """
        from engine.explanation.printed import print_explanation

        print_explanation(self, sys.stdout if file is None else file, width)


def explain_method(
    classifier: Classifier,
    image: MedicalImage,
    method: str,
    settings: Settings,
    *,
    target: str | None = None,
    progress: ProgressCallback = no_progress,
    stop: StopSignal = NEVER_STOP,
    others: Iterable[str] = (),
) -> SaliencyMap:
    """Return one method's map for one image.

    Args:
        classifier: the network; its lock is taken.
        image: an image compliant with the model.
        method: a key, one of `engine.explainers.registry.method_keys`.
        settings: parameters; `settings.methods` is ignored.
        target: class to explain; None for `settings.target`, else the predicted class.
        progress: called from this thread.
        stop: asked before every pass.
        others: classes of which later calls for this image will ask, so that passes can be shared.

    Raises:
        Stopped: stopped before there was a map worth showing.
        ExplanationError: unknown method, class or layer, a parameter out of range, or the network gave NaN.
        NotCompliantError: the image cannot be fed to this model.
        DeviceError: there is not enough memory on the device, nor on the CPU.
    """
    explainer = make_explainer(method, classifier.bundle, settings)

    def make() -> SaliencyMap:
        request = request_for(classifier, image, method, settings, target, progress, stop, others)
        return run_plug_in(explainer, request) if plug_in(method) is not None else explainer.explain(request)

    with classifier.lock:
        known = classifier.state_cautions
        saliency = classifier.with_memory(make)
        # What the code has set before stands beside the answer already.
        state = classifier.state_cautions if classifier.state_cautions != known else ()
        return replace(saliency, warnings=(*classifier.cautions, *state, *saliency.warnings))


def explain(
    classifier: Classifier,
    image: MedicalImage,
    settings: Settings | None = None,
    *,
    progress: ProgressCallback = no_progress,
    stop: StopSignal = NEVER_STOP,
    on_map: Callable[[SaliencyMap], None] | None = None,
) -> Explanation:
    """Return the whole answer for one image.

    Methods that draw no samples come first, because they take almost no time; the exact cells, which judge the maps,
    come last. If a method cannot work on this network, the reason goes into `failures` and the other methods still run.
    If stopped, the maps so far are kept.

    Args:
        classifier: the network.
        image: an image compliant with the model.
        settings: what to compute; None for all methods and the predicted class.
        progress: told how far each method is.
        stop: asked before every pass.
        on_map: called with each finished map.

    Raises:
        ExplanationError: unknown method or class, a parameter out of range, or no method gave a map.
        NotCompliantError: the image cannot be fed to this model.
        Stopped: stopped before there was any map.
    """
    settings = settings or Settings()
    _check(classifier, settings)
    diagnosis = classifier.diagnose(image)
    target = settings.target or diagnosis.predicted
    classifier.class_index(target)
    return _explained(classifier, image, diagnosis, target, settings, progress, stop, on_map)


def explain_classes(
    classifier: Classifier,
    image: MedicalImage,
    targets: Sequence[str],
    settings: Settings | None = None,
    *,
    progress: ProgressCallback = no_progress,
    stop: StopSignal = NEVER_STOP,
    on_map: Callable[[SaliencyMap], None] | None = None,
) -> dict[str, Explanation]:
    """Return the whole answer for one image once for each of several classes.

    Each is equal to `explain` with this class as `settings.target`, bit for bit, but the masked images of LIME and RISE
    pass through the network only once; `passes_reused` among a map's parameters says how many were passed before.

    Args:
        classifier: the network.
        image: an image compliant with the model.
        targets: names of the classes to explain.
        settings: what to compute; its own target is not used.
        progress, stop, on_map: as for `explain`. If stopped, the explanations so far are kept.

    Returns:
        The explanations by class, in the order of `targets`.

    Raises:
        ExplanationError: no class, an unknown one, or as for `explain`.
        NotCompliantError: the image cannot be fed to this model.
        Stopped: stopped before there was any map.
    """
    settings = settings or Settings()
    _check(classifier, settings)
    targets = tuple(dict.fromkeys(targets))
    if not targets:
        raise ExplanationError("no class to explain", remedy=f"choose some of {', '.join(classifier.classes)}")
    for target in targets:
        classifier.class_index(target)
    diagnosis = classifier.diagnose(image)
    found: dict[str, Explanation] = {}
    for target in targets:
        own = replace(settings, target=target)
        try:
            found[target] = _explained(
                classifier, image, diagnosis, target, own, progress, stop, on_map, others=targets
            )
        except Stopped:
            if not found:
                raise
            break
    return found


def _check(classifier: Classifier, settings: Settings) -> None:
    """Find wrong settings before the first pass."""
    check_settings(settings)
    for method in settings.methods:
        # A plug-in that cannot be used does not stop the other methods, so it is only made when its turn comes.
        if plug_in(method) is None:
            make_explainer(method, classifier.bundle, settings)


def _explained(
    classifier: Classifier,
    image: MedicalImage,
    diagnosis: Diagnosis,
    target: str,
    settings: Settings,
    progress: ProgressCallback,
    stop: StopSignal,
    on_map: Callable[[SaliencyMap], None] | None,
    *,
    others: Iterable[str] = (),
) -> Explanation:
    maps: dict[str, SaliencyMap] = {}
    failures: dict[str, str] = {}
    for method in sorted(settings.methods, key=lambda method: not is_quick(method)):
        try:
            saliency = explain_method(
                classifier, image, method, settings, target=target, progress=progress, stop=stop, others=others
            )
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
    exact, exact_failure = None, ""
    if chosen_fills(classifier.bundle, settings):
        from engine.explanation.exact import explain_exact  # late: torch, which who saves an explanation does without

        try:
            exact = explain_exact(
                classifier, image, settings, target=target, progress=progress, stop=stop, others=others
            )
        except (ExplanationError, DeviceError, Stopped) as error:
            exact_failure = error.message
    return assemble(
        classifier,
        image,
        diagnosis,
        maps,
        failures=failures,
        settings=settings,
        exact=exact,
        exact_failure=exact_failure,
    )


def assemble(
    classifier: Classifier,
    image: MedicalImage,
    diagnosis: Diagnosis,
    maps: Mapping[str, SaliencyMap],
    *,
    failures: Mapping[str, str] = MappingProxyType({}),
    settings: Settings | None = None,
    exact: ExactCells | None = None,
    exact_failure: str = "",
    evidence: Mapping[str, Evidence] = MappingProxyType({}),
) -> Explanation:
    """Put maps of one image and one class together with their statistics, agreement and worth.

    Of the evidence, what costs no pass is answered here: *right* by the exact cells, *stable* for methods that draw
    samples, and what was measured of this network before. `engine.explanation.evidence.ask` answers the rest.

    Raises:
        ValueError: no maps, or maps of different classes or sizes.
    """
    from engine.explanation.evidence import first_answers  # late: torch, as above

    if not maps:
        raise ValueError("an explanation needs at least one map")
    ordered = {method: maps[method] for method in sorted(maps, key=_place)}
    statistics = {method: grid_statistics(saliency) for method, saliency in ordered.items()}
    settings = settings or Settings()
    return Explanation(
        image=image,
        view=classifier.feeding.view(image),
        diagnosis=diagnosis,
        target=next(iter(ordered.values())).target,
        maps=MappingProxyType(ordered),
        statistics=MappingProxyType(statistics),
        consensus=consensus(ordered, statistics, voting(ordered, settings.voters), sharing_gradients(ordered)),
        failures=MappingProxyType(dict(failures)),
        settings=settings,
        bundle=classifier.bundle,
        environment=MappingProxyType(_environment(classifier, ordered)),
        assumed=(*classifier.assumed, *foreign_sections(classifier.bundle)),
        exact=exact,
        exact_failure=exact_failure,
        evidence=MappingProxyType(
            first_answers(classifier, ordered, statistics, settings, exact=exact, known=evidence)
        ),
        pixel_aspect=classifier.feeding.pixel_aspect(image),
    )


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
        "precision": classifier.precision,  # as asked for: `auto` decides for each method
        "threads": str(torch.get_num_threads()),
    }
