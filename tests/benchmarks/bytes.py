"""Bytes that the app sends to a terminal of 120x40, through a pseudo terminal. Run: python -m tests.benchmarks.bytes

The engine is a fake one, its images 50x50 patches of stained tissue: what is sent depends on pictures and words alone.
With `--json` the figures come as JSON. Where the package textual-image is installed, one of its pictures is measured
too, on a terminal that says how many pixels it has (the package divides by that number).
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import re
import struct
import sys
import tempfile
import termios
import textwrap
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"
sys.path.insert(0, str(SUPPORT))

from terminal import Terminal  # noqa: E402 - beside the tests

SIZE = {"COLUMNS": "120", "LINES": "40"}
QUIET = 1.0
"""Seconds without a byte after which nothing more is to come."""

MODES = {
    "half blocks, 16 million colours": ("half", {"COLORTERM": "truecolor", "TERM": "xterm-256color"}),
    "half blocks, 256 colours": ("half", {"COLORTERM": "", "TERM": "xterm-256color"}),
    "half blocks, 16 colours": ("half", {"COLORTERM": "", "TERM": "xterm"}),
    "no colour": ("half", {"COLORTERM": "", "TERM": "xterm-256color", "NO_COLOR": "1"}),
    "Kitty": ("kitty", {"COLORTERM": "truecolor", "TERM": "xterm-kitty"}),
    "Sixel": ("sixel", {"COLORTERM": "truecolor", "TERM": "xterm-256color"}),
}

PIXELS = (10, 20)
"""Width and height of a character of the terminal in pixels."""

STEPS = (
    ("open the explanation screen", b"\r"),
    ("explain: all maps and the agreement", b"e"),
    ("next image", b"\x1b[B"),
    ("explain the next image", b"e"),
    ("back to the first image", b"\x1b[A"),
    ("zoom", b"z"),
    ("twice as large", b"+"),
    ("move it", b"\x1b[C"),
    ("back to all pictures", b"\x1b"),
    ("point at a cell", b"n"),
    ("point at the next", b"\x1b[C"),
)

PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from dataclasses import replace
import numpy as np
import skimage.data
from factories import make_image
from fakes import FakeEngine
import xaimed_tui.startup.start as start

class Engine(FakeEngine):
    def __init__(self, *_):
        super().__init__()

    def read(self, path):
        if not path.stem.startswith("patch-"):
            return super().read(path)
        number = 40 * int(path.stem.rpartition("-")[2])
        tissue = skimage.data.immunohistochemistry()
        return make_image(path, pixels=tissue[number : number + 50, 100:150].astype(np.float32))

start.Engine = Engine
sys.exit(start.start(flags={{"images": {images!r}}}))
"""

RIVAL = """
from PIL import Image
import skimage.data
from textual.app import App
from textual_image.widget import {widget}

class One(App):
    CSS = "{widget} {{ width: 28; height: 14; }}"

    def compose(self):
        yield {widget}(Image.fromarray(skimage.data.immunohistochemistry()[40:90, 100:150]))

One().run()
"""


def drain(terminal: Terminal) -> bytes:
    """Everything until nothing comes any more."""
    begin = len(terminal.bytes)
    last, seen = time.monotonic(), begin
    while time.monotonic() - last < QUIET:
        terminal.read(0.1)
        if len(terminal.bytes) != seen:
            last, seen = time.monotonic(), len(terminal.bytes)
    return terminal.bytes[begin:]


def give_size(terminal: Terminal) -> None:
    """Let the program know how many pixels the terminal has."""
    columns, rows = int(SIZE["COLUMNS"]), int(SIZE["LINES"])
    size = struct.pack("HHHH", rows, columns, columns * PIXELS[0], rows * PIXELS[1])
    fcntl.ioctl(terminal.descriptor, termios.TIOCSWINSZ, size)


def measure(images: str, environment: dict[str, str]) -> dict[str, dict[str, int]]:
    """For every step its bytes, those of pictures sent as such, and how many of these had been sent before."""
    figures: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as home:
        places = {f"XDG_{name}_HOME": f"{home}/{name}" for name in ("CONFIG", "STATE", "DATA", "CACHE")}
        code = PROGRAM.format(tests=str(SUPPORT), images=images)
        terminal = Terminal.python(code, Path(home), {**SIZE, **places, **environment})
        give_size(terminal)
        terminal.read_until(b"ready")
        drain(terminal)
        for key in (b"2", b"\r"):
            terminal.press(key)
            drain(terminal)
        sent: list[bytes] = []
        for name, key in STEPS:
            terminal.press(key)
            got = drain(terminal)
            pictures = re.findall(rb"\x1b(?:_G|P)[^\x1b]*\x1b\\", got)
            kitty = [one for one in pictures if b"a=t" in one]
            figures[name] = {
                "bytes": len(got),
                "pictures": sum(map(len, pictures)),
                "again": sum(one in sent for one in kitty),  # Sixel has to: the terminal keeps nothing
            }
            sent += kitty
        terminal.press(b"\x11")
        terminal.wait()
    return figures


def measure_rival(widget: str) -> int:
    """Bytes from start to rest of an app with one picture of textual-image, less those of an empty app."""
    totals = []
    for code in (RIVAL.format(widget=widget), "from textual.app import App\nApp().run()"):
        with tempfile.TemporaryDirectory() as home:
            terminal = Terminal.python(textwrap.dedent(code), Path(home), {**SIZE, **MODES["Kitty"][1]})
            give_size(terminal)
            terminal.read_until(b"\x1b[?1049h")
            totals.append(len(drain(terminal)))
            terminal.press(b"\x11")
            terminal.wait()
    return totals[0] - totals[1]


def main() -> None:
    """Measure all, and print."""
    for name in ("NO_COLOR", "SSH_CONNECTION", "SSH_TTY", "TMUX"):
        os.environ.pop(name, None)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    results = {mode: measure(*how) for mode, how in MODES.items()}
    rivals = {}
    if importlib.util.find_spec("textual_image") is not None:
        rivals = {widget: measure_rival(widget) for widget in ("TGPImage", "SixelImage", "HalfcellImage")}
    if "--json" in sys.argv:
        print(json.dumps({"app": results, "textual-image": rivals}, indent=1))
        return
    width = max(len(name) for name, _ in STEPS)
    for mode, figures in results.items():
        print(f"\n{mode}")
        for name, figure in figures.items():
            sent = (
                f"  of these {figure['pictures']:,} are pictures, {figure['again']} sent before"
                if figure["pictures"]
                else ""
            )
            print(f"  {name:<{width}}  {figure['bytes']:>9,} bytes{sent}")
    for widget, count in rivals.items():
        print(f"\ntextual-image, one {widget} of 28x14 characters: {count:,} bytes")


if __name__ == "__main__":
    main()
