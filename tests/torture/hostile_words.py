"""Words that mean harm, drawn at random, and a folder of tasks and images that says them wherever it can."""

from __future__ import annotations

import base64
import os
import re
import struct
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from factories import MODEL_CODE, approve, make_model
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

KINDS = {
    "control codes": (
        "\x1b[2J",
        "\x1bc",
        "\x1b[5;31;7m",
        "\x1b[6n",
        "\x00",
        "\x07",
        "\b",
        "\r",
        "\n",
        "\t",
        "\x0b",
        "\x0e",
        "\x7f",
    ),
    "OSC 52": ("\x1b]52;c;aGk=\x07", "\x1b]52;p;aGk=\x1b\\", "\x9d52;c;aGk=\x9c", "\x1b]52;c;?\x07"),
    "other commands": ("\x1b]8;;file:///\x07", "\x1b]0;t\x07", "\x1bP+q\x1b\\", "\x1b_Gi=1;AAAA\x1b\\", "\x1bX\x1b\\"),
    "C1": ("\x9b3J", "\x90q\x9c", "\x85", "\x8e", "\x9b5;31;7m", "\x9f\x9c"),
    "bidi overrides": ("\u202e", "\u202a", "\u2066", "\u2067", "\u2069", "\u200f", "\u061c"),
    "unseen": ("\u200b", "\ufeff", "\u2060", "\u00ad", "\u3164", "\ufe0f", "\U000e0041", "\U0010eeee", "\u2028"),
    "markup": ("[bold]m", "[/]", "[@click=app.quit]q[/]", "[link=file:///]x", "[red on blue]", "\\[b]", "[["),
    "lone surrogates": ("\ud800", "\udcff", "\udc9b", "\udbff"),
    "forms of our own": ("⟨U+202E⟩", "␛", "…", "␛]52;c;aGk=␇"),
    "marks": ("e" + "\u0301" * 9, "中", "\u00a0", "\u2800"),
}
"""What has done harm, by kind. Each text that is drawn has some of every kind."""

_FILLERS = st.text(st.characters(), max_size=3)
parts = st.sampled_from([part for kind in KINDS.values() for part in kind])


@st.composite
def _texts(draw: st.DrawFn) -> str:
    order = draw(st.permutations(list(KINDS)))
    return "".join(draw(st.sampled_from(KINDS[kind])) + draw(_FILLERS) for kind in order)


@dataclass(frozen=True)
class Words:
    """What a hostile world says.

    Attributes:
        one, other: what two names differ in; often nothing that can be seen.
        text: something of every kind.
    """

    one: str
    other: str
    text: str


words = st.builds(
    lambda pair, text: Words(pair[0], pair[1], text),
    st.lists(st.one_of(parts, _FILLERS), min_size=2, max_size=2, unique=True),
    _texts(),
)


_SAYS = """
import os, sys
text = TEXT
def say():
    for number in (1, 2):
        os.write(number, text.encode("utf-8", "surrogatepass"))
    print(text.encode("utf-8", "replace").decode(), file=sys.stderr)
    sys.stdout.write(text)
say()
"""
"""The beginning of code that prints, past Python and by it."""


@dataclass(frozen=True)
class World:
    """A folder of tasks, with images, that says harmful words.

    Attributes:
        tasks: the folder.
        task_names, model_names: of all tasks, and of the models of the task `Lungs`.
        images: two images, one that is none, and a DICOM file, all with names that differ in little.
        said: the words.
    """

    tasks: Path
    task_names: tuple[str, ...]
    model_names: tuple[str, ...]
    images: tuple[Path, ...]
    said: Words


def make_world(folder: Path, said: Words) -> World:
    """Make it in an empty folder; the models `1 Good`, `2 Raises` and `3 Loud` of the task `Lungs` are approved."""
    tasks = folder / "tasks"
    lungs = tasks / "Lungs"
    code = f"# {_one_line(said.text)}\n{MODEL_CODE}"
    loud = _SAYS.replace("TEXT", ascii(said.text))
    good = make_model(lungs / "1 Good", code=code)
    raises = make_model(lungs / "2 Raises", code=f"raise ValueError({said.text!a})")
    speaks = make_model(lungs / "3 Loud", code=loud + MODEL_CODE.replace("return", "say(); return"))
    for model in (good, raises, speaks):
        (model / "model.toml").write_text(_settings(said), encoding="utf-8")
    unapproved = make_model(lungs / "4 Unapproved")
    (unapproved / "architecture.py").write_text(f"import os\n# {_one_line(said.text)}\n{MODEL_CODE}", encoding="utf-8")
    no_python = make_model(lungs / "8 No Python")
    (no_python / "architecture.py").write_bytes(_bytes(said.text))
    changed = make_model(lungs / "5 Changed", approved=True)
    (changed / file_name(said.one, said.text)).write_text("x", encoding="ascii")
    constants = make_model(
        lungs / "6 Constants", code=f"CLASSES = [{said.one + 'x'!a}, {said.other + 'y'!a}]\n{MODEL_CODE}"
    )
    (constants / "model.toml").unlink()
    wrong = make_model(lungs / "7 Wrong")
    (wrong / "model.toml").write_text(f"[input]\n{toml(said.text + 'k')} = {toml(said.text)}\n", encoding="utf-8")
    odd = _pair(said, "model")
    for name in odd:
        make_model(lungs / name)
    others = _pair(said, "task")
    for name in others:
        make_model(tasks / name / "Model")
    for model in lungs.iterdir():
        (model / "description.txt").write_bytes(b"About. " + _bytes(said.text))
    for task in tasks.iterdir():
        (task / "task_description.txt").write_bytes(b"A question. " + _bytes(said.text))
    samples = good / "samples"
    samples.mkdir()
    images = tuple(samples / f"{name}{suffix}" for name in _pair(said, "image") for suffix in (".png", ".dcm"))
    images += (samples / f"{file_name(said.other, said.text)}no.png",)
    for path in images:
        if path.suffix == ".dcm":
            path.write_bytes(dicom(said.text))
        elif path is images[-1]:
            path.write_bytes(_bytes(said.text))
        else:
            about = PngImagePlugin.PngInfo()
            about.add_itxt("Comment", said.text.encode("utf-8", "replace").decode())
            Image.new("RGB", (9, 9), "teal").save(path, pnginfo=about)
    approve(good, raises, speaks, constants)
    models = tuple(model.name for model in lungs.iterdir() if model.is_dir())
    return World(tasks, ("Lungs", *others), models, images, said)


