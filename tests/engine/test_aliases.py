"""What moved after 0.1 is still found under its old name, with a warning; what `engine` exports is what it says."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import engine
from engine.explainers import plugins, registry
from engine.storage import places

OLD_NAMES = {
    "engine.places": {
        places: "app_state approvals bundled_tasks cache hidden log_file real_path settings state "
        "task_folders user_tasks"
    },
    "engine.methods": {
        registry: "Choices Factory GROUP METHODS METHOD_NAMES PlugIn left_out method_keys method_name plug_in",
        plugins: "make_plug_in run_plug_in",
    },
}
"""What each old module held for others, by the module that holds it now."""


@pytest.mark.parametrize("name", OLD_NAMES)
def test_an_old_module_warns_and_gives_what_has_moved(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.warns(DeprecationWarning, match=rf"^{name} moved: import from engine instead$"):
        old = import_module(name)
    given = []
    for home, names in OLD_NAMES[name].items():
        assert [each for each in names.split() if getattr(old, each) is not getattr(home, each)] == []
        given += names.split()
    assert sorted(old.__all__) == sorted(given)


@pytest.mark.parametrize("name", ["places", "methods"])
def test_a_program_that_imports_an_old_name_twice_is_warned_once_and_where_it_does_so(name: str) -> None:
    code = f"import engine.{name}\nfrom engine.{name} import *\nimport engine.{name} as again"
    command = [sys.executable, "-W", "always::DeprecationWarning:__main__", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    warned = [line for line in done.stderr.splitlines() if "DeprecationWarning" in line]
    assert warned == [f"<string>:1: DeprecationWarning: engine.{name} moved: import from engine instead"]


def test_the_engine_itself_imports_no_old_name() -> None:
    code = f"import engine\nfor name in {engine.__all__}: getattr(engine, name)"
    command = [sys.executable, "-W", "error:engine:DeprecationWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["Choices", "Request", "SaliencyMap", "Settings", "scaled_map", "task_folders"])
def test_what_scripts_and_plug_ins_need_comes_from_engine(name: str) -> None:
    exported = getattr(engine, name)
    home = engine._HOME[name]
    assert exported is getattr(import_module(home), name)
    assert exported.__module__ == home  # where it is written, not a module that only passes it on
