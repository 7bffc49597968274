"""Give every reader of a document thousands of spoilt ones: each must end with a message or an answer, never a fault.

    python -m tests.torture.fuzz [--each 2000] [--seed 0]

A sound document of each kind is spoilt at random: bytes are turned, cut out, doubled; values are replaced by what no
program wrote there (numbers without end, brackets within brackets, halves of characters, other types). Of files that
hold arrays, the arrays and what is said about them are spoilt, and the file is packed again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "tests" / "support")) if path not in sys.path]

from tests.torture import fuzz_files  # noqa: E402 - it is found by the path that was just set

NASTY = (
    *(
        "null",
        "true",
        "-1",
        "0",
        "8.0",
        "1e999",
        "-1e999",
        "NaN",
        "9" * 5000,
        '""',
        '"\\udce4"',
        '"\\u0000"',
        "[]",
        "{}",
    ),
    *("[" * 3000, "[" * 40 + "]" * 40, '{"a": ' * 3000, '"' + "x" * 5000 + '"', "inf", "nan", "1979-05-27", "'''x'''"),
)
"""Values to put in a place where another was, as they stand in a text."""


@dataclass(frozen=True)
class Target:
    """A reader of documents.

    Attributes:
        name: what it reads.
        sound: a document that it takes.
        read: reads one; returns whether it was taken, and raises only for a fault.
        spoil: returns a spoilt one; None for `spoilt`.
    """

    name: str
    sound: bytes
    read: Callable[[bytes], bool]
    spoil: Callable[[bytes, random.Random], bytes] | None = None


def targets(folder: Path) -> list[Target]:
    """Return all readers; their files lie below `folder`, the user's own folders too."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = str(folder / name.lower())
    others = (Target(*file) for file in fuzz_files.files(folder))
    return [*_of_models(folder), *_of_the_users(), _of_the_decoder(), _of_tuning(folder), *others]


def _of_models(folder: Path) -> list[Target]:
    from factories import make_model

    from engine.bundle.model_bundle import read_bundle
    from engine.errors import BundleError
    from engine.library.tasks import list_tasks
    from engine.trust.permission import review, words_about

    model = make_model(folder / "tasks" / "Task" / "Model", approved=True)
    sound = (model / "model.toml").read_bytes() if (model / "model.toml").exists() else b""
    sound += b'\n[training]\ndata = "x"\n' if b"[training]" not in sound else b""
    code = (model / "architecture.py").read_bytes()

    def read(file: Path, content: bytes) -> bool:
        before = file.read_bytes() if file.exists() else None
        file.write_bytes(content)
        try:
            (task,) = list_tasks([folder / "tasks"])
            assert [entry.name for entry in task.models] == ["Model"], "it must be listed whatever is wrong with it"
            words_about(review(model))
            read_bundle(model)
        except BundleError as error:
            return "\n" in error.message and _fail("a message of several lines")
        finally:
            file.write_bytes(before) if before is not None else file.unlink()
        return True

    return [
        Target("model.toml", sound, lambda content: read(model / "model.toml", content)),
        Target("architecture.py", code, lambda content: read(model / "architecture.py", content)),
    ]


def _fail(reason: str) -> bool:
    raise AssertionError(reason)


