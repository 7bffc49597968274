"""Kinds of arguments that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path


def folder_argument(text: str) -> Path:
    """An argument that names a folder; an empty one is a variable that was not set, not the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("the folder's name is empty")
    return Path(text)
