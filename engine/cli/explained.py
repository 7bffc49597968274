"""What `xaimed explain` prints of an image: the answer, a table of the maps, the exact cells, and what is doubtful."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli.console import print_line, print_table
from engine.explainers.registry import method_name, silence_notes
from engine.explanation.words import blank_words, chance_words, number_of_cells
from engine.results.diagnosis import probability_text

if TYPE_CHECKING:
    from pathlib import Path

    from engine.explanation.explain import Explanation


def print_explanation(explanation: Explanation, folder: Path) -> None:
    """Print what an explanation says, and the folder that it was written to."""
    from engine.explanation.evidence import out_of_time  # late, like the next line: numpy
    from engine.explanation.evidence_words import evidence_notes

    diagnosis = explanation.diagnosis
    probability = float(diagnosis.probabilities[diagnosis.index])
    answer = f"{diagnosis.predicted}, {probability_text(probability, 3)} ({diagnosis.standing})"
    print_line(f"{explanation.image.path}: {answer}")
    if diagnosis.undecided:
        print_line(f"Undecided: {diagnosis.why_undecided}.")
    if explanation.target != diagnosis.predicted:
        other = float(diagnosis.probabilities[diagnosis.classes.index(explanation.target)])
        print_line(f"Explained: {explanation.target}, {probability_text(other, 3)}")
    rows = []
    for method, saliency in explanation.maps.items():
        statistics = explanation.statistics[method]
        cells = " ".join(f"({row},{column})" for row, column in statistics.top) or "none: the map is constant"
        if len(statistics.named) < len(statistics.top):
            cells += f", {number_of_cells(statistics)}"
        certain = ("yes" if saliency.cells is not None else "no samples drawn") if statistics.certain else "no"
        rows.append(
            (
                method_name(method),
                cells,
                certain,
                f"{saliency.samples:,}" if saliency.samples else "",
                f"{saliency.seconds:.2f}",
            )
        )
    print_table(("Method", "Top cells (row,column)", "Certain", "Samples", "Seconds"), rows)
    counts = "  ".join(" ".join(str(count) for count in row) for row in explanation.consensus.counts)
    print_line(f"Agreement, row by row: {counts}")
    for sentence in chance_words(explanation):
        print_line(sentence)
    _print_exact(explanation)
    for note in silence_notes(explanation.maps, explanation.consensus.methods):
        print_line(note)
    for method, saliency in explanation.maps.items():
        if blank := blank_words(saliency):
            print_line(f"{method_name(method)}: {blank}")
        for line in evidence_notes(explanation, method):
            print_line(f"{method_name(method)}: {line}")
        for warning in saliency.warnings:
            print_line(f"{method_name(method)}: {warning}")
    if out_of_time(explanation.evidence.values()):
        print_line("Some questions were not answered in time: --evidence-seconds S gives S seconds for each map.")
    for warning in diagnosis.warnings:
        print_line(warning)
    print_line(f"Written to {folder}")


def _print_exact(explanation: Explanation) -> None:
    """Print what the exact cells say of the image and of every map, a line each."""
    from engine.explanation.exact_words import EXACT_TITLE, exact_lines, exact_notes, worth_words  # late: numpy

    if explanation.exact is None:
        return  # why it failed has been said
    for line in exact_lines(explanation):
        print_line(f"{EXACT_TITLE}. {line}")
    for method in explanation.maps:
        print_line(f"{method_name(method)}: {worth_words(explanation, method)}")
    for note in exact_notes(explanation.exact):
        print_line(f"{EXACT_TITLE}: {note}")
