"""A network's answer for one image, and how sure it says it is (paper, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.results.caution import codes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

LOW_UP_TO = 0.33
MEDIUM_UP_TO = 0.66

THRESHOLD = 0.5
"""The threshold of a network that declares none."""

UNDECIDED_WITHIN = 0.05
"""A probability closer to the threshold than this is undecided."""

UNDECIDED_APART = 0.10
"""A softmax network is undecided if its two highest probabilities are less than this apart."""

_LISTED = 5
"""How many classes a sentence names: a multilabel network may be undecided about hundreds."""

_ROUNDING = 1e-9
"""0.6 - 0.5 is a little less than 0.1 in floats: a distance this close to a limit counts as the limit itself."""


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
        probabilities: (K,) float64 in [0, 1], of the logits divided by the model's temperature; they sum to 1 unless
            `multilabel`.
        logits: (K,) float64, as the network gives them; for a one-logit network (-z, z).
        multilabel: whether each class is judged on its own.
        seconds: wall time of the forward pass.
        warnings: sentences about this answer, its image and the model; those of a known kind are `Caution`s.
        one_logit: whether both classes (negative, positive) are one output unit.
        threshold: the probability from which on the answer is the positive class (`one_logit`), or a class counts as
            present (`multilabel`); a softmax network does not use it.
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    logits: NDArray[np.float64]
    multilabel: bool = False
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    one_logit: bool = False
    threshold: float = THRESHOLD

    @property
    def index(self) -> int:
        """Index of the predicted class.

        For one logit the positive class (1) if its probability reaches the threshold, else the negative one (0). Else
        the most probable class, or the first of several that are equal.
        """
        if self.one_logit:
            return int(self.probabilities[1] >= self.threshold)
        return int(self.probabilities.argmax())

    @property
    def predicted(self) -> str:
        """Name of the predicted class."""
        return self.classes[self.index]

    @property
    def has_threshold(self) -> bool:
        """Whether probabilities are held against the threshold: of a softmax network they are not."""
        return self.one_logit or self.multilabel

    @property
    def thresholds(self) -> tuple[float | None, ...]:
        """Where the threshold lies among each class's probabilities; None for the classes of a softmax network."""
        if self.one_logit:
            return (1.0 - self.threshold, self.threshold)
        return (self.threshold if self.multilabel else None,) * len(self.classes)

    @property
    def undecided(self) -> bool:
        """Whether another class would be the answer if the probabilities were a little different.

        One logit: its probability is less than 0.05 from the threshold. Softmax: the two highest are less than 0.10
        apart. Multilabel: any class is less than 0.05 from the threshold (see `undecided_classes`).
        """
        return bool(self.undecided_classes)

    @property
    def undecided_classes(self) -> tuple[str, ...]:
        """The classes between which the answer is undecided, in their order; empty if it is decided.

        For a multilabel network those of which it is undecided whether they are present.
        """
        if self.one_logit:
            return self.classes if self._near(1) else ()
        if self.multilabel:
            return tuple(name for index, name in enumerate(self.classes) if self._near(index))
        if len(self.classes) < 2 or not self._apart < UNDECIDED_APART - _ROUNDING:
            return ()
        highest = sorted(self._highest)
        return tuple(self.classes[index] for index in highest)

    @property
    def why_undecided(self) -> str:
        """The reason as a clause without a full stop, such as `the two highest are 0.04 apart`; empty if decided."""
        if not self.undecided:
            return ""
        if self.multilabel and not self.one_logit:
            near = [f"{name} {self.probabilities[i]:.2f}" for i, name in enumerate(self.classes) if self._near(i)]
            return f"{_few(near)} near the threshold {self.threshold:g}"
        if self.one_logit:
            away = abs(float(self.probabilities[1]) - self.threshold)
            return f"{self.classes[1]} is {_down(away)} from its threshold {self.threshold:g}"
        return f"the two highest are {_down(self._apart)} apart"

    @property
    def standing(self) -> str:
        """The predicted class's confidence level, followed by `undecided` if the answer is: `medium, undecided`.

        Of a multilabel network, whose predicted class may well be decided, the classes are named.
        """
        if not self.undecided:
            return str(self.confidence)
        about = f" about {_few(self.undecided_classes)}" if self.multilabel and not self.one_logit else ""
        return f"{self.confidence}, undecided{about}"

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

    def _near(self, index: int) -> bool:
        return abs(float(self.probabilities[index]) - self.threshold) < UNDECIDED_WITHIN - _ROUNDING

    @property
    def _highest(self) -> tuple[int, int]:
        """Indices of the two most probable classes, the first ones of several that are equal."""
        first, second = (-self.probabilities).argsort(kind="stable")[:2]
        return int(first), int(second)

    @property
    def _apart(self) -> float:
        first, second = self._highest
        return float(self.probabilities[first] - self.probabilities[second])


def _few(words: Sequence[str]) -> str:
    """Return words separated by commas, the first few of many."""
    return ", ".join([*words[:_LISTED], *([f"{len(words) - _LISTED} more"] if len(words) > _LISTED else [])])


def _down(distance: float) -> str:
    """Return a distance with two digits, never rounded up to the limit below which it lies: 0.098 is 0.09."""
    hundredths = int(100 * distance + _ROUNDING)
    return f"{hundredths / 100:.2f}" if hundredths else "less than 0.01"
