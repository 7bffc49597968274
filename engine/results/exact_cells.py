"""The exact answer for the nine cells: what follows from the values of all 512 combinations of shown and hidden cells.

Everything here is computed from these values, with no random number. A combination is a number from 0 to 511: bit i is
set where cell i, in reading order, shows the image; so 0 hides all cells, and 511 hides none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import factorial
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from engine.results.caution import codes_of
from engine.results.cells import CELLS, GRID, TOP, Cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.results.saliency import Parameter

COMBINATIONS = 2 ** len(CELLS)
"""How many combinations of shown and hidden cells there are."""

ALL = COMBINATIONS - 1
"""The combination that shows every cell."""

TRIPLES: tuple[tuple[Cell, Cell, Cell], ...] = tuple(combinations(CELLS, TOP))  # type: ignore[arg-type]  # TOP is 3
"""All choices of three cells; the cells of each are in reading order."""

FILL_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "mean": "the mean colour",
        "blur": "a blurred image",
        "inpaint": "what surrounds them",
        "noise": "noise",
    }
)
"""What hidden cells show, by fill, as the end of a phrase such as “hidden by ...”."""

EQUAL_WITHIN = 1e-6
"""Values closer than this are equal: the passes are made in float32, which has about seven digits."""

MATTERS_FROM = 0.05
"""The range of the 512 values from which on the cells matter: below it, their order is an order of trifles."""

NO_CELL_MATTERS = "no-cell-matters"
"""The code of the warning that says so."""

MEAN_RANK = (len(TRIPLES) + 1) / 2
"""The rank of three cells chosen at random, on average: 42.5."""

SHARED_BY_CHANCE = TOP * TOP / len(CELLS)
"""How many of the exact three cells three cells chosen at random hold on average: 1."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What three cells are worth under one fill.

    Attributes:
        shared: how many of the exact three they hold, 0..3; chance is 1.
        kept_rank: mid-rank among all 84 triples by the probability when only these three are shown, 1 = best; chance is
            42.5. None where no cell matters under this fill.
        hidden_rank: the same by how far the probability falls when these three are hidden.
    """

    shared: int
    kept_rank: float | None
    hidden_rank: float | None


@dataclass(frozen=True, slots=True)
class FillValues:
    """The exact answer under one fill, that is, one way to hide cells. Arrays are read-only.

    Attributes:
        fill: `mean`, `blur`, `inpaint` or `noise`.
        hidden: what hidden cells show, in words, with the colour where it is one.
        values: (512,) float64, the target's probability for every combination.
        shapley: (3, 3) float64, the Shapley value of every cell; they sum to `all_shown - none_shown`.
        interactions: (9, 9) float64, the interaction index of Grabisch and Roubens (1999) of every pair of cells in
            reading order; symmetric, with a diagonal of 0. Positive where two cells do more together than each alone.
        top: the exact three: the cells with the highest Shapley values, the highest first.
        supporting: how many cells speak for the class (value above 0), 0..9; with fewer than three, the last cells of
            `top` do not.
        best_kept: the three cells, in reading order, with the highest probability when only they are shown.
        best_hidden: the three cells with the lowest probability when they are hidden.
        kept_ranks: (84,) mid-ranks of `TRIPLES` when only these are shown; 1 is best, the mean is 42.5.
        hidden_ranks: (84,) mid-ranks of `TRIPLES` when these are hidden.
    """

    fill: str
    hidden: str
    values: NDArray[np.float64]
    shapley: NDArray[np.float64]
    interactions: NDArray[np.float64]
    top: tuple[Cell, ...]
    supporting: int
    best_kept: tuple[Cell, ...]
    best_hidden: tuple[Cell, ...]
    kept_ranks: NDArray[np.float64]
    hidden_ranks: NDArray[np.float64]

    @property
    def all_shown(self) -> float:
        """The probability of the whole image."""
        return float(self.values[ALL])

    @property
    def none_shown(self) -> float:
        """The probability when every cell is hidden: that of a blank."""
        return float(self.values[0])

    @property
    def range(self) -> float:
        """How far the 512 probabilities lie apart, in [0, 1]."""
        return float(np.ptp(self.values))

    @property
    def matters(self) -> bool:
        """Whether any cell matters under this fill."""
        return self.range >= MATTERS_FROM

    def kept(self, cells: Collection[Cell]) -> float:
        """Return the probability when only these cells are shown."""
        return float(self.values[combination(cells)])

    def without(self, cells: Collection[Cell]) -> float:
        """Return the probability when these cells are hidden and all others shown."""
        return float(self.values[ALL & ~combination(cells)])

    def judge(self, cells: Collection[Cell]) -> Judged | None:
        """Return what three cells are worth; None for no cells, as of a constant map.

        Raises:
            ValueError: neither three cells nor none, or one twice.
        """
        if not cells:
            return None
        place = TRIPLES.index(_triple(cells))
        shared = len(set(cells) & set(self.top))
        if not self.matters:
            return Judged(shared, None, None)
        return Judged(shared, float(self.kept_ranks[place]), float(self.hidden_ranks[place]))


@dataclass(frozen=True, slots=True)
class ExactCells:
    """The exact answer for the nine cells of one image and one class, under one or several fills.

    Attributes:
        target: name of the class that is explained.
        fills: the answer by fill, in the order in which they were asked for.
        passes: images that passed through the network for these values, for this class or for another before it.
        seconds: wall time that they took.
        parameters: how the passes were made, device and precision among them.
        stopped: True if the user stopped it before all fills were done.
        warnings: sentences that must be shown with it; those of a known kind are `Caution`s.
    """

    target: str
    fills: Mapping[str, FillValues]
    passes: int = 0
    seconds: float = 0.0
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    stopped: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def mattering(self) -> tuple[FillValues, ...]:
        """The answers under the fills that matter."""
        return tuple(found for found in self.fills.values() if found.matters)

    @property
    def firm(self) -> tuple[Cell, ...] | None:
        """The cells that are among the exact three under every fill that matters, in reading order.

        None with fewer than two such fills: there is nothing to compare.
        """
        found = self.mattering
        if len(found) < 2:
            return None
        return tuple(cell for cell in CELLS if all(cell in one.top for one in found))

    @property
    def warning_codes(self) -> tuple[str, ...]:
        """The codes of the warnings, in their order."""
        return codes_of(self.warnings)

    def judge(self, cells: Collection[Cell]) -> Mapping[str, Judged]:
        """Return what three cells, such as `GridStatistics.top`, are worth under every fill; empty for no cells.

        Raises:
            ValueError: neither three cells nor none, or one twice.
        """
        judged = ((fill, found.judge(cells)) for fill, found in self.fills.items())
        return MappingProxyType({fill: one for fill, one in judged if one is not None})


def combination(cells: Collection[Cell]) -> int:
    """Return the number of the combination that shows these cells alone."""
    return sum({1 << CELLS.index(cell) for cell in cells})


def fill_values(fill: str, values: NDArray[np.floating], hidden: str = "") -> FillValues:
    """Return the exact answer under one fill.

    Args:
        fill: its key.
        values: (512,) the target's probability for every combination.
        hidden: what hidden cells show, in words.

    Raises:
        ValueError: not 512 finite values.
    """
    known = np.array(values, dtype=np.float64)
    if known.shape != (COMBINATIONS,) or not np.isfinite(known).all():
        raise ValueError(f"the exact answer needs {COMBINATIONS} finite values")
    shapley = shapley_values(known)
    kept = np.array([known[combination(three)] for three in TRIPLES])
    fall = np.array([known[ALL] - known[ALL & ~combination(three)] for three in TRIPLES])
    arrays = [known, shapley, interaction_indices(known), mid_ranks(kept), mid_ranks(fall)]
    for array in arrays:
        array.setflags(write=False)
    return FillValues(
        fill=fill,
        hidden=hidden,
        values=known,
        shapley=shapley,
        interactions=arrays[2],
        top=tuple(CELLS[i] for i in _highest(shapley.ravel(), TOP)),
        supporting=int((shapley >= EQUAL_WITHIN).sum()),
        best_kept=TRIPLES[_highest(kept, 1)[0]],
        best_hidden=TRIPLES[_highest(fall, 1)[0]],
        kept_ranks=arrays[3],
        hidden_ranks=arrays[4],
    )


def shapley_values(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Shapley value of every cell, (3, 3).

    Args:
        values: (512,) by combination.
    """
    cells = len(CELLS)
    weights = np.array([factorial(k) * factorial(cells - k - 1) / factorial(cells) for k in range(cells)])
    found = np.zeros(cells)
    for cell in range(cells):
        without = _COMBINATIONS[_COMBINATIONS & (1 << cell) == 0]
        found[cell] = weights[_SIZES[without]] @ (values[without | (1 << cell)] - values[without])
    return found.reshape(GRID, GRID)


