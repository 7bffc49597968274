"""Kill the process that saves an explanation, at random moments, and look at what is left.

    python -m tests.torture.kill_saving [--kills 1000] [--seed N]

After each kill the folder of results must hold either all files under the final name, byte for byte, or nothing under
it; and the next start (or, for every tenth kill, the next saving beside it) must remove what was left hidden. The
pictures are drawn once, before the first kill: while one is drawn nothing on the disk changes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "tests" / "support")) if path not in sys.path]

_TIMED = 9
"""Savings timed before the kills, whose moments are drawn from a little more than their median."""


@dataclass(frozen=True)
class Saver:
    """Saves one explanation in processes of its own, which can be killed.

    Attributes:
        explanation: what is saved.
        content: what its files must hold.
    """

    explanation: Explanation
    content: dict[str, bytes]

    def start(self, out: Path) -> int:
        """The number of a process that saves below `out` and ends."""
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            self.save(out)
            status = 0
        finally:
            os._exit(status)  # without flushing or cleaning up what belongs to the parent

    def save(self, out: Path) -> Path:
        """Save here."""
        from engine.export.folder import save_explanation

        return save_explanation(self.explanation, out)

    def whole(self, folder: Path) -> bool:
        """Whether a folder holds all files, as they must be; only the time in the record may differ."""
        if {entry.name for entry in folder.iterdir()} != set(self.content):
            return False
        for name, expected in self.content.items():
            found = (folder / name).read_bytes()
            if name == "explanation.json":
                found, expected = (
                    json.dumps(json.loads(text) | {"created": ""}).encode() for text in (found, expected)
                )
            if found != expected:
                return False
        return True


def kill_savings(kills: int, seed: int, work: Path) -> tuple[Counter[str], Counter[str]]:
    """Kill, and look.

    Args:
        kills: how many.
        seed: of the moments.
        work: an empty folder to save in; the user's state folder is made in it, too.

    Returns:
        How often each state that may be was found, and how often each that may not.
    """
    os.environ["XDG_STATE_HOME"] = str(work / "state")
    from factories import make_explanation

    from engine.export import folder
    from engine.storage import partial

    explanation = make_explanation(methods=("rise", "gradcam"))
    content = dict(folder.explanation_files(explanation))
    folder.explanation_files = lambda *_, **__: iter(content.items())  # type: ignore[assignment]
    saver, draw = Saver(explanation, content), random.Random(seed)
    longest = 1.1 * median(_seconds(saver, work / f"timed-{number}") for number in range(_TIMED))
    found = Counter(dict.fromkeys(("nothing", "left hidden", "whole"), 0))
    faults: Counter[str] = Counter()
    for number in range(kills):
        out = work / f"out-{number}"
        pid = saver.start(out)
        time.sleep(draw.uniform(0.0, longest))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        entries = list(out.iterdir()) if out.exists() else []
        final = [entry for entry in entries if not entry.name.startswith(".")]
        hidden = [entry for entry in entries if entry.name.startswith(".")]
        if final and not saver.whole(final[0]):
            faults["incomplete under its final name"] += 1
        else:
            found["whole" if final else "left hidden" if hidden else "nothing"] += 1
        if number % 10 == 9:
            shutil.rmtree(partial.notes(), ignore_errors=True)
            final.append(saver.save(out))
        partial.remove_noted()
        left = set(out.iterdir()) if out.exists() else set()
        faults["not cleaned up"] += left != set(final)
        faults["a note stayed"] += partial.notes().exists() and any(partial.notes().iterdir())
        faults["not whole after cleaning up"] += not all(saver.whole(folder) for folder in final)
        shutil.rmtree(out, ignore_errors=True)
    return found, +faults


def _seconds(saver: Saver, out: Path) -> float:
    """From the process's start until its results are there; how long it then takes to end is another matter."""
    out.mkdir()
    begin = time.perf_counter()
    pid = saver.start(out)
    while not any(not entry.name.startswith(".") for entry in out.iterdir()):
        time.sleep(0.0002)
    seconds = time.perf_counter() - begin
    os.waitpid(pid, 0)
    assert saver.whole(next(out.iterdir())), "it must be whole where nobody kills"
    return seconds


def main() -> int:
    """Kill, print the counts, and fail if anything was found that must not be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--below", type=Path, help="folder to work in (default: the temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.below) as work:
        begin = time.perf_counter()
        found, faults = kill_savings(arguments.kills, arguments.seed, Path(work))
        seconds = time.perf_counter() - begin
    faults.update(f"{name} was imported" for name in ("torch", "textual") if name in sys.modules)
    for what, count in found.items():
        print(f"{count:6}  {what}")
    for what, count in faults.items():
        print(f"{count:6}  FAULT: {what}")
    print(f"{arguments.kills} kills in {seconds:.0f} s: {sum(faults.values())} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
