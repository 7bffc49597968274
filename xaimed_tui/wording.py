"""Words for what the engine counts (cells, methods, confidence), and numbers as people write them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len

from engine.explainers import registry
from engine.results.cells import CELL_NAMES, Cell
from engine.text import safe_name, safe_text

if TYPE_CHECKING:
    from engine.results.consensus import Consensus
    from engine.results.diagnosis import Diagnosis
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics

LONG_LINE = 72
"""Characters from which a line of a description counts as broken because of its length."""

EXACT = "exact"
"""The key of the exact cells among those of the methods: in reports of progress, and of their card."""

EVIDENCE = "evidence"
"""The key of the questions about the maps among those of the methods, in reports of progress."""

EXACT_KEY = "c"
"""The key on the keyboard that starts and shows the exact cells."""

_DIGITS = "1234567890"
"""Keys of the methods that have no letter, by their place: the fifth method has the 5."""

_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


_NO_METHODS = {EXACT: "Exact cells", EVIDENCE: "Evidence"}


def method_bindings() -> dict[str, str]:
    """The methods by the key that starts them; a method for which no key is left has none."""
    bindings: dict[str, str] = {}
    for digit, method in zip_longest(_DIGITS, registry.method_keys()):
        found = None if method is None else registry.find_method(method)
        if found is not None and (key := found.letter or digit):
            bindings[key] = found.key
    return bindings


def count_word(count: int) -> str:
    """A count in words, up to ten."""
    return _COUNTS[count] if count < len(_COUNTS) else str(count)


def method_name(method: str) -> str:
    """Return a method's name; its key if there is no such method."""
    if method in _NO_METHODS:
        return _NO_METHODS[method]
    return safe_name(registry.method_name(method), 30)


def key_of(method: str) -> str:
    """Return the key that starts a method; empty if it has none."""
    if method == EXACT:
        return EXACT_KEY
    return next((key for key, name in method_bindings().items() if name == method), "")


def cell_list(cells: Iterable[Cell]) -> str:
    """Return cells in words, separated by commas."""
    return ", ".join(CELL_NAMES[cell] for cell in cells)


def count_text(consensus: Consensus, cell: Cell) -> str:
    """Return how many methods mark a cell: `2`, or `2?` if that depends on choices that are not settled."""
    return f"{int(consensus.counts[cell])}{'?' if cell in consensus.unsettled else ''}"


def settled_by(made: SaliencyMap, cells: GridStatistics) -> Literal["samples", "no samples", ""]:
    """Return what makes a map's choice of three cells certain: its samples, or that it needs none.

    Empty if the choice is not certain, and for a map with a warning, which claims nothing.
    """
    if not cells.certain or made.warnings:
        return ""
    return "no samples" if made.cells is None else "samples"


def undecided_mark(diagnosis: Diagnosis, name: str) -> str:
    """Return what stands behind the name of a class if the answer is undecided about it; else nothing."""
    return ", undecided" if name in diagnosis.undecided_classes else ""


def doubts(diagnosis: Diagnosis) -> list[str]:
    """Return all that is doubtful about an answer, a sentence each; not made safe for a terminal."""
    undecided = [f"Undecided: {diagnosis.why_undecided}."] if diagnosis.undecided else []
    return [*undecided, *diagnosis.warnings]


def seconds_text(seconds: float) -> str:
    """Return a duration: `3 ms`, `0.42 s`, `12.3 s`, `3 min 20 s`."""
    if 0 < seconds < 0.1:
        return f"{max(1, round(1000 * seconds))} ms"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def time_left(elapsed: float, done: int, total: int) -> str:
    """Return roughly how long the rest takes at the present pace; empty while the pace is not known."""
    if elapsed < 0.5 or not 0 < done < total:
        return ""
    seconds = max(1, round(elapsed * (total - done) / done))
    return f"~{seconds} s left" if seconds < 120 else f"~{round(seconds / 60)} min left"


def reflow(text: str) -> str:
    """Join long lines that were broken by hand, so that a pane can wrap the text to its own width.

    A line is joined to the one before it if both are prose, equally indented, and the one before is long. Tables (two
    spaces inside a line), lists and short lines stay as they are.
    """
    lines: list[str] = []
    indent_of_long: int | None = None
    for line in text.split("\n"):
        words = line.strip()
        indent = len(line) - len(line.lstrip())
        prose = bool(words) and "  " not in words and words[0] not in "-*#|"
        if prose and indent == indent_of_long:
            lines[-1] = f"{lines[-1].rstrip()} {words}"
        else:
            lines.append(line)
        indent_of_long = indent if prose and len(line) >= LONG_LINE else None
    return "\n".join(lines)


def path_text(path: Path, width: int) -> str:
    """Return a path in at most `width` columns: the home folder as `~`, cut at its beginning."""
    text = safe_text(path)
    home = safe_text(Path.home())
    if text == home or text.startswith(home + "/"):
        text = "~" + text[len(home) :]
    if cell_len(text) <= width:
        return text
    # Letter by letter from the end, since wide letters take two columns; one column is for the ellipsis.
    start, room = len(text), width - 1
    while start and (columns := cell_len(text[start - 1])) <= room:
        start, room = start - 1, room - columns
    return f"…{text[start:]}"
