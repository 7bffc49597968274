"""Every subcommand, given a hostile world, on a pseudo terminal."""

from __future__ import annotations

import argparse
import os
import pty
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.cli import main
from engine.text import safe_text
from tests.torture.hostile_words import World, harm_in
from xaimed_tui.preferences.settings import FLAGS

FRONT_END = ("xaimed_tui.startup.doctor",)
OPENED = 99

Plan = Callable[[World, Path], Sequence[Sequence[str | Path]]]


def _on(model: str) -> list[str]:
    return ["--task", "Lungs", "--model", model]


def _images(world: World) -> list[str | Path]:
    return list(world.images)


def _names(world: World) -> tuple[str, str]:
    """A task and a model of the task `Lungs` with names that mean harm."""
    return world.task_names[1], next(name for name in world.model_names if name.startswith("model"))


PLANS: dict[tuple[str, ...], Plan] = {
    ("demo",): lambda world, _: [["demo"]],
    ("tasks",): lambda world, _: [["tasks"], ["tasks", "--json"]],
    ("tasks", "add"): lambda world, out: [
        ["tasks", "add", world.said.text, "--description", "x"],
        ["tasks", "add", "Hearts", "--description", world.said.text],
        ["tasks", "add", "Hearts", "--description", f"/{world.said.text}.txt"],
    ],
    ("tasks", "describe"): lambda world, _: [
        ["tasks", "describe", "Lungs"],
        ["tasks", "describe", _names(world)[0]],
        ["tasks", "describe", world.said.text],
        ["tasks", "describe", "Lungs", "--description", world.said.text],
    ],
    ("models", "add"): lambda world, out: [
        ["models", "add", "Lungs", world.said.text, "--weights", "w.pt", "--architecture", "a.py"],
        ["models", "add", world.said.text, "x", "--weights", "w.pt", "--architecture", "a.py"],
        ["models", "add", "Lungs", "x", "--weights", world.images[-1], "--architecture", world.images[-1]],
        [
            *("models", "add", "Lungs", "Added", "--weights", _model(world, "1 Good") / "weights.pt"),
            *("--architecture", _model(world, "2 Raises") / "architecture.py", "--description", world.said.text),
            *("--picture", world.images[0], "--model-toml", _model(world, "1 Good") / "model.toml"),
        ],
    ],
    ("models", "import"): lambda world, _: [
        ["models", "import", world.said.text, "--task", "Lungs", "--name", "x"],
        ["models", "import", world.images[-1], "--task", world.said.text, "--name", world.said.text],
        [
            *("models", "import", _model(world, "1 Good") / "weights.pt", "--task", "Lungs", "--name", world.said.text),
            *("--architecture", _model(world, "1 Good") / "architecture.py", "--classes", world.said.text, "--yes"),
        ],
        [
            *("models", "import", _model(world, "1 Good") / "weights.pt", "--task", "L", "--name", "x"),
            *("--network", world.said.text, "--preprocessing", world.said.text, "--key", world.said.text),
        ],
    ],
    ("models", "show"): lambda world, _: [
        *(["models", "show", "Lungs", name] for name in world.model_names),
        ["models", "show", "Lungs", "1 Good", "--json"],
        ["models", "show", "Lungs", world.said.text],
    ],
    ("models", "describe"): lambda world, _: [
        ["models", "describe", "Lungs", "1 Good"],
        ["models", "describe", "Lungs", "6 Constants", "--description", world.said.text, "--yes"],
    ],
    ("models", "init"): lambda world, _: [
        ["models", "init", "Lungs", "6 Constants", "--print"],
        ["models", "init", "Lungs", "2 Raises", "--print"],
        ["models", "init", "Lungs", "7 Wrong"],
    ],
    ("models", "check"): lambda world, _: [
        ["models", "check", "Lungs", "3 Loud"],
        ["models", "check", "Lungs", "2 Raises"],
        ["models", "check", "Lungs", "1 Good", "--image", world.images[-1]],
    ],
    ("models", "convert"): lambda world, out: [
        ["models", "convert", world.images[-1]],
        [
            "models",
            "convert",
            _model(world, "1 Good") / "weights.pt",
            "--out",
            out / f"{world.images[0].stem}.safetensors",
        ],
    ],
    ("trust",): lambda world, _: [
        *(["trust", f"Lungs/{name}", "--yes"] for name in ("1 Good", "4 Unapproved", "7 Wrong")),
        ["trust", "Lungs/5 Changed"],
        ["trust", f"Lungs/{_names(world)[1]}"],
        ["trust", "--revoke", f"Lungs/{world.said.text}"],
        ["trust", "--list"],
    ],
    ("predict",): lambda world, _: [
        ["predict", *_images(world), *_on("1 Good")],
        ["predict", *_images(world), *_on("3 Loud"), "--json"],
        ["predict", *_images(world), *_on("6 Constants")],
        ["predict", world.images[0], *_on("2 Raises")],
        ["predict", world.images[0], *_on(world.said.text)],
        ["predict", world.said.text, *_on("1 Good")],
    ],
    ("explain",): lambda world, out: [
        ["explain", *_images(world), *_on("3 Loud"), "--methods", "gradcam", "--out", out / "results"],
        ["explain", world.images[0], *_on("1 Good"), "--methods", world.said.text, "--out", out],
        ["explain", world.images[0], *_on("1 Good"), "--target", world.said.text, "--out", out],
        ["explain", world.images[0], *_on("1 Good"), "--methods", "gradcam", "--layer", world.said.text, "--out", out],
        [
            "explain",
            world.images[0],
            *_on("1 Good"),
            "--methods",
            "gradcam",
            "--json",
            "--out",
            out / world.images[0].stem,
        ],
    ],
    ("reproduce",): lambda world, out: [
        ["reproduce", world.said.text],
        ["reproduce", world.images[0], "--search", world.said.text],
        ["reproduce", out / world.images[0].stem, "--image", world.images[-1]],
    ],
    ("models", "remove"): lambda world, _: [
        ["models", "remove", "Lungs", _names(world)[1]],
        ["models", "remove", "Lungs", world.said.text],
    ],
    ("models", "restore"): lambda world, _: [
        ["models", "restore"],
        ["models", "restore", "Lungs", world.said.text],
    ],
    ("tasks", "remove"): lambda world, _: [
        ["tasks", "remove", safe_text(_names(world)[0])],
        ["tasks", "remove", world.said.text],
    ],
    ("tasks", "restore"): lambda world, _: [
        ["tasks", "restore"],
        ["tasks", "restore", "--json"],
        ["tasks", "restore", world.said.text],
    ],
    ("tasks", "purge"): lambda world, _: [
        ["tasks", "purge", world.said.text],
        ["tasks", "purge"],
        ["tasks", "purge", "--yes"],
    ],
    ("methods",): lambda world, _: [["methods"], ["methods", "--json"]],
    ("doctor",): lambda world, _: [["doctor"], ["doctor", "--json"]],
    (): lambda world, _: [
        [],
        [world.said.text],
        [f"--{world.said.text}"],
        ["--theme", world.said.text],
        ["--task", "T", world.images[0]],
    ],
}
"""What each subcommand is asked, in this order; the empty one is the program itself."""


