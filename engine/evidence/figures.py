"""What was measured for *of this network*, kept by what decides a model's answers: once for each model and method.

The figures of the bundled models come with the package, in `bundled_figures.json` beside this file
(`python -m engine.explanation.bundled_figures` writes it); those of others lie in a file a model in the state folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.bundle.fit_npz import signature
from engine.evidence.of_this_network import IMAGES, MOST_SAMPLES, Figures
from engine.evidence.random_weights import DEPTHS
from engine.explainers.registry import plug_in
from engine.explainers.settings import chosen_parameters, declared_method
from engine.results.cells import TOP
from engine.storage import places
from engine.storage.documents import DocumentError, parse_json
from engine.storage.reading import UnusableFileError, read_limited
from engine.storage.writing import locked, replace_file

if TYPE_CHECKING:
    from engine.bundle.model_bundle import ModelBundle
    from engine.explainers.settings import Settings

BUNDLED = Path(__file__).with_name("bundled_figures.json")

_VERSION = 1
"""Part of the key; raise it when figures are measured in another way."""

_MOST_BYTES = 1_000_000
_MOST_KEPT = 100
"""Figures of one model: with more, which only plug-ins and many layers could give, the oldest are dropped."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


def figures_digest(bundle: ModelBundle) -> str:
    """Return what a model's figures are kept by: a hex SHA-256 over all that decides its answers.

    It covers weights, code, input and output, and not what a model folder says in words: a description that is written
    anew makes nothing stale.
    """
    if bundle.weights.name not in bundle.files:  # a network in memory
        return bundle.digest
    return hashlib.sha256(f"{signature(bundle)}\n{bundle.output}".encode()).hexdigest()


def figures_key(bundle: ModelBundle, method: str, settings: Settings) -> str:
    """Return what figures are kept by, within a model's: the method, its layer and its parameters but the samples.

    Raises:
        ExplanationError: a plug-in that cannot be used.
    """
    parameters = chosen_parameters(method, bundle, settings)
    parameters.pop("samples", None)
    found = plug_in(method)
    facts = {
        "method": method,
        "package": None if found is None else found.package,
        "layer": settings.layer if declared_method(method).layer else None,
        "parameters": parameters,
        "images": IMAGES,
        "samples": MOST_SAMPLES,
        "version": _VERSION,
    }
    return json.dumps(facts, sort_keys=True, ensure_ascii=True)


def known_figures(digest: str, key: str) -> Figures | None:
    """Return what was measured of a model and a method; None where nothing was, or its file is damaged."""
    return bundled_figures().get(digest, {}).get(key) or _stored(digest).get(key)


def keep_figures(digest: str, key: str, figures: Figures) -> None:
    """Keep what was measured in the state folder; if that cannot be written, it is measured again next time."""
    path = _path(digest)
    if path is None:
        return
    try:
        with locked(path):
            kept = {**{own: each for own, each in _stored(digest).items() if own != key}, key: figures}
            newest = dict(list(kept.items())[-_MOST_KEPT:])
            replace_file(path, figures_as_json({digest: newest}).encode("ascii"))
    except OSError:  # a full disk, or a folder that cannot be written
        return


@cache
def bundled_figures() -> Mapping[str, Mapping[str, Figures]]:
    """Return the figures of the bundled models: by digest, then by key."""
    return MappingProxyType(dict(_read(BUNDLED)))


def figures_as_json(figures: Mapping[str, Mapping[str, Figures]]) -> str:
    """Return the content of a file of figures: by digest, then by key."""
    content = {
        digest: {
            key: {
                "correlations": dict(each.correlations),
                "shared": dict(each.shared),
                "images": each.images,
                "reliability": each.reliability,
            }
            for key, each in of_model.items()
        }
        for digest, of_model in figures.items()
    }
    return json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _path(digest: str) -> Path | None:
    """Return where a model's figures are kept; None for a digest that is no file's name."""
    return places.figures() / f"{digest}.json" if _DIGEST.fullmatch(digest) else None


def _stored(digest: str) -> Mapping[str, Figures]:
    path = _path(digest)
    return {} if path is None else dict(_read(path)).get(digest, {})


def _read(path: Path) -> Iterator[tuple[str, Mapping[str, Figures]]]:
    """Yield the figures in a file by digest. What is not figures is left out: the file may hold anything."""
    try:
        content = parse_json(read_limited(path, _MOST_BYTES))
    except (UnusableFileError, DocumentError):
        return
    for digest, of_model in content.items() if isinstance(content, dict) else ():
        if isinstance(of_model, dict):
            read = ((key, _figures(each)) for key, each in of_model.items())
            yield digest, MappingProxyType({key: each for key, each in read if each is not None})


def _figures(content: object) -> Figures | None:
    match content:
        case {
            "correlations": dict() as correlations,
            "shared": dict() as shared,
            "images": int() as images,
            "reliability": int() | float() as reliability,
        }:
            pass
        case _:
            return None
    depths = set(correlations)
    sound = (
        depths
        and depths == set(shared)
        and depths <= set(DEPTHS)
        and all(_within(value, -1, 1) for value in correlations.values())
        and all(_within(value, 0, TOP) for value in shared.values())
        and _within(images, 1, IMAGES)
        and _within(reliability, 0, 1)
    )
    if not sound:
        return None
    ordered = [depth for depth in DEPTHS if depth in depths]
    return Figures(
        MappingProxyType({depth: float(correlations[depth]) for depth in ordered}),
        MappingProxyType({depth: float(shared[depth]) for depth in ordered}),
        images,
        float(reliability),
    )


def _within(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
