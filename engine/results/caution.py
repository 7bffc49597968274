"""A warning beside an answer: a sentence for people, with a stable code for programs."""

from __future__ import annotations

from collections.abc import Iterable

OTHER = "other"
"""The code of a warning that has none of its own, such as a plug-in's."""

ABSENCE = "absence"
"""The code of the warning that a class is what the network says where it sees nothing."""


class Caution(str):
    """A warning: its text is the sentence, and it also has a code.

    It is text, so whatever shows or saves warnings need not know about codes. Text made from it, by `safe_text` for
    example, has no code.

    Attributes:
        code: what kind of warning this is, in lower case with hyphens, such as `bits`. It never changes between
            versions, while the sentence may. A refusal of the same kind has the same code (`XAIMedError.code`).
    """

    __slots__ = ("code",)
    code: str

    def __new__(cls, code: str, sentence: str) -> Caution:
        """Return the warning `sentence` with its code."""
        caution = super().__new__(cls, sentence)
        caution.code = code
        return caution

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]  # a str's has one argument
        """Return what `copy` and `pickle` call the class with."""
        return self.code, str(self)


def codes_of(warnings: Iterable[str]) -> tuple[str, ...]:
    """Return the code of each warning, in their order; `OTHER` for plain text."""
    return tuple(warning.code if isinstance(warning, Caution) else OTHER for warning in warnings)
