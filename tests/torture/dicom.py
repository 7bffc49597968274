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


def outcome(path: Path) -> tuple[str, str]:
    """What becomes of a file: `shown`, or the code and the cause of its refusal; no code for anything else."""
    said = ("", "")
    for image in images_at(path)[:2]:
        for read in (read_header, read_image):
            try:
                read(image)
                said = said if said[0] else ("shown", "")
            except XAIMedError as error:
                if "\n" in error.message or not error.remedy or error.subject != str(image) or "Error" in error.cause:
                    return "", error.message
                said = (error.code, re.sub("[0-9][0-9,]*", "N", error.cause) if "(" not in error.cause else error.cause)
    return said


def _shown(path: Path) -> bool:
    return outcome(path)[0] == "shown"


def table(counts: dict[str, Counter[tuple[str, str]]]) -> str:
    """The counts as Markdown: a row for each code, with its causes."""
    total: Counter[tuple[str, str]] = sum(counts.values(), Counter())
    codes = Counter({code: sum(n for (other, _), n in total.items() if other == code) for code, _ in total})
    lines = [f"| outcome | {' | '.join(counts)} |", f"|---|{'---|' * len(counts)}"]
    for code, _ in sorted(codes.items(), key=lambda pair: (pair[0] != "shown", -pair[1])):
        details: dict[str, list[str]] = {}
        for (other, cause), n in total.most_common():
            if other == code and cause:
                what, _, detail = cause.rstrip(")").partition(" (")
                details.setdefault(what, []).append(f"{detail}{detail and ' '}{n}")
        told = "; ".join(f"{what} ({', '.join(each)})" for what, each in details.items())
        numbers = [str(sum(n for (other, _), n in found.items() if other == code)) for found in counts.values()]
        lines.append(f"| {code}{told and ': '}{told} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def main() -> int:
    """Print the tables; fail if a file is neither shown nor refused in one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts = {package: Counter(outcome(path) for path in shipped(package)) for package in PACKAGES}
    print(table(counts))
    flipped = Counter(outcome(path) for path in flips(arguments.flips, arguments.seed))
    print(f"\n{flipped.total():,} files with flipped bits:")
    for (code, cause), count in flipped.most_common():
        print(f"{count:6}  {code or 'FAULT'} {cause}")
    end_all()
    print(
        f"most memory in the process that decodes: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MB"
    )
    return 1 if any(not code for found in (flipped, *counts.values()) for code, _ in found) else 0


if __name__ == "__main__":
    sys.exit(main())
