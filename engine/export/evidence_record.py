"""The evidence for a map as `explanation.json` records it: the four verdicts with their reasons and figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.export.numbers import Json, as_number, as_numbers

if TYPE_CHECKING:
    from engine.results.evidence import BetterThanChance, Curves, Evidence, OfThisNetwork, Right, Stable


def evidence_record(evidence: Evidence | None) -> Json:
    """Return the JSON object of a map's evidence; null where nothing is known."""
    if evidence is None:
        return None
    return {
        "right": _right(evidence.right),
        "better_than_chance": _better_than_chance(evidence.better_than_chance),
        "stable": _stable(evidence.stable),
        "of_this_network": _of_this_network(evidence.of_this_network),
    }


def _right(answer: Right) -> dict[str, Json]:
    # What the three cells are worth under every fill stands in the method's `exact`.
    return {**_begun(answer), "chance": None if answer.chance is None else as_number(answer.chance)}


def _better_than_chance(answer: BetterThanChance) -> dict[str, Json]:
    return {**_begun(answer), "deletion": _areas(answer.deletion), "insertion": _areas(answer.insertion)}


def _areas(curves: Curves | None) -> Json:
    if curves is None:
        return None
    return {
        "steps": len(curves.shares) - 1,
        "area": as_number(curves.area),
        "random_areas": as_numbers(curves.random_areas),
        "centre_area": as_number(curves.centre_area),
    }


def _stable(answer: Stable) -> dict[str, Json]:
    return {
        **_begun(answer),
        "settled_cells": answer.settled_cells,
        "copies": answer.copies,
        "correlation": None if answer.correlation is None else as_number(answer.correlation),
        "same_three": None if answer.same_three is None else as_number(answer.same_three),
    }


def _of_this_network(answer: OfThisNetwork) -> dict[str, Json]:
    return {
        **_begun(answer),
        "correlations": {depth: as_number(value) for depth, value in answer.correlations.items()},
        "shared": {depth: as_number(value) for depth, value in answer.shared.items()},
        "images": answer.images,
    }


def _begun(answer: Right | BetterThanChance | Stable | OfThisNetwork) -> dict[str, Json]:
    return {"verdict": str(answer.verdict), "why": answer.why}
