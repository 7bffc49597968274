"""What the network says: the predicted class, and every class's probability as a bar with its confidence level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from engine.results.diagnosis import probability_text
from engine.text import safe_name, safe_text, shorten_together
from xaimed_tui.widgets.words import Part
from xaimed_tui.wording import undecided_mark

if TYPE_CHECKING:
    from engine.results.diagnosis import Diagnosis

_EIGHTHS = " ▏▎▍▌▋▊▉"
_TICK = "│"
"""Marks the threshold on a bar: a line in a gap, so that it can be told from the bar without colour."""

_MOST_REASON = 2
"""Lines in which the reason is said why an answer is undecided: a multilabel network may name many classes."""

_LEAST_WARNED = 2
"""Lines that warnings get however many classes there are: one of the first one, and one about the others."""

READ_ON = "i"
"""The key that shows all that is said about the answer."""


class DiagnosisPanel(Widget):
    """Classes with their probabilities; the predicted one stands out, the explained one is marked.

    Whether the answer is undecided and what is doubtful about it stands above the bars, so that many classes cannot
    push it out of sight. Warnings that have no room are counted, with the key that shows them.
    """

    DEFAULT_CSS = """
    DiagnosisPanel { height: auto; width: 100%; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._diagnosis: Diagnosis | None = None
        self._words = ""
        self._target: str | None = None
        self._least = 1
        self._held = 0  # lines of the answer before, while the next one is awaited
        self._room = 0

    def reserve(self, classes: int) -> None:
        """Keep room for an answer about so many classes, so that the list above keeps its height."""
        self._least = 2 + 2 * classes
        self.refresh(layout=True)

    def show(
        self,
        diagnosis: Diagnosis | None,
        *,
        words: str = "",
        target: str | None = None,
        room: int = 0,
        goes_on: bool = False,
    ) -> None:
        """Show an answer, or words instead of one.

        Args:
            diagnosis: the answer.
            words: what to say without one.
            target: the class that is explained.
            room: lines that can be seen at once; 0 as long as that is not known.
            goes_on: whether the next answer is awaited: until then the list above keeps its height.
        """
        width = self.content_size.width
        before = self._lines(width)
        self._held = before if goes_on and diagnosis is None else 0
        self._diagnosis, self._words, self._target, self._room = diagnosis, words, target, room
        # The line about the threshold stays reserved: the next image of this network has it too.
        if diagnosis is not None and diagnosis.has_threshold:
            self._least = max(self._least, 3 + 2 * len(diagnosis.classes))
        # Only another height needs a layout, which would repaint the whole side.
        self.refresh(layout=not width or before != self._lines(width))

    def render(self) -> RenderResult:
        """Draw the predicted class and what is doubtful; then for each class its name, probability, level and bar."""
        if self._diagnosis is None:
            return Content(self._words)
        width = max(self.content_size.width or self.container_size.width, 12)
        return Content.assemble(*self._head(self._diagnosis, width), *self._bars(self._diagnosis, width))

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """Return how many lines the answer takes at this width."""
        return self._lines(width)

    def _lines(self, width: int) -> int:
        if self._diagnosis is None:
            return max(self._least, self._held, len(Content(self._words).wrap(max(width, 1))))
        head = Content.assemble(*self._head(self._diagnosis, max(width, 12)))
        return max(self._least, _height(head, width) + _lines_of_bars(self._diagnosis))

    def _head(self, diagnosis: Diagnosis, width: int) -> list[Part]:
        """Return the predicted class with its confidence, whether it is undecided and why, and the warnings."""
        undecided = undecided_mark(diagnosis, diagnosis.predicted)
        parts: list[Part] = [
            (safe_name(diagnosis.predicted, width - len(undecided)), "bold $foreground"),
            (undecided, "bold $text-warning"),
            (f"\n{diagnosis.confidence} confidence", "$primary"),
        ]
        if diagnosis.undecided:
            why = safe_text(diagnosis.why_undecided)
            parts += _cut(why if undecided else f"undecided: {why}", width, _MOST_REASON if self._room else 0)
        taken = _height(Content.assemble(*parts), width) + _lines_of_bars(diagnosis)
        lines = warning_lines(diagnosis.warnings, width, max(self._room - taken, _LEAST_WARNED) if self._room else 0)
        return parts + [(f"\n{line}", "$text-warning") for line in lines]

    def _bars(self, diagnosis: Diagnosis, width: int) -> list[Part]:
        rights = [
            f"{probability_text(value):>5} {level:<6}"
            for value, level in zip(diagnosis.probabilities, diagnosis.confidences, strict=True)
        ]
        room = max(width - max(map(len, rights)) - 2, 4)
        labels = shorten_together([safe_text(name) for name in diagnosis.classes], room)
        parts: list[Part] = []
        for index, (name, label, value, right, threshold) in enumerate(
            zip(diagnosis.classes, labels, diagnosis.probabilities, rights, diagnosis.thresholds, strict=True)
        ):
            mark = "▸" if name == self._target else " "
            style = "bold $foreground" if index == diagnosis.index else "$text-muted"
            filled = "$primary" if index == diagnosis.index else "$secondary"
            parts += [
                (f"\n{mark}{label}{' ' * max(1, width - 1 - len(label) - len(right))}{right}", style),
                (f"\n {bar(float(value), width - 1, threshold)}", filled),
            ]
        if diagnosis.has_threshold:
            parts.append((f"\n {_TICK} threshold {diagnosis.threshold:g}", "$text-muted"))
        return parts


def _cut(text: str, width: int, most: int) -> list[Part]:
    """Return a text in at most `most` lines, or all of it if that is 0, with the key that shows the rest."""
    lines = [line.plain.rstrip() for line in Content(text).wrap(max(width, 1))]
    if most and len(lines) > most:
        goes_on = f"… {READ_ON}: all"
        lines = lines[:most]
        lines[-1] = f"{lines[-1][: width - len(goes_on)]}{goes_on}"
    return [(f"\n{line}", "$text-warning") for line in lines]


def _lines_of_bars(diagnosis: Diagnosis) -> int:
    return 2 * len(diagnosis.classes) + diagnosis.has_threshold


def _height(content: Content, width: int) -> int:
    return len(content.wrap(max(width, 1)))


def warning_lines(warnings: tuple[str, ...], width: int, most: int) -> list[str]:
    """Return warnings as lines for a narrow pane, in at most `most` lines, or as many as they take if that is 0.

    If they do not all fit, the first one is shown as far as it does, and a line says how to read the others.
    """
    wrapped = [[line.plain for line in Content(f"! {safe_text(text)}").wrap(max(width, 1))] for text in warnings]
    lines = [line.rstrip() for each in wrapped for line in each]
    if not most or len(lines) <= most:
        return lines
    first = [line.rstrip() for line in wrapped[0]][: most - 1]
    if len(first) < len(wrapped[0]):
        first[-1] = f"{first[-1][: width - 1]}…"
    more = len(warnings) - 1
    return [*first, f"{READ_ON} shows {f'{more} more' if more else 'all of it'}"]


def bar(share: float, width: int, threshold: float | None = None) -> str:
    """Return a horizontal bar for a share in [0, 1], drawn in eighths of a character; the rest is dotted.

    Args:
        share: what is drawn.
        width: of the whole bar, in characters.
        threshold: a share that is marked on the bar by a line; None for no mark.
    """
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    text = "█" * full + (_EIGHTHS[part] if part else "")
    text += "·" * (width - len(text))
    if threshold is None:
        return text
    place = min(int(threshold * width), width - 1)
    return f"{text[:place]}{_TICK}{text[place + 1 :]}"
