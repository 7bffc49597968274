"""What was found about the reading of images: lines for people, and the lines of `model.toml` to change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.bundle.model_toml import toml_line, toml_value
from engine.bundle.schema import INPUT

if TYPE_CHECKING:
    from engine.authoring.labelled import Labelled
    from engine.authoring.readings import Judged, Reading, Verdict
    from engine.bundle.specs import InputSpec

_MOST_SHOWN = 8

CHANGED = ("resize", "colour_order", "value_range", "mean", "std")
"""The keys of `[input]` in which readings differ."""


def verdict_lines(labelled: Labelled, verdict: Verdict) -> Iterator[str]:
    """Yield what was found. The lines are not made safe for a terminal."""
    tried = len(verdict.ranked)
    yield f"{tried} readings of {verdict.images:,} labelled images; guessing would give {verdict.guessing:.3f}."
    if labelled.assumed:
        yield labelled.assumed
    if labelled.left_out:
        yield f"Left out, as the model has no such class: {', '.join(labelled.left_out[:8])}."
    yield "  Probability of the true class (geometric mean), images right, how far behind the best, reading:"
    shown = list(verdict.ranked[:_MOST_SHOWN])
    if verdict.declared not in shown:
        shown.append(verdict.declared)
    for judged in shown:
        yield f"  {judged.probability:.3f}  {judged.right:>4}/{verdict.images}  {_behind(judged):>15}  {_named(judged)}"
    if len(shown) < tried:
        yield f"  (and {tried - len(shown)} that fit less well)"
    yield _conclusion(verdict)


def _behind(judged: Judged) -> str:
    return f"{judged.behind:.3f} ± {judged.error:.3f}" if judged.behind or judged.error else "-"


def _named(judged: Judged) -> str:
    reading = judged.reading
    alike = f" (the same here: {'; '.join(reading.alike)})" if reading.alike else ""
    return f"{reading.said}{alike}"


def _conclusion(verdict: Verdict) -> str:
    best = verdict.best.reading
    if not verdict.above_guessing:
        return (
            "It cannot be told how images are read: in no reading do the answers fit the labels better than guessing. "
            "Are these the model's classes, in its order?"
        )
    if verdict.told and best.declared:
        return "What model.toml says, or leaves to be assumed, fits better than all other readings."
    if verdict.told:
        return f"This reading fits better than all others: {best.said}."
    if not verdict.declared.excluded:
        return (
            "It cannot be told for certain: what model.toml says, or leaves to be assumed, fits as far as these images "
            f"tell{'' if best.declared else f', and so does {best.said}'}. More images tell more."
        )
    names = "; ".join(judged.reading.said for judged in (verdict.best, *verdict.rivals[:4]))
    return (
        f"What model.toml says, or leaves to be assumed, does not fit. Which of these does cannot be told for certain: "
        f"{names}. More images tell more."
    )


def toml_changes(declared: InputSpec, reading: Reading) -> dict[str, object]:
    """Return the keys of `[input]` that have to be set for a reading, with their values; empty if none.

    Args:
        declared: what the bundle declares or assumes.
        reading: the one that is to hold.
    """
    changed = [name for name in CHANGED if getattr(declared, name) != getattr(reading.spec, name)]
    # The three belong together: mean and std are on values in the range.
    if {"value_range", "mean", "std"} & set(changed):
        changed = [name for name in CHANGED if name in (*changed, "mean", "std")]
    return {name: getattr(reading.spec, name) for name in changed}


def toml_lines(changes: dict[str, object]) -> Iterator[str]:
    """Yield the lines of `model.toml` for changes, with the table's name above them."""
    helps = {key.name: key.help for key in INPUT.keys}
    yield f"[{INPUT.name}]"
    for name, value in changes.items():
        yield toml_line(f"{name} = {toml_value(value)}", helps[name])


def verdict_json(labelled: Labelled, verdict: Verdict, declared: InputSpec) -> dict[str, object]:
    """Return what was found, for programs."""
    return {
        "images": verdict.images,
        "told": verdict.told,
        "above_guessing": verdict.above_guessing,
        "guessing": verdict.guessing,
        "contradicts": verdict.contradicts,
        "assumed": labelled.assumed or None,
        "left_out": list(labelled.left_out),
        "readings": [
            {
                "reading": judged.reading.said,
                "alike": list(judged.reading.alike),
                "declared": judged.reading.declared,
                "probability": judged.probability,
                "right": judged.right,
                "behind": judged.behind,
                "standard_error": judged.error,
                "excluded": judged.excluded,
                "input": {
                    name: list(value) if isinstance(value, tuple) else value
                    for name in CHANGED
                    for value in [getattr(judged.reading.spec, name)]
                },
            }
            for judged in verdict.ranked
        ],
        "changes": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in toml_changes(declared, verdict.best.reading).items()
        }
        if verdict.contradicts
        else {},
    }
