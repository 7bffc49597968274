"""The table of methods: what it says is true, and an entry more is all that another method takes."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from app_driver import TO_IMAGES, make_app, press, screen_text
from factories import make_bundle, make_image
from fakes import FakeEngine
from networks import classifier, small_cnn

from engine.authoring.check import check_model
from engine.bundle.keys import WITHOUT_KEYS, Key
from engine.bundle.specs import ExplainSpec
from engine.cli.main import run
from engine.errors import ExplanationError
from engine.explainers import registry
from engine.explainers.base import Request, scaled_map
from engine.explainers.registry import Choices, Declaration, Method, dependence_notes, running_place
from engine.explainers.settings import Settings, make_explainer
from engine.explanation.explain import explain, explain_method
from engine.results.saliency import SaliencyMap
from xaimed_tui.preferences.look import Look
from xaimed_tui.screens.explain.view import ExplainView
from xaimed_tui.widgets.captions import agreement_caption
from xaimed_tui.wording import method_bindings


@dataclass(frozen=True)
class Ramp:
    """Points at the bottom right, whatever the network does."""

    choices: Choices
    key: str = "ramp"

    def explain(self, request: Request) -> SaliencyMap:
        raw = np.add.outer(np.arange(request.size[0], dtype=np.float64), np.arange(request.size[1]))
        parameters = dict(self.choices.parameters)
        return scaled_map(
            raw, request, method=self.key, parameters=parameters, started=0.0, samples=int(parameters["samples"])
        )


RAMP = Method(
    key="ramp",
    name="Ramp",
    make=Ramp,
    letter="i",
    short="RMP",
    parameters=(Key.whole("samples", 50, 20, 400, "samples to draw"), Key.between("slope", 1.0, 0, 9, "of the ramp")),
    shares_gradients=("gradcam", "gradcam++"),
)


@pytest.fixture
def _one_more(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One entry more in the table, and nothing else."""
    monkeypatch.setattr(registry, "BUILT_IN", (*registry.BUILT_IN, RAMP))
    registry.find_plug_ins.cache_clear()
    yield
    registry.find_plug_ins.cache_clear()


def test_the_defaults_declared_are_those_of_the_methods() -> None:
    for method in registry.BUILT_IN:
        made = make_explainer(method.key, make_bundle(), Settings())
        assert made == type(made)(**({"key": method.key} if method.layer else {}))  # type: ignore[call-arg]
        assert {key.name for key in method.parameters} <= {field.name for field in fields(made)}  # type: ignore[arg-type]
        for key in method.parameters:
            assert key.check(key.default) == key.default == getattr(made, key.name)


def test_the_methods_without_parameters_are_known_to_model_toml() -> None:
    assert tuple(method.key for method in registry.BUILT_IN if not method.parameters) == WITHOUT_KEYS


def test_every_built_in_method_has_a_letter_of_its_own() -> None:
    letters = [method.letter for method in registry.BUILT_IN]
    assert set(letters) <= set(string.ascii_lowercase)
    assert len(set(letters)) == len(letters)
    taken = {key for binding in ExplainView.BINDINGS for key in binding.key.split(",")}  # type: ignore[union-attr]
    assert taken.isdisjoint(letters)
    assert list(method_bindings()) == letters


def test_quick_methods_run_first() -> None:
    assert sorted(("rise", "lime", "other", "gradcam++", "gradcam"), key=running_place) == [
        *("gradcam", "gradcam++", "lime", "rise", "other")
    ]


@pytest.mark.usefixtures("_one_more")
def test_votes_that_are_not_independent_are_told_whoever_declares_it() -> None:
    assert dependence_notes(("lime", "rise", "gradcam")) == ()
    assert dependence_notes(("rise", "gradcam", "gradcam++")) == (
        "Grad-CAM and Grad-CAM++ use the same activations and gradients: where both mark a cell, that is not two "
        "independent findings.",
    )
    assert dependence_notes(("gradcam", "rise", "gradcam++", "ramp")) == (
        "Grad-CAM, Grad-CAM++ and Ramp use the same activations and gradients: where several mark a cell, those are "
        "not independent findings.",
    )


@pytest.mark.parametrize(
    "parameters",
    [
        (Key.whole("Grid", 7, 2, 64, "cells"),),
        (Key.whole("a=b", 7, 2, 64, "cells"),),
        (Key.whole("", 7, 2, 64, "cells"),),
        (Key.whole("grid", 7, 2, 64, "cells"), Key.between("grid", 0.5, 0, 1, "again")),
        (Key.choice("samples", "few", ("few", "many"), "samples"),),
        (Key.between("samples", 0.5, 0, 1, "samples"),),
        (Key.whole("samples", None, 2, 64, "samples"),),
    ],
)
def test_a_declaration_that_nobody_could_use_is_refused(parameters: tuple[Key[int | float | str], ...]) -> None:
    with pytest.raises(ValueError, match="parameter"):
        Declaration(parameters=parameters)


def test_choices_can_be_a_key_of_what_is_kept() -> None:
    assert hash(Choices("conv", {"grid": 7})) == hash(Choices("conv", {"grid": 7}))
    assert Choices("conv", {"grid": 7}) != Choices("conv", {"grid": 8})


# What a person sets


