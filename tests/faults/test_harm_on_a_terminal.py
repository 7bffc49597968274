"""On a real (pseudo) terminal: what means harm is shown as text by every screen and command, and none of it acts."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pyte
import pytest
from factories import MODEL_CODE, approve, make_model
from harmful import HARM, UTF8_HARM, assert_harmless, five_models, settings
from terminal import Terminal

START = "import sys; sys.argv = {argv!r}; from xaimed_tui.__main__ import main; sys.exit(main())"

SEVERAL = """
import json, os, sys
from pathlib import Path
from engine.cli.main import run
for arguments in json.loads(Path({plan!r}).read_text()):
    print("RUNS", ascii(arguments[:2]), flush=True)
    print("STATUS", run(arguments, open_app=lambda _: 99), flush=True)
print("ALL DONE")
"""

SAYS = f"""
import os, sys
def say():
    for stream in (sys.stdout, sys.stderr):
        print({UTF8_HARM!r}, file=stream, flush=True)
say()
"""
"""The beginning of a model's code that prints what means harm."""

RAISES = f"{SAYS}raise ValueError({UTF8_HARM!r})"

PRINTS = SAYS + MODEL_CODE.replace("return", "say(); return")


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    return five_models(tmp_path / "tasks")


def ran(tasks: Path) -> bool:
    return (tasks.parent / "it-ran").exists()


