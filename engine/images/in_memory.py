"""Images that a Python program has in memory already: arrays, PIL pictures and tensors, each by its own convention.

What an array means is never guessed: a shape, a type or a range of values that could mean two things is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from engine.errors import ImageError
from engine.images.bits import file_bits, viewing
from engine.images.header import DEFAULT_LIMITS, GREY_OR_RGB, SMALLER, Header
from engine.images.image import Colour, FileBits, MedicalImage, pixels_sha256

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from PIL import Image

    Integers = NDArray[np.unsignedinteger]
    Samples = NDArray[np.uint8] | Integers | NDArray[np.float32]

_ORIENTATION = 0x0112
"""EXIF's tag of the orientation."""

_UPRIGHT = 1


class Tensor(Protocol):
    """What is asked of a `torch.Tensor`; torch itself is not imported here."""

    @property
    def shape(self) -> Iterable[int]:
        """Its size along each axis."""

    def is_floating_point(self) -> bool:
        """Whether its values are floats."""

    def detach(self) -> Tensor:
        """Return it without its history."""

    def cpu(self) -> Tensor:
        """Return it in the main memory."""

    def float(self) -> Tensor:
        """Return it as float32."""

    def numpy(self) -> NDArray[np.generic]:
        """Return its values."""


def image_from_array(array: object, *, bits: int | None, name: str) -> MedicalImage:
    """Make an image of a numpy array; see `MedicalImage.from_array`."""
    if not isinstance(array, np.ndarray):
        raise _refused(name, f"{_kind(array)} is not a numpy array", _other_constructor(array))
    if isinstance(array, np.ma.MaskedArray):
        raise _refused(name, "values of a masked array may be missing", "fill them first, as with array.filled(0)")
    return _image(_rows_first(array, name), f"{array.dtype} array", bits, name)


def image_from_tensor(tensor: Tensor, *, bits: int | None, name: str) -> MedicalImage:
    """Make an image of a torch tensor; see `MedicalImage.from_tensor`."""
    if not _is_tensor(tensor):
        raise _refused(name, f"{_kind(tensor)} is not a torch tensor", _other_constructor(tensor))
    shape = tuple(tensor.shape)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] not in (1, 3)):
        remedy = "give (H, W), (1, H, W) or (3, H, W), without a batch"
        if len(shape) == 3 and shape[2] in (1, 3):
            remedy = "channels come first in a tensor: give tensor.permute(2, 0, 1)"
        elif len(shape) == 4:
            remedy = "give one image of the batch, as in tensor[0]"
        raise _refused(name, f"a tensor of shape {shape} is not one image", remedy)
    values = tensor.detach().cpu()
    # As float32, because numpy has no bfloat16.
    array = np.asarray((values.float() if values.is_floating_point() else values).numpy())
    array = array[..., None] if array.ndim == 2 else np.moveaxis(array, 0, 2)
    return _image(array, f"{array.dtype} tensor", bits, name)


def image_from_pil(picture: Image.Image, *, bits: int | None, name: str | None) -> MedicalImage:
    """Make an image of a PIL picture; see `MedicalImage.from_pil`."""
    from PIL import Image

    if not isinstance(picture, Image.Image):
        raise _refused(name or "picture", f"{_kind(picture)} is not a PIL picture", _other_constructor(picture))
    name = name or Path(str(getattr(picture, "filename", "") or "picture")).name
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        said = f"it holds {frames} pictures"
        raise ImageError(said, subject=name, remedy="give one of them, as with picture.copy()", code="stack")
    if picture.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT:
        # `read_image` turns files upright; the same picture must not be shown lying only because PIL has opened it.
        raise _refused(
            name,
            "its EXIF data says that it has to be turned upright, and PIL has not done so",
            "give PIL.ImageOps.exif_transpose(picture)",
        )
    return _image(_pil_pixels(picture, name), f"PIL picture, mode {picture.mode}", bits, name)


def _pil_pixels(picture: Image.Image, name: str) -> Integers | NDArray[np.float32]:
    from engine.images.decoding.pixels import eight_bit_pixels

    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)[..., None]
    if picture.mode == "F":
        return np.asarray(picture)[..., None]
    if picture.mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX"):
        remedy = "give picture.convert('RGB'), if that shows what it should"
        if picture.mode == "I":
            remedy = "give numpy.asarray(picture).astype(numpy.uint16) to from_array, if no value is beyond 65,535"
        raise _refused(name, f"pictures of PIL's mode {picture.mode} are not read", remedy)
    return eight_bit_pixels(picture, b"", Path(name))


