"""What input a network's weights ask for: the channels of its first layer, and the size that its dense layers need."""

from __future__ import annotations

import copy
import math
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from engine.network.reading import may_be_scores, tensors_in
from engine.network.torch_state import StateWatch
from engine.network.trial import Trial, try_pass

USUAL_SIDES = (224, 256, 192, 160, 128, 112, 96, 64, 50, 48, 32, 28, 240, 260, 299, 300, 320, 380, 384, 448, 512)
"""Usual sides of square inputs in pixels, in the order they are tried."""

ALL_SIDES = range(3, 641)
_LARGEST = 2048
_MOST_ALIKE = 64
"""As many sides in a row are looked at, which all give a dense layer what it takes."""

SECONDS = 8.0
"""The longest search."""

_MORE = 3.0
"""The longest search for further sizes, once one is known."""

_VIEW = re.compile(r"shape '\[([-\d, ]+)\]' is invalid for input of size (\d+)")

Waiting = Callable[[str], None]
"""Is told, in a clause, what a search is doing that takes long."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The square inputs that a network takes.

    Attributes:
        accepted: their sides in pixels, the most likely first; empty if none was found.
        layer: the layer whose weights say so; empty if sizes were only tried.
        wanted: how many numbers an image that layer takes; 0 without one.
        given: how many the first input that was tried gave it.
        complete: whether everything was tried that was meant to be; if not, the time ran out.
    """

    accepted: tuple[int, ...]
    layer: str = ""
    wanted: int = 0
    given: int = 0
    complete: bool = True


def channels_asked(trial: Trial, fed: int) -> tuple[int, str] | None:
    """Return how many channels an image must have for a network's first layer, and that layer's name.

    Args:
        trial: of a pass, which may have failed.
        fed: how many channels its images had.

    Returns:
        None if the weights do not tell.
    """
    first = trial.first
    if first is None or not first.expected or not first.got:
        return None
    if isinstance(first.module, nn.Linear) and len(first.given) < 3:  # of a flattened image
        side = flat_image(first.expected)
        return None if side is None else (side[0], first.name)
    # The code before it may repeat a grey image, or fold pixels into channels.
    asked, rest = divmod(first.expected * fed, first.got)
    return None if rest else (asked, first.name)


