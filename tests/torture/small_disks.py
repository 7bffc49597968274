"""Save an explanation on disks that are too small, one page larger each time, and on one that is read-only.

    unshare --map-root-user --mount python -m tests.torture.small_disks

The disks are made in memory and mounted, which needs the right to mount: `unshare` gives it on most Linux machines. On
each disk there must be all files or none, and the reason must be the disk. The pictures are drawn once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "tests" / "support")) if path not in sys.path]

PAGE = 4096


def save_on_small_disks(work: Path) -> tuple[Counter[str], Counter[str]]:
    """Try all sizes up to the first that suffices, then a read-only disk.

    Args:
        work: an empty folder, on which the disks are mounted.

    Returns:
        How often each outcome that may be was met, and each that may not.
    """
    os.environ["XDG_STATE_HOME"] = str(work / "state")
    from factories import make_explanation

    from engine.export import folder

    content = tuple(folder.explanation_files(make_explanation(methods=("rise", "gradcam"))))
    folder.explanation_files = lambda *_, **__: iter(content)  # type: ignore[assignment]
    disk = work / "disk"
    disk.mkdir()
    outcomes: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    pages = 1
    while not outcomes["saved whole"] and not faults:
        _try(disk, f"size={pages * PAGE},nr_inodes=1000", "there is no space left on the disk", outcomes, faults)
        pages += 1
    for entries in range(2, 18):  # enough bytes, but no room for another file
        _try(disk, f"size=10m,nr_inodes={entries}", "there is no space left on the disk", outcomes, faults)
    _try(disk, "ro", "the disk is read-only", outcomes, faults)
    return outcomes, faults


def _try(disk: Path, options: str, reason: str, outcomes: Counter[str], faults: Counter[str]) -> None:
    from factories import make_explanation

    from engine.errors import ExportError
    from engine.export import folder

    explanation = make_explanation(methods=("rise", "gradcam"))
    expected = {name for name, _ in folder.explanation_files(explanation)}
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)
    try:
        try:
            saved = folder.save_explanation(explanation, disk)
        except ExportError as error:
            outcome = f"{reason}: nothing left"
            if error.cause != reason or error.subject != str(disk) or not error.remedy:
                faults[f"another reason: {error.message}"] += 1
        else:
            outcome = "saved whole"
            if {entry.name for entry in saved.iterdir()} != expected:
                faults["files are missing"] += 1
        left = [entry.name for entry in disk.iterdir()]
        if left != (["patch"] if outcome == "saved whole" else []):
            faults[f"left behind: {left}"] += 1
        outcomes[outcome] += 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def main() -> int:
    """Try, print the counts, and fail if anything was met that must not be."""
    with tempfile.TemporaryDirectory() as work:
        outcomes, faults = save_on_small_disks(Path(work))
    for what, count in outcomes.items():
        print(f"{count:6}  {what}")
    for what, count in faults.items():
        print(f"{count:6}  FAULT: {what}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
