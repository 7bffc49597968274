"""The floor plans in the READMEs of the two packages show the code as it is."""

from __future__ import annotations

import pytest
from floor_plan import COMMAND, PACKAGES, readme_of, with_floor_plan


@pytest.mark.parametrize("package", PACKAGES)
def test_the_floor_plan_is_up_to_date(package: str) -> None:
    written = readme_of(package).read_text(encoding="utf-8").splitlines()
    drawn = with_floor_plan(package).splitlines()
    differing = [line for line in drawn if line not in written] + [line for line in written if line not in drawn]
    assert written == drawn, f"{package}/README.md shows an older tree: run `{COMMAND}`.\n" + "\n".join(differing)
