"""The commands that run the tests and the linters are the same wherever they are written."""

from __future__ import annotations

import pytest
from checkout import ROOT

CI = [line for name in ("run", "check") for line in (ROOT / ".ci" / name).read_text(encoding="utf-8").splitlines()]
CONTRIBUTING, WORKFLOW, HOOKS = ".github/CONTRIBUTING.md", ".github/workflows/tests.yml", ".pre-commit-config.yaml"


def commands_in(name: str) -> list[str]:
    """The lines of a file without what YAML puts around a command."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line.strip().removeprefix("entry: ").removeprefix("run: ") for line in lines]


@pytest.mark.parametrize("name", ["README.md", WORKFLOW])
def test_the_tests_are_run_by_one_command(name: str) -> None:
    (install,) = (line for line in CI if "pip install" in line)
    (tests,) = (line.removesuffix(" || failed=$?") for line in CI if "-m pytest" in line)
    assert f"{install} && {tests}" in commands_in(name)


@pytest.mark.parametrize("name", [CONTRIBUTING, WORKFLOW, HOOKS])
def test_the_linters_are_run_by_the_same_commands(name: str) -> None:
    linters = [
        line for line in CI if line.startswith((".venv-test/bin/ruff", ".venv-test/bin/mypy", ".venv-test/bin/lint"))
    ]
    assert len(linters) == 4
    assert [line for line in linters if line not in commands_in(name)] == []
