"""What stands beside a map wherever it is shown: whose map it is, what is uncertain in it, what it is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from engine.explainers.registry import method_name
from engine.results.cells import CELL_NAMES, Cell
from engine.results.diagnosis import probability_text

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.results.statistics import GridStatistics

INTENDED_USE = "Research use only; not a medical device."


def target_words(explanation: Explanation) -> str:
    """Return the class that is explained and its probability; the predicted class too, where that is another."""
    diagnosis = explanation.diagnosis
    probability = float(diagnosis.probabilities[diagnosis.classes.index(explanation.target)])
    said = f"“{explanation.target}”, probability {probability_text(probability, 3)}"
    if explanation.target != diagnosis.predicted:
        return f"{said} (predicted: “{diagnosis.predicted}”{', undecided' if diagnosis.undecided else ''})"
    return f"{said}, undecided" if diagnosis.undecided else said


def cell_labels(statistics: GridStatistics) -> Mapping[Cell, str]:
    """Return the label of every cell that is marked: its rank, with `?` where its place is not settled.

    Cells outside the three that might belong to them come first; their label is `?` alone.
    """
    labels = {cell: "?" for cell in statistics.ties if cell not in statistics.top}
    for rank, cell in enumerate(statistics.top, start=1):
        labels[cell] = f"{rank}?" if cell in statistics.ties else str(rank)
    return labels


def uncertainties(explanation: Explanation, method: str) -> Iterator[str]:
    """Yield sentences about what is uncertain in a map."""
    saliency, statistics = explanation.maps[method], explanation.statistics[method]
    if saliency.constant:
        yield "Constant map: no cell is marked."
    if saliency.stopped:
        yield f"Stopped after {saliency.samples:,} samples."
    if statistics.ties:
        cells = ", ".join(CELL_NAMES[cell] for cell in statistics.ties)
        start = "At 99 % it is" if saliency.cells is not None else "Some cells are equal, so it is"
        yield f"{start} not settled which of these cells belong to the three: {cells}."


def cells_in_words(statistics: GridStatistics) -> str:
    """Return which cells are marked and how salient they are on average: `1 centre 0.81, 2? top 0.74, ...`."""
    labels = sorted(cell_labels(statistics).items(), key=lambda item: (item[0] not in statistics.top, item[1]))
    said = [f"{label} {CELL_NAMES[cell]} {statistics.mean[cell]:.2f}" for cell, label in labels]
    return ", ".join(said) if said else "no cell is marked"


def counted_words(explanation: Explanation) -> str:
    """Return what the agreement counts, or why it counts nothing."""
    names = [method_name(method) for method in explanation.consensus.methods]
    if names:
        return f"how many of {len(names)} maps have the cell among their three: {', '.join(names)}"
    why = "none of these methods votes" if explanation.maps else "no map could be made"
    return f"{why}, so there is nothing to count"


def view_words(explanation: Explanation) -> str:
    """Return what the picture is on which the maps lie."""
    given = explanation.bundle.in_memory
    if given is not None and given.preprocessing is not None:
        return f"The network's input, made by {given.preprocessing}"
    return "What the network sees"


def answer_notes(explanation: Explanation) -> Iterator[str]:
    """Yield what must not be overlooked about the answer."""
    diagnosis = explanation.diagnosis
    if diagnosis.undecided:
        yield f"Undecided: {diagnosis.why_undecided}."
    yield from diagnosis.warnings


def map_notes(explanation: Explanation, method: str) -> Iterator[str]:
    """Yield what must not be overlooked about a map."""
    yield from uncertainties(explanation, method)
    yield from explanation.maps[method].warnings
