"""Where things lie on this machine: the bundled tasks, the user's own tasks, the cache."""

from __future__ import annotations

import errno
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
    """The folder of the user's own tasks; need not exist."""
    return _data() / "tasks"


def approvals() -> Path:
    """The file of the user's approvals of code; need not exist. It is outside every tasks folder."""
    return _data() / "approvals.json"


def hidden() -> Path:
    """The file that lists which bundled tasks and models the user has hidden; need not exist."""
    return _data() / "hidden.json"


def settings() -> Path:
    """The file of the app's settings, written by hand; need not exist."""
    return Path(platformdirs.user_config_dir("xaimed", appauthor=False)) / "settings.toml"


def cache() -> Path:
    """The folder of results that can be computed again; need not exist."""
    return Path(platformdirs.user_cache_dir("xaimed", appauthor=False))


def state() -> Path:
    """The folder of logs and of what the app remembers; need not exist."""
    return Path(platformdirs.user_state_dir("xaimed", appauthor=False))


def log_file() -> Path:
    """The log of the app's faults and of what models' code and native libraries print; need not exist."""
    return state() / "xaimed.log"


def app_state() -> Path:
    """The file in which the app remembers where the user was; need not exist."""
    return state() / "app.json"


def figures() -> Path:
    """The folder of what was measured once of a model and its methods, a file a model; need not exist."""
    return state() / "figures"


def task_folders(chosen: Path | None = None) -> tuple[Path, ...]:
    """Return the tasks folders. If models of one task have the same name, the one in the first folder wins.

    `chosen` (`--tasks`) or else `$XAIMED_TASKS` is used alone; without them, the user's tasks and the bundled ones.
    """
    if chosen is not None:
        return (chosen,)
    if environment := os.environ.get("XAIMED_TASKS"):
        return (Path(environment).expanduser(),)
    return (user_tasks(), bundled_tasks())


def real_path(path: Path) -> Path:
    """Return a path with all links followed; it need not exist.

    `os.path.realpath` raises if a link disappears, or becomes a file, between being seen and being read, so it is then
    called again.
    """
    for _ in range(99):
        try:
            return Path(os.path.realpath(path))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINVAL):
                raise
    return Path(os.path.realpath(path))
