"""Deprecated alias: import from `engine` itself (`from engine import Choices`). It goes with version 0.3."""

from __future__ import annotations

import warnings

from engine.explainers.plugins import make_plug_in, run_plug_in
from engine.explainers.registry import (
    GROUP,
    METHOD_NAMES,
    METHODS,
    Choices,
    Factory,
    PlugIn,
    left_out,
    method_keys,
    method_name,
    plug_in,
)

__all__ = [
    "GROUP",
    "METHODS",
    "METHOD_NAMES",
    "Choices",
    "Factory",
    "PlugIn",
    "left_out",
    "make_plug_in",
    "method_keys",
    "method_name",
    "plug_in",
    "run_plug_in",
]

warnings.warn("engine.methods moved: import from engine instead", DeprecationWarning, stacklevel=2)
