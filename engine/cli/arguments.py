"""Kinds of arguments that several commands take, and the directory that they are relative to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import XAIMedError

if TYPE_CHECKING:
    from engine.bundle.specs import Fill


def folder_argument(text: str) -> Path:
    """Return the folder that an argument names.

    Raises:
        ArgumentTypeError: the argument is empty. A shell variable was not set; the working directory is not meant.
    """
    if not text:
        raise argparse.ArgumentTypeError("the folder's name is empty")
    return Path(text)


def methods_argument(text: str) -> tuple[str, ...]:
    """Return the keys of methods in a list such as `rise,gradcam`; whether there are such methods is not checked.

    Raises:
        ArgumentTypeError: a name is empty.
    """
    methods = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(methods):
        raise argparse.ArgumentTypeError("give names separated by commas, such as rise,gradcam")
    return methods


def fills_argument(text: str) -> tuple[Fill, ...]:
    """Return the fills of the exact cells in a list such as `mean,blur`.

    Raises:
        ArgumentTypeError: an unknown one, or one twice.
    """
    from engine.bundle.checks import exact_fills  # late: --version does without
    from engine.bundle.keys import WrongValueError

    try:
        return exact_fills(tuple(part.strip() for part in text.split(",")))
    except WrongValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def check_working_directory() -> None:
    """Check that the working directory is still there, before torch is imported.

    Without one, a library of torch's (oneMKL) ends the process with status 2 and a line that may be read by nobody.

    Raises:
        XAIMedError: it was removed, or cannot be read.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise XAIMedError(
            f"the working directory is gone ({(error.strerror or str(error)).lower()})",
            remedy="change to another one, for example with cd",
            code="working-directory",
        ) from error