def _rows_first(array: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    """Return an array as (H, W, C)."""
    if array.ndim == 2:
        return array[..., None]
    if array.ndim == 3 and array.shape[2] in (1, 3):
        return array
    shape = array.shape
    remedy = "give (H, W), (H, W, 1) or (H, W, 3)"
    if array.ndim == 3 and shape[0] in (1, 3):
        remedy = "channels come last in an array (and first in a tensor): give array.transpose(1, 2, 0)"
    elif array.ndim == 3 and shape[2] in (2, 4):
        remedy = "leave out the alpha channel, or put the picture on its background"
    elif array.ndim == 4:
        remedy = "give one image of the batch, as in array[0]"
    raise _refused(name, f"an array of shape {shape} is not one image", remedy)


def _image(array: NDArray[np.generic], source: str, bits: int | None, name: str) -> MedicalImage:
    """Make an image of (H, W, C) values, C 1 or 3."""
    height, width, channels = array.shape
    if array.size == 0:
        raise ImageError(
            f"it has no pixels: its shape is {array.shape}", subject=name, remedy="give an image", code="empty"
        )
    if height * width > DEFAULT_LIMITS.pixels:
        said = f"it has {height * width:,} pixels; at most {DEFAULT_LIMITS.pixels:,} are read"
        raise ImageError(said, subject=name, remedy=SMALLER, code="too-large")
    samples = _samples(array, bits, name)
    depth = 8 if samples.dtype == np.uint8 else 16
    if samples.dtype == np.float32:
        # 0 to 1 is the whole range, whatever values there are, and whatever bits the model's settings say of files.
        known = FileBits(user=16)
    else:
        header = Header("array", height, width, 16 if depth == 16 else 8, channels == 1, "none", 1, False, array.nbytes)
        known = file_bits(cast("Integers", samples), header, bits)
    pixels = samples.astype(np.float32)
    pixels.setflags(write=False)
    colour: Colour = "grey" if channels == 1 else "rgb"
    facts = {"format": source, "colour": f"{depth} bit {'grey' if channels == 1 else 'RGB'}"}
    if shown := viewing(known.user or known.declared or depth):
        facts["viewing"] = shown
    return MedicalImage(pixels, depth, colour, Path(name), pixels_sha256(samples, depth), facts, (), known)


def _samples(array: NDArray[np.generic], bits: int | None, name: str) -> Samples:
    """Return values as uint8 or uint16; as float32 from 0 to 65535 where neither has them exactly."""
    if bits is not None and not 1 <= bits <= 16:
        raise ValueError(f"bits must be from 1 to 16, not {bits}")
    if array.dtype.kind == "u" and (most := 8 * array.dtype.itemsize) <= 16:
        if bits is not None and bits > most:
            raise _refused(name, f"values of {array.dtype} have {most} bits, not {bits}", f"give at most {most}")
        return array.astype(np.uint8) if most == 8 else _deep(array)
    if array.dtype.kind != "f":
        remedy = "give uint8 (0 to 255), uint16 (0 to 65535; bits=12 if only 12 are used) or floats from 0 to 1"
        raise _refused(name, f"what white is in values of {array.dtype} is not known", remedy)
    if bits is not None:
        raise _refused(name, "floats from 0 to 1 have no significant bits", "leave out bits")
    values = array.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0.0 and high <= 1.0):  # written so that NaN is refused
        said = f"floats must be from 0 to 1, and these are from {low:g} to {high:g}"
        remedy = "undo the normalisation, or divide by what white is"
        if low >= 0.0 and high <= 255.0 and bool((values == np.rint(values)).all()):
            remedy = "divide by 255, or give array.astype(numpy.uint8), if white is 255"
        raise _refused(name, said, remedy)
    # What was 8 or 16 bit before it was divided is that again, so its hash is that of the file.
    for top in (255, 65535):
        steps = np.rint(values * np.float32(top))
        if np.array_equal(steps / np.float32(top), values):
            return steps.astype(np.uint8) if top == 255 else _deep(steps)
    return values * np.float32(65535)


def _deep(values: NDArray[np.generic]) -> Integers:
    return values.astype(np.uint16)


def _is_tensor(given: object) -> bool:
    return any(kind.__module__ == "torch" and kind.__name__ == "Tensor" for kind in type(given).__mro__)


def _other_constructor(given: object) -> str:
    if isinstance(given, np.ndarray):
        return "use MedicalImage.from_array"
    if _is_tensor(given):
        return "use MedicalImage.from_tensor"
    if any(kind.__module__ == "PIL.Image" for kind in type(given).__mro__):
        return "use MedicalImage.from_pil"
    if isinstance(given, str | Path):
        return "use read_image for a file"
    return "give a numpy array to MedicalImage.from_array"


def _kind(given: object) -> str:
    return f"{type(given).__module__}.{type(given).__qualname__}".removeprefix("builtins.")


def _refused(name: str, cause: str, remedy: str = GREY_OR_RGB) -> ImageError:
    return ImageError(cause, subject=name, remedy=remedy, code="unsupported")
