"""The images that a command is to work on: those that its arguments name, and those in folders that they name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.common import attempt
from engine.cli.console import print_failure
from engine.errors import ImageError, XAIMedError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from engine.bundle.specs import InputSpec

IMAGES = (
    "PNG, JPEG, TIFF, BMP, WebP, DICOM or NIfTI file; of a DICOM file with several frames all, or one: scan.dcm#3; of "
    "a NIfTI volume the middle axial slice, or another: brain.nii.gz#coronal:42, or all of a plane: "
    "brain.nii.gz#axial; of a folder those images that the model takes, DICOM by series"
)


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image that the arguments name.

    Attributes:
        text: its path as it was typed, or the path of a folder as it was typed and what follows.
        refusal: why it is left out, which has been reported; None if it is not.
        fails: whether that makes the command fail: not if the image lies in a folder that has others.
    """

    text: str
    refusal: XAIMedError | None = None
    fails: bool = False

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.text)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that name the images."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help=IMAGES)
    parser.add_argument("--recursive", action="store_true", help="of a folder, those in the folders below it, too")


def named_images(arguments: argparse.Namespace, spec: InputSpec) -> list[NamedImage]:
    """Return the images that the arguments name, in place of a file or a folder that holds several, each.

    What the model does not take is reported on standard error, as far as its header tells.

    Args:
        arguments: as `configure` declares them.
        spec: what the model takes.
    """
    return [image for text in arguments.images for image in _named(text, spec, recursive=arguments.recursive)]


def _named(text: str, spec: InputSpec, *, recursive: bool) -> Iterator[NamedImage]:
    if not os.path.isdir(text):  # noqa: PTH112 - a name may be too long for Path.is_dir
        yield from (NamedImage(each, refusal, fails=refusal is not None) for each, refusal in _checked((text,), spec))
        return
    files = attempt(Path(text), partial(_files_in, Path(text), recursive=recursive))
    if isinstance(files, XAIMedError):
        yield NamedImage(text, files, fails=True)
        return
    found = [NamedImage(each, refusal) for each, refusal in _checked(map(str, files), spec)]
    yield from found
    if all(image.refusal is not None for image in found):
        none = ImageError(
            f"the model takes none of its {len(found):,} images" if found else "there is no image in this folder",
            subject=text,
            remedy="choose another folder"
            if recursive
            else "choose another folder, or add --recursive for those below",
            code="no-image",
        )
        print_failure(none.message)
        yield NamedImage(text, none, fails=True)


def _files_in(folder: Path, *, recursive: bool) -> list[Path]:
    from engine.images.listing import images_below, list_images  # late: --help does without

    # A volume stands for one slice, as where it is named by itself.
    return images_below(folder, ()) if recursive else [file.path for file in list_images(folder, ())]


def _checked(texts: Iterable[str], spec: InputSpec) -> Iterator[tuple[str, XAIMedError | None]]:
    """Yield each image of these files, and why the model does not take it; None if it does."""
    from engine.images.compliance import check_file  # late, like the next line: it brings numpy
    from engine.images.dicom.following import images_at

    for text in texts:
        images = images_at(Path(text))
        for each in (text,) if images == (Path(text),) else map(str, images):
            found = attempt(Path(each), partial(check_file, Path(each), spec))
            yield each, found if isinstance(found, XAIMedError) else None
