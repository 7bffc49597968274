"""Deprecated alias: import from `engine` itself (`from engine import task_folders`). It goes with version 0.3."""

from __future__ import annotations

import warnings

from engine.storage.places import (
    app_state,
    approvals,
    bundled_tasks,
    cache,
    hidden,
    log_file,
    real_path,
    settings,
    state,
    task_folders,
    user_tasks,
)

__all__ = [
    "app_state",
    "approvals",
    "bundled_tasks",
    "cache",
    "hidden",
    "log_file",
    "real_path",
    "settings",
    "state",
    "task_folders",
    "user_tasks",
]

warnings.warn("engine.places moved: import from engine instead", DeprecationWarning, stacklevel=2)
