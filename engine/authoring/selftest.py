"""The self-test of a model: an image in its folder, and the answer that the model gave for it.

It shows on every machine whether weights, architecture and preprocessing still give that answer. Writing it changes the
model's digest.
"""

from __future__ import annotations

import io
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.authoring.settings_file import settings_to_change
from engine.bundle.model_bundle import SETTINGS, ModelBundle, read_bundle
from engine.bundle.model_toml import toml_string
from engine.errors import LibraryError, XAIMedError
from engine.images.image import MedicalImage, read_image
from engine.storage.reading import UnusableFileError, read_limited
from engine.storage.writing import SHARED, replace_file
from engine.text import safe_text

if TYPE_CHECKING:
    from PIL import Image
    from tomlkit import TOMLDocument
    from torch import nn

    from engine.network.classifier import Classifier
    from engine.results.diagnosis import Diagnosis

IMAGE = "selftest.png"

_SECTION = "selftest"

_MOST_IMAGE = 64_000_000
"""Bytes of an image that may be copied into a model's folder."""


@dataclass(frozen=True, slots=True)
class SelfTestCheck:
    """The result of a self-test.

    Attributes:
        image: path in the model folder.
        expected, found: probabilities of the classes; `found` is empty if the image could not be used.
        tolerance: the largest difference allowed for any probability.
        failure: what is wrong; empty if nothing is.
    """

    image: str
    expected: tuple[float, ...]
    found: tuple[float, ...]
    tolerance: float
    failure: str = ""


def run_selftest(classifier: Classifier) -> SelfTestCheck | None:
    """Compare the answer for the self-test's image with the declared one; None if no self-test is declared."""
    declared = classifier.bundle.selftest
    if declared is None:
        return None
    result = SelfTestCheck(declared.image, declared.probabilities, (), declared.tolerance)
    try:
        answer = classifier.diagnose(read_image(classifier.bundle.path / declared.image))
    except XAIMedError as error:
        return replace(result, failure=error.message)
    found = tuple(float(p) for p in answer.probabilities)
    if len(found) != len(declared.probabilities):
        failure = f"it declares {len(declared.probabilities)} probabilities, and there are {len(found)} classes"
    else:
        worst = max(abs(a - b) for a, b in zip(found, declared.probabilities, strict=True))
        failure = (
            f"a probability differs by {worst:.2g}, more than {declared.tolerance:g}: weights, architecture, "
            "preprocessing or this machine's libraries are not what they were"
            if worst > declared.tolerance
            else ""
        )
    return replace(result, found=found, failure=failure)


def write_selftest(bundle: ModelBundle, image: MedicalImage | None, answer: Diagnosis) -> tuple[ModelBundle, str]:
    """Write `[selftest]` into a bundle's `model.toml`, and copy the image into its folder unless it is there already.

    This changes the model's digest, so an approval of it no longer holds.

    Args:
        bundle: the model that answered.
        image: the image; None for noise.
        answer: the model's answer for it.

    Returns:
        The bundle as it is now, and the image's path in it.

    Raises:
        LibraryError: it comes with XAIMed, has no `model.toml`, or could not be written.
        BundleError: it was changed after `bundle` was read.
    """
    with settings_to_change(bundle, "its self-test is as it was", "a self-test") as settings:
        before = settings.read_bytes()
        name, data = _image_to_keep(bundle, image)
        after = with_selftest(before, name, tuple(float(p) for p in answer.probabilities), settings)
        # The image first: a crash in between leaves a file that nothing refers to, not a self-test without its image.
        if data is not None:
            replace_file(bundle.path / name, data, mode=SHARED)
        replace_file(settings, after, mode=SHARED)
        return read_bundle(bundle.path, task=bundle.task), name


def selftest_after_training(folder: Path, network: nn.Module, image: str | None = None) -> None:
    """Write `[selftest]` into the `model.toml` beside weights that a training script has just written.

    Args:
        folder: the model folder, with weights and `model.toml` as they will be used.
        network: the trained network, with the same weights as the file.
        image: path in the folder of an image to test with, such as one of its samples; None for noise.

    Raises:
        BundleError: the folder is not a model.
        LibraryError: the section cannot be replaced without touching another.
    """
    from engine.network.classifier import Classifier  # late: reading models needs no torch

    bundle = read_bundle(folder)
    name = image or IMAGE
    if image is None:
        replace_file(folder / IMAGE, _noise_png(bundle), mode=SHARED)
    answer = Classifier(bundle, network).diagnose(read_image(folder / name))
    settings = folder / SETTINGS
    probabilities = tuple(float(p) for p in answer.probabilities)
    toml = with_selftest(settings.read_bytes(), name, probabilities, settings, by="train.py")
    replace_file(settings, toml, mode=SHARED)


