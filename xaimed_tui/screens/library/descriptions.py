"""Describe tasks and models in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.text import safe_name, safe_text
from xaimed_tui.widgets.words import Part
from xaimed_tui.wording import reflow

if TYPE_CHECKING:
    from engine.bundle.model_bundle import ModelBundle
    from engine.library.tasks import ModelEntry, Task


LONGEST_DESCRIPTION = 20_000
"""Characters of a description that are shown."""

LONGEST_NOTES = 4_000
"""Characters of a section of free text in `model.toml` that are shown."""

MOST_CLASSES = 50
"""Class names that are shown."""


def prose(text: str) -> str:
    """Return a description, cut if it is too long, whose lines can be broken to any width."""
    return reflow(_cut(text, LONGEST_DESCRIPTION))


def _cut(text: str, limit: int) -> str:
    """Return text of several lines made safe; if it is cut, its end says so."""
    shown = safe_text(text, multiline=True, limit=limit)
    return f"{shown}\n(Cut here: the text has {len(text):,} characters.)" if len(shown) >= limit else shown


def label(model: ModelEntry) -> str:
    """Return a model's name, with its state if it cannot be used yet."""
    name = safe_text(model.name)
    return name if model.usable else f"{name} · {model.state}"


def _sentence(clause: str) -> str:
    return safe_text(f"{clause[:1].upper()}{clause[1:]}.", limit=2_000)


def why_no_model(task: Task) -> str:
    """Return why a task cannot be used; empty if it can."""
    return "" if any(model.usable for model in task.models) else "no model of this task can be used"


def standing(entry: ModelEntry, *, loading: bool, loaded: bool, error: str) -> list[Part]:
    """Say whether a model is in use, or can be, and how.

    Args:
        entry: the model.
        loading, loaded: whether it is being loaded, or is in use.
        error: why it could not be loaded, as a safe line; empty if that did not fail.
    """
    parts: list[Part] = []
    if error:
        parts += [("Could not be loaded. ", "bold $text-error"), error, "\n\n"]
    if entry.bundle is None:
        parts += [("Cannot be used: ", "bold $text-warning"), safe_text(entry.reason), "\n\n"]
    elif entry.standing is not None and not entry.usable:
        word = "Changed since it was approved." if entry.state == "changed" else "Not approved."
        parts += [(word, "bold $text-warning"), f" {_sentence(entry.standing.cause)}\n"]
        parts += [("Enter", "bold $primary"), " shows its code and asks\n\n"]
    elif loading:
        parts += [("Loading the network…", "bold $primary"), "\n\n"]
    elif loaded:
        parts += [("● in use", "bold $text-success"), "   3 shows images\n\n"]
    else:
        parts += [("Enter", "bold $primary"), " loads this model\n\n"]
    return parts


def facts(bundle: ModelBundle) -> list[Part]:
    """Return the network's input and classes, what was assumed about it, and what its makers say."""
    height, width = bundle.input.size
    colour = "grey" if bundle.input.channels == 1 else "RGB"
    how = "of exactly this size" if bundle.input.exact_size else f"other sizes: {bundle.input.resize}"
    names = bundle.output.classes or ()
    classes = ", ".join(safe_name(name, 40) for name in names[:MOST_CLASSES]) or "not named"
    if len(names) > MOST_CLASSES:
        classes += f" and {len(names) - MOST_CLASSES:,} more"
    parts: list[Part] = []
    if not bundle.runs_code:
        parts += [("Network  ", "bold"), safe_text(bundle.built_from), "; it needs no approval\n"]
    parts += [
        ("Input    ", "bold"),
        f"{height}x{width} {colour}, {how}",
        ("\nClasses  ", "bold"),
        classes,
        ("\nDigest   ", "bold"),
        f"{bundle.digest[:16]}…\n",
    ]
    if bundle.assumed:
        parts.append(("\nAssumed, as no file says so\n", "bold $text-warning"))
        parts += [f"  · {safe_text(sentence)}\n" for sentence in bundle.assumed]
    for section, text in bundle.notes.items():
        parts += [
            (f"\n{safe_text(section).replace('_', ' ').capitalize()}\n", "bold"),
            f"{_cut(text, LONGEST_NOTES)}\n",
        ]
    return parts
