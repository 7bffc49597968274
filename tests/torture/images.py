"""Give every reader of pictures everything that could be called one, and count what becomes of it.

    python -m tests.torture.images [--share 1.0] [--seed N]

Every file must end *shown* (decoded, and a view of it made) or *refused* with a named reason in one line that says what
to do; in bounded time; and nothing may be raised but that. The corpus is made here, and taken from what the installed
packages bring along: all of pydicom's test files, and the pictures of all others (Pillow is installed without its own).
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import site
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "tests" / "support")) if path not in sys.path]

from tests.torture import hostile_images  # noqa: E402 - needs the paths above

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".dcm", ".ppm", ".jp2", ".ico")
BESIDE = 15.0
"""Seconds for one file beyond the decoder's limit: what is done around it, and what other programs take."""


@dataclass
class Counts:
    """What became of the files, by group."""

    shown: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    faults: list[str] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")

    @property
    def groups(self) -> tuple[str, ...]:
        """Their names, in order of appearance."""
        return tuple(dict.fromkeys((*self.shown, *self.refused)))


def try_files(files: Iterable[tuple[str, Path]], *, limit: float = 2.0) -> Counts:
    """Read each file, by its header and as a whole.

    Args:
        files: group and path of each.
        limit: on a decoder's time, in seconds.
    """
    counts = Counts()
    for group, path in files:
        begin = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shown, words = _outcome(path, limit)
        seconds = time.monotonic() - begin
        counts.seconds[group] += seconds  # type: ignore[assignment]
        counts.slowest = max(counts.slowest, (seconds, f"{group}: {path.name}"))
        if shown is None or seconds > limit + BESIDE:
            counts.faults.append(f"{group}: {path.name}: {words} ({seconds:.1f} s)")
        elif shown:
            counts.shown[group] += 1
        else:
            counts.refused[group][words] += 1
    return counts


def _outcome(path: Path, limit: float) -> tuple[bool | None, str]:
    """Whether a file is shown, None for a fault; and the kind of reason if not."""
    from engine.bundle.model_bundle import InputSpec
    from engine.errors import ImageError
    from engine.images.compliance import why_not_compliant
    from engine.images.header import Limits
    from engine.images.image import read_header, read_image
    from engine.images.preprocessing import picture_view

    limits = Limits(seconds=limit)
    try:
        reason = why_not_compliant(path, InputSpec(size=(48, 48)), limits=limits)
        if "\n" in reason or (reason and not reason.endswith(".")):
            return None, f"no sentence: {reason!r}"
        try:
            header = read_header(path, limits=limits)
        except ImageError:
            header = None  # then the whole must be refused, too
        image = read_image(path, limits=limits)
        if header is None:
            return None, "the header was refused and the pixels were not"
        if {header.height, header.width} != {image.height, image.width}:  # a PNG may say after its pixels how it lies
            return None, "the header tells another size than the pixels"
        low, high = image.value_range
        if image.pixels.ndim != 3 or not low <= image.pixels.min() <= image.pixels.max() <= high:
            return None, f"values out of range: {image.pixels.shape}"
        picture_view(image, InputSpec(size=(image.height, image.width), channels=image.pixels.shape[2]))
    except ImageError as error:
        if "\n" in error.message or not error.remedy or error.subject != str(path):
            return None, f"no line with file, cause and remedy: {error.message!r}"
        return False, re.sub(r"[0-9][0-9,.]*( x [0-9,.]+)?", "N", re.sub(r" \(.*\)", "", error.cause))
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"
    return True, ""


def corpus(folder: Path, share: float, seed: int) -> Iterator[tuple[str, Path]]:
    """Group and path of every file; the same path may be written anew for the next.

    Args:
        folder: an empty one.
        share: how much of the whole corpus is made, from 0 to 1.
        seed: of the random ones.
    """
    whole = hostile_images.samples(folder)
    made = (
        ("whole", whole.items()),
        ("cut short", hostile_images.cut(whole, max(1, round(1 / share)))),
        ("bits flipped", hostile_images.flipped(whole, max(1, round(500 * share)), seed)),
        ("wrong suffix", hostile_images.mislabelled(whole)),
        ("bombs", hostile_images.bombs(share)),
    )
    for group, files in made:
        for name, content in files:
            path = folder / name
            path.write_bytes(content)
            yield group, path
            path.unlink()
    for path in hostile_images.odd(folder / "odd"):
        yield "odd", path
    for path in pydicoms():
        yield "pydicom's test files", path
    for path in installed(share):
        yield "installed packages", path


def pydicoms() -> Iterator[Path]:
    """All files that pydicom brings along to test itself with; those that it would fetch are left where they are."""
    spec = find_spec("pydicom")  # found, not imported: nothing is asked of it, and so nothing downloaded
    for place in spec.submodule_search_locations or () if spec is not None else ():
        yield from sorted(path for path in Path(place, "data").rglob("*") if path.is_file() and path.suffix != ".pyc")


def installed(share: float) -> Iterator[Path]:
    """Picture files in the installed packages; of a share below 1, the smaller ones alone."""
    for place in site.getsitepackages():
        for path in sorted(Path(place).rglob("*")):
            if (
                path.suffix.lower() in SUFFIXES
                and "pydicom" not in path.parts
                and (share >= 1 or (path.is_file() and path.stat().st_size < 50_000))
            ):
                yield path


def main() -> int:
    """Try all, print the table, and fail if anything was neither shown nor refused by name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reasons", action="store_true", help="print how often each reason was given, too")
    arguments = parser.parse_args()
    from engine.images.decoding.pool import end_all

    with tempfile.TemporaryDirectory() as folder:
        counts = try_files(corpus(Path(folder), arguments.share, arguments.seed))
    end_all()
    print(f"{'':20} {'shown':>7} {'refused':>8} {'reasons':>8} {'seconds':>8}")
    for group in counts.groups:
        reasons = counts.refused[group]
        print(f"{group:20} {counts.shown[group]:7} {reasons.total():8} {len(reasons):8} {counts.seconds[group]:8.1f}")
    if arguments.reasons:
        for reason, count in sum(counts.refused.values(), Counter[str]()).most_common():
            print(f"{count:8}  {reason}")
    print(f"slowest: {counts.slowest[0]:.1f} s, {counts.slowest[1]}")
    for whose, who in (("here", resource.RUSAGE_SELF), ("in the process that decodes", resource.RUSAGE_CHILDREN)):
        print(f"most memory {whose}: {resource.getrusage(who).ru_maxrss // 1024} MB")
    if os.geteuid() == 0:
        print("as root: no file is unreadable, so none such was tried")
    for fault in counts.faults:
        print(f"FAULT: {fault}")
    print(f"{len(counts.faults)} faults")
    return 1 if counts.faults else 0


if __name__ == "__main__":
    sys.exit(main())
