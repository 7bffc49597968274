"""The app's two themes: calm greys, one accent, so that the colours on the screen are those of the pictures."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="xaimed-dark",
    primary="#5cc4c9",
    secondary="#8fa8c8",
    accent="#e8b05a",
    warning="#e8b05a",
    error="#ef7d75",
    success="#86c98c",
    foreground="#d7dde4",
    background="#12161b",
    surface="#171c23",
    panel="#1d242c",
    dark=True,
    variables={
        "footer-key-foreground": "#5cc4c9",
        "footer-background": "#1d242c",
        "border": "#5cc4c9",
        "border-blurred": "#39444f",
        "text-muted": "#98a4b0",
        "text-disabled": "#74808c",
    },
)

LIGHT = Theme(
    name="xaimed-light",
    primary="#0b6a75",
    secondary="#41597a",
    accent="#8a5300",
    warning="#8a5300",
    error="#a8241c",
    success="#22682b",
    foreground="#1b232b",
    background="#f7f8f9",
    surface="#eff1f3",
    panel="#e4e8eb",
    dark=False,
    variables={
        "footer-key-foreground": "#0b6a75",
        "footer-background": "#e4e8eb",
        "border": "#0b6a75",
        "border-blurred": "#a9b3bc",
        "text-muted": "#4c5a67",
        "text-disabled": "#66727d",
        "text-warning": "#7a4900",
    },
)
