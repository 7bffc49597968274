"""Make a saved explanation again, and say whether it is identical, or how far apart and what is not as it was.

The saved layer of the CAMs, a seed that was given, and every parameter of a method are used again, whatever the model
says by now. Other seeds follow from the image, the model and the method.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from engine.bundle.specs import Fill
from engine.errors import ExplanationError, ExportError, ImageError, TaskError
from engine.explainers.registry import Voters, find_method
from engine.explainers.settings import Settings, declared_method
from engine.explanation.explain import explain
from engine.export.saved import ORIGINAL, saved_map
from engine.images.image import read_image
from engine.images.listing import is_listed
from engine.images.parts import file_of, same_part
from engine.library.tasks import find_model, list_tasks
from engine.network.passes import Precision
from engine.progress import ProgressCallback, no_progress
from engine.text import word_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.bundle.keys import Scalar
    from engine.bundle.model_bundle import ModelBundle
    from engine.explanation.explain import Explanation
    from engine.export.saved import SavedExplanation, SavedMethod
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier

_CHANGING = frozenset({"passes_reused"})
"""Parameters that differ from run to run without any effect on the map."""

_FORMERLY: Mapping[tuple[str, str], Scalar] = MappingProxyType({("lime", "segmentations"): 1})
"""What a record means that has no such parameter: how the method worked before it had one."""

_OF_THE_MACHINE = ("device", "threads", "platform")


@dataclass(frozen=True, slots=True)
class MethodDifference:
    """How far a map is from the saved one.

    Attributes:
        method: its key.
        largest: largest difference between the two maps, 0..1; None where the saved map is not there to compare with.
        cells: largest difference between the means of a cell, 0..1; None where the saved ones are not finite.
        shared: how many of the three cells are the same.
        marked: how many cells the saved map marks, 0..3.
        parameters: for every parameter that differs, the saved and the new value.
    """

    method: str
    largest: float | None
    cells: float | None
    shared: int
    marked: int
    parameters: Mapping[str, tuple[object, object]]

    @property
    def identical(self) -> bool:
        """Whether nothing differs that could be compared."""
        return not self.largest and not self.cells and self.shared == self.marked


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A saved explanation, made again, and what differs.

    Attributes:
        explanation: the new one.
        probability: largest difference between the probabilities of a class.
        predicted: whether the predicted class is the same.
        methods: one entry for each saved map that was made again.
        missing: for each saved map that was not, why; and for the exact cells, under `exact`.
        agreement: whether all nine counts are the same.
        exact: largest difference between what a cell adds now and what it added, in units of probability; None without
            exact cells to compare.
        causes: for `image`, `bundle`, `device` and `versions`, what is not as it was, as a sentence; those that are as
            they were are left out.
    """

    explanation: Explanation
    probability: float
    predicted: bool
    methods: tuple[MethodDifference, ...]
    missing: Mapping[str, str]
    agreement: bool
    exact: float | None
    causes: Mapping[str, str]

    @property
    def identical(self) -> bool:
        """Whether everything that was saved came out the same, to the last bit."""
        same = not self.probability and not self.exact and self.predicted and self.agreement
        return same and not self.missing and all(each.identical for each in self.methods)


def find_bundle(saved: SavedExplanation, folders: Sequence[Path]) -> ModelBundle:
    """Return the model of a saved explanation: the one of its name, or one that was renamed and has the same digest.

    Raises:
        ExportError: the network was in a program's memory.
        TaskError, BundleError: there is no such model, or something is wrong with it.
    """
    if saved.in_memory:
        raise ExportError(
            "its network was in a program's memory and is not on the disk",
            subject=saved.path,
            remedy="run that program again",
        )
    try:
        bundle = find_model(folders, saved.task, saved.model)
    except TaskError:
        if (renamed := _by_digest(saved.digest, folders)) is None:
            raise
        return renamed
    if bundle.digest != saved.digest and (renamed := _by_digest(saved.digest, folders)) is not None:
        return renamed
    return bundle


