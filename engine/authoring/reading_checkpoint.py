"""A checkpoint that is being imported: which of its networks is taken, and its tensors under the names of a network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from engine.checkpoints.content import recognise_bytes
from engine.checkpoints.hints import Hints, hints_in
from engine.checkpoints.matching import COUNTER, Match, Mismatch, Shapes
from engine.checkpoints.networks import Network, choose, divided, networks_in
from engine.errors import BundleError
from engine.network.weights import Weights, bare_tensors, read_tree, shape_of
from engine.storage.reading import UnusableFileError, read_limited

T = TypeVar("T")

Fit = Callable[[Shapes], tuple[Match, T] | Mismatch]
"""Fits the tensors of one network, by their names and shapes; returns what else there is to know of the fit."""

_MOST_BYTES = 100_000_000_000


class MismatchError(BundleError):
    """Weights that fit no network that was tried.

    Attributes:
        table: lines that show what is left over on either side.
    """

    def __init__(self, cause: str, subject: Path, remedy: str, table: tuple[str, ...]) -> None:
        super().__init__(cause, subject=subject, remedy=remedy)
        self.table = table


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file of weights that was read as data.

    Attributes:
        path: the file.
        sha256: of its content, in hex.
        words: what it is, for people.
        hints: what it says of classes and sizes.
        networks: the networks in it.
        size: in bytes.
    """

    path: Path
    sha256: str
    words: str
    hints: Hints
    networks: tuple[Network, ...]
    size: int

    def fill(self, key: str | None, fit: Fit[T]) -> tuple[Weights, T]:
        """Take the network that fits, and give its tensors the names that they have in it.

        Args:
            key: where the network lies in the file; None for the only one that fits, or the averaged one.
            fit: tells whether tensors fit, and how.

        Returns:
            The weights, in float32, with notes; and what `fit` gave.

        Raises:
            MismatchError: no network in the file fits; the error has a table of what is left over.
            BundleError: there is no network under `key`, or a person must choose one.
        """
        said: list[str] = []
        outcomes = [(network, fit(_shapes(network))) for network in self._asked(key, self.networks, said)]
        fitting = [(network, found) for network, found in outcomes if not isinstance(found, Mismatch)]
        if not fitting and key is None:
            parts = divided(self.networks, shape_of)
            if len(parts) > len(self.networks):
                said.clear()
                outcomes = [(network, fit(_shapes(network))) for network in self._asked(None, parts, said)]
                fitting = [(network, found) for network, found in outcomes if not isinstance(found, Mismatch)]
        if len(fitting) > 1:
            chosen, sentence = choose(tuple(network for network, _ in fitting), None, self.path)
            said.append(sentence)
            fitting = [(network, found) for network, found in fitting if network is chosen]
        if not fitting:
            worst = max((found for _, found in outcomes if isinstance(found, Mismatch)), key=lambda found: found.found)
            raise MismatchError(
                f"{worst.cause} ({worst.found:,} of the network's {worst.wanted:,} tensors were found)",
                self.path,
                "name the network that the weights were trained with, with --network or --architecture",
                worst.table(),
            )
        network, (matched, more) = fitting[0]
        if network.key and not said:
            said.append(f"The file holds several things; '{network.key}' was taken.")
        return self._named(network, matched, said), more

    def _asked(self, key: str | None, networks: tuple[Network, ...], said: list[str]) -> Iterable[Network]:
        """Return the networks to try: the one that is asked for or proposed, else all."""
        try:
            network, sentence = choose(networks, key, self.path)
        except BundleError:
            if key is not None or not networks:
                raise
            return networks
        if sentence:
            said.append(sentence)
        return (network,)

    def _named(self, network: Network, matched: Match, said: list[str]) -> Weights:
        taken = {name: network.tensors[other] for name, other in matched.names.items()}
        tensors: dict[str, torch.Tensor] = {}
        narrowed: set[str] = set()
        for name, value in bare_tensors(taken, self.size, self.path).items():
            kept = value
            if value.is_floating_point() and value.dtype != torch.float32:
                narrowed.add(str(value.dtype).removeprefix("torch."))
                kept = value.float()
            tensors[name] = kept.clone().contiguous()
        for name in matched.filled:
            if name.rpartition(".")[2] == COUNTER:
                tensors[name] = torch.zeros((), dtype=torch.int64)
        notes = [*said, *matched.notes]
        if narrowed:
            notes.append(f"The weights are {' and '.join(sorted(narrowed))}; they became float32.")
        return Weights(tensors, tuple(notes))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file of weights as data; no code in it runs.

    Raises:
        BundleError: it cannot be read, is no file of weights, or can be loaded only by running code.
        OutOfMemoryError: the machine ran out of memory.
    """
    try:
        data = read_limited(path, _MOST_BYTES)
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error
    tree = read_tree(data, path)
    return Checkpoint(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        words=recognise_bytes(data).words,
        hints=hints_in(tree),
        networks=networks_in(tree, shape_of),
        size=len(data),
    )


def _shapes(network: Network) -> Mapping[str, tuple[int, ...]]:
    shapes = {name: shape_of(value) for name, value in network.tensors.items()}
    return {name: shape for name, shape in shapes.items() if shape is not None}
