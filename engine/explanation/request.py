"""The request for one method's work on one image: the input, the class, the seed, and what is kept of the image."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from engine.explainers.base import Request
from engine.progress import NeverStop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.explainers.settings import Settings
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.progress import ProgressCallback, StopSignal

NEVER_STOP = NeverStop()


def derive_seed(image_sha256: str, bundle_digest: str, method: str) -> int:
    """Return the seed of a method's random numbers, below 2**32: the same input gives the same map."""
    material = f"{image_sha256}:{bundle_digest}:{method}".encode()
    # Four bytes: numpy's legacy generator, which lime's samples come from, takes no larger seed.
    return int.from_bytes(hashlib.sha256(material).digest()[:4], "big")


def request_for(
    classifier: Classifier,
    image: MedicalImage,
    method: str,
    settings: Settings,
    target: str | None,
    progress: ProgressCallback,
    stop: StopSignal,
    others: Iterable[str],
) -> Request:
    """Return the request; the arguments are those of `explain_method`, and the caller holds the classifier's lock.

    Raises:
        ExplanationError: an unknown class.
        NotCompliantError: the image cannot be fed to this model.
    """
    name = target or settings.target or classifier.diagnose(image).predicted
    digest = classifier.bundle.digest
    return Request(
        classifier=classifier,
        tensor=classifier.tensor(image),
        target=classifier.class_index(name),
        seed=settings.seed if settings.seed is not None else derive_seed(image.sha256, digest, method),
        progress=progress,
        stop=stop,
        kept=classifier.kept_for(classifier.feeding.identity(image)),
        others=tuple(classifier.class_index(other) for other in others),
    )