def _of_the_users() -> list[Target]:
    from engine.errors import ApprovalError
    from engine.library.hidden import read_hidden
    from engine.storage import places
    from engine.trust.approvals import read_approvals
    from xaimed_tui.preferences.remembered import Remembered, StateFile
    from xaimed_tui.preferences.settings import load_settings

    def written(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def settings(content: bytes) -> bool:
        written(places.settings(), content)
        _, problems = load_settings({})
        assert all("\n" not in problem for problem in problems)
        return not problems

    def remembered(content: bytes) -> bool:
        written(places.app_state(), content)
        state = StateFile(places.app_state())
        assert "\n" not in state.problem
        return not state.problem

    def approvals(content: bytes) -> bool:
        written(places.approvals(), content)
        try:
            return not read_approvals().problem
        except ApprovalError:
            return False

    def hidden(content: bytes) -> bool:
        written(places.hidden(), content)
        return bool(read_hidden())

    stored = places.approvals().read_bytes()
    now = json.dumps({"version": 1, **asdict(Remembered())}, default=str).encode()
    return [
        Target("settings.toml", b'theme = "dark"\nopacity = 50\n', settings),
        Target("app.json", now, remembered),
        Target("approvals.json", stored, approvals),
        Target("hidden.json", b'{"Task": "20260101T000000.000000Z", "Task/Model": "x"}', hidden),
    ]


def _of_the_decoder() -> Target:
    from engine.images.decoding.protocol import parse_answer
    from engine.images.header import DEFAULT_LIMITS, Header

    header = Header("PNG", 4, 5, 8, grey=False, alpha="none", orientation=1, inverted=False, size=9)
    sound = json.dumps({"header": asdict(header), "shape": [4, 5, 3], "warnings": [["bits", "Look."]]}).encode()

    def read(content: bytes) -> bool:
        try:
            parse_answer(content, DEFAULT_LIMITS)
        except ValueError:  # what the client takes for a process that answers nonsense
            return False
        return True

    return Target("a decoder's answer", sound, read)


def _of_tuning(folder: Path) -> Target:
    from engine.acceleration import tuning

    path = folder / "tuning.json"

    def read(content: bytes) -> bool:
        path.write_bytes(content)
        return tuning._read(path) is not None

    return Target("tuning", b'{"batch": 16, "precision": "fp32", "exact_batch": 8}', read)


def spoilt(sound: bytes, draw: random.Random) -> bytes:
    """Return a document that is like a sound one, but for one to four changes."""
    data = bytearray(sound)
    for _ in range(draw.choice((1, 1, 2, 4))):
        kind, place = draw.randrange(6), draw.randrange(max(len(data), 1))
        end = min(place + draw.choice((1, 4, 40)), len(data))
        if kind == 0 and data:
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[place:end]
        elif kind == 2:
            data[place:place] = data[place:end]
        elif kind == 3:
            data[place:place] = draw.choice(NASTY).encode()
        else:
            _replace_a_value(data, draw)
    return bytes(data)


def _replace_a_value(data: bytearray, draw: random.Random) -> None:
    """Replace what stands between two of the signs that separate values."""
    cuts = [index for index, byte in enumerate(data) if byte in b":=,[]{}\n"]
    if len(cuts) > 1:
        number = draw.randrange(len(cuts) - 1)
        data[cuts[number] + 1 : cuts[number + 1]] = f" {draw.choice(NASTY)} ".encode()


def try_spoilt(target: Target, times: int, seed: int) -> tuple[int, list[str]]:
    """Return how many of the spoilt documents were taken, and the faults."""
    draw = random.Random(f"{seed} {target.name}")
    if not target.read(target.sound):
        return 0, [f"{target.name}: the sound one is refused"]
    taken, faults = 0, []
    for _ in range(times):
        content = (target.spoil or spoilt)(target.sound, draw)
        begin = time.process_time()
        try:
            taken += target.read(content)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            faults.append(f"{target.name}: {type(error).__name__}: {str(error)[:200]} for {content[:300]!r}")
        if time.process_time() - begin > 5:
            faults.append(f"{target.name}: {time.process_time() - begin:.0f} s for {content[:300]!r}")
    return taken, faults


def main() -> int:
    """Spoil all, print a table, and fail if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--each", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    every: list[str] = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of code that is only parsed
        print(f"{'':20} {'spoilt':>7} {'taken':>7} {'faults':>7}")
        for target in targets(Path(folder)):
            taken, faults = try_spoilt(target, arguments.each, arguments.seed)
            print(f"{target.name:20} {arguments.each:7} {taken:7} {len(faults):7}")
            every += faults
    print("\n".join(f"FAULT: {fault}" for fault in every))
    print(f"{len(every)} faults")
    return 1 if every else 0


if __name__ == "__main__":
    sys.exit(main())
