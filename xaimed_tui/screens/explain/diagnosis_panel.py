"""What the network says: the predicted class, and every class's probability as a bar with its confidence level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from engine.results.diagnosis import probability_text
from engine.text import safe_name, safe_text, shorten_together
from xaimed_tui.widgets.words import Part

if TYPE_CHECKING:
    from engine.results.diagnosis import Diagnosis

_EIGHTHS = " ▏▎▍▌▋▊▉"


class DiagnosisPanel(Widget):
    """Classes with their probabilities; the predicted one stands out, the explained one is marked."""

    DEFAULT_CSS = """
    DiagnosisPanel { height: auto; width: 100%; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._diagnosis: Diagnosis | None = None
        self._words = ""
        self._target: str | None = None
        self._least = 1

    def reserve(self, classes: int) -> None:
        """Keep room for an answer about so many classes, so that the list above keeps its height."""
        self._least = _lines_for(classes)
        self.refresh(layout=True)

    def show(self, diagnosis: Diagnosis | None, *, words: str = "", target: str | None = None) -> None:
        """Show an answer, or words instead of one."""
        width = self.content_size.width
        before = self._lines(width)
        self._diagnosis, self._words, self._target = diagnosis, words, target
        # Only another height needs a layout, which would repaint the whole side.
        self.refresh(layout=not width or before != self._lines(width))

    def render(self) -> RenderResult:
        """Draw the predicted class, then two lines per class: name, probability and level above a bar."""
        if self._diagnosis is None:
            return Content(self._words)
        diagnosis, width = self._diagnosis, max(self.content_size.width or self.container_size.width, 12)
        parts: list[Part] = [
            (safe_name(diagnosis.predicted, width), "bold $foreground"),
            (f"\n{diagnosis.confidence} confidence", "$primary"),
        ]
        rights = [
            f"{probability_text(value):>5} {level:<6}"
            for value, level in zip(diagnosis.probabilities, diagnosis.confidences, strict=True)
        ]
        room = max(width - max(map(len, rights)) - 2, 4)
        labels = shorten_together([safe_text(name) for name in diagnosis.classes], room)
        for index, (name, label, value, right) in enumerate(
            zip(diagnosis.classes, labels, diagnosis.probabilities, rights, strict=True)
        ):
            mark = "▸" if name == self._target else " "
            style = "bold $foreground" if index == diagnosis.index else "$text-muted"
            parts += [
                (f"\n{mark}{label}{' ' * max(1, width - 1 - len(label) - len(right))}{right}", style),
                (f"\n {bar(float(value), width - 1)}", "$primary" if index == diagnosis.index else "$secondary"),
            ]
        parts.extend((f"\n{safe_text(warning)}", "$text-warning") for warning in diagnosis.warnings)
        return Content.assemble(*parts)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """Return how many lines the answer takes at this width."""
        return self._lines(width)

    def _lines(self, width: int) -> int:
        if self._diagnosis is None:
            return max(self._least, len(Content(self._words).wrap(max(width, 1))))
        lines = sum(-(-len(safe_text(text)) // max(width - 1, 1)) for text in self._diagnosis.warnings)
        return max(self._least, lines + _lines_for(len(self._diagnosis.classes)))


def _lines_for(classes: int) -> int:
    return 2 + 2 * classes


def bar(share: float, width: int) -> str:
    """Return a horizontal bar for a share in [0, 1], drawn in eighths of a character; the rest is dotted."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    text = "█" * full + (_EIGHTHS[part] if part else "")
    return text + "·" * (width - len(text))
