"""Pictures as pixels through a real (pseudo) terminal: no bytes of a picture are repeated, and none is left behind."""

from __future__ import annotations

import fcntl
import re
import struct
import termios
import time
from pathlib import Path

import pytest
from fake_program import program
from pixel_terminal import PixelTerminal
from terminal import Terminal

PLAIN = dict.fromkeys(("TMUX", "STY", "SSH_CONNECTION", "SSH_TTY", "XTERM_VERSION"), "")


def open_app(images: str, folder: Path, pixels: tuple[int, int]) -> Terminal:
    """The app on a terminal of 120x40 characters and so many pixels."""
    process = Terminal.python(
        program("nothing"), folder, {**PLAIN, "COLUMNS": "120", "LINES": "40", "XAIMED_IMAGES": images}
    )
    fcntl.ioctl(process.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, *pixels))
    process.read_until(b"ready")
    return process


def rest(process: Terminal) -> None:
    """Read until nothing comes any more."""
    last, seen = time.monotonic(), len(process.bytes)
    while time.monotonic() - last < 0.5:
        process.read(0.1)
        if len(process.bytes) != seen:
            last, seen = time.monotonic(), len(process.bytes)


@pytest.mark.parametrize("images", ["sixel", "kitty"])
def test_no_bytes_of_a_picture_are_repeated_and_none_are_left(images: str, tmp_path: Path) -> None:
    process = open_app(images, tmp_path, (1200, 800))
    terminal, fed = PixelTerminal(120, 40), 0

    def press(keys: bytes, what: str, pictures: int) -> None:
        """Press keys, and wait for words on the screen and so many pictures in all."""
        nonlocal fed
        process.press(keys)
        end = time.monotonic() + 30
        while True:
            rest(process)
            terminal.feed(process.bytes[fed:].decode())  # fails where the terminal has a picture, or it stands there
            fed = len(process.bytes)
            if what in terminal.text and terminal.sixels + len(terminal.placements) >= pictures:
                return
            assert time.monotonic() < end, terminal.text

    press(b"2", "HIS Breast Cancer", 0)
    press(b"\r", "loads this model", 0)
    press(b"\r", "e makes all", 1)
    press(b"e", "Save", 6)
    press(b"n", "mean", 6)
    press(b"z", "Larger", 6)
    press(b"+", "2x", 6)
    press(b"\x1b", "mean", 6)
    press(b"1", "Five methods", 6)
    assert (terminal.pixels < 0).all(), "Home shows no pictures"
    assert not any(isinstance(letter, tuple) for row in terminal.letters for letter in row)
    assert not re.search(rb"\x1b\[16t|a=q|\x1b\[\?1;1;0S", process.bytes), "the terminal was asked something"
    process.press(b"\x11")
    assert process.wait()[0] == 0
    farewell = process.bytes[fed:].decode()
    assert farewell.count("a=d,d=I") == len(terminal.pictures)


def test_sixel_says_what_it_assumes_where_the_terminal_has_no_size_in_pixels(tmp_path: Path) -> None:
    process = open_app("sixel", tmp_path, (0, 0))
    process.read_until(b"assumed")
    process.press(b"\x11")
    assert process.wait()[0] == 0
