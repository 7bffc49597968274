"""Say harmful words through every subcommand and every screen, and look at what a terminal gets of them.

    python -m tests.torture.words [--examples 20] [--seed N]

The words are drawn by hypothesis: control codes, commands to the terminal (OSC 52 among them), C1 codes, bidirectional
overrides, markup, lone surrogates and what else has done harm. A folder of tasks and images says them in names,
descriptions, `model.toml`, classes, code, exceptions, what the code prints, and the tags of DICOM files. Every
subcommand that the parser knows and every screen that the app has must be gone through.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "tests" / "support")) if path not in sys.path]


def say(examples: int, seed: int, *, screens_every: int) -> Counter[str]:
    """Draw, build, and go through all.

    Args:
        examples: how many times.
        seed: of what is drawn.
        screens_every: of how many examples one goes through the screens, too: that takes longer.

    Returns:
        How much was looked at.

    Raises:
        AssertionError: something arrived; the words are printed.
    """
    import hypothesis

    from tests.torture.hostile_words import Words, make_world, words
    from tests.torture.words_in_commands import PLANS, check_commands, subcommands
    from tests.torture.words_in_screens import check_screens

    assert subcommands() == set(PLANS), subcommands() ^ set(PLANS)
    counts: Counter[str] = Counter()

    def once(said: Words) -> None:
        with tempfile.TemporaryDirectory() as work:
            if counts["examples"] % screens_every == 0:
                world = make_world(Path(work) / "a", said)
                counts["bytes of screens"] += asyncio.run(check_screens(world, Path(work) / "out"))
                counts["walks through all screens"] += 1
            world = make_world(Path(work) / "b", said)
            counts["command lines"] += check_commands(world, Path(work) / "out")
        counts["examples"] += 1

    every = hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    every(hypothesis.seed(seed)(hypothesis.given(words)(once)))()
    return counts


def main() -> int:
    """Say them, and print how much was looked at."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(
            {f"XDG_{name}_HOME": f"{home}/{name.lower()}" for name in ("CACHE", "DATA", "STATE", "CONFIG")}
        )
        os.environ.update({"TERM": "xterm-256color", "COLORTERM": "truecolor"})
        begin = time.perf_counter()
        counts = say(arguments.examples, arguments.seed, screens_every=1)
    for what, count in counts.items():
        print(f"{count:10,}  {what}")
    print(f"nothing that means harm arrived, in {time.perf_counter() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
