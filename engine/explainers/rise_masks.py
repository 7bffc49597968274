"""RISE's random masks (Petsiuk et al. 2018, section 3.2; reference code `eclique/RISE`), drawn batch by batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.acceleration.transfer import on_device

if TYPE_CHECKING:
    from numpy.typing import NDArray


def upsampling(grid: int, side: int) -> NDArray[np.float64]:
    """Return the matrices that enlarge a grid axis to `side` pixels, one for every shift below a cell.

    A grid of `grid` cells is enlarged bilinearly to (grid + 1) * cell pixels with cell = ceil(side / grid). As in the
    reference, it is reflected at its ends about the centre of the outer cells. It is cropped to `side` pixels at the
    shift.

    Returns:
        (cell, side, grid); each row sums to 1.
    """
    cell = math.ceil(side / grid)
    length = (grid + 1) * cell
    position = (np.arange(length) + 0.5) * grid / length - 0.5
    lower = np.floor(position).astype(int)
    share = position - lower
    matrix = np.zeros((length, grid))
    for offset, weight in ((0, 1.0 - share), (1, share)):
        np.add.at(matrix, (np.arange(length), _reflect(lower + offset, grid)), weight)
    return np.stack([matrix[shift : shift + side] for shift in range(cell)])


def _reflect(index: NDArray[np.int_], length: int) -> NDArray[np.int_]:
    """Mirror indices outside 0..length-1 about the first and the last element."""
    if length == 1:
        return np.zeros_like(index)
    period = 2 * (length - 1)
    folded = np.abs(index) % period
    return np.where(folded >= length, period - folded, folded)


class RiseMasks:
    """A stream of masks: the same seed gives the same masks however they are batched."""

    def __init__(
        self,
        size: tuple[int, int],
        grid: int,
        probability: float,
        seed: int,
        device: str = "cpu",
        *,
        antithetic: bool = False,
    ) -> None:
        """Start a stream.

        Args:
            size: (H, W) in pixels.
            grid: cells a side of the coarse grid, s in the paper.
            probability: that a grid cell shows the image, p in the paper.
            seed: of the random numbers.
            device: where the masks are made.
            antithetic: whether masks come in pairs, the first drawn from u and the second from 1 - u: where one shows
                the image the other hides it, as far as `probability` allows (at 0.5 everywhere).
        """
        self.size, self.grid, self.probability, self.device = size, grid, probability, device
        self.antithetic = antithetic
        self._exact = tuple(upsampling(grid, side) for side in size)
        self._rows, self._columns = (
            torch.tensor(matrices, dtype=torch.float32, device=device) for matrices in self._exact
        )
        # Two streams, so that how many numbers the shifts take never changes the grids.
        bits, shifts = np.random.SeedSequence(seed).spawn(2)
        self._bits, self._shifts = np.random.default_rng(bits), np.random.default_rng(shifts)
        self._kernels: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        self._drawn: list[tuple[NDArray[np.bool_], NDArray[np.int_]]] = []

    def __call__(self, start: int, stop: int) -> torch.Tensor:
        """Return the masks of samples start..stop-1, (stop - start, 1, H, W) float32 in [0, 1]."""
        return self.enlarge(*self.coarse(start, stop))

    def coarse(self, start: int, stop: int) -> tuple[NDArray[np.bool_], NDArray[np.int_]]:
        """Return the grids (n, s, s) and shifts (n, 2) of some samples; draw them in order, and keep them."""
        block = _BLOCK
        first, last = start // block, (stop - 1) // block + 1
        while len(self._drawn) < last:
            self._drawn.append(self._draw(block))
        bits = np.concatenate([drawn[0] for drawn in self._drawn[first:last]])
        shifts = np.concatenate([drawn[1] for drawn in self._drawn[first:last]])
        return bits[start - first * block : stop - first * block], shifts[start - first * block : stop - first * block]

    def _draw(self, count: int) -> tuple[NDArray[np.bool_], NDArray[np.int_]]:
        """Draw the next grids and shifts; the count must be even."""
        draws = count // 2 if self.antithetic else count
        uniform = self._bits.random((draws, self.grid, self.grid))
        shifts = self._shifts.integers(0, (len(self._rows), len(self._columns)), size=(draws, 2))
        bits = uniform < self.probability
        if self.antithetic:
            # `<=` for the second: at a probability of 0.5, a cell with u = 0.5 is hidden in the first mask, so it must
            # be shown in the other.
            bits = np.stack([bits, 1.0 - uniform <= self.probability], axis=1).reshape(count, self.grid, self.grid)
            shifts = shifts.repeat(2, axis=0)
        return bits, shifts

    def enlarge(self, bits: NDArray[np.bool_], shifts: NDArray[np.int_]) -> torch.Tensor:
        """Return the grids enlarged and cropped at their shifts, (n, 1, H, W) float32."""
        grids, places = on_device(bits.astype(np.float32), self.device), on_device(shifts, self.device)
        rows, columns = self._rows[places[:, 0]], self._columns[places[:, 1]]
        return torch.bmm(torch.bmm(rows, grids), columns.transpose(1, 2)).clamp_(0.0, 1.0)[:, None]

    def part_means(self, parts: tuple[NDArray[np.float64], ...], count: int) -> NDArray[np.float64]:
        """Return the first masks' means over parts of the image, (count, R * C), computed on the coarse grids.

        Args:
            parts: averaging weights of rows (R, H) and columns (C, W), see `engine.results.cells.part_weights`.
            count: number of masks.
        """
        bits, shifts = self.coarse(0, count)
        left, right = (weights @ exact for weights, exact in zip(parts, self._exact, strict=True))  # (shifts, R, s)
        means = left[shifts[:, 0]] @ bits.astype(np.float64) @ right[shifts[:, 1]].transpose(0, 2, 1)
        return np.asarray(means.reshape(count, -1))

    def weighted_sum(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum over the first n masks of weight times mask, (H, W), for (n,) weights.

        The coarse grids with the same shift are summed first, so only one grid a shift has to be enlarged.
        """
        bits, shifts = self.coarse(0, len(weights))
        rows, columns = self._exact
        sums = np.zeros((len(rows), len(columns), self.grid, self.grid))
        # Not `+=`, which would add only one of several grids with the same shift.
        np.add.at(sums, (shifts[:, 0], shifts[:, 1]), weights[:, None, None] * bits)
        return np.asarray(np.einsum("ahs,absc,bwc->hw", rows, sums, columns, optimize=True))

    def covariance(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the kernels `rows` (H, H) and `columns` (W, W) of the masks' exact covariance.

        Cov(M(y, x), M(y', x')) = p (1 - p) * rows[y, y'] * columns[x, x'], over both the grids and the shifts.
        """
        if self._kernels is None:
            # Cells are drawn independently, so two pixels vary together only by the cells on which both depend. The
            # mean of a mask is p at every shift, so the shifts add nothing.
            rows, columns = (
                np.tensordot(matrices, matrices, axes=([0, 2], [0, 2])) / len(matrices) for matrices in self._exact
            )
            self._kernels = rows, columns
        return self._kernels


_BLOCK = 256
"""Samples drawn at once, whatever the batch size, so that a seed always gives the same masks."""
