"""Follow through a pass what each axis of a tensor is: channels, rows, columns, or places row by row.

An axis is a row of factors, outermost first. The image (1, C, H, W) has the axes `()`, `(c)`, `(h)`, `(w)`; flattening
rows and columns gives `(h, w)`, cutting 28 rows into 4 windows of 7 gives `(h/7)` and `(h)`. So reshaping, permuting,
cutting into windows or patches and putting them together again can be followed exactly. What an operation mixes is a
channel afterwards; what cannot be followed is unknown, and known again where it is added to something known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import torch

from engine.network.layers.info import MapAxes


@dataclass(frozen=True, slots=True)
class Factor:
    """Part of an axis.

    Attributes:
        what: `b` images, `c` channels, `h` rows, `w` columns, or `?`.
        step: how many rows, columns or channels of the finest kind lie between two of its entries.
        size: its entries.
    """

    what: str
    step: int
    size: int


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a tensor.

    Attributes:
        factors: outermost first; none for an axis of size 1.
        before, after: entries before and after those that the factors describe, such as class tokens.
    """

    factors: tuple[Factor, ...] = ()
    before: int = 0
    after: int = 0

    @property
    def size(self) -> int:
        """Its number of entries."""
        return self.before + prod(factor.size for factor in self.factors) + self.after

    @property
    def extra(self) -> int:
        """The number of entries that are not described."""
        return self.before + self.after

    def is_only(self, what: str) -> bool:
        """Whether it has only factors of one kind and no more entries."""
        return bool(self.factors) and not self.extra and all(factor.what == what for factor in self.factors)


Axes = tuple[Axis, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an operation, and what the axes of its inputs were before.

    Attributes:
        operation: its name.
        function: what was called.
        arguments: by position.
        keywords: by name.
        axes: of those tensors among the arguments that depend on the image, by `id`.
    """

    operation: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    axes: Mapping[int, Axes]

    def argument(self, at: int, name: str, default: object = None) -> Any:
        """Return an argument, given by position or by name."""
        return self.arguments[at] if at < len(self.arguments) else self.keywords.get(name, default)

    def axes_of(self, value: object) -> Axes | None:
        """Return the axes of an argument; None if it is no tensor that depends on the image."""
        return self.axes.get(id(value))

    @property
    def source(self) -> tuple[torch.Tensor, Axes] | None:
        """The first argument that depends on the image."""
        for value in (*self.arguments, *self.keywords.values()):
            if isinstance(value, torch.Tensor) and (axes := self.axes_of(value)) is not None:
                return value, axes
        return None


def axis(what: str, size: int) -> Axis:
    """Return an axis of one kind."""
    return Axis() if size == 1 else Axis((Factor(what, 1, size),))


def unknown(shape: Sequence[int]) -> Axes:
    """Return the axes of a tensor of which nothing is known but its shape."""
    return tuple(axis("?", size) for size in shape)


def axes_of_image(shape: Sequence[int]) -> Axes:
    """Return the axes of images, (B, C, H, W)."""
    return tuple(axis(what, size) for what, size in zip("bchw", shape, strict=True))


def merged(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Join neighbours that are one factor cut in two, and leave out those of size 1."""
    joined: list[Factor] = []
    for factor in factors:
        if joined and joined[-1].what == factor.what and joined[-1].step == factor.step * factor.size:
            joined[-1] = Factor(factor.what, factor.step, joined[-1].size * factor.size)
        elif factor.size > 1:
            joined.append(factor)
    return tuple(joined)


def reshaped(axes: Axes, shape: Sequence[int]) -> Axes:
    """Return the axes of a tensor that is given another shape, with its entries in the same order."""
    old, new = [each for each in axes if each.size != 1], [size for size in shape if size != 1]
    found: list[Axis] = []
    while new:
        first, sizes = [old.pop(0)], [new.pop(0)]
        while (have := prod(each.size for each in first)) != (want := prod(sizes)):
            if have < want and old:
                first.append(old.pop(0))
            elif want < have and new:
                sizes.append(new.pop(0))
            else:
                return unknown(shape)
        found += first if len(first) == len(sizes) == 1 else _split(first, sizes)
    rest = iter(found)
    return tuple(Axis() if size == 1 else next(rest) for size in shape)


def _split(axes: Sequence[Axis], sizes: Sequence[int]) -> Axes:
    """Return axes of these sizes for the same entries."""
    if any(each.extra for each in axes):
        return unknown(sizes)
    rest = list(merged([factor for each in axes for factor in each.factors]))
    found = []
    for size in sizes:
        taken: list[Factor] = []
        while size > 1:
            factor = rest.pop(0)
            if size % factor.size == 0:
                taken.append(factor)
                size //= factor.size
            elif factor.size % size == 0:
                inner = factor.size // size
                taken.append(Factor(factor.what, factor.step * inner, size))
                rest.insert(0, Factor(factor.what, factor.step, inner))
                size = 1
            else:
                return unknown(sizes)
        found.append(Axis(merged(taken)))
    return tuple(found)


def chosen(old: Axis, positions: Sequence[int]) -> Axis:
    """Return what is left of an axis of which these entries are taken, in this order."""
    count = len(positions)
    if old.is_only("c"):
        return axis("c", count)
    first, last = old.before, old.size - old.after
    steps = {after - before for before, after in pairwise(positions)}
    if count < 2 or len(steps) != 1 or "?" in {factor.what for factor in old.factors}:
        return axis("?", count)
    (step,) = steps
    if step == 1 and positions[0] <= first and positions[-1] >= last - 1:
        return Axis(old.factors, first - positions[0], positions[-1] + 1 - last)
    if len(old.factors) == 1 and not old.extra and step > 0 and positions[0] < step:
        (factor,) = old.factors
        return Axis((Factor(factor.what, factor.step * step, count),))
    return axis("?", count)


def map_axes(axes: Axes) -> MapAxes | None:
    """Return how a tensor with these axes holds maps; None if it holds none larger than one place."""
    places: dict[str, int] = {}
    images = [at for at, each in enumerate(axes) if each.is_only("b")]
    images += [at for at, each in enumerate(axes) if each.size == 1]
    coarsest = {
        what: max((f.step for each in axes for f in each.factors if f.what == what), default=0) for what in "hw"
    }
    channels = []
    before = 0
    for at, each in enumerate(axes):
        coarse = [f.what for f in each.factors if f.what in "hw" and f.step == coarsest[f.what]]
        if (not each.factors and not each.extra) or each.is_only("b"):
            continue
        if not coarse:
            if each.extra or any(factor.what in "?b" for factor in each.factors):
                return None
            channels.append(at)
        elif len(coarse) != len(each.factors) or coarse not in (["h"], ["w"], ["h", "w"]):
            return None
        else:
            places |= dict.fromkeys(coarse, at)
            if each.extra and len(coarse) != 2:
                return None
            before = before or each.before
    sizes = {f.what: f.size for each in axes for f in each.factors if f.what in places and f.step == coarsest[f.what]}
    if len(channels) > 1 or not places or not images:
        return None
    if len(places) == 1:  # a map of a single row or column is told from pooled rows or columns by its four axes
        other = 5 - next(iter(places.values()))
        if len(axes) != 4 or other not in (2, 3) or axes[other].size != 1:
            return None
        places = {"h": 2, "w": 3}
    at_places = tuple(dict.fromkeys((places["h"], places["w"])))
    return MapAxes(
        channels[0] if channels else None, at_places, sizes.get("h", 1), sizes.get("w", 1), before, images[0]
    )
