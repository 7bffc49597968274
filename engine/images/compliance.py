"""Checks whether an image can be fed to a model, and what is doubtful about that; one sentence says why.

Bit depth never rules an image out: 8 and 16 bit are scaled to [0, 1]; whether a value is beyond the significant bits
that were declared shows only in the pixels. Colour rules an image out only if the model says so. A grey
image is otherwise fed to an RGB model by repeating its channel, and an RGB image to a grey model as its luma (ITU-R
BT.601: 0.299 R + 0.587 G + 0.114 B), both with a warning unless the model declares that it accepts them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ImageError, NotCompliantError
from engine.images.bits import bits_warnings, check_bits
from engine.images.dicom.windows import window_warnings
from engine.images.dicom.words import no_photograph
from engine.images.header import DEFAULT_LIMITS, Limits
from engine.images.image import read_header
from engine.images.preprocessing import view_size
from engine.results.caution import Caution
from engine.text import safe_text

if TYPE_CHECKING:
    from pathlib import Path

    from engine.bundle.model_bundle import InputSpec
    from engine.images.dicom.facts import DicomFacts
    from engine.images.image import MedicalImage
    from engine.images.nifti.facts import NiftiFacts

GREY_WITHIN = 2
"""How far the channels of a pixel may lie apart in a grey image of 8 bits.

A grey image saved as RGB comes back from JPEG with equal channels, and from WebP, or from Lab and back, with channels
that differ by at most 1 (measured at qualities 1 to 95, several times over). The palest of 16,174 patches of stained
tissue has a pixel whose channels differ by 11.
"""

GREY_WITHIN_16_BIT = 32
"""The same for samples of 16 bits: as much of the 12 bits that they often hold as 2 is of 8."""

MOST_TIMES = 8.0
"""How many times larger or smaller than the network's input a side may be before the answer carries a warning."""

MOST_DISTORTED = 1.5
"""By what factor an image's aspect ratio may differ from the input's before the answer carries a warning."""

_ROWS_AT_ONCE = 64


def why_not_compliant(path: Path, spec: InputSpec, *, limits: Limits = DEFAULT_LIMITS) -> str:
    """Say why an image file cannot be fed to a model, judging by its header alone; empty if it can.

    Four things show only when the image is read: whether an alpha channel is opaque everywhere (then the image is
    fine), whether the pixels are damaged or incomplete, whether an RGB file shows any colour, and whether a value is
    beyond the significant bits. Until then it counts as compliant.

    Returns:
        One sentence that says what is wrong and what is wanted, or "".
    """
    try:
        check_file(path, spec, limits=limits)
    except (ImageError, NotCompliantError) as error:
        text = f"{error.cause}; {error.remedy}." if error.remedy else f"{error.cause}."
        return safe_text(text[0].upper() + text[1:])
    return ""


def check_file(path: Path, spec: InputSpec, *, limits: Limits = DEFAULT_LIMITS) -> None:
    """Check an image file's header as `why_not_compliant` does, without decoding it.

    Raises:
        ImageError: the file cannot be read as an image.
        NotCompliantError: it can be read, but not fed to this model.
    """
    header = read_header(path, limits=limits)
    _check_size(header.height, header.width, path, spec, limits)
    if header.dicom is not None:
        _check_dicom(header.dicom, path, spec)
    if header.nifti is not None:
        _check_nifti(header.nifti, path)
    if header.grey and spec.accept_grey is False:
        raise _not_accepted(path, spec, grey=True)


def check_compliance(image: MedicalImage, spec: InputSpec) -> None:
    """Check that a decoded image can be fed to a model.

    Raises:
        NotCompliantError: its size is not what the model needs, a value is beyond its significant bits, or the model
            refuses grey or colour images, or the image's modality.
    """
    _check_size(image.height, image.width, image.path, spec, DEFAULT_LIMITS)
    if image.dicom is not None:
        _check_dicom(image.dicom, image.path, spec)
    if image.nifti is not None:
        _check_nifti(image.nifti, image.path)
    check_bits(image, spec)
    if (spec.accept_grey is False or spec.accept_colour is False) and not spec.accepts(grey := is_grey(image)):
        raise _not_accepted(image.path, spec, grey=grey)


