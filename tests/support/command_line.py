"""Running the command line within the tests' process."""

from __future__ import annotations

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]
"""Of the fixture `xaimed`: takes arguments (text or paths), gives exit status, standard output and standard error."""

OPENED = 99
"""The exit status if the app was opened."""