def flat_image(numbers: int) -> tuple[int, int] | None:
    """Return (channels, side) of the square image that has so many numbers; three times a square is no square."""
    for channels in (1, 3):
        side = math.isqrt(numbers // channels)
        if side and channels * side * side == numbers:
            return channels, side
    return None


class SideSearch:
    """Finds the square inputs that a network takes."""

    def __init__(self, network: nn.Module, channels: int, watch: StateWatch, *, seconds: float = SECONDS) -> None:
        """Prepare a search.

        Args:
            network: on the CPU, in evaluation mode.
            channels: of the input.
            watch: over the network's code.
            seconds: the longest it may take, but for the pass that runs at the end.
        """
        self._channels, self._watch = channels, watch
        self._until = time.monotonic() + seconds
        self._network = self._real = network
        self._batch = 1
        self._tried: dict[tuple[bool, int], Trial] = {}
        try:
            self._network = copy.deepcopy(network).to("meta")  # quick: tensors there have a shape but no numbers
        except Exception:  # a network's own code may fail in any way when it is copied
            self._network = network

    def at(self, side: int, *, real: bool = False) -> Trial:
        """Try a side; on the real network if asked."""
        network = self._real if real else self._network
        key = network is self._real, side
        if key not in self._tried:
            device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
            with self._watch.passing():
                images = torch.zeros(self._batch, self._channels, side, side, device=device)
                self._tried[key] = try_pass(network, images)
        return self._tried[key]

    def takes(self, side: int) -> bool:
        """Whether the network gives scores for inputs of this side."""
        trial = self.at(side)
        return trial.error is None and any(
            may_be_scores(value, self._batch) for value in tensors_in(trial.output).values()
        )

    def run(self, first: int = USUAL_SIDES[0], waiting: Waiting = lambda text: None) -> Sides:
        """Return the sides that the network takes.

        Args:
            first: tried before all others.
            waiting: told what takes long.
        """
        if not self.takes(first):
            # Code that depends on the numbers fails where there are none.
            if self.at(first, real=True).error is None:
                self._network = self._real
                if not self.takes(first) and self._mismatch(first) is None:
                    return Sides((first,))  # it passes; what is wrong with its output is not the size
            elif not self._takes_pairs(first) and (solved := self._solved(first)) is not None:
                return solved
        if self.takes(first):
            self._until = min(self._until, time.monotonic() + _MORE)  # others are only good to know
        else:
            waiting(f"it does not take {first}x{first} pixels; trying other sizes")
        usual = self._accepted((first, *(side for side in USUAL_SIDES if side != first)))
        if not usual and self.takes(first):
            usual = (first,)  # the time was up before
        if usual or self._late:
            return Sides(usual, complete=not self._late)
        waiting(f"it takes none of the usual sizes; trying all from {ALL_SIDES[0]} to {ALL_SIDES[-1]} pixels")
        accepted = self._accepted(ALL_SIDES)
        return Sides(accepted, complete=not self._late)

    def _takes_pairs(self, side: int) -> bool:
        """Pass two images at once from here on, if one by itself fails at this side, and two do not."""
        self._batch, kept = 2, self._tried
        self._tried = {}
        if self.takes(side):
            return True
        self._batch, self._tried = 1, kept
        return False

    @property
    def _late(self) -> bool:
        return time.monotonic() > self._until

    def _accepted(self, sides: Iterable[int]) -> tuple[int, ...]:
        found = []
        for side in sides:
            if self._late:
                break
            if self.takes(side):
                found.append(side)
        return tuple(found)

    def _solved(self, side: int) -> Sides | None:
        """Return the sides at which the dense layer that fails at this one is given what it takes."""
        mismatch = self._mismatch(side)
        if mismatch is None:
            return None
        layer, given, wanted = mismatch
        low, high = ALL_SIDES[0], _LARGEST
        while low < high and not self._late:
            middle = (low + high) // 2
            if self._at_least(middle, wanted):
                high = middle
            else:
                low = middle + 1
        found = []
        for near in range(low, low + _MOST_ALIKE):
            if self._late or not self.takes(near):
                break
            found.append(near)
        usual = [each for each in USUAL_SIDES if each in found]
        rest = [each for each in found if each not in usual]
        return Sides((*usual, *rest), layer, wanted, given, complete=not self._late)

    def _at_least(self, side: int, wanted: int) -> bool:
        if self.takes(side):
            return True
        found = self._mismatch(side)
        return found is not None and found[1] >= wanted

    def _mismatch(self, side: int) -> tuple[str, int, int] | None:
        """Return a dense layer, how many numbers an image it is given at a side, and how many it takes.

        None if no dense layer stands in the way. The name is empty where the code itself sets the number.
        """
        trial = self.at(side)
        failed = trial.failed_in
        if failed is not None and isinstance(failed.module, nn.Linear) and 0 < len(failed.given) < 3:
            # A flattened image of one number too many is given as several rows, or as one that is too long.
            return failed.name, math.prod(failed.given) // self._batch, failed.module.in_features
        if trial.error is not None:
            if (matched := _VIEW.search(str(trial.error))) is None:
                return None
            wanted = math.prod(abs(int(part)) for part in matched[1].split(","))
            return "", int(matched[2]), wanted
        for entered in trial.entered:
            if isinstance(entered.module, nn.Linear) and len(entered.given) == 2 and entered.given[0] != self._batch:
                return entered.name, math.prod(entered.given) // self._batch, entered.module.in_features
        return None
