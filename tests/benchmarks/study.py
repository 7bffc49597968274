"""How long a study of 2,000 DICOM slices takes to list and to step through, and a NIfTI volume of 512 slices.

    python -m tests.benchmarks.study [--slices 2000] [--side 512] [--repeats 3]

The files are made in a folder of their own first; the file system has them in its memory by then. What is held against
a target: the first rows of the list within 0.3 s, and each header read once, however often the list is asked for.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "tests" / "support")) if path not in sys.path]

from engine.bundle.specs import InputSpec  # noqa: E402 - needs the paths above
from engine.images.compliance import why_not_compliant  # noqa: E402
from engine.images.decoding import client, pool  # noqa: E402
from engine.images.dicom import reading as dicom_reading  # noqa: E402
from engine.images.dicom.series import series_of  # noqa: E402
from engine.images.image import read_image  # noqa: E402
from engine.images.listing import scan_images  # noqa: E402
from engine.images.nifti import reading as nifti_reading  # noqa: E402
from engine.images.nifti.recognising import PLANES  # noqa: E402

FIRST_ROWS = 0.3
"""Seconds within which the first rows must be there."""
_PLACE = b"7777777 "
"""Stands for the number of a slice while the files are made."""


def make_study(folder: Path, slices: int, side: int, modality: str = "CT") -> None:
    """Write slices, named by identifiers as archives do, in an order that is not theirs."""
    from dicom_files import write_dicom

    pixels = np.random.default_rng(0).integers(0, 4096, (side, side)).astype(np.uint16)
    whole = write_dicom(
        folder / "whole",
        pixels,
        Modality=modality,
        InstanceNumber=_PLACE.decode().strip(),
        RescaleSlope="1",
        RescaleIntercept="-1024",
        WindowCenter="40",
        WindowWidth="400",
        PixelSpacing=["0.7", "0.7"],
        ImageOrientationPatient=["1", "0", "0", "0", "1", "0"],
    ).read_bytes()
    (folder / "whole").unlink()
    assert whole.count(_PLACE) == 1
    for number, place in enumerate(np.random.default_rng(1).permutation(slices)):
        (folder / f"1.2.840.1.{place + 1}").write_bytes(whole.replace(_PLACE, f"{number + 1:<8}".encode()))


def make_volume(folder: Path, slices: int, side: int) -> Path:
    """Write a packed volume."""
    from nifti_files import write_nifti

    values = np.random.default_rng(0).integers(0, 200, (side, side, slices)).astype(np.int16)
    return write_nifti(folder / "volume.nii.gz", values)


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def listed(folder: Path) -> tuple[float, float, list[str]]:
    """Seconds until the first rows of a folder are there and until all are, and their names."""
    begin = time.perf_counter()
    lists = scan_images(folder, PLANES)
    next(lists)
    first = time.perf_counter() - begin
    *_, names = lists
    return first, time.perf_counter() - begin, names


def measured(folder: Path, repeats: int) -> tuple[bool, list[str]]:
    """List a folder and step through its images; whether the targets are met, and what was measured."""
    counts = {"headers": 0, "volumes": 0}
    of_dicom, of_nifti = client.dicom_header_separately, client.nifti_separately

    def dicom(*given: object) -> object:
        counts["headers"] += 1
        return of_dicom(*given)  # type: ignore[arg-type]

    def nifti(*given: object) -> object:
        counts["headers" if given[2] is None else "volumes"] += 1
        return of_nifti(*given)  # type: ignore[arg-type]

    client.dicom_header_separately, client.nifti_separately = dicom, nifti  # type: ignore[assignment]
    files = sum(1 for _ in folder.iterdir())
    firsts, alls, agains, judged, steps = [], [], [], [], []
    for _ in range(repeats):
        dicom_reading.headers.clear()
        nifti_reading.headers.clear()
        nifti_reading.volumes.clear()
        counts |= {"headers": 0, "volumes": 0}
        first, whole, names = listed(folder)
        firsts.append(first)
        alls.append(whole)
        agains.append(listed(folder)[1])
        judged.append(timed(lambda: [why_not_compliant(folder / name, InputSpec()) for name in names]) / len(names))  # noqa: B023
        series_of(folder, names)
        chosen = names[len(names) // 3 :][:40]
        read_image(folder / chosen[0])
        steps += [timed(lambda: read_image(folder / name)) for name in chosen[1:]]  # noqa: B023
        once = counts == {"headers": files, "volumes": counts["volumes"]} and counts["volumes"] <= 1
    client.dicom_header_separately, client.nifti_separately = of_dicom, of_nifti
    lines = [
        f"{len(names):,} images in {files:,} files; headers read: {counts['headers']:,}",
        f"first rows     {max(firsts):8.3f} s at most of {repeats} (target {FIRST_ROWS} s)",
        f"whole list     {median(alls):8.3f} s in series and order; again {median(agains):.3f} s",
        f"judge an image {1000 * median(judged):8.3f} ms",
        f"read an image  {1000 * median(steps):8.1f} ms, {1000 * max(steps):.1f} ms at most",
    ]
    return max(firsts) <= FIRST_ROWS and once, lines


def main() -> int:
    """Print what was measured; fail if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--slices", type=int, default=2000)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    pool.get_ready()
    good = True
    with tempfile.TemporaryDirectory() as place:
        for what, make in (
            (f"a study of {arguments.slices:,} CT slices", lambda p: make_study(p, arguments.slices, arguments.side)),
            ("a packed volume of 512 axial slices", lambda p: make_volume(p, 512, min(arguments.side, 256))),
        ):
            folder = Path(place) / what
            folder.mkdir()
            make(folder)
            met, lines = measured(folder, arguments.repeats)
            print(f"{what}: {'targets met' if met else 'TARGET MISSED'}")
            print("".join(f"  {line}\n" for line in lines), end="")
            good = good and met
    print(f"{os.cpu_count()} cores, load {load:.1f}")
    pool.end_all()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
