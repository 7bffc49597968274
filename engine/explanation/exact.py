"""The exact answer for the nine cells of one image, at once or fill by fill."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import ExplanationError
from engine.evidence.exact import KEY, exact_cells
from engine.explainers.settings import Settings, check_settings, chosen_fills
from engine.explanation.request import NEVER_STOP, request_for
from engine.progress import ProgressCallback, StopSignal, no_progress

if TYPE_CHECKING:
    from engine.bundle.specs import Fill
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.results.exact_cells import ExactCells


def explain_exact(
    classifier: Classifier,
    image: MedicalImage,
    settings: Settings | None = None,
    *,
    target: str | None = None,
    fills: Sequence[Fill] | None = None,
    progress: ProgressCallback = no_progress,
    stop: StopSignal = NEVER_STOP,
    others: Iterable[str] = (),
) -> ExactCells:
    """Return the exact answer for the nine cells of one image and one class.

    A program that shows it fill by fill calls this once for each fill, with one fill more every time:
    `chosen_fills(bundle, settings)[:1]`, then `[:2]`, and so on. What has been passed for this image is kept with the
    classifier until another image is explained, so a later call makes only the passes that are missing, 511 for a new
    fill and none for another class; a call that was stopped goes on where it was. Each result is complete in itself:
    hand the last one to `assemble`. The lock is free between calls, so that other work can come in between.

    Args:
        classifier: the network; its lock is taken.
        image: an image compliant with the model.
        settings: `exact_fills` and `seed` are used; None for the defaults.
        target: class to explain; None for `settings.target`, else the predicted class.
        fills: what hidden cells show; None for the settings', else the bundle's.
        progress: told after every pass how many of all passes are done, under the method `exact`; without previews.
        stop: asked before every pass.
        others: classes of which later calls for this image will ask; only networks of thousands of classes need it.

    Raises:
        Stopped: stopped before the first fill was done. Later, the answer has the fills that are done.
        ExplanationError: unknown class or fill, no fill, or the network gave NaN or infinity.
        NotCompliantError: the image cannot be fed to this model.
        DeviceError: there is not enough memory on the device, nor on the CPU.
    """
    settings = settings or Settings()
    chosen = tuple(fills) if fills is not None else chosen_fills(classifier.bundle, settings)
    check_settings(replace(settings, methods=(), exact_fills=chosen))
    if not chosen:
        raise ExplanationError("the exact cells need a fill", remedy="give mean or blur")

    def make() -> ExactCells:
        request = request_for(classifier, image, KEY, settings, target, progress, stop, others)
        return exact_cells(request, chosen)

    with classifier.lock:
        known = classifier.state_cautions
        exact = classifier.with_memory(make)
        state = classifier.state_cautions if classifier.state_cautions != known else ()
        return replace(exact, warnings=(*classifier.cautions, *state, *exact.warnings))