def _model(world: World, name: str) -> Path:
    return world.tasks / "Lungs" / name


def subcommands() -> set[tuple[str, ...]]:
    """All that the parser knows, those of the front end among them."""
    named = {module.rpartition(".")[2]: module for module in (*main._COMMANDS, *FRONT_END)}
    parser = main._parser(FLAGS, main._called(["--help"], named))
    return {(), *_leaves(parser, ())}


def _leaves(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                nested = any(isinstance(other, argparse._SubParsersAction) for other in below._actions)
                if not nested or not any(other.required for other in below._actions if other.dest == "==SUPPRESS=="):
                    yield (*path, name)
                yield from _leaves(below, (*path, name))


def check_commands(world: World, out: Path) -> int:
    """Run them all; returns how many command lines that were.

    Raises:
        AssertionError: something that means harm arrived, names were not to be told apart, or the program failed.
    """
    count = 0
    said = (world.said.text, world.said.one, world.said.other)
    for path, plan in PLANS.items():
        for line in plan(world, out):
            arguments = [os.fspath(argument) for argument in line]
            got, status = run(["--tasks", str(world.tasks), *arguments] if path else arguments)
            count += 1
            assert not (harm := harm_in(got, said)), (arguments[:3], harm)
            assert b"a fault in the program" not in got, (arguments[:3], got[-500:])
            assert status in (0, 1, 2, OPENED), (arguments[:3], status)
            if path == ("predict",) and model_of(line) == "1 Good" and len(line) > 6:
                for image in world.images:
                    assert safe_text(image) in got.decode(), f"{image!r} is not told apart"
            if line == ["tasks"]:
                for name in (*world.task_names, *world.model_names):
                    assert safe_text(name) in got.decode(), f"{name!r} is not told apart"
    return count


def model_of(line: Sequence[str | Path]) -> str | Path:
    """The model that a command line names; empty if none."""
    return line[line.index("--model") + 1] if "--model" in line else ""


def run(arguments: Sequence[str]) -> tuple[bytes, int]:
    """The command line in this process, its three streams on a pseudo terminal of 4,000 columns, every answer `n`."""
    with _terminal() as (got, answer):
        answer(b"n\n" * 3)
        status = main.run(arguments, open_app=lambda _: OPENED, flags=FLAGS, commands=FRONT_END)
    return b"".join(got), status


@contextmanager
def _terminal() -> Iterator[tuple[list[bytes], Callable[[bytes], int]]]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    termios.tcsetwinsize(slave, (50, 4000))
    got: list[bytes] = []

    def read() -> None:
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:
                return
            if not piece:
                return
            got.append(piece)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = os.fdopen(os.dup(slave), "r")
    sys.stdout = os.fdopen(os.dup(slave), "w", encoding="utf-8")
    sys.stderr = os.fdopen(os.dup(slave), "w", encoding="utf-8")
    try:
        yield got, lambda keys: os.write(master, keys)
    finally:
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            stream.close()
        sys.stdin, sys.stdout, sys.stderr = before
        os.close(slave)
        reader.join(10)
        os.close(master)
