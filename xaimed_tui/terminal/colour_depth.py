"""How many colours the terminal has. Without numpy, as importing it would delay the first paint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from textual.app import App

Depth = Literal["true", "256", "16", "none"]
"""24-bit colours, the 256 of xterm, the 16 of the console, or none."""


def depth_of(app: App[Any]) -> Depth:
    """Return the colours of the terminal that an app runs on."""
    if app.no_color:
        return "none"
    match app.console.color_system:
        case None:
            return "none"
        case "truecolor":
            return "true"
        case "256":
            return "256"
    return "16"