@pytest.mark.parametrize(
    ("method", "name", "value", "said"),
    [
        ("ride", "grid", 7, "no such method: ride; choose among lime, rise"),
        ("rise", "gird", 7, "rise has no parameter 'gird'; did you mean 'grid'?"),
        ("rise", "xyz", 7, "rise has no parameter 'xyz'; choose among samples, grid, probability, estimator"),
        ("gradcam", "grid", 7, "gradcam has no parameter 'grid'; nothing can be set for it"),
        ("rise", "grid", 1, "rise.grid must be a whole number from 2 to 64, not 1; give another value"),
        ("rise", "probability", 1.0, "rise.probability must be a number between 0 and 1, not 1.0"),
        ("rise", "estimator", "best", 'rise.estimator must be one of "centred", "paper", not "best"'),
    ],
)
def test_a_wrong_method_name_or_value_is_found_before_the_first_pass(
    method: str, name: str, value: int | float | str, said: str
) -> None:
    with pytest.raises(ExplanationError, match=re.escape(said)):
        explain(classifier(small_cnn(2)), make_image(height=24, width=24), Settings(parameters={method: {name: value}}))


@pytest.mark.parametrize(
    "settings",
    [
        Settings(samples={"rise": 64}, parameters={"rise": {"samples": 64}}),
        Settings(estimator="paper", parameters={"rise": {"estimator": "paper"}}),
    ],
)
def test_a_value_given_in_two_ways_is_refused(settings: Settings) -> None:
    with pytest.raises(ExplanationError, match=r"rise\.\w+ is given twice"):
        make_explainer("rise", make_bundle(), settings)


def test_what_is_set_comes_before_the_models_and_is_recorded() -> None:
    bundle = make_bundle()
    bundle = replace(bundle, explain=replace(bundle.explain, lime={"superpixels": 30, "kernel_width": 0.5}))
    settings = Settings(parameters={"lime": {"superpixels": 12, "samples": 150}})
    made = make_explainer("lime", bundle, settings)
    assert (made.superpixels, made.kernel_width, made.samples) == (12, 0.5, 150)  # type: ignore[attr-defined]
    saliency = explain_method(classifier(small_cnn(2)), make_image(height=24, width=24), "lime", settings)
    assert (saliency.parameters["superpixels_wanted"], saliency.samples) == (12, 150)


# One entry more


@pytest.mark.usefixtures("_one_more")
def test_one_more_entry_is_explained_in_its_place() -> None:
    settings = Settings(samples={"rise": 64, "lime": 100, "ramp": 30}, parameters={"ramp": {"slope": 2}})
    model = classifier(small_cnn(2), explain=ExplainSpec("4"))
    explanation = explain(model, make_image(height=24, width=24), settings)
    assert list(explanation.maps) == [*registry.METHODS, "ramp"]
    assert explanation.maps["ramp"].parameters == {"samples": 30, "slope": 2.0}
    with pytest.raises(ExplanationError, match="19 samples are not possible for ramp; give a number from 20"):
        make_explainer("ramp", make_bundle(), Settings(samples={"ramp": 19}))
    with pytest.raises(ExplanationError, match="give --samples for rise, lime and ramp only"):
        make_explainer("ramp", make_bundle(), Settings(samples={"gradcam": 19}))


@pytest.mark.usefixtures("_one_more")
def test_one_more_entry_is_tried_with_few_samples() -> None:
    model = classifier(small_cnn(2), explain=ExplainSpec("4"))
    seen: list[str] = []
    checked = check_model(model, None, begun=seen.append)
    assert set(seen) == {*registry.METHODS, "ramp"}
    assert not any(method.failure for method in checked.methods)


@pytest.mark.usefixtures("_one_more")
def test_one_more_entry_is_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "--help"], open_app=lambda _: 99) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "lime,rise,gradcam,gradcam++,hirescam,ramp and those" in said
    assert "rise=4000,lime=1000,ramp=50" in said
    assert "ramp.samples, ramp.slope" in said


@pytest.mark.usefixtures("_one_more")
async def test_one_more_entry_has_a_card_a_key_and_a_tab() -> None:
    app = make_app(FakeEngine())
    async with app.run_test(size=(160, 48)) as pilot:
        await press(pilot, *TO_IMAGES, "i")
        assert app.explain.wall.active == "ramp"
        assert app.explain.runs["ramp"].state == "done"
        await press(pilot, "e")
        assert "4 of 4" in screen_text(app)
        assert "Ramp" in screen_text(app)
        assert app.explain.scene.explanation is not None
        caption = agreement_caption(app.explain.scene.explanation, Look()).plain
        assert caption.endswith("the four CAMs are not independent")
        await pilot.resize_terminal(80, 24)
        await press(pilot, "i")
        assert "RMP" in screen_text(app)


@pytest.mark.usefixtures("_one_more")
def test_the_keys_of_plug_ins_follow_those_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "method_keys", lambda: (*(m.key for m in registry.BUILT_IN), "one", "two"))
    known: Callable[[str], Method | None] = registry.find_method
    monkeypatch.setattr(registry, "find_method", lambda key: known(key) or Method(key=key, name=key, make=Ramp))
    assert method_bindings() == {
        **{"l": "lime", "r": "rise", "g": "gradcam", "p": "gradcam++", "h": "hirescam", "i": "ramp"},
        **{"7": "one", "8": "two"},
    }
