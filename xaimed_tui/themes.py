"""The app's own themes: calm greys and one accent, so that the colours on the screen are those of the pictures."""

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
        "text-disabled": "#7f8b97",
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
        "text-disabled": "#546069",
        "text-warning": "#7a4900",
    },
)


COLOUR_BLIND = Theme(
    name="xaimed-colour-blind",
    primary="#6cc0f0",
    secondary="#a9b4c0",
    accent="#f0e442",
    warning="#f0e442",
    error="#ff9a52",
    success="#a9c7ff",
    foreground="#e2e6ea",
    background="#12161b",
    surface="#171c23",
    panel="#1d242c",
    dark=True,
    variables={
        "footer-key-foreground": "#6cc0f0",
        "footer-background": "#1d242c",
        "border": "#6cc0f0",
        "border-blurred": "#39444f",
        "text-muted": "#a6b0bb",
        "text-disabled": "#8d98a3",
        "text-warning": "#f0e442",
        "text-error": "#ff9a52",
    },
)
"""Blue, yellow and orange after Okabe and Ito (2008), which differ in lightness too; red is never opposed to green."""

HIGH_CONTRAST = Theme(
    name="xaimed-high-contrast",
    primary="#ffe14d",
    secondary="#d0d7de",
    accent="#7fe3ff",
    warning="#ffb84d",
    error="#ff9d94",
    success="#8cf09a",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#16191d",
    dark=True,
    variables={
        "footer-key-foreground": "#ffe14d",
        "footer-background": "#16191d",
        "border": "#ffe14d",
        "border-blurred": "#9aa4ad",
        "text-muted": "#d6dce2",
        "text-disabled": "#b4bcc4",
        "text-warning": "#ffb84d",
        "text-error": "#ff9d94",
    },
)
"""Every text on every background has a contrast of 7:1 or more (WCAG 2.2, level AAA)."""

THEMES = (DARK, LIGHT, COLOUR_BLIND, HIGH_CONTRAST)
"""The app's own themes, in the order in which a key cycles through them."""


def is_stark(name: str) -> bool:
    """Whether texts in pictures need the contrast that this theme gives all others: on black, not on a map."""
    return name == HIGH_CONTRAST.name


def theme_after(name: str) -> str:
    """Return the app's own theme after this one; the first one after a theme that is not the app's."""
    names = [theme.name for theme in THEMES]
    return names[(names.index(name) + 1) % len(names)] if name in names else names[0]