def input_warnings(image: MedicalImage, spec: InputSpec) -> tuple[Caution, ...]:
    """Return what is doubtful about feeding a compliant image to a model; empty if nothing is.

    The codes are those of the image itself, then `modality`, `window`, `bits`, `colour`, `size` and `shape`.
    """
    return (
        *image.warnings,
        *_modality_warnings(image, spec),
        *window_warnings(image, spec),
        *bits_warnings(image, spec),
        *_colour_warnings(image, spec),
        *_size_warnings(image.height, image.width, image.pixel_aspect, spec),
    )


def is_grey(image: MedicalImage) -> bool:
    """Whether an image shows no colour, judged by its pixels: an RGB image whose channels are equal is grey.

    See `GREY_WITHIN` and `GREY_WITHIN_16_BIT` for what counts as equal.
    """
    if image.colour == "grey":
        return True
    most = GREY_WITHIN if image.bit_depth == 8 else GREY_WITHIN_16_BIT << max(image.bit_depth - 16, 0)
    # In strips: a picture in colour is mostly recognised by its first one, and little memory is taken.
    for start in range(0, image.height, _ROWS_AT_ONCE):
        red, green, blue = np.moveaxis(image.pixels[start : start + _ROWS_AT_ONCE], 2, 0)
        spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
        if float(spread.max()) > most:
            return False
    return True


def _check_dicom(facts: DicomFacts, path: Path, spec: InputSpec) -> None:
    """Check what a DICOM header says against what the model declares.

    Raises:
        NotCompliantError: the model takes other modalities or photometric interpretations, or the object is no image
            that a device took and the model does not ask for such objects.
    """
    declared = spec.dicom
    wanted = declared.modality if declared is not None else ()
    if wanted and facts.modality not in wanted:
        raise NotCompliantError(
            f"its modality is {facts.modality or 'not known'}, and the model takes {', '.join(wanted)} only",
            subject=path,
            remedy="use an image of the kind that the model was made for",
            code="modality",
        )
    if not wanted and (what := no_photograph(facts.kind, facts.modality)):
        # Without a code, no model can ask for it.
        asks = f", or a model that asks for such objects (modality = ['{facts.modality}'] under [input.dicom])"
        raise NotCompliantError(
            f"this is {what}, not an image that a device took",
            subject=path,
            remedy=f"choose an image{asks if facts.modality else ''}",
            code="modality",
        )
    if declared is not None and declared.photometric and facts.photometric not in declared.photometric:
        raise NotCompliantError(
            f"its photometric interpretation is {facts.photometric or 'not known'}, and the model takes "
            f"{', '.join(declared.photometric)} only",
            subject=path,
            remedy="use an image of the kind that the model was made for",
            code="modality",
        )


def _check_nifti(facts: NiftiFacts, path: Path) -> None:
    """Check that a volume is an image that a device took, as far as its header tells.

    Raises:
        NotCompliantError: it is not.
    """
    if facts.of.photograph:
        raise NotCompliantError(
            f"this is {facts.of.photograph}, not an image that a device took",
            subject=path,
            remedy="choose an image",
            code="modality",
        )


def _modality_warnings(image: MedicalImage, spec: InputSpec) -> tuple[Caution, ...]:
    """Return the doubt about a slice that the model's settings would let one refuse, if the format named its device."""
    if image.nifti is None or spec.dicom is None or not (wanted := spec.dicom.modality):
        return ()
    return (
        Caution(
            "modality",
            f"The model takes {', '.join(wanted)} only, and a NIfTI file does not say what it was taken by: make sure "
            "that it was one of these.",
        ),
    )


def _not_accepted(path: Path, spec: InputSpec, *, grey: bool) -> NotCompliantError:
    is_colour, other, key = ("grey", "a colour", "accept_grey") if grey else ("in colour", "a grey", "accept_colour")
    return NotCompliantError(
        f"the image is {is_colour}, and the model does not take such images ({key} = false)",
        subject=path,
        remedy=f"use {other} image of the kind that the model was made for",
        code="colour",
    )