def find_image(
    saved: SavedExplanation,
    *,
    image: Path | None = None,
    search: Path | None = None,
    looked: Callable[[int], None] = lambda count: None,
) -> MedicalImage:
    """Return the image of a saved explanation, found by the hash of its pixels.

    Args:
        saved: the explanation.
        image: a file to take, whatever its pixels are.
        search: a folder to look for it, with all below it; files of its name come first.
        looked: called with the number of files looked at.

    Returns:
        The image. Without `image` it has the very pixels that were explained; without `search` either, it is sought
        where it lay, in the working directory and beside the record, where the saved picture of it may do.

    Raises:
        ImageError: it cannot be read, or was not found.
    """
    if image is not None:
        return read_image(image, bits=saved.bits)
    places: Iterator[Path] = iter(())
    if search is not None:
        if not search.is_dir():
            raise ImageError("this is not a folder", subject=search, remedy="give a folder", code="not-a-folder")
        places = _candidates(search, saved.image.name)
    else:
        name = saved.image.name
        beside = (saved.path.with_name(file) for file in (name, ORIGINAL))
        places = (path for path in (saved.image, Path(name), *beside) if file_of(path).is_file())
    for count, path in enumerate(places, start=1):
        looked(count)
        try:
            found = read_image(path, bits=saved.bits)
        except ImageError:  # it is not the one, since that could be read
            continue
        if found.sha256 == saved.sha256:
            return found
    where = f"in {search} or below it" if search is not None else "where it lay, here, or beside the record"
    raise ImageError(
        f"no image with the pixels that were explained is {where}",
        subject=saved.image.name,
        remedy="give --image FILE or --search FOLDER",
        code="missing",
    )


def settings_of(saved: SavedExplanation) -> tuple[Settings, dict[str, str]]:
    """Return the settings that make a saved explanation again, and why a saved map cannot be made, by method.

    Raises:
        ExportError: the record's settings are not valid.
    """
    wanted, missing = [], {}
    parameters: dict[str, dict[str, Scalar]] = {}
    layer = None
    for key, method in saved.methods.items():
        if find_method(key) is None:
            missing[key] = "no such method is installed"
            continue
        wanted.append(key)
        try:
            parameters[key] = _parameters(key, method, _given(saved, key))
        except ExplanationError as error:
            missing[key] = error.message
            wanted.pop()
            continue
        if declared_method(key).layer and "layer" in method.parameters:  # else it is a plug-in's own parameter
            layer = str(method.parameters["layer"])
    given = saved.settings
    until: Literal["samples", "certain"] = "certain" if given.get("until") == "certain" else "samples"
    voters: Voters = next((each for each in get_args(Voters) if each == given.get("voters")), "paper")
    seed = given.get("seed")
    settings = Settings(
        methods=tuple(wanted),
        target=saved.target,
        until=until,
        layer=layer,
        seed=seed if isinstance(seed, int) else None,
        parameters=parameters,
        voters=voters,
        exact_fills=tuple(fill for fill in get_args(Fill) if fill in saved.exact),
    )
    return settings, missing


def precision_of(saved: SavedExplanation) -> Precision:
    """Return the precision that was asked for; where that was not recorded, the one that all methods used."""
    used = {str(method.parameters.get("precision")) for method in saved.methods.values() if method.samples}
    asked = saved.environment.get("precision", used.pop() if len(used) == 1 else "auto")
    return next((each for each in get_args(Precision) if each == asked), "auto")


def reproduce(
    saved: SavedExplanation,
    classifier: Classifier,
    image: MedicalImage,
    *,
    progress: ProgressCallback = no_progress,
) -> Reproduction:
    """Explain an image as it was explained before, and compare the outcome with what was saved.

    Raises:
        NotCompliantError, ExplanationError, DeviceError: the explanation cannot be made.
    """
    settings, missing = settings_of(saved)
    if not settings.methods:
        raise ExplanationError(
            "; ".join(f"{key}: {why}" for key, why in missing.items()) or "it has no map",
            subject=saved.path,
            remedy="install the methods that it was made with",
        )
    if saved.target not in classifier.classes:
        raise ExplanationError(
            f"the model has no class '{saved.target}' any more", subject=saved.path, remedy="use the model of that time"
        )
    explanation = explain(classifier, image, settings, progress=progress)
    missing |= {key: why for key, why in explanation.failures.items() if key in saved.methods}
    missing |= {
        key: "a person stopped it early, which cannot be repeated"
        for key, method in saved.methods.items()
        if method.stopped and key not in missing
    }
    if explanation.exact_failure:
        missing["exact"] = explanation.exact_failure
    now = explanation.diagnosis.probabilities
    same_classes = tuple(explanation.diagnosis.classes) == saved.classes and len(now) == len(saved.probabilities)
    counts = tuple(int(count) for row in explanation.consensus.counts for count in row)
    return Reproduction(
        explanation=explanation,
        probability=float(np.abs(now - np.array(saved.probabilities)).max()) if same_classes else 1.0,
        predicted=explanation.diagnosis.predicted == saved.predicted,
        methods=tuple(
            _difference(saved, key, explanation)
            for key in saved.methods
            if key in explanation.maps and key not in missing
        ),
        missing=missing,
        agreement=bool(missing) or counts == saved.agreement,
        exact=_exact_difference(saved, explanation),
        causes=_causes(saved, explanation),
    )


