"""A report of one image on one page: what it says, before it is laid out as HTML or as PDF."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from engine.drawing.edges import draw_edges
from engine.drawing.scaling import scale_pixels
from engine.explainers.registry import method_name
from engine.explanation.evidence_words import MARKS, QUESTION_WORDS, VERDICT_WORDS, evidence_notes
from engine.explanation.exact_words import CHANCE, EXACT_MEANS, EXACT_TITLE, exact_lines, worth_words
from engine.explanation.figures import Figure, figure_size, figures_of
from engine.explanation.words import INTENDED_USE, answer_notes, target_words
from engine.images.bits import bits_of, shown_values
from engine.images.eye import fed_words
from engine.results.cells import CELL_NAMES, CELLS
from engine.results.diagnosis import probability_text
from engine.results.evidence import Evidence
from engine.text import word_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.explanation.explain import Explanation

ReportKind = Literal["html", "pdf"]
"""What a report can be laid out as."""

SIDE = 320
"""Longer side of a report's pictures, in pixels."""

EVIDENCE_TITLE = "Can these maps be believed?"

_MOST_CLASSES = 6

_MACHINE = ("xaimed", "torch", "python", "device", "precision", "threads")
"""What of the environment stands in a report; `explanation.json` has all."""

_NOT_PARAMETERS = frozenset(("passes_reused", "convolutions_looked_up", "batch_norm_folded", "convolutions_fused"))
"""Recorded with a map, but of no interest to a reader."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a report.

    Attributes:
        title: stands above it.
        header: of its columns.
        rows: as many texts as there are columns.
        note: what the numbers mean; may be empty.
        widths: of its columns, as parts of a whole; equal where there are none.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    widths: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says. All texts are as they come: the layout makes them safe.

    Attributes:
        answer: the predicted class and its probability.
        lines: what stands below the answer.
        strong: what must not be overlooked about the answer.
        classes: name and probability of the most probable classes.
        more_classes: how many further classes there are.
        figures: the pictures.
        evidence: the answers to the questions about each map.
        findings: sentences about the exact cells and the agreement.
        warnings: what must not be overlooked and stands beside no picture.
        tables: statistics and parameters.
        facts: name and value of what is known of the image, the model and the computation.
        intended_use: what it is for.
    """

    answer: str
    lines: tuple[str, ...]
    strong: tuple[str, ...]
    classes: tuple[tuple[str, float], ...]
    more_classes: int
    figures: tuple[Figure, ...]
    evidence: Table
    findings: tuple[str, ...]
    warnings: tuple[str, ...]
    tables: tuple[Table, ...]
    facts: tuple[tuple[str, str], ...]
    intended_use: str = INTENDED_USE


def report_file(kind: ReportKind) -> str:
    """Return the name of a report's file in the folder of an explanation."""
    return f"report.{kind}"


def report_of(explanation: Explanation, *, created: datetime | None = None) -> Report:
    """Return what a report of an explanation says.

    Args:
        explanation: what to report.
        created: the time to give; None for now.
    """
    diagnosis, bundle = explanation.diagnosis, explanation.bundle
    order = np.argsort(-diagnosis.probabilities, kind="stable")
    drawn = tuple(figures_of(explanation, figure_size(explanation.view, SIDE, explanation.pixel_aspect)))
    return Report(
        answer=f"{diagnosis.predicted} {probability_text(float(diagnosis.probabilities[diagnosis.index]), 3)}",
        lines=(
            f"Confidence {diagnosis.standing}; explained: {target_words(explanation)}.",
            f"{explanation.image.public_name} · {bundle.task} / {bundle.name}",
        ),
        strong=tuple(answer_notes(explanation)),
        classes=tuple((diagnosis.classes[i], float(diagnosis.probabilities[i])) for i in order[:_MOST_CLASSES]),
        more_classes=max(len(order) - _MOST_CLASSES, 0),
        figures=(_original(explanation), *(replace(each, notes=each.notes[:1]) for each in drawn)),
        evidence=_evidence(explanation),
        findings=tuple(_findings(explanation, drawn)),
        warnings=tuple(_warnings(explanation)),
        tables=tuple(table for table in (_statistics(explanation), _parameters(explanation)) if table.rows),
        facts=tuple(_facts(explanation, created or datetime.now(UTC))),
    )


def _original(explanation: Explanation) -> Figure:
    image = explanation.image
    spec = explanation.bundle.input
    pixels = shown_values(image, spec)
    window = fed_words(image, spec) if image.scan is not None else ""
    picture = Image.fromarray(scale_pixels(pixels, *figure_size(pixels, SIDE, image.pixel_aspect)))
    draw_edges(picture, image.letters, image.side)
    return Figure(
        title="Original",
        picture=picture,
        spoken=f"{image.width} x {image.height} pixels",
        notes=(f"{image.width} x {image.height} pixels, {f'window {window}' if window else 'as it was read'}",),
    )


