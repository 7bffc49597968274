"""A network's answer for one image, and how sure it says it is (paper, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.results.caution import codes_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOW_UP_TO = 0.33
MEDIUM_UP_TO = 0.66


class Confidence(StrEnum):
    """The paper's three equal-width levels: low [0, 0.33], medium (0.33, 0.66], high (0.66, 1].

    They grade the class probability, which networks are known to overstate; they are not a probability of being right.
    """

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @classmethod
    def of(cls, probability: float) -> Confidence:
        """Return the level of a probability.

        Raises:
            ValueError: not a number in [0, 1].
        """
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"{probability} is not a probability")
        if probability <= LOW_UP_TO:
            return cls.LOW
        return cls.MEDIUM if probability <= MEDIUM_UP_TO else cls.HIGH


def probability_text(probability: float, digits: int = 2) -> str:
    """Format a probability for people: `>0.99` and `<0.01` instead of a 1.00 or 0.00 that the network did not give."""
    shown = f"{probability:.{digits}f}"
    if float(shown) == 1.0 and probability < 1.0:
        return f">{1.0 - 10.0**-digits:.{digits}f}"
    if float(shown) == 0.0 and probability > 0.0:
        return f"<{10.0**-digits:.{digits}f}"
    return shown


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the network says about one image.

    Attributes:
        classes: K class names.
        probabilities: (K,) float64 in [0, 1]; they sum to 1 unless `multilabel`.
        logits: (K,) float64; for a one-logit network (-z, z).
        multilabel: whether each class is judged on its own.
        seconds: wall time of the forward pass.
        warnings: sentences about this answer, its image and the model; those of a known kind are `Caution`s.
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    logits: NDArray[np.float64]
    multilabel: bool = False
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def index(self) -> int:
        """Index of the predicted class: the most probable one, or the first of several that are equal."""
        return int(self.probabilities.argmax())

    @property
    def predicted(self) -> str:
        """Name of the predicted class."""
        return self.classes[self.index]

    @property
    def warning_codes(self) -> tuple[str, ...]:
        """The codes of the warnings, in their order."""
        return codes_of(self.warnings)

    @property
    def confidences(self) -> tuple[Confidence, ...]:
        """The level of every class's probability."""
        return tuple(Confidence.of(float(p)) for p in self.probabilities)

    @property
    def confidence(self) -> Confidence:
        """The level of the predicted class's probability."""
        return self.confidences[self.index]
