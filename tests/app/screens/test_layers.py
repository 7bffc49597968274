"""The dialog of the layers: the default comes first and can be had again, and the one in use is marked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from app_driver import TO_IMAGES, make_app, press, screen_text, settled, told
from fakes import FakeEngine, FakeLayer, FakeModel

from engine.bundle.model_bundle import ModelBundle
from engine.errors import ExplanationError
from xaimed_tui.background.backend import Model
from xaimed_tui.screens.choices import layer_rows
from xaimed_tui.widgets.row_list import RowList

LAYERS = (
    FakeLayer("features.0", 16, 48, 48),
    FakeLayer("features.4", 32, 24, 24, kind="Conv2d"),
    FakeLayer("features.5", 32, 24, 24, kind="ReLU", also=("features",)),
    FakeLayer("final_relu", 64, 12, 12, kind="ReLU"),
)


class Layered(FakeEngine):
    """An engine whose network has more layers than convolutions."""

    default = "features.5"

    def load(self, bundle: ModelBundle) -> Model:
        made = super().load(bundle)
        assert isinstance(made, FakeModel)
        return replace(made, layers=LAYERS, default_layer=self.default)


class Named(Layered):
    """The bundle names a block by its own name."""

    default = "features"


async def test_the_default_comes_first_and_can_be_had_again_after_another() -> None:
    app = make_app(Layered())
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "y")
        rows = app.screen.query_one(RowList)
        assert rows.shown[0].label == "the model's default (features.5)"
        assert rows.current is rows.shown[0] or rows.current == rows.shown[0]
        assert [row.key for row in rows.shown if row.mark == "●"] == ["features.5"]
        assert "features.5   32 maps of 24x24   ReLU   = features" in screen_text(app)
        await press(pilot, "end", "enter")
        assert app.explain.scene.layer == "final_relu"
        await press(pilot, "y")
        rows = app.screen.query_one(RowList)
        assert [row.key for row in rows.shown if row.mark == "●"] == ["final_relu"]
        assert rows.current is not None
        assert rows.current.key == "final_relu"
        await press(pilot, "home", "enter")
        assert app.explain.scene.layer is None
        await press(pilot, "y", "down", "down", "down", "enter")  # the same one by its name
        assert app.explain.scene.layer is None


async def test_a_default_named_by_its_block_is_marked_and_shown_by_that_name() -> None:
    app = make_app(Named())
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "y")
        rows = app.screen.query_one(RowList)
        assert [row.key for row in rows.shown if row.mark == "●"] == ["features"]
        assert "features     32 maps of 24x24   ReLU   = features.5" in screen_text(app)


def test_a_branch_is_marked_as_one() -> None:
    main, side = layer_rows([FakeLayer("main", 4, 8, 8), FakeLayer("side", 2, 8, 8, branch=True)], "main")
    assert "branch" not in main.label
    assert side.label.endswith("a branch")


@pytest.mark.parametrize("typed", ["final", "relu", "12x12"])
async def test_typing_filters_the_layers(typed: str) -> None:
    app = make_app(Layered())
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, *TO_IMAGES, "y", *typed)
        await settled(pilot)
        keys = {row.key for row in app.screen.query_one(RowList).shown}
        assert "final_relu" in keys
        assert "features.0" not in keys
        await press(pilot, "enter", "end", "enter")
        assert app.explain.scene.layer == "final_relu"


class WithoutDefault(FakeModel):
    """A network whose CAMs have no layer to look at unless one is chosen."""

    @property
    def default_layer(self) -> str:  # type: ignore[override]
        raise ExplanationError("no convolution gives a map")

    @default_layer.setter
    def default_layer(self, _: str) -> None:
        """Take what the dataclass sets."""


class Dense(FakeEngine):
    """An engine whose network has no layer that gives a map."""

    def load(self, bundle: ModelBundle) -> Model:
        made = super().load(bundle)
        assert isinstance(made, FakeModel)
        return WithoutDefault(made.bundle, layers=())


class Misnamed(FakeEngine):
    """An engine whose bundle names a layer that gives no map, though others do."""

    def load(self, bundle: ModelBundle) -> Model:
        made = super().load(bundle)
        assert isinstance(made, FakeModel)
        return WithoutDefault(made.bundle, layers=LAYERS)


async def test_another_layer_can_be_chosen_where_the_bundle_names_one_that_gives_no_map() -> None:
    app = make_app(Misnamed())
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES)
        assert "layer to be chosen" in screen_text(app)
        await press(pilot, "y")
        rows = app.screen.query_one(RowList)
        assert [row.key for row in rows.shown] == [layer.name for layer in LAYERS]
        assert not [row for row in rows.shown if row.mark == "●"]
        await press(pilot, "end", "enter")
        assert app.explain.scene.layer == "final_relu"


async def test_a_network_without_a_layer_to_look_at_is_shown_and_y_says_that_there_is_none() -> None:
    app = make_app(Dense())
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES)
        await settled(pilot)
        assert "layer none gives a map" in screen_text(app)
        await press(pilot, "y")
        await told(pilot, "There is no layer to choose (no convolution gives a map).")
