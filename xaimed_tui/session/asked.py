"""What was asked for before the answer to explain was there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.images.parts import is_part


@dataclass(frozen=True, slots=True)
class Asked:
    """Methods that run as soon as a network has answered about an image, and for no other network or image.

    Attributes:
        network: the folder of the network.
        image: the image; None for the first one of a folder that is still being read.
        methods: those asked for; empty for all.
    """

    network: Path
    image: Path | None
    methods: tuple[str, ...]

    def concerns(self, image: Path) -> bool:
        """Whether it was asked of an image, or of the file in whose place the image is listed by now."""
        return self.image is None or image == self.image or is_part(image, self.image)

    def with_(self, methods: tuple[str, ...]) -> tuple[str, ...]:
        """Return the methods of this and those asked for now."""
        if not self.methods or not methods:
            return ()
        return (*self.methods, *(method for method in methods if method not in self.methods))
