"""The tests' engines stand in for the whole of the real one: none of its heavy code runs by accident."""

from __future__ import annotations

import inspect

import pytest
from all_screens import Managed
from fakes import FakeEngine
from library_driver import LibraryEngine

from xaimed_tui.background.backend import Engine

CALLS = [name for name, value in vars(Engine).items() if inspect.isfunction(value) and not name.startswith("_")]


@pytest.mark.parametrize("name", CALLS)
def test_the_fake_answers_every_call_of_the_engine_itself_and_takes_and_gives_the_same(name: str) -> None:
    assert name in vars(FakeEngine), f"FakeEngine does not override {name}: tests would run the real one"
    assert inspect.signature(vars(FakeEngine)[name]) == inspect.signature(vars(Engine)[name])


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", [LibraryEngine, Managed])
def test_what_other_fakes_override_takes_the_same(kind: type[FakeEngine], name: str) -> None:
    ours, theirs = inspect.signature(getattr(kind, name)), inspect.signature(vars(Engine)[name])
    assert ours.parameters == theirs.parameters


def test_a_misspelt_method_of_a_fake_is_an_error() -> None:
    with pytest.raises(TypeError, match="read_image overrides nothing"):

        class Misspelt(FakeEngine):
            def read_image(self) -> None: ...
