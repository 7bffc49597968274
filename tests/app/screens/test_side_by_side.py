"""Two networks, or two classes of one, on the same image beside each other."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from app_driver import TO_IMAGES, make_app, notices, press, press_until_held, screen_text, settled, until
from factories import make_map
from fakes import FakeEngine

from engine.errors import BundleError, NotCompliantError
from engine.explanation.comparison import rank_correlation
from engine.results.cells import CELLS
from xaimed_tui.screens.compare.screen import ComparedTable, SideBySideScreen
from xaimed_tui.screens.compare.side import ComparedSide
from xaimed_tui.widgets.dialogs import ChooseDialog
from xaimed_tui.widgets.image_view import ImageView
from xaimed_tui.widgets.row_list import RowList

BIG = (160, 50)


class TwoMinded(FakeEngine):
    """Its maps for the class that is not predicted point elsewhere."""

    tops = ((0, 0), (2, 1), (0, 2))

    def explain_method(self, model, image, method, settings, progress, stop):
        made = super().explain_method(model, image, method, settings, progress, stop)
        if settings.target != self.classes[0]:
            return made
        return replace(make_map(method, target=made.target, top=self.tops, settled=self.settled), stopped=made.stopped)


def words(app) -> str:
    return " ".join(str(app.screen.query_one("#facts-text").render()).split())


def verdicts(app) -> list[str]:
    table = app.screen.query_one(ComparedTable)
    return [str(table.get_row_at(row)[-1]) for row in range(table.row_count)]


async def test_two_classes_of_one_network_share_a_cell_and_differ_in_others() -> None:
    engine = TwoMinded()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "b")
        assert isinstance(app.screen, ChooseDialog)
        assert "class NO-IDC" in screen_text(app)
        engine.calls.clear()
        await press(pilot, "enter")
        assert isinstance(app.screen, SideBySideScreen)
        made = [(call[0], call[2]) for call in engine.calls if call[0] in app.explain.runs]
        methods = ("gradcam", "gradcam++", "hirescam", "lime", "rise")
        assert sorted(made) == [(method, "NO-IDC") for method in methods], "A's are kept"
        assert not any(call[0] in ("load", "diagnose") for call in engine.calls)
        # LIME: A marks bottom left, bottom, centre; B top left, bottom, top right.
        assert words(app).startswith("1 of 3 cells shared: bottom. Two random choices share 1 on average.")
        assert "Only A: centre, bottom left." in words(app)
        assert "Only B: top left, top right." in words(app)
        assert "A shows what speaks for IDC, B what speaks for NO-IDC." in words(app)
        assert verdicts(app) == ["only B", "", "only B", "", "only A", "", "only A", "both", ""]
        assert "not predicted" in screen_text(app)


async def test_classes_whose_names_differ_only_in_what_is_left_out_are_told_apart() -> None:
    names = [f"invasive carcinoma of no special type, {grade} grade, after Nottingham" for grade in ("low", "high")]
    app = make_app(FakeEngine(classes=("none", *names)))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "b")
        labels = [row.label for row in app.screen.query_one(RowList).in_view]
        assert len(set(labels)) == len(labels)
        await press(pilot, "escape", "t", "down", "down", "enter", "e", "right", "right", "b", "down")
        await press(pilot, "enter")
        said = re.search("A shows what speaks for (.+), B what speaks for (.+?)\\.", words(app))
        assert said is not None
        assert said[1] != said[2]


async def test_one_output_is_said_to_speak_for_one_class_as_it_speaks_against_the_other() -> None:
    class OneOutput(FakeEngine):
        def diagnose(self, model, image):
            return replace(super().diagnose(model, image), logits=np.array([-2.2, 2.2]))

    app = make_app(OneOutput())
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "b", "enter")
        assert "The network has one output" in words(app)


async def test_cells_that_are_not_certain_count_neither_as_shared_nor_as_different() -> None:
    app = make_app(TwoMinded(settled=False))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "b", "enter")
        assert words(app).startswith("0 of 3 cells shared for certain; 1 as they stand now.")
        assert "Certain:" not in words(app)
        assert " LIME  (1 of 6)  1 of 3 cells shared?, not certain, ρ " in screen_text(app).splitlines()[0]
        assert "Only" not in words(app)
        assert "Whether they are shared is open." in words(app)
        assert set(verdicts(app)) == {"open"}


async def test_another_network_is_loaded_and_asked_without_becoming_the_one_in_use() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "b", "down")
        engine.calls.clear()
        await press(pilot, "enter")
        assert ("load", "Small CNN") in engine.calls
        sides = list(app.screen.query(ComparedSide))
        assert [side.answer.bundle.name for side in sides] == ["Paper CNN", "Small CNN"]
        assert all(run.state == "done" for side in sides for run in side.runs.values())
        assert "3 of 3 cells shared" in words(app)
        assert "speaks for" not in words(app)  # both explain the same class
        await press(pilot, "escape")
        assert app.explain.scene.bundle.name == "Paper CNN"
        assert app.explain.wall.busy is False


async def test_a_network_without_the_class_explains_what_it_predicts_itself() -> None:
    class OtherClasses(FakeEngine):
        def load(self, bundle):
            self.classes = ("NO-IDC", "IDC") if bundle.name == "Paper CNN" else ("brown", "blue", "red")
            return super().load(bundle)

    app = make_app(OtherClasses())
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "b", "down", "enter")
        assert [side.target for side in app.screen.query(ComparedSide)] == ["IDC", "brown"]
        assert "A shows what speaks for IDC, B what speaks for brown." in words(app)


async def test_a_network_that_cannot_be_loaded_or_takes_no_such_image_says_why_in_its_place() -> None:
    for what, error in (
        ("load", BundleError("weights.pt lacks the key fc.weight", subject="Small CNN")),
        ("diagnose", NotCompliantError("it has 48x48 pixels, the network needs 224x224", subject="patch-01.png")),
    ):
        engine = FakeEngine()
        app = make_app(engine)
        async with app.run_test(size=BIG) as pilot:
            await press(pilot, *TO_IMAGES, "e", "b", "down")
            engine.failures[what] = error
            await press(pilot, "enter")
            assert error.message.split(": ", 1)[1][:30] in " ".join(screen_text(app).split())
            assert "Nothing to compare yet." in words(app)
            assert app.screen.query_one("#side-a", ComparedSide).explanation is not None
            assert not notices(app)


async def test_networks_that_see_different_parts_of_the_image_are_not_compared_cell_by_cell() -> None:
    class Crops(FakeEngine):
        def assemble(self, model, image, *rest):
            made = super().assemble(model, image, *rest)
            return replace(made, view=made.view[4:-4]) if model.bundle.name == "Small CNN" else made

    app = make_app(Crops())
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "b", "down", "enter")
        assert "different parts of the image" in words(app)
        assert "shared" not in words(app)
        assert set(verdicts(app)) == {""}
        await press(pilot, "left")
        assert "different parts of the image" in words(app)


async def test_a_cell_is_pointed_out_on_both_sides_from_the_table_and_by_the_mouse() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "b", "enter", "j", "down", "k")
        assert [view.picture.highlight for view in app.screen.query(ImageView)] == [(0, 1), (0, 1)]
        view = app.screen.query_one("#side-b ImageView", ImageView)
        top, left, bottom, right = view.rendered.placement.box((2, 2))
        place = view.rendered.placement
        await pilot.hover(view, offset=(place.left + (left + right) // 2, place.top + (top + bottom) // 2))
        await settled(pilot)
        assert app.screen.query_one(ComparedTable).cursor_row == 8
        assert [view.picture.highlight for view in app.screen.query(ImageView)] == [(2, 2), (2, 2)]


async def test_arrows_on_a_picture_move_its_cell_on_both_sides_and_in_the_table_and_back() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "b", "enter")
        table = app.screen.query_one(ComparedTable)
        first, second = app.screen.query(ComparedSide)
        table.go_to((1, 1))
        for side, keys, cell in ((first, ("down", "left"), (2, 0)), (second, ("k", "right", "right"), (1, 2))):
            side.focus()
            await press(pilot, *keys)
            assert {view.picture.highlight for view in app.screen.query(ImageView)} == {cell}
            assert table.cursor_row == CELLS.index(cell)
            assert str(side.query_one(".who").render()).startswith(f"▸{side.letter}")
        assert "LIME" in screen_text(app).splitlines()[0]  # arrows did not change the method
        await press(pilot, "l")
        assert "RISE" in screen_text(app).splitlines()[0]
        assert {view.picture.highlight for view in app.screen.query(ImageView)} == {(1, 2)}
        table.focus()
        await press(pilot, "up")
        assert {view.picture.highlight for view in app.screen.query(ImageView)} == {(1, 1)}
        assert str(second.query_one(".who").render()).startswith(" B")


async def test_tab_goes_from_the_table_to_the_words_and_both_pictures() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "g", "right", "right", "b", "enter")
        seen = []
        for _ in range(4):
            seen.append(app.screen.focused.id or type(app.screen.focused).__name__)
            await press(pilot, "tab")
        assert seen == ["ComparedTable", "facts", "side-a", "side-b"]


async def test_the_rank_correlation_of_the_two_maps_is_said_for_every_method() -> None:
    app = make_app(TwoMinded())
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "b", "enter")
        sides = app.screen.query(ComparedSide)
        value = rank_correlation(*(side.runs["lime"].map for side in sides))
        assert f"Rank correlation of the two maps (Spearman's ρ): {value:.2f}. Sampling noise" in words(app)
        assert "Certain: no other cell could be among the three of A or of B." in words(app)
        assert (
            screen_text(app)
            .splitlines()[0]
            .startswith(f" LIME  (1 of 6)  1 of 3 cells shared, ρ {value:.2f}  on patch-01.png")
        )
        await press(pilot, "right", "right")
        assert "Exact: no samples are drawn" in words(app)
        assert "Sampling noise" not in words(app)
        await press(pilot, "right", "right", "right")
        assert f"Rank correlation of A's and B's maps (Spearman's ρ) LIME {value:.2f} RISE" in words(app)


async def test_a_rank_correlation_waits_for_both_maps_to_be_done() -> None:
    engine = TwoMinded()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "b")
        gate = engine.hold("lime")
        await press_until_held(pilot, "enter", engine, "lime")
        await until(pilot, lambda: "worked out once both maps are done" in words(app))
        gate.set()
        await until(pilot, lambda: "(Spearman's ρ): " in words(app))


async def test_arrows_go_through_the_methods_to_the_agreement_of_both_sides() -> None:
    app = make_app(TwoMinded())
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "b", "enter", "right")
        assert "RISE" in screen_text(app).splitlines()[0]
        await press(pilot, "left", "left")
        assert "Agreement" in screen_text(app).splitlines()[0]
        assert "A: 4 of 4 methods mark bottom." in words(app)
        assert "B: 4 of 4 methods mark top left, top right, bottom." in words(app)
        rows = [[str(part) for part in app.screen.query_one(ComparedTable).get_row_at(row)] for row in range(9)]
        assert rows[0] == ["top left", "1", "4"]


async def test_counts_that_uncertain_choices_leave_open_are_marked_on_both_sides() -> None:
    engine = TwoMinded()
    engine.settled = False
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "b", "enter", "left")
        table = app.screen.query_one(ComparedTable)
        for column, side in enumerate(app.screen.query(ComparedSide), start=1):
            consensus = side.explanation.consensus
            assert consensus.unsettled
            marked = [cell for row, cell in enumerate(CELLS) if "?" in str(table.get_row_at(row)[column])]
            assert marked == list(consensus.unsettled)


async def test_stopping_keeps_what_there_is_and_leaving_stops_what_runs() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "b")
        gate = engine.hold("lime")
        await press_until_held(pilot, "enter", engine, "lime")
        side = app.screen.query_one("#side-b", ComparedSide)
        await until(pilot, lambda: side.runs["lime"].map is not None)
        assert app.screen.check_action("stop", ()) is True
        await pilot.press("s")
        await settled(pilot)
        assert side.runs["lime"].map.stopped
        assert side.runs["rise"].state == "stopped"
        assert app.screen.check_action("stop", ()) is False
        assert engine.stopped == ["lime"]
        await press(pilot, "escape", "b")
        engine.waiting["lime"].clear()
        await press_until_held(pilot, "enter", engine, "lime")
        await pilot.press("escape")
        await until(pilot, lambda: engine.stopped == ["lime", "lime"])
        gate.set()
        await settled(pilot)
        assert {run.state for run in app.explain.runs.values()} == {"done"}  # the first screen's are untouched


async def test_leaving_the_app_stops_both_sides() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "b")
        engine.hold("lime")
        await press_until_held(pilot, "enter", engine, "lime")
        await pilot.press("ctrl+q")
        await until(pilot, lambda: engine.stopped == ["lime"])


async def test_a_network_that_cannot_be_used_is_listed_with_its_reason_and_not_opened() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "b", "end")
        assert "model Wide CNN (weights.pt is missing)" in " ".join(screen_text(app).split())
        await press(pilot, "enter")
        assert len(app.screen_stack) == 1


async def test_a_picture_of_another_size_keeps_its_place_when_the_terminal_shrinks() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "b", "enter")
        for size in ((80, 24), (60, 15), (200, 60)):
            await pilot.resize_terminal(*size)
            await settled(pilot)
            views = list(app.screen.query(ImageView))
            assert abs(views[0].size.width - views[1].size.width) <= 1
    assert np.array_equal(views[0].picture.pixels, views[1].picture.pixels)
