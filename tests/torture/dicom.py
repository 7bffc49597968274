"""Count what becomes of every DICOM and NIfTI file that packages bring along, and of files broken on purpose.

    python -m tests.torture.dicom [--flips 1000] [--seed N]

All the packages' files are put into one folder, and what it lists is read. Prints a table for the README: of which
packages' files how many are shown, and how many are refused, by kind and reason. What is shown must have the values of
pydicom's own pipeline, or nibabel's, one by one. Then bits of twenty files are flipped, files are cut, promise more
than they hold, are packed without end, nested, or misnamed: each must be shown or refused in one line, and no process
may take more memory than it is allowed.
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "tests" / "support")) if path not in sys.path]

from engine.errors import XAIMedError  # noqa: E402 - needs the paths above
from engine.images.decoding.pool import end_all  # noqa: E402
from engine.images.decoding.worker import MEMORY  # noqa: E402
from engine.images.dicom.following import images_at  # noqa: E402
from engine.images.dicom.reading import starts_as_dicom  # noqa: E402
from engine.images.dicom.recognising import split_frame  # noqa: E402
from engine.images.image import MedicalImage, read_header, read_image  # noqa: E402
from engine.images.listing import scan_images  # noqa: E402
from engine.images.nifti.reading import starts_as_nifti  # noqa: E402
from engine.images.nifti.recognising import PLANES, is_packed, may_be_volume, split_slice  # noqa: E402
from engine.images.parts import file_of  # noqa: E402

PACKAGES = ("pydicom", "highdicom", "nibabel")
MOST = 100_000
"""Bytes of a file whose bits are flipped."""
Outcome = tuple[str, str]
"""A code and a cause: `shown` and nothing, or the code of a refusal; no code for anything else, which is a fault."""


def shipped(package: str) -> Iterator[Path]:
    """The DICOM and NIfTI files that a package brings along, by their content."""
    spec = find_spec(package)
    for place in spec.submodule_search_locations or () if spec is not None else ():
        yield from sorted(path for path in Path(place).rglob("*") if path.is_file() and _is_scan(path))


def _is_scan(path: Path) -> bool:
    # Of what is packed only that which calls itself a volume; other packed files are of other formats.
    packed = is_packed(path.read_bytes()[:4]) and not may_be_volume(path.name)
    return starts_as_dicom(path) or (starts_as_nifti(path) and not packed)


def small(package: str) -> list[Path]:
    """The files of a package that are shown and small."""
    return [path for path in shipped(package) if path.stat().st_size < MOST and outcome(path)[0] == "shown"]


def flips(count: int, seed: int, package: str = "pydicom") -> Iterator[Path]:
    """Files with one to eight flipped bits each, of twenty files of a package's; each is gone when the next comes."""
    rng = np.random.default_rng(seed)
    chosen = small(package)
    chosen = [chosen[place] for place in np.linspace(0, len(chosen) - 1, 20).astype(int)]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            source = chosen[number % len(chosen)]
            content = bytearray(source.read_bytes())
            for place in rng.integers(0, len(content), rng.integers(1, 9)):
                content[place] ^= 1 << int(rng.integers(8))
            path = Path(folder) / f"{number}{''.join(source.suffixes[-2:]) if package == 'nibabel' else '.dcm'}"
            path.write_bytes(content)
            yield path
            path.unlink()


def outcome(path: Path) -> Outcome:
    """What becomes of a file."""
    return of_images(images_at(path)[:2])


def of_images(images: Sequence[Path]) -> Outcome:
    """What becomes of a file's images: shown if one of them is."""
    said = ("", "")
    for image in images:
        for read in (read_header, read_image):
            try:
                found = read(image)
                said = said if said[0] else ("shown", "")
            except XAIMedError as error:
                if "\n" in error.message or not error.remedy or error.subject != str(image) or "Error" in error.cause:
                    return "", error.message
                said = (error.code, re.sub("[0-9][0-9,]*", "N", error.cause) if "(" not in error.cause else error.cause)
                continue
            if isinstance(found, MedicalImage) and (why := _differs(found)):
                return "", why
    return said