def _judged(explanation: Explanation, method: str) -> tuple[str, ...]:
    """Return the lines about what a map is worth that its picture has elsewhere, and a report has in a table."""
    return (worth_words(explanation, method), *evidence_notes(explanation, method))


def _evidence(explanation: Explanation) -> Table:
    rows = []
    for method in explanation.maps:
        evidence = explanation.evidence.get(method, Evidence())
        verdicts = [f"{MARKS[verdict]} {VERDICT_WORDS[verdict]}" for verdict in evidence.verdicts.values()]
        worth = worth_words(explanation, method).removesuffix(f"; {CHANCE}")
        rows.append((method_name(method), *verdicts, worth))
    return Table(
        EVIDENCE_TITLE,
        (
            "Map",
            *(words.capitalize() + "?" for words in QUESTION_WORDS.values()),
            "Its three cells, by the exact cells",
        ),
        tuple(rows) if any(any(_judged(explanation, method)) for method in explanation.maps) else (),
        f"Of 84 choices of three cells, 1st is the best. {CHANCE[0].upper()}{CHANCE[1:]}.",
        (1.1, 1.2, 1.4, 1.2, 1.3, 5),
    )


def _findings(explanation: Explanation, drawn: Sequence[Figure]) -> Iterator[str]:
    """Yield what stands below the pictures, where there is room for it: each sentence once, with whose it is."""
    if explanation.exact is not None:
        yield EXACT_MEANS
        yield from exact_lines(explanation)
    in_table = {note for method in explanation.maps for note in _judged(explanation, method)}
    said: dict[str, list[str]] = {}
    for figure in drawn:
        if not figure.title.startswith(EXACT_TITLE):
            for note in (note for note in figure.notes[1:] if note not in in_table):
                said.setdefault(note, []).append(figure.title)
    for note, titles in said.items():
        yield f"{word_list(titles)}: {note}"


def _warnings(explanation: Explanation) -> Iterator[str]:
    """Yield what must not be overlooked and stands beside no picture."""
    yield from (f"{method_name(method)} gave no map: {reason}" for method, reason in explanation.failures.items())
    if explanation.exact is None:
        yield from exact_lines(explanation)  # why there are none
    yield from explanation.assumed


def _statistics(explanation: Explanation) -> Table:
    methods = list(explanation.statistics)
    rows = []
    for cell in CELLS:
        row = [CELL_NAMES[cell]]
        for method in methods:
            table = explanation.statistics[method]
            rank = f"{table.top.index(cell) + 1}. " if cell in table.top else ""
            lowest, highest = f"{table.min[cell]:.2f}", f"{table.max[cell]:.2f}"
            row.append(f"{rank}{table.mean[cell]:.2f} ({table.std[cell]:.2f}; {lowest}–{highest})")
        rows.append(tuple(row))
    return Table(
        "Statistics of the cells",
        ("Cell", *map(method_name, methods)),
        tuple(rows) if methods else (),
        "Mean saliency (standard deviation; lowest–highest), each map scaled to 0–1; in front, the ranks of its three.",
    )


def _parameters(explanation: Explanation) -> Table:
    rows = []
    for method, saliency in explanation.maps.items():
        said = [f"{name} {value}" for name, value in saliency.parameters.items() if name not in _NOT_PARAMETERS]
        seed = "" if saliency.seed is None else f"; seed {saliency.seed}"
        rows.append((method_name(method), "; ".join(said) + seed, f"{saliency.seconds:.2f}"))
    return Table("How the maps were made", ("Method", "Parameters", "Seconds"), tuple(rows), widths=(1, 6, 1))


def _facts(explanation: Explanation, created: datetime) -> Iterator[tuple[str, str]]:
    image, bundle, environment = explanation.image, explanation.bundle, explanation.environment
    bits = bits_of(image, bundle.input)
    size = f"{image.width} x {image.height} pixels, {image.colour}, {bits.used} bits"
    yield "Image", f"{image.public_name}; {size}; hash of the pixels {image.sha256}"
    height, width = bundle.input.size
    takes = f"takes {width} x {height} pixels, {'in colour' if bundle.input.channels == 3 else 'grey'}"
    yield "Model", f"{bundle.task} / {bundle.name}; {takes}; digest {bundle.digest}"
    computed = "; ".join(f"{name} {environment[name]}" for name in _MACHINE if name in environment)
    yield "Made", f"{created.astimezone(UTC).isoformat(timespec='seconds')}; {computed}"
