"""`xaimed methods`: which methods there are, what can be set, and where each comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from plug_ins import Offered, Ramp, Sampled, offer

from engine.cli.main import run
from engine.explainers import registry
from engine.explainers.registry import BUILT_IN


@pytest.fixture(autouse=True)
def _looked_for_anew() -> Iterator[None]:
    registry.find_plug_ins.cache_clear()
    yield
    registry.find_plug_ins.cache_clear()


def methods(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    assert run(["methods", *arguments], open_app=lambda _: 99) == 0
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_every_method_is_listed_with_its_parameters_and_origin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(monkeypatch, Offered("Ramp", Sampled))
    out, err = methods(capsys, "--json")
    assert err == ""
    found = {entry["key"]: entry for entry in json.loads(out)}
    assert list(found) == ["lime", "rise", "gradcam", "gradcam++", "hirescam", "ramp"]
    assert [entry["built_in"] for entry in found.values()] == [True] * 5 + [False]
    assert [entry["votes"] for entry in found.values()] == [True] * 4 + [False] * 2
    assert (found["rise"]["origin"], found["ramp"]["origin"]) == ("built-in", "an unknown package")
    assert found["hirescam"]["shares_gradients"] == ["gradcam", "gradcam++"]
    assert not found["ramp"]["looks_at_layer"]
    for method in BUILT_IN:
        declared = [(key.name, key.default, key.help) for key in method.parameters]
        listed = found[method.key]["parameters"]
        assert [(key["name"], key["default"], key["purpose"]) for key in listed] == declared
    assert found["ramp"]["parameters"] == [
        {
            **{"name": "samples", "kind": "whole number", "least": 20, "most": 400, "choices": []},
            **{"default": 50, "purpose": "samples to draw"},
        },
        {
            **{"name": "side", "kind": "word", "least": None, "most": None, "choices": ["left", "right"]},
            **{"default": "right", "purpose": "where to point"},
        },
        {
            **{"name": "slope", "kind": "number", "least": 0, "most": 9, "choices": []},
            **{"default": None, "purpose": "of the ramp"},
        },
    ]


def test_people_get_two_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    offer(monkeypatch, Offered("Ramp", Sampled))
    lines = [" ".join(line.split()) for line in methods(capsys)[0].splitlines()]
    assert "gradcam++ Grad-CAM++ built-in yes yes" in lines
    assert "hirescam HiResCAM built-in with --voters all yes" in lines
    assert "ramp Ramp an unknown package with --voters all no" in lines
    assert "rise.grid whole number from 2 to 64 7 cells a side of the coarse mask" in lines
    assert "ramp.slope number between 0 and 9 of the ramp" in lines
    assert "ramp.side left or right right where to point" in lines


def test_a_plug_in_that_cannot_be_used_is_listed_and_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(monkeypatch, Offered("Ramp", ImportError("nothing there")), Offered("HiResCAM", Ramp))
    out, err = methods(capsys, "--json")
    assert err.splitlines() == [
        "xaimed: the method HiResCAM of an unknown package is left out: a built-in method has that name",
        "xaimed: Ramp of an unknown package: the plug-in cannot be used (ImportError: nothing there); "
        "tell its makers, or leave it out with --methods",
    ]
    entry = json.loads(out)[-1]
    assert (entry["key"], entry["parameters"]) == ("ramp", [])
    assert "nothing there" in entry["problem"]
    assert "cannot be used" in methods(capsys)[0]
