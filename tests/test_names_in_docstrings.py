"""Names of the code that docstrings, comments and documents mention are those of the code as it is."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest
from checkout import ROOT

NAME = re.compile(r"`((?:engine|xaimed_tui)(?:\.\w+)+)(?:\([^`]*\))?`")
HISTORY = ROOT / ".github" / "CHANGELOG.md"
"""Names old modules on purpose."""

FILES = [ROOT / "README.md", *(ROOT / ".github").glob("*.md")]
for folder in ("engine", "xaimed_tui", "tests"):
    FILES += [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md")]

MENTIONED = {
    name: path.relative_to(ROOT)
    for path in sorted(FILES)
    if path != HISTORY
    for name in NAME.findall(path.read_text(encoding="utf-8"))
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # `engine.places` and `engine.methods`
@pytest.mark.parametrize(("name", "mentioned_in"), MENTIONED.items())
def test_a_dotted_name_in_backticks_leads_to_something(name: str, mentioned_in: Path) -> None:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{mentioned_in} mentions `{name}`: {error}")
