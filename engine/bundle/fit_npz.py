"""`fit.npz`: what the images look like that a network was fitted with, in a few hundred kilobytes of averages.

It holds no image and no image's features: a mean, a covariance of a few numbers about the pixels, the mean and the
main directions of the network's activations, and the limits beyond which an image is unlike the others.
`engine.network.familiarity` says what the numbers mean, `engine.network.fitting` makes them.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.bundle.model_bundle import CONFIG, FIT, FIT_LIMIT
from engine.bundle.specs import DicomSpec, InputSpec
from engine.errors import BundleError
from engine.storage.reading import UnusableFileError, read_limited

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.bundle.model_bundle import ModelBundle

VERSION = 1
PARTS = ("colour", "contrast", "flat", "texture")
"""The parts of the numbers about an image's pixels, in the order of `Fit.part_limits`."""

MOST_FEATURES = 2048
"""Most activations that are kept; of a wider layer, neighbours are averaged."""

MOST_COMPONENTS = 32
_MOST_TEXT = 200
_MOST_IMAGES = 10**12
_MOST_STATISTICS = 64
_MAGIC = b"\x93NUMPY\x01\x00"
_START = len(_MAGIC) + 2
_HEADER = re.compile(
    rb"\{'descr': '([<|](?:f[48]|[iu][1248]))', 'fortran_order': False, "
    rb"'shape': \(((?:\d{1,9}, ?)*(?:\d{1,9})?)\), \} *\n"
)
_REMEDY = "make it again with xaimed models check --fit-images FOLDER, or remove it"


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What the images look like that a network was fitted with.

    Attributes:
        made_for: `signature` of the model that it belongs to.
        xaimed: version of the program that made it.
        layer: name of the layer whose input are the activations; empty if the network has none that is suitable.
        images, groups: how many images it was made from, and how many groups (patients).
        held_out: share of these images that are beyond the limits of a fit that did not see their group.
        mean, covariance: (S,) and (S, S) float64, of the numbers about the pixels; the covariance is shrunk.
        centre: (F,) float64, mean activations; F is 0 without a layer.
        axes: (k, F) float64, orthonormal main directions of the activations.
        variances: (k,) float64, the activations' variances along them, each positive.
        rest: variance outside these directions, all together; positive.
        limits: (3,) float64, of the distances in pixels, along the axes and beside them; infinite without a layer.
        part_limits: (4,) float64, of the distances in the `PARTS` of the numbers about the pixels.
    """

    made_for: str
    xaimed: str
    layer: str
    images: int
    groups: int
    held_out: float
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    variances: NDArray[np.float64]
    rest: float
    limits: NDArray[np.float64]
    part_limits: NDArray[np.float64]

    @property
    def made_from(self) -> str:
        """For people: `3,412 images of 79 groups`."""
        return f"{self.images:,} images of {self.groups:,} groups"


def signature(bundle: ModelBundle) -> str:
    """Return a hex SHA-256 over what decides a network's activations: its weights, its code and how it is fed."""
    spec = bundle.input
    decisive = (bundle.weights.name, *bundle.code, *((CONFIG,) if bundle.network.package == "transformers" else ()))
    parts = [bundle.files[name].sha256 for name in decisive if name in bundle.files]
    # What is not declared leaves no trace: fits from before it could be declared stay valid.
    more: tuple[object, ...] = () if spec.bits is None else (spec.bits,)
    declared = (spec.layout, spec.colour_order, spec.value_range)
    usual = InputSpec()
    if declared != (usual.layout, usual.colour_order, usual.value_range):
        more = (*more, *declared)
    if spec.dicom is not None:
        window, usual_window = ((of.window, of.centre, of.width, of.percentiles) for of in (spec.dicom, DicomSpec()))
        if window != usual_window:
            more = (*more, *window)
    network = bundle.network
    if network.source or network.arguments:
        more = (*more, network.source, *sorted(network.arguments.items()))
    fed = (spec.size, spec.channels, spec.resize, spec.mean, spec.std, *more)
    return hashlib.sha256("\n".join([*parts, repr(fed)]).encode()).hexdigest()


def write_fit(fit: Fit) -> bytes:
    """Return the content of `fit.npz`; the same fit gives the same bytes.

    Raises:
        BundleError: it would be larger than `FIT_LIMIT`.
    """
    arrays = {
        "version": np.array(VERSION, dtype="<i4"),
        "made_for": _text(fit.made_for),
        "xaimed": _text(fit.xaimed),
        "layer": _text(fit.layer),
        "images": np.array(fit.images, dtype="<i8"),
        "groups": np.array(fit.groups, dtype="<i8"),
        "held_out": np.array(fit.held_out, dtype="<f8"),
        "mean": fit.mean.astype("<f8"),
        "covariance": fit.covariance.astype("<f8"),
        "centre": fit.centre.astype("<f4"),
        "axes": fit.axes.astype("<f4"),
        "variances": fit.variances.astype("<f8"),
        "rest": np.array(fit.rest, dtype="<f8"),
        "limits": fit.limits.astype("<f8"),
        "part_limits": fit.part_limits.astype("<f8"),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
            # With a fixed date: numpy's own `savez` writes the time.
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content.getvalue())
    data = buffer.getvalue()
    if len(data) > FIT_LIMIT:
        raise BundleError(f"it would have {len(data):,} bytes; at most {FIT_LIMIT:,} are read", subject=FIT)
    return data