class Onlooker:
    """What a person sees on a terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self._screen = pyte.Screen(120, 40)
        self._stream = pyte.ByteStream(self._screen)
        self._fed = 0

    def see(self, *words: str, seconds: float = 30.0) -> None:
        """Wait until all the words stand on the screen."""
        end = time.monotonic() + seconds
        while True:
            self._stream.feed(self.terminal.bytes[self._fed :])
            self._fed = len(self.terminal.bytes)
            shown = "\n".join(self._screen.display)
            if all(word in shown for word in words):
                return
            assert time.monotonic() < end, f"{words} never came:\n{shown}"
            assert self.terminal.read(0.1), "the app has ended"


def test_the_list_shows_five_models_says_what_is_wrong_with_four_and_uses_the_first(tasks: Path) -> None:
    terminal = Terminal.python(START.format(argv=["xaimed", "--tasks", str(tasks), "tasks", "--json"]), tasks.parent)
    assert terminal.wait()[0] == 0
    (task,) = json.loads(terminal.bytes)
    usable = [model["usable"] for model in task["models"]]
    reasons = [model["reason"] for model in task["models"]]
    assert usable == [True, False, False, False, False]
    assert reasons[0] == ""
    assert reasons[1].startswith("Its code was not approved on this machine, so it does not run; run xaimed --tasks ")
    assert reasons[2].startswith("The model was changed since it was approved (added: added␛]52")
    assert (
        reasons[3]
        == "There is neither weights.pt nor weights.safetensors, model.onnx or model.torchscript; add the weights."
    )
    assert reasons[4].startswith("The name of the model contains a character that cannot be seen")
    assert terminal.bytes.replace(b"\r\n", b"").isascii()
    assert not ran(tasks)


def test_the_app_shows_five_models_says_what_is_wrong_with_four_and_works_with_the_first(tasks: Path) -> None:
    terminal = Terminal.python(START.format(argv=["xaimed", "--tasks", str(tasks)]), tasks.parent)
    onlooker = Onlooker(terminal)
    onlooker.see("ready")
    terminal.press(b"2")
    onlooker.see("1 Good", "2 Unapproved · not approved", "3 Changed · changed", "4 Broken · broken", "5 Hostile␛]52")
    terminal.press(b"\r")
    time.sleep(0.5)  # nothing but the colour of a frame tells that the other list has the keys now
    for words in ("Not approved.", "(added:", "neither weights.pt nor", "character that cannot"):
        terminal.press(b"j")
        onlooker.see(words)
        onlooker.see("␛[5;31;7mX")  # its description or, of what cannot be used at all, its name
    terminal.press(b"\x1b[H")
    onlooker.see("loads this model")
    terminal.press(b"j\r")
    onlooker.see("Code that wants to run", "can reach files", "# ␛]52")
    terminal.press(b"\x1b")
    onlooker.see("shows its code and asks")
    assert not ran(tasks)
    terminal.press(b"\x1b[H")
    onlooker.see("loads this model")
    terminal.press(b"\r")
    onlooker.see("confidence", "a␛]52")
    terminal.press(b"g")
    onlooker.see("1 of 4", "done")
    for keys, words in (
        (b"t", ("the predicted class", "ill␛]52")),
        (b"y", ("Layer of the CAMs",)),
        (b"w", ("explanation.json",)),
        (b"f", ("Image folder",)),
        (b"?", ("Help", "next theme")),
        (b"\x0c", ("Log  ",)),
        (b"b", ("a␛]52",)),
        (b"z", ("a␛]52",)),
        (b"\r", ("Grad-CAM  of a␛]52", "raw range")),
        (b"\x10", ("Task: Lungs", "5 Hostile␛]52")),
    ):
        terminal.press(keys)
        if keys == b"\x10":
            time.sleep(0.5)
            terminal.press(b"lungs")
        onlooker.see(*words)
        time.sleep(0.3)
        terminal.press(b"\x1b")
        time.sleep(0.5)  # an Esc with a key right behind it is another key
        onlooker.see("1 of 4", "f Folder")
    terminal.press(b"\x1b[B")  # the file that is no picture
    onlooker.see("▸✕ b␛]52")
    terminal.press(b"2")
    onlooker.see("● in use")
    for keys, words in ((b"j", "Not approved."), (b"m", "Tasks and models")):
        terminal.press(keys)
        onlooker.see(words)
    terminal.press(b"\x1b\x11")
    assert terminal.wait()[0] == 0
    assert_harmless(terminal.bytes)
    assert not ran(tasks)


def test_the_demo_command_shows_the_failure_of_code_that_prints_and_raises_harm_as_a_screen(tmp_path: Path) -> None:
    task = tmp_path / "tasks" / "IHC Stain (demo)"
    model = make_model(task / "Raises", code=RAISES)
    (model / "description.txt").write_text(UTF8_HARM, encoding="utf-8")
    (model / "model.toml").write_text(settings(harm=UTF8_HARM), encoding="utf-8")
    (task / "task_description.txt").write_text(UTF8_HARM, encoding="utf-8")
    approve(model)
    terminal = Terminal.python(START.format(argv=["xaimed", "--tasks", str(task.parent), "demo"]), tmp_path)
    onlooker = Onlooker(terminal)
    onlooker.see("The model cannot be used", "ValueError:", "␛]52", "Enter close")
    terminal.press(b"l")
    onlooker.see("Log  ", "c copy")
    terminal.press(b"\x1b")
    onlooker.see("The model cannot be used")
    time.sleep(0.5)
    terminal.press(b"\r")
    onlooker.see("Raises", "Digest", "Classes  healthy, ill␛]52")
    terminal.press(b"\x11")
    assert terminal.wait()[0] == 0
    assert_harmless(terminal.bytes)


def test_every_command_shows_what_means_harm_as_text(tasks: Path, tmp_path: Path) -> None:
    lungs, out = tasks / "Lungs", tmp_path / "out"
    good = lungs / "1 Good"
    images = [
        str(good / "samples" / f"{letter}{HARM}.{suffix}")
        for letter, suffix in (("a", "png"), ("b", "png"), ("c", "dcm"))
    ]
    make_model(tasks / "Faults" / "Raises", code=RAISES, approved=True)
    prints = make_model(tasks / "Faults" / "Prints", code=PRINTS)
    (prints / "model.toml").write_text(settings(harm=UTF8_HARM), encoding="utf-8")
    approve(prints)
    (tmp_path / f"w{HARM}.pt").write_bytes(b"nothing")
    on_good = ["--task", "Lungs", "--model", "1 Good"]
    plan = [
        ["tasks"],
        ["tasks", "describe", "Lungs"],
        ["tasks", "describe", f"No{HARM}"],
        ["tasks", "add", f"T{HARM}", "--description", UTF8_HARM],
        ["tasks", "remove", f"No{HARM}"],
        ["tasks", "restore", f"No{HARM}"],
        ["models", "show", "Lungs", "1 Good"],
        ["models", "show", "Lungs", f"5 Hostile{HARM}"],
        ["models", "check", "Faults", "Raises"],
        ["models", "init", "Faults", "Raises", "--print"],
        ["models", "convert", str(tmp_path / f"w{HARM}.pt")],
        ["models", "add", "Lungs", f"M{HARM}", "--weights", f"w{HARM}.pt", "--architecture", f"a{HARM}.py"],
        ["models", "remove", "Lungs", f"No{HARM}"],
        ["models", "restore", "Lungs", f"No{HARM}"],
        ["trust", "Lungs/2 Unapproved", "--yes"],
        ["trust", "Lungs/3 Changed", "--yes"],
        ["trust", f"Lungs/5 Hostile{HARM}"],
        ["trust", "--list"],
        ["trust", "--revoke", f"Lungs/No{HARM}"],
        ["predict", *images, *on_good],
        ["predict", images[0], *on_good, "--json"],
        ["predict", images[0], "--task", "Faults", "--model", "Raises"],
        ["explain", *images, *on_good, "--methods", "gradcam", "--out", str(out)],
        ["explain", images[0], *on_good, "--target", f"no{HARM}", "--out", str(out)],
        [
            "explain",
            images[0],
            *on_good,
            "--layer",
            f"no{HARM}",
            "--methods",
            "gradcam",
            "--out",
            str(out / f"o{HARM}"),
        ],
        ["predict", images[0], "--task", "Faults", "--model", "Prints"],
        ["models", "check", "Faults", "Prints"],
        ["models", "init", "Faults", "Prints", "--print"],
        ["models", "remove", "Lungs", f"5 Hostile{HARM}"],
        ["models", "remove", "Lungs", "4 Broken"],
        ["tasks", "purge", f"No{HARM}", "--yes"],
        ["tasks", "purge", "--yes"],
        [f"--no{HARM}"],
        [f"no{HARM}"],
    ]
    file = tmp_path / "plan.json"
    file.write_text(json.dumps([["--tasks", str(tasks), *arguments] for arguments in plan]))
    terminal = Terminal.python(SEVERAL.format(plan=str(file)), tmp_path)
    terminal.press(b"n\n" * 20)  # to every question
    terminal.read_until(b"ALL DONE", seconds=90)
    terminal.wait()
    unseen = (
        ["models", "init", "Faults", "Prints", "--print"],
        ["models", "remove", "Lungs", f"5 Hostile{HARM}"],  # gets a name that will do
        ["models", "remove", "Lungs", "4 Broken"],
        ["tasks", "purge", "--yes"],
        ["trust", "--list"],
        [f"no{HARM}"],  # argparse shows its repr
    )
    parts = terminal.bytes.split(b"RUNS ")[1:]
    assert len(parts) == len(plan)
    for arguments, part in zip(plan, parts, strict=True):
        assert b"STATUS" in part, (arguments, part)
        assert b"a fault in the program" not in part, part
        quiet = "--json" in arguments or arguments in unseen
        assert_harmless(part.split(b"\n", 1)[1], seen=not quiet)
    assert os.listdir(out)  # noqa: PTH208 - the names are not text
