"""A short guide in the apps that tests start, unless a test shows the whole one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xaimed_tui.screens.home import GUIDE

SHORT_GUIDE = Path(__file__).with_name("short_guide.md")


@pytest.fixture(autouse=True)
def use_guide(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lay out a short guide: the whole one is eighty widgets, which take as long as all else that an app starts with.

    A test that shows the guide asks for the whole one; programs at a terminal have it in any case.
    """

    def use(*, whole: bool) -> None:
        for screen in ("home", "help"):
            monkeypatch.setattr(f"xaimed_tui.screens.{screen}.GUIDE", GUIDE if whole else SHORT_GUIDE)

    use(whole=False)
    return use
