"""Where things lie on this machine: the bundled tasks, the user's own tasks, the cache."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def bundled_tasks() -> Path:
    """The tasks that come with the package: inside it when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "bundled_tasks"
    return installed if installed.is_dir() else package.parent / "tasks"


def _data() -> Path:
    return Path(platformdirs.user_data_dir("xaimed", appauthor=False))


def user_tasks() -> Path:
    """The user's own tasks; need not exist."""
    return _data() / "tasks"


def approvals() -> Path:
    """The file of the user's approvals of code; need not exist. It is no part of any tasks folder."""
    return _data() / "approvals.json"


def hidden() -> Path:
    """The file of what the user hides of the bundled tasks; need not exist."""
    return _data() / "hidden.json"


def settings() -> Path:
    """The file of the app's settings, written by hand; need not exist."""
    return Path(platformdirs.user_config_dir("xaimed", appauthor=False)) / "settings.toml"


def cache() -> Path:
    """What can be worked out again; need not exist."""
    return Path(platformdirs.user_cache_dir("xaimed", appauthor=False))


def state() -> Path:
    """Logs and what the app remembers; need not exist."""
    return Path(platformdirs.user_state_dir("xaimed", appauthor=False))


def log_file() -> Path:
    """What the app writes of faults, and what models' code and native libraries print; need not exist."""
    return state() / "xaimed.log"


def app_state() -> Path:
    """The file in which the app remembers where one was; need not exist."""
    return state() / "app.json"


def task_folders(chosen: Path | None = None) -> tuple[Path, ...]:
    """The folders in which tasks are looked for, the first wins where models of one task have the same name.

    `chosen` (`--tasks`) or else `$XAIMED_TASKS` stands alone; otherwise the user's tasks and the bundled ones.
    """
    if chosen is not None:
        return (chosen,)
    if environment := os.environ.get("XAIMED_TASKS"):
        return (Path(environment).expanduser(),)
    return (user_tasks(), bundled_tasks())


def real_path(path: Path) -> Path:
    """A path with all links followed; it need not exist.

    `os.path.realpath` raises if a link is gone between being seen and being read: then it is asked again.
    """
    for _ in range(99):
        try:
            return Path(os.path.realpath(path))
        except FileNotFoundError:
            continue
    return Path(os.path.realpath(path))
