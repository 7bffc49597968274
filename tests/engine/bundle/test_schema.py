"""The table of model.toml's keys: it fills the specs, the README shows all of it, and a nested table is one entry."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest

from engine.bundle.keys import Key, between
from engine.bundle.model_toml import example, parse_model_toml
from engine.bundle.schema import EXPLAIN, INPUT, KEYS, NETWORK, OUTPUT, SECTIONS, SELFTEST, Section
from engine.bundle.specs import ExplainSpec, InputSpec, NetworkSpec, OutputSpec, SelfTest
from engine.errors import BundleError

README = Path(__file__).parents[3] / "README.md"


@pytest.mark.parametrize(
    ("section", "spec"),
    [(NETWORK, NetworkSpec), (INPUT, InputSpec), (OUTPUT, OutputSpec), (EXPLAIN, ExplainSpec), (SELFTEST, SelfTest)],
)
def test_every_field_of_a_spec_has_one_key_or_table_and_the_other_way_round(
    section: Section[object], spec: type[InputSpec]
) -> None:
    # The tables of plug-ins have names of their own.
    assert sorted(section.known) == sorted(field.name for field in fields(spec) if field.name != "plug_ins")


def test_the_readme_shows_the_table() -> None:
    block = README.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    assert block == example(), "paste what `python -m engine.bundle.model_toml` prints into README.md"


def test_the_readmes_model_toml_is_right_and_gives_every_key() -> None:
    declared = parse_model_toml(example().encode(), Path("model.toml"))
    assert declared.given == frozenset(KEYS)
    assert declared.input.size == (50, 50)


def test_a_default_passes_its_own_check() -> None:
    for name, key in KEYS.items():
        if key.default is not None:
            value = list(key.default) if isinstance(key.default, tuple) else key.default
            assert key.check(value) == key.default, name


def test_every_key_and_table_says_what_it_is_for() -> None:
    for section in SECTIONS:
        for part in section.with_nested():
            for key in part.keys:
                assert key.help, f"{part.name}.{key.name}"
                assert not key.help.endswith("."), f"{part.name}.{key.name}"


def test_a_constant_stands_for_one_key() -> None:
    constants = [key.constant for key in KEYS.values() if key.constant]
    assert len(set(constants)) == len(constants) == 20


@dataclass(frozen=True)
class Window:
    width: float
    centre: float = 40.0


@dataclass(frozen=True)
class Feeding:
    bits: int = 8
    window: Window | None = None


WINDOW = Section(
    "input.window",
    Window,
    (Key("width", between(0, 9999), required=True), Key("centre", between(-9999, 9999))),
)


def test_a_table_in_a_table_fills_a_field() -> None:
    feeding = Section("input", Feeding, (Key.whole("bits", 8, 1, 16, "of a file"),), (WINDOW,))
    values = {"input.window.width": 400.0, "input.bits": 12, "output.multilabel": True}
    assert feeding.build(values) == Feeding(12, Window(400.0))
    assert feeding.build({}) == Feeding()


def test_a_table_in_a_table_is_read_and_refused_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.bundle.model_toml.SECTIONS", (replace(INPUT, sections=(WINDOW,)), OUTPUT))

    def given(toml: str) -> frozenset[str]:
        return parse_model_toml(toml.encode(), Path("model.toml")).given

    assert given("[input]\nchannels = 1\n[input.window]\nwidth = 400\n") == {"input.channels", "input.window.width"}
    for toml, words in (
        ("[input.window]\ncentre = 40\n", r"\[input.window\] width is missing"),
        ("[input.window]\nwidth = 0\n", r"\[input.window\] width must be a number between 0 and 9999, not 0"),
        ("[input.window]\nwidht = 4\n", r"\[input.window\] has no key 'widht'; did you mean 'width'"),
        ("[input.windw]\nwidth = 4\n", r"\[input\] has no key 'windw'; did you mean 'window'"),
        ("[input]\nwindow = 4\n", r"input.window must be a section, \[input.window\]"),
    ):
        with pytest.raises(BundleError, match=words):
            given(toml)
