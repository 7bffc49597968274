"""What is known of a layer that the CAMs can look at: its name, its size, and how its tensor holds maps."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch


@dataclass(frozen=True, slots=True)
class MapAxes:
    """Where a layer's tensor has its channels and its places.

    Attributes:
        channels: the axis of the channels; None if there is one channel without an axis.
        places: the axes of rows and columns; a single axis if the places are tokens, row by row.
        height, width: rows and columns.
        before: tokens before those of the places, such as a class token.
        images: the axis of the images.
    """

    channels: int | None
    places: tuple[int, ...]
    height: int
    width: int
    before: int = 0
    images: int = 0

    @property
    def tokens(self) -> bool:
        """Whether rows and columns lie on one axis."""
        return len(self.places) == 1

    def maps(self, tensor: torch.Tensor, image: int = 0) -> torch.Tensor:
        """Return an image's maps, (1, C, height, width), of the layer's tensor or its gradient."""
        tensor = tensor.narrow(self.images, image, 1)
        last = (*(() if self.channels is None else (self.channels,)), *self.places)
        others = [axis for axis in range(tensor.ndim) if axis not in last]  # of size 1
        flat = tensor.permute(*others, *last).reshape(1, -1, prod(tensor.shape[axis] for axis in self.places))
        count = self.height * self.width
        return flat[..., self.before : self.before + count].reshape(1, -1, self.height, self.width)


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """A layer that the CAMs can look at.

    Attributes:
        name: its name in `named_modules()`; of a tensor that no module gives, that of its operation
            (`engine.network.layers.scopes`).
        channels, height, width: the size of its maps.
        kind: the name of the module's class, or of the operation.
        also: names of the containers that give the same output, as a block gives that of its last layer.
        branch: whether part of what decides the scores goes past it.
        axes: where its tensor has channels, rows and columns; None where a convolution's output has them.
    """

    name: str
    channels: int
    height: int
    width: int
    kind: str = ""
    also: tuple[str, ...] = ()
    branch: bool = False
    axes: MapAxes | None = None

    def is_named(self, name: str) -> bool:
        """Whether a name is that of this layer or of a container with the same output."""
        return name == self.name or name in self.also

    def maps(self, tensor: torch.Tensor, image: int = 0) -> torch.Tensor:
        """Return an image's maps, (1, channels, height, width), of the layer's tensor or its gradient."""
        return tensor[image : image + 1] if self.axes is None else self.axes.maps(tensor, image)

    def images(self, tensor: torch.Tensor) -> int:
        """Return of how many images the layer's tensor holds maps."""
        return int(tensor.shape[0 if self.axes is None else self.axes.images])