def interaction_indices(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the interaction index of Grabisch and Roubens (1999) of every pair of cells, (9, 9), symmetric.

    Args:
        values: (512,) by combination.
    """
    cells = len(CELLS)
    weights = np.array([factorial(k) * factorial(cells - k - 2) / factorial(cells - 1) for k in range(cells - 1)])
    found = np.zeros((cells, cells))
    for first, second in combinations(range(cells), 2):
        one, other = 1 << first, 1 << second
        without = _COMBINATIONS[_COMBINATIONS & (one | other) == 0]
        together = values[without | one | other] - values[without | one] - values[without | other] + values[without]
        found[first, second] = found[second, first] = weights[_SIZES[without]] @ together
    return found


def mid_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of every value, 1 for the highest; equal ones (within `EQUAL_WITHIN`) share the mean of theirs.

    Every pair of values contributes 1 in all, so that the mean rank is (n + 1) / 2 whatever is equal.
    """
    higher = values[None, :] - values[:, None]
    equal = np.abs(higher) < EQUAL_WITHIN
    return np.asarray(0.5 + ((higher > 0) & ~equal).sum(axis=1) + equal.sum(axis=1) / 2)


_COMBINATIONS = np.arange(COMBINATIONS)
_SIZES = np.array([number.bit_count() for number in range(COMBINATIONS)])


def _highest(values: NDArray[np.float64], count: int) -> list[int]:
    """Return the places of the highest values, the highest first; of equal ones the first."""
    left = dict(enumerate(values.tolist()))
    chosen: list[int] = []
    for _ in range(count):
        best = max(left.values())
        place = next(i for i, value in left.items() if best - value < EQUAL_WITHIN)
        chosen.append(place)
        del left[place]
    return chosen


def _triple(cells: Collection[Cell]) -> tuple[Cell, Cell, Cell]:
    ordered: Sequence[Cell] = sorted(set(cells))
    if len(cells) != TOP or len(ordered) != TOP:
        raise ValueError(f"{len(cells)} cells are not {TOP} different ones")
    first, second, third = ordered
    return first, second, third
