"""Attack what is on the disk and what is typed: mounts, namespaces, kills, spoilt files, programs in code, pastes.

    python -m tests.torture.attacks [--share 1.0]

Prints one line for each attack: what was tried, how often, and what it did. Takes about ten minutes; `--share 0.1`
tries a tenth. Each attack is a command or a test of its own, which tells more.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0")


@dataclass(frozen=True)
class Attack:
    """A command that attacks.

    Attributes:
        name: what is attacked.
        command: arguments of Python, for the share that is tried.
    """

    name: str
    command: Callable[[float], Sequence[str]]


def _tests(*names: str) -> Callable[[float], Sequence[str]]:
    return lambda _: (*TESTS, *names)


def _module(name: str, option: str, number: int) -> Callable[[float], Sequence[str]]:
    return lambda share: ("-m", f"tests.torture.{name}", option, str(max(1, round(number * share))))


ATTACKS = (
    Attack("deleting what is mounted", _tests("tests/engine/storage/test_deleting.py")),
    Attack("two PID namespaces", _module("two_namespaces", "--saves", 300)),
    Attack("killed while saving", _module("kill_saving", "--kills", 200)),
    Attack("spoilt documents", _module("fuzz", "--each", 2000)),
    Attack("headers of pictures", _tests("tests/engine/images/test_hostile_headers.py")),
    Attack("pastes and floods of keys", _tests("tests/app/test_pasting.py", "tests/app/terminal/test_pastes.py")),
    Attack("code that costs memory", _tests("tests/engine/bundle/test_bundle_limits.py")),
    Attack("weights that cost memory", _tests("tests/faults/test_fault_weights.py")),
    Attack("programs in a model's code", _tests("tests/engine/trust/test_inspection.py")),
)


def main() -> int:
    """Attack, print the table, and fail if any attack did harm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--share", type=float, default=1.0)
    arguments = parser.parse_args()
    harm = 0
    print(f"{'':28} {'result':8} {'seconds':>8}  what it says")
    for attack in ATTACKS:
        begin = time.monotonic()
        command = [sys.executable, *attack.command(arguments.share)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.strip()] or done.stderr.splitlines() or [""]
        said = re.sub(r"=+", "", lines[-1]).strip()
        result = "held" if done.returncode == 0 else "HARM"
        harm += done.returncode != 0
        print(f"{attack.name:28} {result:8} {time.monotonic() - begin:8.0f}  {said[:120]}", flush=True)
        if done.returncode:
            print("\n".join(lines[-20:]))
    return 1 if harm else 0


if __name__ == "__main__":
    sys.exit(main())
