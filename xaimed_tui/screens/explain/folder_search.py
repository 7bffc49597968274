"""Find folders by a roughly typed path: each part may be a few letters of a folder's name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from engine.text import safe_text
from xaimed_tui.fuzzy import fuzzy

MOST = 40
"""Folders that are offered."""

_WIDTH = 6
"""Folders that are followed for each part that is not an exact name."""

_LOOKED_AT = 5000
"""Entries of a folder that are compared; later ones are found only by their exact name."""


def matching_folders(typed: str, recent: Sequence[Path], here: Path) -> list[Path]:
    """Return the folders that a typed path may mean, the best first: on the disk, and among recent ones.

    Reads folders, which may take long. Unreadable folders count as empty.

    Args:
        typed: `~/da/may` finds `~/data/scans-may`; a part that exists is used as it is.
        recent: folders used before; a few letters of their path find them.
        here: the folder that a relative path starts from.
    """
    scored: dict[Path, float] = {}
    try:
        path = Path(typed).expanduser()
    except RuntimeError:  # there is no such home folder
        path = Path(typed)
    begun = "" if not typed or typed.endswith("/") else path.name
    head = path if not begun else path.parent
    for base in _heads(head if head.is_absolute() else here / head):
        for name in _names(base, hidden=begun.startswith(".")):
            score, _ = fuzzy(begun, name)
            if score > 0:
                scored[base / name] = score
    if not begun:
        scored = dict.fromkeys(sorted(scored, key=lambda folder: folder.name.casefold()), 1.0)
    letters = typed.removeprefix("~").strip("/ ")
    for folder in recent:
        score, _ = fuzzy(letters, str(folder))
        if letters and score > 0 and is_folder(folder):
            scored[folder] = max(scored.get(folder, 0.0), score)
    return sorted(scored, key=lambda folder: -scored[folder])[:MOST]


def completed(typed: str) -> str | None:
    """Complete a path to the first folder whose name starts with its last part (`~` stays `~`).

    Reads a folder, which may take long. None if there is no such folder; names that are not safe to show are skipped.
    """
    head, separator, begun = typed.rpartition("/")
    try:
        folder = Path(head + separator).expanduser() if separator else Path()
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if entry.name.startswith(begun)
                and (begun or not entry.name.startswith("."))
                and _leads_to_folder(entry)
                and entry.name == safe_text(entry.name)
            ]
    except (OSError, RuntimeError, ValueError):
        return None
    return f"{head}{separator}{min(names)}/" if names else None


def _heads(head: Path) -> list[Path]:
    """Return the folders that the beginning of a path may mean: only itself if it exists."""
    if is_folder(head):
        return [head]
    bases = [Path(head.anchor)]
    for part in head.parts[1:]:
        found: list[tuple[float, Path]] = []
        for base in bases:
            if is_folder(base / part):
                # More than any score by letters: a name that exists comes first.
                found.append((100.0, base / part))
                continue
            scores = ((fuzzy(part, name)[0], base / name) for name in _names(base, hidden=part.startswith(".")))
            found += [one for one in scores if one[0] > 0]
        bases = [path for _, path in sorted(found, key=lambda one: -one[0])[:_WIDTH]]
    return bases


def _names(folder: Path, *, hidden: bool) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            # The range first: when it ends, `zip` asks for no further entry.
            for _, entry in zip(range(_LOOKED_AT), entries, strict=False):
                if (hidden or not entry.name.startswith(".")) and _leads_to_folder(entry):
                    yield entry.name
    except (OSError, ValueError):
        return


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder; False for an impossible path, and if it cannot be examined."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name with a NUL, a path that is too long, no permission
        return False


def existing(paths: Iterable[Path]) -> list[Path]:
    """Return the paths that are folders now."""
    return [path for path in paths if is_folder(path)]
