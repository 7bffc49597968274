"""Write `fit.npz` into a model's folder: what the images look like that its network was fitted with.

With it, an image that is unlike them gets a warning beside its answer. Writing it changes the model's digest.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.bundle.fit_npz import Fit, signature, write_fit
from engine.bundle.model_bundle import FIT, ModelBundle, read_bundle, subject_of
from engine.errors import BundleError, ImageError, NotCompliantError
from engine.images.compliance import check_compliance
from engine.images.image import MedicalImage, read_image
from engine.images.listing import images_below
from engine.images.preprocessing import unit_from_input
from engine.library import changes
from engine.network.classifier import Classifier
from engine.network.familiarity import statistics
from engine.network.fitting import Looks, check_enough, make_fit
from engine.network.passes import activations_of
from engine.storage.reading import UnusableFileError, read_limited
from engine.storage.writing import SHARED, replace_file

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

MOST_IMAGES = 20_000
"""Most images that are measured; of a larger folder an even choice."""

_BATCH = 32
_MOST_TABLE = 64_000_000


@dataclass(frozen=True, slots=True)
class Chosen:
    """The images of a folder, and which belong together.

    Attributes:
        images: their files.
        groups: the group of each.
        rule: how the groups were found, as a phrase: `by subfolder`.
        left_out: how many images of the folder have no group.
    """

    images: tuple[Path, ...]
    groups: tuple[str, ...]
    rule: str
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Fitted:
    """The result of fitting.

    Attributes:
        fit: what was written, or will be.
        skipped: one line for each image that could not be used.
    """

    fit: Fit
    skipped: tuple[str, ...]


def choose_images(folder: Path, classes: Sequence[str], groups: str | None = None) -> Chosen:
    """Choose the images of a folder and those below it, and find out which belong together.

    Args:
        folder: of images that the network was fitted with.
        classes: the model's; subfolders that are named like them do not count as groups.
        groups: a regular expression, searched in the images' paths below the folder: what its first group matches, or
            else all that it matches, names the image's group. Or a CSV file: its first column names images, with or
            without suffix and with or without their subfolders, its second their groups; images that it does not name
            are left out. By default the first subfolder; where there are none, the text before the first `_` of the
            file's name; else every image is a group of its own.

    Raises:
        ImageError: the folder cannot be read.
        BundleError: the expression or the table cannot be used, the table puts an image into two groups, or there are
            too few images or groups.
    """
    files = images_below(folder)
    names = [path.relative_to(folder).as_posix() for path in files]
    found, rule = _groups(names, classes, groups)
    kept = [(path, group) for path, group in zip(files, found, strict=True) if group is not None]
    check_enough(len(kept), len({group for _, group in kept}), f"{folder} ({rule})")
    left_out = len(files) - len(kept)
    if len(kept) > MOST_IMAGES:
        kept = [kept[row] for row in np.linspace(0, len(kept) - 1, MOST_IMAGES).astype(int)]
    return Chosen(tuple(path for path, _ in kept), tuple(group for _, group in kept), rule, left_out)


def fit_images(classifier: Classifier, chosen: Chosen, done: Callable[[], None] = lambda: None) -> Fitted:
    """Measure images and return the fit to them.

    Args:
        classifier: the model.
        chosen: the images; those that cannot be read or fed to the model are skipped.
        done: called after each image.

    Raises:
        BundleError: there are too few usable images or groups.
        DeviceError: there is not enough memory.
    """
    skipped: list[str] = []

    def usable() -> Iterable[tuple[MedicalImage, str]]:
        for path, group in zip(chosen.images, chosen.groups, strict=True):
            try:
                image = read_image(path)
                check_compliance(image, classifier.bundle.input)
            except (ImageError, NotCompliantError) as error:
                skipped.append(error.message)
            else:
                yield image, group
            done()

    fit = fit_of(classifier, usable(), subject=subject_of(classifier.bundle))
    return Fitted(fit, tuple(skipped))


def fit_of(classifier: Classifier, images: Iterable[tuple[MedicalImage, str]], *, subject: str) -> Fit:
    """Return the fit to images, each with the name of its group (patient).

    Raises:
        BundleError: there are too few images or groups.
    """
    looks = look_at(classifier, images)
    layer = classifier.anatomy.classifying if looks.features.shape[1] else ""
    return make_fit(
        looks, made_for=signature(classifier.bundle), layer=layer, xaimed=metadata.version("xaimed"), subject=subject
    )


def write_fit_file(bundle: ModelBundle, fit: Fit) -> ModelBundle:
    """Write `fit.npz` into a model's folder. This changes its digest, so an approval of it no longer holds.

    Returns:
        The model as it is now.

    Raises:
        LibraryError: it comes with XAIMed, or the file could not be written.
        BundleError: the model was changed after `bundle` was read.
    """
    subject, folder = subject_of(bundle), bundle.path.parent.parent
    changes.refuse_bundled(folder, subject)
    with changes.changing(folder, subject, f"its {FIT} is as it was"):
        if read_bundle(bundle.path, task=bundle.task).digest != bundle.digest:
            raise BundleError("the model was changed after it was read", subject=subject, remedy="check it again")
        replace_file(bundle.path / FIT, write_fit(fit), mode=SHARED)
        return read_bundle(bundle.path, task=bundle.task)


def fit_after_training(
    folder: Path, network: nn.Module, images: Iterable[NDArray[np.uint8]], groups: Iterable[str]
) -> Fit:
    """Write `fit.npz` beside the weights that a training script has just written; return what it holds.

    Args:
        folder: the model folder, with everything but `fit.npz` as it will be used.
        network: the trained network, with the same weights as the file.
        images: (H, W, 1) or (H, W, 3) each, those that the network was trained with.
        groups: the patient of each.

    Raises:
        BundleError: the folder is not a model, or there are too few images or groups.
    """
    (folder / FIT).unlink(missing_ok=True)  # a damaged one would stand in the way
    bundle = read_bundle(folder)
    pairs = ((MedicalImage.from_array(pixels), group) for pixels, group in zip(images, groups, strict=True))
    fit = fit_of(Classifier(bundle, network), pairs, subject=subject_of(bundle))
    replace_file(folder / FIT, write_fit(fit), mode=SHARED)
    return fit


def look_at(classifier: Classifier, images: Iterable[tuple[MedicalImage, str]]) -> Looks:
    """Return what is measured of images, each with the name of its group: their pixels and the activations for them.

    Raises:
        NotCompliantError: one of them cannot be fed to the model.
    """
    numbers: list[NDArray[np.float64]] = []
    features: list[NDArray[np.float32]] = []
    groups: list[str] = []
    waiting = iter(images)
    while batch := list(islice(waiting, _BATCH)):
        pictures = [image for image, _ in batch]
        with classifier.lock:
            seen, units = classifier.with_memory(partial(_pass, classifier, pictures))
        features.append(seen)
        numbers += [statistics(unit) for unit in units]
        groups += [group for _, group in batch]
    if not groups:
        return Looks(np.zeros((0, 1)), np.zeros((0, 0), dtype=np.float32), ())
    return Looks(np.stack(numbers), np.concatenate(features), tuple(groups))


def _pass(classifier: Classifier, images: Sequence[MedicalImage]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the activations (B, F) for some images, and what the network is fed with (B, C, H, W), in [0, 1]."""
    tensor = torch.cat([classifier.tensor(image) for image in images])
    with classifier.exact(), torch.inference_mode(), classifier.penultimate() as taken:
        classifier.logits(tensor)
    return activations_of(taken, len(images)), unit_from_input(tensor.cpu().numpy(), classifier.bundle.input)