def _colour_warnings(image: MedicalImage, spec: InputSpec) -> tuple[Caution, ...]:
    # The pixels are only searched for colour where the answer depends on it.
    if spec.channels == 3 and spec.accept_grey is None and is_grey(image):
        return (
            Caution("colour", "The image is grey, and the network takes colour images: its answer may mean nothing."),
        )
    if spec.channels == 1 and spec.accept_colour is None and not is_grey(image):
        return (
            Caution(
                "colour", "The image is in colour, and the network takes grey images: it sees only the brightness."
            ),
        )
    return ()


def _size_warnings(height: int, width: int, aspect: float, spec: InputSpec) -> tuple[Caution, ...]:
    """Return what is lost of an image by its size and shape; `aspect` is the height of a pixel divided by its width."""
    rows, columns = spec.size
    is_size = f"The image is {width} x {height} pixels"
    found = []
    # Of what the network sees: padding makes a side longer, and the centre of an image has shorter sides.
    seen_rows, seen_columns = view_size(height, width, spec)
    times = max(seen_rows / rows, seen_columns / columns)
    smaller = max(rows / seen_rows, columns / seen_columns)
    if times > MOST_TIMES and times >= smaller:
        found.append(
            Caution(
                "size",
                f"{is_size}, {_times(times)} times the network's {columns} x {rows}: fine detail is lost by shrinking.",
            )
        )
    elif smaller > MOST_TIMES:
        found.append(
            Caution(
                "size",
                f"{is_size}, {_times(smaller)} times smaller than the network's {columns} x {rows}: "
                "enlarging adds no detail.",
            )
        )
    is_input = f"the network's input {columns} x {rows}"
    wider = (width * rows) / (height * columns)
    if spec.resize != "stretch" and max(wider, 1 / wider) > MOST_DISTORTED:
        found.append(Caution("shape", f"{is_size}, {is_input}: {_lost_words(wider, spec)}"))
    narrower = (wider if spec.resize == "stretch" else 1.0) / aspect
    if max(narrower, 1 / narrower) > MOST_DISTORTED:
        how = "high as wide" if aspect > 1 else "wide as high"
        each = "" if 0.95 < aspect < 1.05 else f", each {_times(max(aspect, 1 / aspect))} times as {how}"
        seen = f"{_times(max(narrower, 1 / narrower))} times {'narrower' if narrower > 1 else 'flatter'}"
        found.append(Caution("shape", f"{is_size}{each}, {is_input}: the network sees it {seen} than it is."))
    return tuple(found)


def _lost_words(wider: float, spec: InputSpec) -> str:
    """Say what becomes of an image whose aspect ratio is `wider` times that of the input, where its shape is kept."""
    share = _share(1 - min(wider, 1 / wider))
    if spec.resize == "fit":
        return f"{share} of what the network sees is padding."
    return f"{share} of the image, on two sides of its centre, is not seen."


def _times(factor: float) -> str:
    """Return a factor as people write it: 8.3, 80, 1,200."""
    return f"{factor:.1f}".removesuffix(".0") if factor < 20 else f"{factor:,.0f}"


def _share(share: float) -> str:
    """Return a share in per cent, never 100 % of what is not all."""
    return f"{min(round(100 * share), 99)} %"


def _check_size(height: int, width: int, path: Path, spec: InputSpec, limits: Limits) -> None:
    is_size = f"the image is {width} x {height} pixels (width x height)"
    if spec.exact_size and (height, width) != spec.size:
        wanted = f"{spec.size[1]} x {spec.size[0]}"
        raise NotCompliantError(
            f"{is_size}, and the model takes {wanted} only",
            subject=path,
            remedy=f"resize it to {wanted} pixels",
            code="size",
        )
    if spec.minimum_size is not None and (height < spec.minimum_size[0] or width < spec.minimum_size[1]):
        wanted = f"{spec.minimum_size[1]} x {spec.minimum_size[0]}"
        raise NotCompliantError(
            f"{is_size}, and the model needs at least {wanted}",
            subject=path,
            remedy="use an image of higher resolution",
            code="size",
        )
    # `fit` pads to the shape of the model's input: 10 x 60,000 pixels become 3.6 thousand million for a square input.
    rows, columns = view_size(height, width, spec)
    if rows * columns > limits.pixels:
        raise NotCompliantError(
            f"{is_size}, and padded to the shape of the model's input it would have {rows * columns:,} pixels",
            subject=path,
            remedy="use an image that is less narrow",
            code="shape",
        )
