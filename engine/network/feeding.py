"""How an image becomes a network's input and what people are shown of it: as declared, or by a caller's function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from engine.errors import ExplanationError
from engine.images.bits import bits_of
from engine.images.compliance import check_compliance, input_warnings
from engine.images.dicom.windows import used_window
from engine.images.preprocessing import network_input, picture_view, unit_from_input
from engine.results.caution import Caution

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.bundle.specs import InputSpec
    from engine.images.image import MedicalImage

CODE = "preprocessing"


class Feeding(Protocol):
    """The way from an image to a network's input, and to a picture of what the network sees."""

    @property
    def hidden(self) -> str:
        """What a 0 of the input stands for, in words."""

    def fed(self, image: MedicalImage) -> NDArray[np.float32]:
        """Return the network's input, (C, H, W).

        Raises:
            NotCompliantError: the image cannot be fed to this model.
        """

    def view(self, image: MedicalImage) -> NDArray[np.uint8]:
        """Return what the network sees for people to look at, (h, w, C), C 1 or 3; a map's edges are its edges."""

    def pixel_aspect(self, image: MedicalImage) -> float:
        """Return the height of a pixel of `view` divided by its width."""

    def unit(self, fed: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return an input (C, H, W) as a picture, (H, W, C) in [0, 1]."""

    def warnings(self, image: MedicalImage) -> tuple[Caution, ...]:
        """Return what is doubtful about feeding this image."""

    def identity(self, image: MedicalImage) -> str:
        """Return a text that is the same for two images only if the network is fed with the same."""


class DeclaredFeeding:
    """As `[input]` of a bundle declares it."""

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec

    @property
    def hidden(self) -> str:
        """See `Feeding.hidden`; with the colour, which is black where no mean is declared."""
        tones = np.rint(255.0 * self.unit(np.zeros((self._spec.channels, 1, 1), dtype=np.float32)).ravel())
        listed = " ".join(f"{tone:.0f}" for tone in tones)
        return f"0 after normalisation (the mean {'colour: RGB' if len(tones) > 1 else 'tone:'} {listed} of 255)"

    def fed(self, image: MedicalImage) -> NDArray[np.float32]:
        """See `Feeding.fed`."""
        check_compliance(image, self._spec)
        return network_input(image, self._spec)

    def view(self, image: MedicalImage) -> NDArray[np.uint8]:
        """See `Feeding.view`: the part of the image that is fed, at the image's own resolution."""
        return picture_view(image, self._spec)

    def pixel_aspect(self, image: MedicalImage) -> float:
        """See `Feeding.pixel_aspect`: the image's own."""
        return image.pixel_aspect

    def unit(self, fed: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Feeding.unit`: the normalisation is undone."""
        return _denormalised(fed, self._spec)

    def warnings(self, image: MedicalImage) -> tuple[Caution, ...]:
        """See `Feeding.warnings`."""
        return input_warnings(image, self._spec)

    def identity(self, image: MedicalImage) -> str:
        """See `Feeding.identity`: the image's digest and how many of its bits are significant, or its window."""
        if image.scan is not None:
            return f"{image.sha256}:{image.scan.photometric}:{used_window(image, self._spec)}"
        return f"{image.sha256}:{bits_of(image, self._spec).used}"


class FunctionFeeding:
    """By a function of the caller's.

    Nobody but the function knows which part of the image it takes and what it does to the values. So people are shown
    a picture of what it gives, on which the maps lie exactly, and a warning says so.
    """

    hidden = "0 of what the preprocessing gives"

    def __init__(self, function: Callable[[MedicalImage], object], spec: InputSpec, *, normalised: bool) -> None:
        """Store the function.

        Args:
            function: takes the image and returns a (C, H, W) float tensor or array.
            spec: the size and the channels that it must give, and how it normalises.
            normalised: whether that is known.
        """
        self.function, self._spec, self._normalised = function, spec, normalised
        self.name = name_of(function)
        self._last: tuple[MedicalImage, NDArray[np.float32]] | None = None

    def fed(self, image: MedicalImage) -> NDArray[np.float32]:
        """See `Feeding.fed`. The function is called twice for an image, and not again for its other maps.

        Raises:
            ExplanationError: it does not give a finite float tensor of the declared shape, or not the same each time.
        """
        last = self._last  # read once: another thread may be asking for another image
        if last is None or last[0] is not image:
            fed = self._called(image)
            if not np.array_equal(fed, self._called(image)):
                raise self._refused(
                    "gives something else each time", "leave out what is random, such as the augmentation of training"
                )
            self._last = last = image, fed
        return last[1]

    def view(self, image: MedicalImage) -> NDArray[np.uint8]:
        """See `Feeding.view`: a picture of what the function gives, at the network's resolution."""
        view: NDArray[np.uint8] = np.rint(self.unit(self.fed(image)) * np.float32(255)).astype(np.uint8)
        view.setflags(write=False)
        return view

    def pixel_aspect(self, image: MedicalImage) -> float:
        """See `Feeding.pixel_aspect`: nobody knows what the function does to the shape of pixels."""
        return 1.0

    def unit(self, fed: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Feeding.unit`: the normalisation is undone if it is known, else the values are spread over [0, 1]."""
        if self._normalised:
            return _denormalised(fed, self._spec)
        low, high = float(fed.min()), float(fed.max())
        spread = (fed.astype(np.float64) - low) / (high - low) if high > low else np.full(fed.shape, 0.5)
        if self._spec.colour_order == "bgr":
            spread = spread[::-1]
        return np.ascontiguousarray(spread.astype(np.float32).transpose(1, 2, 0))

    def warnings(self, image: MedicalImage) -> tuple[Caution, ...]:
        """See `Feeding.warnings`. The rules for images that XAIMed itself prepares do not apply."""
        how = "values outside 0 to 1 cut off" if self._normalised else "its lowest value black, its highest white"
        return (
            *image.warnings,
            Caution(
                CODE,
                f"The function {self.name} made the network's input, not XAIMed: whether that suits the network is not "
                f"checked. The maps lie on a picture of this input ({how}), not on the image itself.",
            ),
        )

    def identity(self, image: MedicalImage) -> str:
        """See `Feeding.identity`: the function may look at more than the pixels, so what it gives counts."""
        return f"{image.sha256}:{hashlib.sha256(self.fed(image).tobytes()).hexdigest()}"

    def _called(self, image: MedicalImage) -> NDArray[np.float32]:
        given = self.function(image)
        wanted = (self._spec.channels, *self._spec.size)
        if isinstance(given, torch.Tensor):
            given = given.detach().cpu()
            given = given.float().numpy() if given.is_floating_point() else given.numpy()
        if not isinstance(given, np.ndarray):
            raise self._refused(f"gives a {type(given).__name__}", "return a torch tensor or a numpy array")
        if given.shape != wanted:
            batch = "; return one image without its batch" if given.shape[1:] == wanted else ""
            raise self._refused(
                f"gives the shape {given.shape}, not {wanted} (channels, height, width)",
                f"return that shape, or give from_module another size or channels{batch}",
            )
        if given.dtype.kind != "f":
            raise self._refused(f"gives {given.dtype}", "return floats, normalised as the network needs them")
        fed = np.array(given, dtype=np.float32, order="C")
        if not np.isfinite(fed).all():
            raise self._refused("gives NaN or infinity", "look for a division by zero in it")
        return fed

    def _refused(self, cause: str, remedy: str) -> ExplanationError:
        return ExplanationError(f"the preprocessing {self.name} {cause}", remedy=remedy, code=CODE)


def name_of(function: Callable[..., object]) -> str:
    """Return the name of a function, or of the class of a callable object."""
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def _denormalised(fed: NDArray[np.float32], spec: InputSpec) -> NDArray[np.float32]:
    picture = unit_from_input(fed, spec, np.float64).transpose(1, 2, 0)
    # Rounding may leave values a little outside [0, 1].
    return np.asarray(np.clip(picture, 0.0, 1.0), dtype=np.float32)
