"""The evidence for one map: four questions, each with a verdict and the figures behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.results.exact_cells import Judged


class Verdict(StrEnum):
    """The answer to one question about one map."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    """Asked, but it cannot be said."""
    NOT_ASKED = "not_asked"
    """Not asked yet."""


@dataclass(frozen=True, slots=True)
class Right:
    """Are the map's three cells among the right ones, judged by the exact cells?

    Attributes:
        verdict: the answer.
        fills: what the three cells are worth under every fill that was asked for; empty for a constant map.
        chance: the share of all 84 triples of cells that would be called right here, in [0, 1]: how often a guess is.
            None where no verdict is possible.
        why: one sentence about what the verdict rests on, or why none is possible.
    """

    verdict: Verdict = Verdict.NOT_ASKED
    fills: Mapping[str, Judged] = field(default_factory=dict)
    chance: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Curves:
    """The deletion or insertion curve of a map beside those of maps that know nothing of the network.

    Attributes:
        kind: `deletion` or `insertion`.
        shares: (S + 1,) share of pixels deleted or inserted, from 0 to 1.
        probabilities: (S + 1,) the map's curve.
        random: (R, S + 1) the curves of R random smooth maps.
        centre: (S + 1,) the curve of a blob in the image's centre.
        area: under the map's curve, in [0, 1]; small is good for deletion, large for insertion.
        random_areas: (R,) under the random maps' curves.
        centre_area: under the centre blob's curve.
    """

    kind: str
    shares: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    random: NDArray[np.float64]
    centre: NDArray[np.float64]
    area: float
    random_areas: NDArray[np.float64]
    centre_area: float


@dataclass(frozen=True, slots=True)
class BetterThanChance:
    """Does the output follow the map more than it follows random maps and a blob in the centre?

    Attributes:
        verdict: the answer.
        deletion, insertion: the curves behind it; None where they were not computed.
        why: as for `Right`.
    """

    verdict: Verdict = Verdict.NOT_ASKED
    deletion: Curves | None = None
    insertion: Curves | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Stable:
    """Does the map name the same cells when chance, or noise that nobody sees, is another?

    Attributes:
        verdict: the answer.
        settled: for sampling methods: whether the choice of the three cells is settled; None for others.
        settled_cells: for sampling methods: how many of the three are settled, 0..3; None for others.
        copies: for CAMs: how many copies of the image with a little noise were explained; 0 for others.
        correlation: mean correlation of the nine cell means with the map's own over these copies, in [-1, 1]; None for
            others.
        same_three: share of the copies that name the same three cells, in [0, 1]; None for others.
        why: as for `Right`.
    """

    verdict: Verdict = Verdict.NOT_ASKED
    settled: bool | None = None
    settled_cells: int | None = None
    copies: int = 0
    correlation: float | None = None
    same_three: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class OfThisNetwork:
    """Does this method's map change when the network's weights are randomised? (Adebayo et al. 2018)

    Attributes:
        verdict: the answer.
        correlations: mean rank correlation with the map of the trained network, by which weights were randomised:
            `head`, `half`, `all`.
        shared: how many of the three cells both maps mark on average, 0..3, by the same; chance is 1.
        images: on how many images this was measured; it is measured once for each model and method.
        why: as for `Right`.
    """

    verdict: Verdict = Verdict.NOT_ASKED
    correlations: Mapping[str, float] = field(default_factory=dict)
    shared: Mapping[str, float] = field(default_factory=dict)
    images: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The four answers about one map; by default, none has been asked yet."""

    right: Right = field(default_factory=Right)
    better_than_chance: BetterThanChance = field(default_factory=BetterThanChance)
    stable: Stable = field(default_factory=Stable)
    of_this_network: OfThisNetwork = field(default_factory=OfThisNetwork)

    @property
    def verdicts(self) -> Mapping[str, Verdict]:
        """The verdicts by question, in the order in which they are shown."""
        return {
            "right": self.right.verdict,
            "better_than_chance": self.better_than_chance.verdict,
            "stable": self.stable.verdict,
            "of_this_network": self.of_this_network.verdict,
        }
