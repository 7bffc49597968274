"""Count what becomes of every DICOM file that packages bring along, and flip bits of some.

    python -m tests.torture.dicom [--flips 1000] [--seed N]

Prints a table for the README: of which packages' files how many are shown, and how many are refused, by kind and
reason. Each flipped file must be shown or refused in one line.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "tests" / "support")) if path not in sys.path]

from engine.errors import XAIMedError  # noqa: E402 - needs the paths above
from engine.images.decoding.client import end_all  # noqa: E402
from engine.images.dicom.following import images_at  # noqa: E402
from engine.images.dicom.reading import starts_as_dicom  # noqa: E402
from engine.images.image import read_header, read_image  # noqa: E402

PACKAGES = ("pydicom", "highdicom", "nibabel")
MOST = 100_000
"""Bytes of a file whose bits are flipped."""


def shipped(package: str) -> Iterator[Path]:
    """The DICOM files that a package brings along, by their content."""
    spec = find_spec(package)
    for place in spec.submodule_search_locations or () if spec is not None else ():
        yield from sorted(path for path in Path(place).rglob("*") if path.is_file() and starts_as_dicom(path))


def flips(count: int, seed: int) -> Iterator[Path]:
    """Files with one to eight flipped bits each, of twenty files of pydicom's; each is gone when the next comes."""
    rng = np.random.default_rng(seed)
    chosen = [path for path in shipped("pydicom") if path.stat().st_size < MOST and _shown(path)]
    chosen = [chosen[place] for place in np.linspace(0, len(chosen) - 1, 20).astype(int)]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            content = bytearray(chosen[number % len(chosen)].read_bytes())
            for place in rng.integers(0, len(content), rng.integers(1, 9)):
                content[place] ^= 1 << int(rng.integers(8))
            path = Path(folder) / f"{number}.dcm"
            path.write_bytes(content)
            yield path
            path.unlink()


def outcome(path: Path) -> str:
    """What becomes of a file: `shown`, or why it is refused; empty for anything else."""
    said = ""
    for image in images_at(path)[:2]:
        for read in (read_header, read_image):
            try:
                read(image)
                said = said or "shown"
            except XAIMedError as error:
                if "\n" in error.message or not error.remedy or error.subject != str(image):
                    return ""
                said = error.cause
    return said


def _shown(path: Path) -> bool:
    return outcome(path) == "shown"


def _reason(said: str) -> str:
    return re.sub(r"[0-9][0-9,]*", "N", said) if "(" not in said else said


def main() -> int:
    """Print the tables; fail if a file is neither shown nor refused in one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts = {package: Counter(_reason(outcome(path)) for path in shipped(package)) for package in PACKAGES}
    print(f"| outcome | {' | '.join(PACKAGES)} |\n|---|{'---|' * len(PACKAGES)}")
    total: Counter[str] = sum(counts.values(), Counter())
    for said in sorted(total, key=lambda said: (said != "shown", -total[said], said)):
        print(f"| {said} | {' | '.join(str(counts[package][said]) for package in PACKAGES)} |")
    flipped = Counter(_reason(outcome(path)) for path in flips(arguments.flips, arguments.seed))
    print(f"\n{flipped.total():,} files with flipped bits: {flipped['shown']:,} shown")
    for said, count in flipped.most_common():
        print(f"{count:6}  {said}")
    end_all()
    print(
        f"most memory in the process that decodes: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MB"
    )
    return 1 if total[""] or flipped[""] else 0


if __name__ == "__main__":
    sys.exit(main())