def _by_digest(digest: str, folders: Sequence[Path]) -> ModelBundle | None:
    bundles = (model.bundle for task in list_tasks(folders) for model in task.models)
    return next((bundle for bundle in bundles if bundle is not None and bundle.digest == digest), None)


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    """Yield the images that may be the one, those of its name first; links to folders are not followed.

    A frame or a slice of a file is sought as the same one in every file.
    """
    named = Path(name)
    whole = file_of(named).name
    others = []
    for place, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            path = Path(place, same_part(named, file))
            if file == name:
                yield Path(place, file)
            elif file == whole:
                yield path
            elif is_listed(file):
                others.append(path)
    yield from others


def _given(saved: SavedExplanation, key: str) -> Mapping[str, Scalar]:
    """Return the values that a person gave for a method's parameters."""
    given: dict[str, Scalar] = {}
    samples, parameters = saved.settings.get("samples"), saved.settings.get("parameters")
    if isinstance(samples, dict) and isinstance(samples.get(key), int):
        given["samples"] = samples[key]
    own = parameters.get(key) if isinstance(parameters, dict) else None
    if isinstance(own, dict):
        given |= {name: value for name, value in own.items() if isinstance(value, str | int | float)}
    return given


def _parameters(key: str, method: SavedMethod, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the saved values of the parameters that a person may set.

    Args:
        key: of the method.
        method: what was saved of it.
        given: the values that a person gave: a plug-in's map may come without its parameters.
    """
    values: dict[str, Scalar] = {}
    for declared in declared_method(key).parameters:
        # What was asked for, where the method records what came of it under the parameter's own name.
        before = given.get(declared.name, _FORMERLY.get((key, declared.name)))
        recorded = method.parameters.get(declared.name, before)
        value = method.parameters.get(f"{declared.name}_wanted", recorded)
        if value is not None:
            values[declared.name] = value
    return values


def _difference(saved: SavedExplanation, key: str, explanation: Explanation) -> MethodDifference:
    old, new, statistics = saved.methods[key], explanation.maps[key], explanation.statistics[key]
    height, width = new.values.shape
    before = saved_map(saved, key, (height, width))
    means = None if old.cell_means is None else np.abs(np.array(old.cell_means).reshape(3, 3) - statistics.mean).max()
    names = [name for name in (*old.parameters, *new.parameters) if name not in _CHANGING]
    pairs = {name: (old.parameters.get(name), new.parameters.get(name)) for name in dict.fromkeys(names)}
    return MethodDifference(
        method=key,
        largest=None if before is None else float(np.abs(before - new.values).max()),
        cells=None if means is None else float(means),
        shared=len(set(old.top) & set(statistics.top)),
        marked=len(old.top),
        parameters={name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
    )


def _exact_difference(saved: SavedExplanation, explanation: Explanation) -> float | None:
    if explanation.exact is None:
        return None
    found = explanation.exact.fills.items()
    return max(float(np.abs(one.shapley.ravel() - np.array(saved.exact[fill])).max()) for fill, one in found)


def _causes(saved: SavedExplanation, explanation: Explanation) -> dict[str, str]:
    causes = {}
    image, bundle = explanation.image, explanation.bundle
    if image.sha256 != saved.sha256:
        height, width = saved.size
        sizes = "" if (image.height, image.width) == saved.size else f", and was {width}x{height}"
        causes["image"] = f"its pixels are not those that were explained{sizes}"
    if bundle.digest != saved.digest:
        causes["bundle"] = "the model's files have changed since (another digest)"
    elif (bundle.task, bundle.name) != (saved.task, saved.model):
        causes["bundle"] = f"the same files, now called {bundle.task} / {bundle.name}"
    old, new = saved.environment, explanation.environment
    changed = {name: (old.get(name, "none"), new.get(name, "none")) for name in dict.fromkeys((*old, *new))}
    changed = {name: pair for name, pair in changed.items() if pair[0] != pair[1]}
    machine = [f"{name} {was} is {now}" for name, (was, now) in changed.items() if name in _OF_THE_MACHINE]
    versions = [f"{name} {was} is {now}" for name, (was, now) in changed.items() if name not in _OF_THE_MACHINE]
    if machine:
        causes["device"] = f"{word_list(machine)} now"
    if versions:
        causes["versions"] = f"{word_list(versions)} now"
    return causes