def read_fit(data: bytes, path: Path) -> Fit:
    """Read the content of a `fit.npz`. Nothing in it is run, and no more memory is used than the file may have.

    Args:
        data: the file's content.
        path: the file, which errors name.

    Raises:
        BundleError: it is damaged, too large when unpacked, or holds anything else than a fit.
    """
    try:
        fit = _fit(_arrays(data))
        _check(fit)
    except _WrongContentError as error:
        raise BundleError(f"is not a fit that can be used: {error}", subject=path, remedy=_REMEDY) from error
    # `zipfile` and numpy raise these for damage of all kinds; RuntimeError for an encrypted entry.
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, KeyError, EOFError, RuntimeError) as error:
        raise BundleError("is damaged", subject=path, remedy=_REMEDY) from error
    return fit


def fit_beside(bundle: ModelBundle) -> Fit | None:
    """Return the fit in a model's folder as it is now, for people; None if the model has none.

    Raises:
        BundleError: the file cannot be read or is damaged.
    """
    if FIT not in bundle.files:
        return None
    path = bundle.path / FIT
    try:
        return read_fit(read_limited(path, FIT_LIMIT), path)
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error


class _WrongContentError(Exception):
    """What is wrong with the content, as a clause."""


def _text(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _arrays(data: bytes) -> dict[str, NDArray[np.float64]]:
    found: dict[str, NDArray[np.float64]] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        # A zip file of 2 MB can hold a thousand times as much.
        if sum(entry.file_size for entry in entries) > FIT_LIMIT or len(entries) > 2 * len(Fit.__dataclass_fields__):
            raise _WrongContentError(f"it holds more than {FIT_LIMIT:,} bytes when unpacked")
        if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
            raise _WrongContentError("it is packed in an unknown way")
        for entry in entries:
            with archive.open(entry) as file:
                content = file.read(FIT_LIMIT + 1)
            found[entry.filename.removesuffix(".npy")] = _array(content)
    return found


def _array(content: bytes) -> NDArray[np.float64]:
    """Return an array as float64. Its bytes are counted before anything is made from what the header says."""
    start = _START + int.from_bytes(content[_START - 2 : _START], "little")
    # numpy's own reader parses the header as Python, and fails on wrong ones in too many ways.
    match = _HEADER.fullmatch(content[_START:start]) if content.startswith(_MAGIC) else None
    if match is None:
        raise _WrongContentError("an array has an unknown format")
    dtype = np.dtype(match[1].decode())
    shape = tuple(int(length) for length in match[2].replace(b",", b" ").split())
    body = content[start:]
    if len(shape) > 2 or math.prod(shape) * dtype.itemsize != len(body):
        raise _WrongContentError("an array is not what its header says")
    return np.frombuffer(body, dtype=dtype).reshape(shape).astype(np.float64)


def _fit(arrays: dict[str, NDArray[np.float64]]) -> Fit:
    def text(name: str) -> str:
        array = arrays[name]
        if array.ndim != 1 or len(array) > _MOST_TEXT:
            raise _WrongContentError(f"{name} is not a short text")
        if not np.isin(array, np.arange(256)).all():
            raise _WrongContentError(f"{name} is not a text")
        return bytes(array.astype(np.uint8)).decode()

    def number(name: str) -> float:
        if arrays[name].shape != ():
            raise _WrongContentError(f"{name} is not a number")
        return float(arrays[name])

    if number("version") != VERSION:
        raise _WrongContentError("it was made by a newer version of XAIMed")
    if not (1 <= number("groups") <= number("images") < _MOST_IMAGES and 0 <= number("held_out") <= 1):
        raise _WrongContentError("it was made from an impossible number of images")
    return Fit(
        made_for=text("made_for"),
        xaimed=text("xaimed"),
        layer=text("layer"),
        images=int(number("images")),
        groups=int(number("groups")),
        held_out=number("held_out"),
        mean=arrays["mean"],
        covariance=arrays["covariance"],
        centre=arrays["centre"],
        axes=arrays["axes"],
        variances=arrays["variances"],
        rest=number("rest"),
        limits=arrays["limits"],
        part_limits=arrays["part_limits"],
    )


def _check(fit: Fit) -> None:
    """Check that the arrays go together and can be used in divisions.

    Raises:
        _WrongContentError: they do not.
    """
    statistics, features, components = fit.mean.size, fit.centre.size, fit.variances.size
    fits = (
        fit.mean.shape == (statistics,)
        and 0 < statistics <= _MOST_STATISTICS
        and fit.covariance.shape == (statistics, statistics)
        and fit.centre.shape == (features,)
        and features <= MOST_FEATURES
        and fit.variances.shape == (components,)
        and components <= MOST_COMPONENTS
        and fit.axes.shape == (components, features)
        and fit.limits.shape == (3,)
        and fit.part_limits.shape == (len(PARTS),)
    )
    if not fits:
        raise _WrongContentError("its arrays do not go together")
    arrays = (fit.mean, fit.covariance, fit.centre, fit.axes, fit.variances, fit.limits[:1], fit.part_limits)
    positive = (fit.variances, fit.limits, fit.part_limits, np.diag(fit.covariance), np.array(fit.rest))
    if not all(np.isfinite(array).all() for array in arrays) or not all((array > 0).all() for array in positive):
        raise _WrongContentError("some of its numbers are not positive or not finite")
    with np.errstate(all="ignore"):  # of numbers near the largest
        symmetric = np.allclose(fit.covariance, fit.covariance.T)
        if not symmetric or not np.linalg.eigvalsh(fit.covariance).min() > 0:  # so written, it is not fulfilled by NaN
            raise _WrongContentError("its covariance is not one")
