"""What stands beside a map wherever it is shown: whose map it is, what is uncertain in it, what it is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from engine.explainers.registry import method_name
from engine.results.caution import ABSENCE
from engine.results.cells import CELL_NAMES, Cell
from engine.results.diagnosis import probability_text
from engine.text import word_list

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.explanation.explain import Explanation
    from engine.results.saliency import SaliencyMap
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
    """Return which cells are named and how salient they are on average: `1 centre 0.81, 2? top 0.74, ...`.

    Where fewer than three are named, this begins with their number: `two cells: 1 centre 0.81, 2 top 0.74`. A cell
    outside the three is added where one of those that are named is not settled.
    """
    labels = sorted(cell_labels(statistics).items(), key=lambda item: (item[0] not in statistics.top, item[1]))
    doubtful = any(cell in statistics.ties for cell in statistics.named)
    said = [
        f"{label} {CELL_NAMES[cell]} {statistics.mean[cell]:.2f}"
        for cell, label in labels
        if cell in statistics.named or (doubtful and cell not in statistics.top)
    ]
    if not said:
        return "no cell is marked"
    fewer = f"{number_of_cells(statistics)}: " if len(statistics.named) < len(statistics.top) else ""
    return fewer + ", ".join(said)


def number_of_cells(statistics: GridStatistics) -> str:
    """Return how many cells a map names: `three cells`, `two cells`, `one cell`, or `no cell` if it is constant."""
    return ("no cell", "one cell", "two cells", "three cells")[len(statistics.named)]


def forced_words(statistics: GridStatistics) -> str:
    """Return the sentence about marked cells that are not named; empty if there are none."""
    forced = [CELL_NAMES[cell] for cell in statistics.top if cell not in statistics.named]
    if not forced:
        return ""
    has = "has its mark" if len(forced) == 1 else "have their marks"
    return (
        f"This map points at {number_of_cells(statistics)}: {' and '.join(forced)} {has} only because three cells are "
        "marked, with less than a quarter of the first cell's mean saliency."
    )


def blank_words(saliency: SaliencyMap) -> str:
    """Return what the network says where the whole image is hidden; empty where no one knows or a warning says it."""
    if saliency.blank is None or ABSENCE in saliency.warning_codes:
        return ""
    return f"With the whole image hidden, the probability is {probability_text(saliency.blank, 3)}."


def counted_words(explanation: Explanation) -> str:
    """Return what the agreement counts, or why it counts nothing."""
    names = [method_name(method) for method in explanation.consensus.methods]
    if names:
        return f"how many of {len(names)} maps have the cell among their three: {', '.join(names)}"
    why = "none of these methods votes" if explanation.maps else "no map could be made"
    return f"{why}, so there is nothing to count"


def chance_words(explanation: Explanation) -> Iterator[str]:
    """Yield how many cells have several votes beside how many would by chance, then the same for opinions."""
    consensus = explanation.consensus
    if len(consensus.chance) > 1:
        yield f"Cells with {_reached(consensus.counts, consensus.chance, 'votes')}."
    if len(consensus.groups) < len(consensus.methods) and len(consensus.opinions_chance) > 1:
        shared = [group for group in consensus.groups if len(group) > 1]
        together = " and ".join(word_list([method_name(method) for method in group]) for group in shared)
        yield (
            f"Independent opinions, where {together} have one together: cells with "
            f"{_reached(consensus.opinions, consensus.opinions_chance, 'opinions')}."
        )


def _reached(counts: NDArray[np.int64], chance: Sequence[float], what: str) -> str:
    """Return `2 or more of 4 votes: 5 (by chance 3.7); 3 or more: 1 (1.0); 4: 0 (0.1)`."""
    said = []
    for votes, expected in enumerate(chance[1:], start=2):
        least = f"{votes}" if votes == len(chance) else f"{votes} or more"
        of, by = (f" of {len(chance)} {what}", "by chance ") if votes == 2 else ("", "")
        said.append(f"{least}{of}: {int((counts >= votes).sum())} ({by}{expected:.1f})")
    return "; ".join(said)


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