def _image_to_keep(bundle: ModelBundle, image: MedicalImage | None) -> tuple[str, bytes | None]:
    """Return an image's path in the model folder, and its content if it has yet to be written there."""
    if image is None:
        return IMAGE, _noise_png(bundle)
    path = image.path.absolute()
    if path.is_relative_to(bundle.path):
        inside = path.relative_to(bundle.path).as_posix()
        if inside in bundle.files and safe_text(inside) == inside:
            return inside, None
    try:
        data = read_limited(path, _MOST_IMAGE)
    except UnusableFileError as error:
        raise LibraryError(error.cause, subject=path, remedy=error.remedy) from error
    suffix = path.suffix if path.suffix.isascii() else ""
    return f"{Path(IMAGE).stem}{suffix}", data


def with_selftest(
    toml: bytes,
    image: str,
    probabilities: tuple[float, ...],
    path: Path,
    *,
    by: str = "xaimed models check --write-selftest",
) -> bytes:
    """Return a `model.toml` with a new `[selftest]`; everything else stays as it is, with the comments above it.

    Args:
        toml: the file's content.
        image: path of the image in the model folder.
        probabilities: the model's answer for it.
        path: of the file, for errors.
        by: who writes it, for the comment.

    Raises:
        LibraryError: the section cannot be replaced without touching another.
    """
    import tomlkit  # late: most users read models and write none
    from tomlkit.exceptions import TOMLKitError

    text = toml.decode("utf-8-sig")
    old = tomllib.loads(text)
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise _not_replaceable(path) from error
    # Only a plain section is replaced: not one in another form, such as an inline table, nor the header in a string.
    plain = sum(line.split("#")[0].strip() == f"[{_SECTION}]" for line in text.splitlines())
    if plain != (_SECTION in old) or document.as_string() != text:  # tomlkit brings scattered tables together
        raise _not_replaceable(path)
    table = tomlkit.table()
    table.add("image", tomlkit.value(toml_string(image)))
    table.add("probabilities", [round(p, 6) for p in probabilities])
    table.add("tolerance", 0.001)
    table.comment(f"written by {by}")
    table.trivia.comment_ws = " " * 19  # aligned with the comments of a draft
    section = tomlkit.document().add(_SECTION, table).as_string()
    body = _without_selftest(document).rstrip("\n")
    new = f"{body}\n\n{section}" if body else section
    old.pop(_SECTION, None)
    try:
        now = tomllib.loads(new)
    except tomllib.TOMLDecodeError as error:
        raise _not_replaceable(path) from error
    if now.pop(_SECTION, None) is None or old != now:
        raise _not_replaceable(path)
    return new.encode()


def _without_selftest(document: TOMLDocument) -> str:
    """Return a `model.toml` without its self-test; comments at the section's end belong to what follows, and stay."""
    from tomlkit import ws
    from tomlkit.items import Comment, Table

    if not isinstance(section := document.get(_SECTION), Table):
        return document.as_string()
    above = ""
    for key, item in section.value.body:
        if key is not None:
            above = ""
        elif isinstance(item, Comment):
            above += item.as_string()
    place = next(place for place, (key, _) in enumerate(document.body) if key is not None and key.key == _SECTION)
    document.remove(_SECTION)
    document.body[place] = (None, ws(above))
    return document.as_string()


def _not_replaceable(path: Path) -> LibraryError:
    return LibraryError(
        "its [selftest] cannot be replaced without touching something else",
        subject=path,
        remedy="remove that section by hand first",
    )


def _noise(bundle: ModelBundle) -> Image.Image:
    """Return a picture of smooth noise in the network's input size, 8 bits a value, always the same for one model."""
    from PIL import Image

    height, width = bundle.input.size
    if bundle.input.minimum_size is not None and not bundle.input.exact_size:
        height, width = max(height, bundle.input.minimum_size[0]), max(width, bundle.input.minimum_size[1])
    coarse = np.random.default_rng(0).integers(0, 256, (9, 9, bundle.input.channels), dtype=np.uint8)
    picture = Image.fromarray(coarse[..., 0] if coarse.shape[2] == 1 else coarse)
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def _noise_png(bundle: ModelBundle) -> bytes:
    buffer = io.BytesIO()
    _noise(bundle).save(buffer, "PNG")
    return buffer.getvalue()


def noise_image(bundle: ModelBundle) -> MedicalImage:
    """Return smooth noise that the model takes."""
    return MedicalImage.from_pil(_noise(bundle), name="noise.png")
