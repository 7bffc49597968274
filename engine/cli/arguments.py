"""Kinds of arguments that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path


def folder_argument(text: str) -> Path:
    """Return the folder that an argument names.

    Raises:
        ArgumentTypeError: the argument is empty. A shell variable was not set; the working directory is not meant.
    """
    if not text:
        raise argparse.ArgumentTypeError("the folder's name is empty")
    return Path(text)
