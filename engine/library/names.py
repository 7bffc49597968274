"""Names of tasks and models. Each is a folder's name and is shown in a terminal, so not every name is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from engine.errors import TaskError
from engine.storage import places
from engine.text import safe_text

Kind = Literal["task", "model"]

MOST_CHARACTERS = 100
MOST_BYTES = 200
"""In UTF-8. File systems allow 255; a name in the trash may be longer than the original."""


def name_problem(name: str) -> str | None:
    """Say what is wrong with the name of a task or model, as a clause after `the name`; None if it is allowed.

    A name has 1 to 100 characters and at most 200 bytes in UTF-8, no `/` and no `\\`, no leading dot, no space at its
    ends, and nothing that `safe_text` would write differently: control codes, bidirectional overrides, zero-width
    characters, lone surrogates (bytes that are not UTF-8), spaces other than the common one.
    """
    if not name:
        return "is empty"
    if "/" in name or "\\" in name:
        return "contains a / or \\"
    if name.startswith("."):
        return "begins with a dot"
    if safe_text(name) != name:
        return "contains a character that cannot be seen, or the sign for one"
    if name != name.strip():
        return "begins or ends with a space"
    if len(name) > MOST_CHARACTERS or len(name.encode()) > MOST_BYTES:
        return f"is longer than {MOST_CHARACTERS} characters or {MOST_BYTES} bytes"
    return None


def check_name(kind: Kind, name: str) -> None:
    """Refuse a name that a task or model must not have; see `name_problem`.

    Raises:
        TaskError: the name is not allowed.
    """
    if problem := name_problem(name):
        shown = f"{kind} '{name if len(name) <= MOST_CHARACTERS else name[:MOST_CHARACTERS] + '…'}'"
        raise TaskError(f"the name {problem}", subject=shown, remedy="choose another name")


def allowed_name(name: str) -> str:
    """Return an allowed name close to one that is not: what is wrong with it is replaced by `_` or cut off."""
    # Between two letters, so that only the character can be wrong and not its place at an end.
    plain = "".join("_" if name_problem(f"a{character}a") else character for character in name).strip()
    plain = f"_{plain[1:]}" if plain.startswith(".") else plain or "_"
    while len(plain) > MOST_CHARACTERS or len(plain.encode()) > MOST_BYTES:
        plain = plain[:-1].rstrip()
    # Several characters may together be the sign for an invisible one (`⟨U+200B⟩`), though none of them is alone.
    return plain if name_problem(plain) is None else "".join(c if c.isascii() else "_" for c in plain)


def as_shown(name: str, known: Iterable[str]) -> str:
    """Return the known name that equals this one, else the one that is shown like it, else the name itself."""
    names = list(known)
    return name if name in names else next((other for other in names if safe_text(other) == name), name)


def place_of(folder: Path, task: str, model: str | None = None) -> Path:
    """Return the path of a task, or of a model in it, below a tasks folder. It need not exist.

    Raises:
        TaskError: a name is not allowed, or a link leads out of the tasks folder.
    """
    check_name("task", task)
    place = folder / task
    if model is not None:
        check_name("model", model)
        place = place / model
    if not stays_below(place, folder):
        raise TaskError("a link leads out of the tasks folder", subject=place, remedy="put a copy in its place")
    return place


def stays_below(path: Path, folder: Path) -> bool:
    """Whether a path is below a folder once all links are followed. Neither needs to exist."""
    real, root = places.real_path(path), places.real_path(folder)
    return real != root and real.is_relative_to(root)
