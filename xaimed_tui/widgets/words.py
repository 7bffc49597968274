"""Words that are said again and again: the same ones cost nothing, and where their box has a fixed size no layout."""

from __future__ import annotations

from typing import ClassVar

from textual.content import Content
from textual.widgets import Static

Part = str | tuple[str, str]
"""A piece of what is said: a text, or a text and its style."""


class Words(Static):
    """Words whose box may grow with them."""

    GROWS: ClassVar[bool] = True

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._said = Content("")

    def say(self, words: Content | str) -> None:
        """Show other words."""
        words = Content(words) if isinstance(words, str) else words
        if (words.plain, words.spans) != (self._said.plain, self._said.spans):
            self._said = words
            self.update(words, layout=self.GROWS)


class FixedWords(Words):
    """Words in a box whose size the style sheet gives: other words repaint it, the screen is not laid out again."""

    GROWS = False
