"""Style sheets parsed once for all apps that tests start: Textual parses them anew for each app and each theme."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import pytest
from textual.css.stylesheet import Stylesheet

if TYPE_CHECKING:
    from textual.css.model import RuleSet

_parse = Stylesheet._parse_rules
_parsed: dict[Hashable, list[RuleSet]] = {}


def _parse_once(self: Stylesheet, css: str, read_from: tuple[str, str], **options: Any) -> list[RuleSet]:
    key = (css, read_from, *sorted(options.items()), frozenset(self._variables.items()))
    if key not in _parsed:
        _parsed[key] = _parse(self, css, read_from, **options)
    return _parsed[key]


@pytest.fixture(autouse=True)
def parse_style_sheets_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the rules of the same text and the same colours again: nobody changes them."""
    monkeypatch.setattr(Stylesheet, "_parse_rules", _parse_once)
