"""Images whose classes are known: in folders named after the classes, or listed in a CSV file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.authoring.fit_images import read_table
from engine.errors import BundleError
from engine.images.listing import images_below, list_images

FEWEST = 3
"""Fewer images of a class than this say nothing."""

_MOST_EACH, _MOST = 16, 160
"""Images of a class, and of all classes, that are taken."""

_FIRST_LINES = {"file", "image", "path", "filename", "name", "id"}
"""What the first column of a CSV file is called, if it has a line of names."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Images with their classes.

    Attributes:
        images: the files.
        labels: the index of each image's class.
        assumed: how labels and classes were matched where their names do not say; empty if they do.
        classes: names for the classes, in the order of the outputs, where the model has none; else empty.
        left_out: labels that are no class of the model.
    """

    images: tuple[Path, ...]
    labels: tuple[int, ...]
    assumed: str = ""
    classes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def read_labelled(place: Path, classes: Sequence[str], *, named: bool) -> Labelled:
    """Return labelled images, the same number of each class where there are enough.

    Args:
        place: a folder with a subfolder for each class, or a CSV file with the columns file and label; files are
            relative to its folder.
        classes: the model's.
        named: whether the model declares their names; else the labels in alphabetical order are its outputs in theirs.

    Raises:
        BundleError: it is neither, or has too few images of two classes.
        ImageError: the folder cannot be read.
    """
    found = dict(_in_table(place) if place.suffix.lower() == ".csv" else _in_folders(place))
    labels = sorted(set(found.values()), key=_in_order)
    index, assumed = _matched(labels, classes, named=named)
    if not index:
        raise BundleError(
            f"none of its labels ({', '.join(labels[:6]) or 'there are none'}) is a class of the model",
            subject=place,
            remedy=f"name the folders, or the labels of the table, {', '.join(classes[:6])}",
        )
    by_class: dict[int, list[Path]] = {}
    for path, label in sorted(found.items()):
        if label in index:
            by_class.setdefault(index[label], []).append(path)
    enough = {number: files for number, files in by_class.items() if len(files) >= FEWEST}
    check_enough([number for number, files in enough.items() for _ in files], place)
    each = max(FEWEST, min(_MOST_EACH, _MOST // len(enough)))
    chosen = [
        (files[row], number)
        for number, files in sorted(enough.items())
        for row in np.unique(np.linspace(0, len(files) - 1, min(each, len(files))).astype(int))
    ]
    return Labelled(
        tuple(path for path, _ in chosen),
        tuple(number for _, number in chosen),
        assumed,
        () if named or not assumed else tuple(labels),
        tuple(label for label in labels if label not in index),
    )


def _in_folders(place: Path) -> Iterator[tuple[Path, str]]:
    list_images(place)  # says why a folder cannot be read
    for folder in sorted(place.iterdir()):
        if folder.is_dir() and not folder.name.startswith("."):
            for path in images_below(folder):
                yield path, folder.name


def _in_table(place: Path) -> Iterator[tuple[Path, str]]:
    for file, label in read_table(place, "label").items():
        path = place.parent / file
        if file.strip().casefold() in _FIRST_LINES and not path.exists():
            continue
        yield path, label.strip()


def _in_order(label: str) -> tuple[int, str]:
    """Sort numbers as numbers."""
    return (int(label), "") if label.isascii() and label.isdigit() and len(label) < 9 else (10**9, label)


def _matched(labels: Sequence[str], classes: Sequence[str], *, named: bool) -> tuple[Mapping[str, int], str]:
    """Return the class of each label, and what had to be assumed for that."""
    own = {_plain(name): place for place, name in enumerate(classes)}
    by_name = {label: own[_plain(label)] for label in labels if _plain(label) in own}
    if len(by_name) >= 2 or (named and by_name):
        return by_name, ""
    numbers = {label: int(label) for label in labels if label.isascii() and label.isdigit() and len(label) < 9}
    if labels and len(numbers) == len(labels) and max(numbers.values()) < len(classes):
        return numbers, "The labels are taken for the numbers of the model's outputs, from 0."
    if not named and len(labels) == len(classes):
        said = ", ".join(f"{place} {label}" for place, label in enumerate(labels))
        return (
            {label: place for place, label in enumerate(labels)},
            f"The model's classes have no names: its outputs are taken for the labels in alphabetical order ({said}).",
        )
    return {}, ""


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().casefold()


def check_enough(labels: Sequence[int], place: Path) -> None:
    """Check that there are enough images of two classes.

    Raises:
        BundleError: there are not.
    """
    enough = [label for label in set(labels) if labels.count(label) >= FEWEST]
    if len(enough) < 2:
        raise BundleError(
            f"there are {FEWEST} images or more of {len(enough)} class{'es' if len(enough) != 1 else ''} only",
            subject=place,
            remedy=f"give at least {FEWEST} images of two classes or more",
        )


def thinned(labels: Sequence[int], most: int) -> list[int]:
    """Return the places of images to keep: at most so many, the same number of each class, but never too few."""
    if len(labels) <= most:
        return list(range(len(labels)))
    kept = []
    for label in sorted(set(labels)):
        places = [place for place, each in enumerate(labels) if each == label]
        count = min(len(places), max(FEWEST, most // len(set(labels))))
        kept += [places[row] for row in np.unique(np.linspace(0, len(places) - 1, count).astype(int))]
    return kept
