"""`xaimed doctor`: what the app finds out about the terminal, and what to set to make it better."""

from __future__ import annotations

import locale
import os
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from engine.cli.console import is_terminal, print_json, print_line
from engine.explainers.cam_package import opencv_problem
from engine.text import safe_text
from xaimed_tui.preferences.settings import load_settings
from xaimed_tui.terminal.query import (
    Answers,
    ask_this_terminal,
    best_pixels,
    multiplexer,
    over_ssh,
    size_of_a_character,
)

HELP = "say what the app finds out about this terminal, and what to set"
DESCRIPTION = (
    "Says what the app finds out about this terminal: its colours, its size, how it shows images, and its encoding; "
    "and what to set to make it better. Asks the terminal one question."
)

_COLOURS = {"truecolor": "16 million", "256": "256", "standard": "16", None: "none"}

SMALLEST = (80, 24)
"""Columns and rows that every screen is made for."""


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    """Ask the terminal, print what was found, and return the exit status."""
    settings, problems = load_settings({})
    found = findings(os.environ, ask_this_terminal(), images=settings.images, measured=size_of_a_character())
    advice = [*problems, *advise(found), *about_opencv()]
    if arguments.json:
        print_json({**found, "advice": advice})
        return 0
    width = max(len(name) for name in found)
    for name, value in found.items():
        print_line(f"{name.replace('_', ' '):<{width}}  {_words(value)}")
    print_line()
    for line in advice or ["Nothing to set."]:
        print_line(f"- {line}" if advice else line)
    return 0


def findings(
    environment: Mapping[str, str], answers: Answers, *, images: str, measured: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return what was found, by name.

    Args:
        environment: the environment variables.
        answers: what the terminal answered.
        images: the setting of that name.
        measured: height and width of a character in pixels, as the system knows them.
    """
    size = shutil.get_terminal_size((0, 0))
    inside = multiplexer(environment)
    colours = color_system(environment)
    best = None if inside else best_pixels(answers, measured)
    uses = images if images != "auto" else "half" if best is None else best.protocol
    if colours is None:
        uses = "glyphs"
    cell = answers.cell or measured
    return {
        "terminal": environment.get("TERM") or None,
        "on_a_terminal": is_terminal(sys.stdin) and is_terminal(sys.stderr),
        "size": [size.columns, size.lines],
        "colours": _COLOURS[colours],
        "answered": answers.answered,
        "kitty_graphics": answers.kitty,
        "sixel": answers.sixel,
        "sixel_colours": answers.colours if answers.sixel else None,
        "pixels_of_a_character": None if cell is None else [cell[1], cell[0]],
        "name": answers.name or None,
        "ssh": over_ssh(environment),
        "inside": inside or None,
        "letters": (sys.stdout.encoding if sys.stdout is not None else None) or locale.getpreferredencoding(False),
        "locale": environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or None,
        "images_setting": images,
        "images_drawn_as": uses,
        "best_images": "half" if best is None else best.protocol,
    }


def color_system(environment: Mapping[str, str]) -> str | None:
    """Return the colours that the app assumes: `truecolor`, `256`, `standard`, or None for no colour."""
    # Rich names a colour system even then, and only leaves the colours out.
    if "NO_COLOR" in environment:
        return None
    from rich.console import Console  # late: it takes as long as all the rest, and `xaimed --help` does without

    return Console(_environ=environment, force_terminal=True, color_system="auto").color_system


def advise(found: Mapping[str, Any]) -> list[str]:
    """Return what to do, one sentence each; empty if all is well."""
    advice: list[str] = []
    columns, rows = found["size"]
    if not found["on_a_terminal"]:
        advice.append(
            "This is no terminal, so the app cannot run here; for scripts there are commands, see xaimed --help."
        )
    elif columns < SMALLEST[0] or rows < SMALLEST[1]:
        advice.append(f"Make the window larger: the app is made for at least {SMALLEST[0]}x{SMALLEST[1]} characters.")
    if found["colours"] in ("256", "16"):
        what = "export COLORTERM=truecolor"
        advice.append(f"If the terminal shows 16 million colours (most do): {what}; over SSH it is not passed on.")
    elif found["colours"] == "none":
        advice.append("There is no colour: unset NO_COLOR, or set TERM to the terminal's name, e.g. xterm-256color.")
    if str(found["letters"]).lower().replace("-", "") != "utf8":
        advice.append("Letters are not UTF-8, which lines and pictures need: export LC_ALL=C.UTF-8.")
    if found["inside"]:
        advice.append(f"Inside {found['inside']} pictures are half blocks, because it passes no images on.")
        if found["inside"] == "tmux" and found["colours"] != "16 million":
            advice.append('For all colours in tmux: set -as terminal-features ",*:RGB" in ~/.tmux.conf.')
    else:
        advice.extend(_about_images(found))
    return advice


def about_opencv() -> list[str]:
    """What to do where the CAMs' package cannot be loaded; empty if it can."""
    if (problem := opencv_problem()) is None:
        return []
    cause, remedy = problem
    return [safe_text(f"{cause}: {remedy}.")]


def _about_images(found: Mapping[str, Any]) -> list[str]:
    uses, best = found["images_drawn_as"], found["best_images"]
    advice = []
    if uses == "half" and best != "half":
        advice.append(
            f'The terminal can show real pixels: use --images {best}, or images = "{best}" in the settings file.'
        )
    elif uses == "kitty" and found["answered"] and not found["kitty_graphics"]:
        advice.append(f"Pictures are sent by Kitty's protocol, which the terminal does not know: use --images {best}.")
    elif uses == "sixel" and found["answered"] and not found["sixel"]:
        advice.append(f"Pictures are sent as Sixel, which the terminal does not know: use --images {best}.")
    elif found["sixel"] and best == "half" and found["pixels_of_a_character"] is None:
        advice.append("The terminal knows Sixel but does not say how large a character is: pictures may be misplaced.")
    elif found["sixel"] and best == "half":
        advice.append(
            f"The terminal knows Sixel, but only {found['sixel_colours']} colours, too few. XTerm has more with "
            "-xrm 'XTerm*numColorRegisters: 256'."
        )
    xterm = str(found["name"] or "").lower().startswith("xterm(")
    if xterm and not found["sixel"]:
        advice.append("XTerm can show real pixels by Sixel if it was built for it and is started as xterm -ti vt340.")
    if uses == "sixel" and xterm:
        advice.append("XTerm keeps 16 Sixel pictures, so the app sometimes paints the whole screen again.")
    return advice


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "x".join(str(part) for part in value)
    return "not known" if value is None else str(value)
