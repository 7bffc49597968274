"""Snapshots are drawn under one version of Textual only: another one draws other pictures of the same screens."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def pinned_version(pyproject: Path = PYPROJECT) -> str:
    """The version of Textual that the project requires."""
    for line in tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"]:
        requirement = Requirement(line)
        if requirement.name == "textual":
            (only,) = requirement.specifier
            assert only.operator == "==", f"textual must be pinned exactly, not as {line}"
            return only.version
    raise AssertionError("the project does not require textual")


def why_not_update(installed: str | None = None) -> str:
    """Why snapshots may not be updated here; empty if they may."""
    installed, pinned = installed or version("textual"), pinned_version()
    if installed == pinned:
        return ""
    return (
        f"Snapshots are drawn under textual {pinned} only, and {installed} is installed: it would change every one of "
        f"them. Install textual=={pinned} first, or pin {installed} in pyproject.toml and look at all screens."
    )


def refuse_update(config: pytest.Config) -> None:
    """Refuse to draw snapshots anew, if that was asked for, where `why_not_update` gives a reason.

    Raises:
        pytest.UsageError: there is a reason.
    """
    if config.getoption("update_snapshots", default=False) and (reason := why_not_update()):
        raise pytest.UsageError(reason)