def _groups(names: Sequence[str], classes: Sequence[str], groups: str | None) -> tuple[list[str | None], str]:
    if groups is not None and groups.lower().endswith(".csv"):
        table = read_table(Path(groups), "group")
        return [_found(table, PurePosixPath(name)) for name in names], f"by {groups}"
    if groups is not None:
        return _matched(names, groups), f"by the expression {groups}"
    folders = [name.split("/")[0] if "/" in name else None for name in names]
    if None not in folders and not {folder.casefold() for folder in folders if folder} <= {
        name.casefold() for name in classes
    }:
        return folders, "by subfolder"
    stems = [Path(name).stem for name in names]
    if any("_" in stem for stem in stems):
        return [stem.split("_")[0] for stem in stems], "by the text before the first _ of their names"
    return list(names), "every image counts as a group of its own"


def _found(table: Mapping[str, str], image: PurePosixPath) -> str | None:
    named = (str(image), str(image.with_suffix("")), image.name, image.stem)
    return next((table[name] for name in named if name in table), None)


def _matched(names: Sequence[str], expression: str) -> list[str | None]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise BundleError(f"is not a regular expression: {error}", subject=f"--groups {expression}") from error
    matches = [pattern.search(name) for name in names]
    missed = [name for name, match in zip(names, matches, strict=True) if match is None]
    if missed:
        raise BundleError(
            f"does not match {len(missed):,} of {len(names):,} images, such as {missed[0]}",
            subject=f"--groups {expression}",
            remedy="change it, or move these images elsewhere",
        )
    return [match.group(1 if pattern.groups else 0) for match in matches if match is not None]


def read_table(path: Path, what: str) -> dict[str, str]:
    """Return the second column of a CSV file by its first, which names images.

    Args:
        path: the file.
        what: what the second column holds, such as `group`, for errors.

    Raises:
        BundleError: it cannot be read, is no such table, or says two things about an image.
    """
    try:
        text = read_limited(path, _MOST_TABLE).decode("utf-8-sig", errors="replace")
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error
    try:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except csv.Error as error:
        raise BundleError(f"is not a CSV file: {error}", subject=path) from error
    if any(len(row) < 2 for row in rows):
        raise BundleError("has rows of one column", subject=path, remedy=f"give image and {what} in each row")
    table: dict[str, str] = {}
    for image, group, *_ in rows:
        if table.setdefault(image, group) != group:
            raise BundleError(
                f"puts {image} into two {what}s, {table[image]} and {group}",
                subject=path,
                remedy="tell images of the same name apart by their paths below the folder",
            )
    return table
