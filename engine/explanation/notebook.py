"""An explanation as HTML for notebooks: self-contained, everything from outside escaped, below 1 MB."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from engine.explainers.registry import method_name
from engine.explanation.exact_words import exact_lines
from engine.explanation.figures import Figure, data_url, figure_size, figures_of, saliency_bar
from engine.explanation.words import INTENDED_USE, answer_notes, target_words
from engine.results.diagnosis import probability_text
from engine.text import safe_text

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation

MOST_BYTES = 950_000
"""A notebook keeps every output in its file, and many show none of 1 MB."""

_SIDES = (256, 208, 160, 112, 64)
"""Longer sides of the pictures in pixels; the first with which the whole fits is taken."""

_MOST_CLASSES = 8
_LONGEST = 1_000
"""Characters of one text from outside."""

_BOX = "font:14px/1.4 system-ui,sans-serif;color:#141414;background:#fff;padding:12px;max-width:1120px"
_FIGURE = "margin:0;width:256px"
_PICTURE = "width:256px;max-width:100%;image-rendering:pixelated;display:block"
_NOTE = "color:#5a5a5a;font-size:12px;margin:2px 0"
_STRONG = "color:#7a2e00;font-size:12px;font-weight:600;margin:2px 0"


def explanation_html(explanation: Explanation) -> str:
    """Return an explanation as an HTML fragment without scripts, styles sheets or anything to be loaded."""
    head, end = "".join(_head(explanation)), "".join(_end(explanation))
    for side in _SIDES:
        page = f'<div style="{_BOX}">{head}{_figures(explanation, side)}{end}</div>'
        if len(page) <= MOST_BYTES:
            break
    return page


def _head(explanation: Explanation) -> Iterator[str]:
    diagnosis, bundle = explanation.diagnosis, explanation.bundle
    predicted = f"{diagnosis.predicted} {probability_text(float(diagnosis.probabilities[diagnosis.index]), 3)}"
    yield f'<div style="font-size:18px;font-weight:700">{_text(predicted)}</div>'
    yield _line(f"Confidence {diagnosis.standing}; explained: {target_words(explanation)}.")
    yield _line(f"{explanation.image.public_name} · {bundle.task} / {bundle.name} · {bundle.digest[:12]}")
    for note in answer_notes(explanation):
        yield _line(note, _STRONG)
    yield from _probabilities(explanation)


def _probabilities(explanation: Explanation) -> Iterator[str]:
    diagnosis = explanation.diagnosis
    order = np.argsort(-diagnosis.probabilities, kind="stable")
    yield '<table style="border-collapse:collapse;margin:6px 0;color:#141414;background:#fff">'
    for index in order[:_MOST_CLASSES]:
        probability = float(diagnosis.probabilities[index])
        yield (
            f'<tr style="background:#fff"><td style="padding:0 8px 0 0;text-align:left">'
            f"{_text(diagnosis.classes[index])}</td>"
            f'<td style="padding:0 8px;text-align:right">{_text(probability_text(probability, 3))}</td>'
            f'<td style="width:160px;padding:0"><div style="background:#31688e;height:9px;'
            f'width:{round(160 * probability)}px"></div></td></tr>'
        )
    yield "</table>"
    if len(order) > _MOST_CLASSES:
        yield _line(f"and {len(order) - _MOST_CLASSES:,} more classes")


def _figures(explanation: Explanation, side: int) -> str:
    size = figure_size(explanation.view, side, explanation.pixel_aspect)
    figures = "".join(map(_figure, figures_of(explanation, size)))
    return f'<div style="display:flex;flex-wrap:wrap;gap:14px;margin-top:8px">{figures}</div>'


def _figure(figure: Figure) -> str:
    notes = (*(_line(note) for note in figure.notes), *(_line(note, _STRONG) for note in figure.strong))
    return (
        f'<figure style="{_FIGURE}"><div style="font-weight:600">{_text(figure.title)}</div>'
        f'<img style="{_PICTURE}" alt="{_text(f"{figure.title}: {figure.spoken}")}" src="{data_url(figure.picture)}">'
        f"<figcaption>{''.join(notes)}</figcaption></figure>"
    )


def _end(explanation: Explanation) -> Iterator[str]:
    bar = saliency_bar().picture
    yield f'<div style="margin-top:8px"><img style="width:256px;height:8px" alt="" src="{data_url(bar)}"></div>'
    yield _line("Colours: 0 the least salient pixel of a map, 1 (bright) the most salient. ? is not settled.")
    for method, reason in explanation.failures.items():
        yield _line(f"{method_name(method)} gave no map: {reason}", _STRONG)
    if explanation.exact is None:
        for line in exact_lines(explanation):  # why there are none
            yield _line(line, _STRONG)
    for sentence in explanation.assumed:
        yield _line(sentence)
    yield _line(INTENDED_USE)


def _line(text: str, style: str = _NOTE) -> str:
    return f'<div style="{style}">{_text(text)}</div>'


def _text(text: str) -> str:
    return html.escape(safe_text(text, limit=_LONGEST), quote=True)
