"""Bundled tasks and models that the user has hidden; the package's own files are not changed.

The list is a file of the user's. If it cannot be read, nothing is hidden: seeing too much does no harm.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engine.storage import places
from engine.storage.documents import DocumentError, parse_json
from engine.storage.reading import UnusableFileError, read_limited
from engine.storage.writing import locked, replace_file

_MOST_BYTES = 1_000_000


def is_bundled(folder: Path) -> bool:
    """Whether this is the folder of the bundled tasks."""
    return places.real_path(folder) == places.real_path(places.bundled_tasks())


def hidden_names(folders: Sequence[Path]) -> Mapping[str, str]:
    """Return what is hidden of the bundled tasks, as `<task>` and `<task>/<model>`, and since when; see `read_hidden`.

    Nothing is hidden unless they are listed with the user's own: someone who chooses their folder sees all of it.
    """
    if len(folders) < 2 or not any(is_bundled(folder) for folder in folders):
        return {}
    return read_hidden()


def read_hidden() -> dict[str, str]:
    """Return when each `<task>` or `<task>/<model>` was hidden, as `engine.library.trash` writes times."""
    try:
        content = parse_json(read_limited(places.hidden(), _MOST_BYTES))
    except (UnusableFileError, DocumentError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: time for name, time in content.items() if isinstance(time, str)}


def hide(name: str, time: str) -> None:
    """Hide a bundled `<task>` or `<task>/<model>`, and record when.

    Raises:
        OSError: it could not be recorded.
    """
    _change(lambda names: names | {name: time})


def unhide(name: str) -> None:
    """Show a bundled `<task>` or `<task>/<model>` again.

    Raises:
        OSError: it could not be recorded.
    """
    _change(lambda names: {known: time for known, time in names.items() if known != name})


def _change(change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    path = places.hidden()
    with locked(path):
        names = change(read_hidden())
        replace_file(path, (json.dumps(names, indent=1, ensure_ascii=True) + "\n").encode("ascii"))