compared: Counter[str] = Counter()
"""How many images had the values of which pipeline."""
check = False
"""Whether values are compared: those of sound files."""


def _differs(image: MedicalImage) -> str:
    """Say that an image has other values than the packages' own pipelines give; empty if it has the same."""
    if not check:
        return ""
    from pipelines import nibabels, pydicoms, slice_of

    file = file_of(image.path)
    if image.dicom is not None:
        values = pydicoms(file)[0][(split_frame(image.path)[1] or 1) - 1].astype(np.float32)
    else:
        named = split_slice(image.path)[1]
        assert named is not None
        assert named.index is not None
        values = slice_of(nibabels(file)[..., (named.volume or 1) - 1], named.plane, named.index)
    if not np.array_equal(values.squeeze(), image.pixels.squeeze()):
        return f"{image.path.name}: other values"
    compared["pydicom" if image.dicom is not None else "nibabel"] += 1
    return ""


def in_one_folder() -> dict[str, Counter[Outcome]]:
    """Put all packages' files into one folder, and count what becomes of them there, by package."""
    counts: dict[str, Counter[Outcome]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        owners: dict[str, str] = {}
        for package in PACKAGES:
            counts[package] = Counter()
            for number, path in enumerate(shipped(package)):
                # No two are of one name; a DICOMDIR is found by its own, and so is a suffix.
                name = f"{package}{number:03}{path.name}"
                owners[name] = package
                shutil.copyfile(path, folder / name)
        listed: dict[str, list[Path]] = {}
        for names in scan_images(folder, PLANES):
            listed = {}
            for name in names:
                listed.setdefault(file_of(folder / name).name, []).append(folder / name)
        for name, package in owners.items():
            images = listed.get(name, [])
            # Of many frames the first two and the last: a package's own pipeline decodes all of them for each.
            chosen = list(dict.fromkeys(images[:2] + images[-1:]))
            counts[package][of_images(chosen) if chosen else ("not listed", name)] += 1
    return counts


def table(counts: dict[str, Counter[Outcome]]) -> str:
    """The counts as Markdown: a row for each code, with its causes."""
    total: Counter[Outcome] = sum(counts.values(), Counter())
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


def told(what: str, counts: Counter[Outcome]) -> None:
    """Print what became of many files."""
    print(f"\n{counts.total():,} files {what}:")
    for (code, cause), count in counts.most_common():
        print(f"{count:6}  {code or 'FAULT'} {cause}")


def main() -> int:
    """Print the tables; fail if a file is neither shown nor refused in one line, or has other values."""
    global check
    from tests.torture.hostile_scans import cut_files, hostile_files

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # pydicom's, about its own files
    check = True
    counts = in_one_folder()
    check = False
    print(table(counts))
    print(", ".join(f"{count:,} images have the values of {name}'s own pipeline" for name, count in compared.items()))
    faults = [code for found in counts.values() for code, _ in found if code in ("", "not listed")]
    for package, count in (("pydicom", arguments.flips), ("nibabel", arguments.flips // 5)):
        flipped = Counter(outcome(path) for path in flips(count, arguments.seed, package))
        told(f"of {package}'s with flipped bits", flipped)
        faults += [code for code, _ in flipped if not code]
    with tempfile.TemporaryDirectory() as place:
        cut = Counter(outcome(path) for path in cut_files([*small("pydicom"), *small("nibabel")], Path(place)))
        told("that end early", cut)
        faults += [code for code, _ in cut if not code]
        print("\nbroken on purpose:")
        for what, path, codes in hostile_files(Path(place)):
            code, cause = outcome(path)
            good = code in codes
            print(f"{'' if good else 'FAULT '}{what}: {code} {cause}")
            faults += [] if good else [what]
    end_all()
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"most memory in the process that decodes: {most >> 20} MB, of {MEMORY >> 20} that it is allowed")
    return 1 if faults or most > MEMORY else 0


if __name__ == "__main__":
    sys.exit(main())