def _pair(said: Words, first: str) -> tuple[str, str]:
    """Two file names that differ in what the two words differ in."""
    one, other = (f"{first}{file_name(word, said.text)}" for word in (said.one, said.other))
    return one, other if other != one else f"{other}2"


def file_name(word: str, text: str) -> str:
    """A word and a text as a name that the file system takes, at most 180 bytes."""
    taken = "".join(
        c for c in word + text if c not in "/\0" and not "\ud800" <= c <= "\udc7f" and not "\udd00" <= c <= "\udfff"
    )
    return os.fsdecode(os.fsencode(taken)[:180]) or "x"


def toml(text: str) -> str:
    """A string of TOML that stands for a text, as far as it is one."""
    escaped = (
        c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08X}" for c in text if not "\ud800" <= c <= "\udfff"
    )
    return '"' + "".join(escaped) + '"'


def _settings(said: Words) -> str:
    return (
        "[input]\nsize = [9, 9]\nchannels = 3\nmean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]\n"
        f'[output]\nclasses = [{toml(said.one + "p")}, {toml(said.other + "q")}]\nactivation = "none"\n'
        f"[intended_use]\n{toml('key' + said.text)} = {toml(said.text)}\n"
    )


def dicom(text: str) -> bytes:
    """A DICOM file whose tags say a text: explicit VR, little endian."""
    value = _bytes(text)[:60]
    value += b" " * (len(value) % 2)
    elements = b"".join(
        struct.pack("<HH2sH", group, element, vr, len(value)) + value
        for group, element, vr in ((0x0008, 0x1030, b"LO"), (0x0010, 0x0010, b"PN"), (0x0010, 0x0020, b"LO"))
    )
    syntax = b"1.2.840.10008.1.2.1\0"
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta + elements


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _one_line(text: str) -> str:
    return re.sub(r"[\0\r\n]", "", text.encode("utf-8", "replace").decode())


# What a terminal gets

_OWN = re.compile(
    r"\x1b\[\?(?:25|1004|1000|1003|1015|1006|1049|2004|2026|2048|7)[hl]"  # modes
    r"|\x1b\[[0-9]+;[0-9]+H|\x1b\[H"  # moving
    r"|\x1b\[(?:2K|1A)|\r"  # progress bars
    r"|\x1b\[(?:[0-9]+(?:;[0-9]+)*)?m"
    r"|\x1b\]22;[a-z-]+\x07"  # the pointer's shape
    r"|\x1b\]52;c;([A-Za-z0-9+/=]*)\x07"  # what was copied
)
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def harm_in(got: bytes, said: Iterable[str]) -> str:
    """What among the bytes that a terminal got is neither text nor a command that the program itself gives; or nothing.

    Args:
        got: the bytes.
        said: the words that meant harm; their commands must not be there, even if the program gives such itself.
    """
    try:
        text = got.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"no text: {got[max(error.start - 60, 0) : error.end + 20]!r}"
    for copied in _OWN.finditer(text):
        if copied[1]:
            plain = base64.b64decode(copied[1]).decode("utf-8", "backslashreplace")
            if {unicodedata.category(c) for c in plain if c != "\n"} & _UNSAFE:
                return f"copied: {plain[:200]!r}"
    for commands in ("\x1b[5;31;7m", "\x1b]52;c;aGk=", "\x1b[2J", "\x1b[6n"):
        if commands in text and any(commands in word for word in said):
            return f"{commands!r} in {_around(text, text.index(commands))}"
    rest = _OWN.sub("", text)
    for place, character in enumerate(rest):
        if character != "\n" and unicodedata.category(character) in _UNSAFE:
            return f"{character!r} in {_around(rest, place)}"
    return ""


def _around(text: str, place: int) -> str:
    return ascii(text[max(place - 60, 0) : place + 20])
