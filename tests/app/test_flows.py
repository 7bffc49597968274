"""What a person does in the app, key by key, on an engine whose pace the test sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_driver import TO_IMAGES, caption_of, make_app, press, press_until_held, screen_text, settled, told, until
from fakes import FakeEngine, demo_tasks
from textual.widgets._toast import Toast

from xaimed_tui.screens.detail.screen import DetailScreen
from xaimed_tui.screens.explain.folder_dialog import FolderDialog
from xaimed_tui.screens.explain.save import SaveDialog
from xaimed_tui.screens.help import HelpScreen
from xaimed_tui.widgets.nav_bar import NavBar
from xaimed_tui.widgets.row_list import RowList

BIG = (160, 50)


async def test_the_whole_way_from_home_to_saved_files_by_keyboard(tmp_path: Path) -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        assert app.explain.images.has_focus
        assert "IDC" in screen_text(app)
        assert "high confidence" in screen_text(app)
        await press(pilot, "j")
        await press(pilot, "e")
        assert {run.state for run in app.explain.runs.values()} == {"done"}
        assert "4 of 4: bottom" in caption_of(app.explain.wall.card("agreement"))
        await press(pilot, "right", "right", "enter")
        assert isinstance(app.screen, DetailScreen)
        assert "LIME" in screen_text(app)
        await press(pilot, "escape", "w")
        assert isinstance(app.screen, SaveDialog)
        assert "statistics.csv" in screen_text(app)
        app.screen.query_one("#save-folder").value = str(tmp_path / "results")
        await press(pilot, "enter")
        saved = tmp_path / "results" / "patch-02"
        assert (saved / "explanation.json").is_file()
        await told(pilot, str(saved))


async def test_one_key_on_home_opens_the_demo_with_its_samples() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "d")
        assert ("load", "Small CNN") in engine.calls
        assert ("list_images", "/samples") in engine.calls
        assert app.explain.images.has_focus


@pytest.mark.parametrize("size", [(80, 24), (99, 30), (100, 30), (120, 40)])
async def test_the_words_about_the_demo_leave_the_answer_and_its_choices_free(size: tuple[int, int]) -> None:
    app = make_app()
    async with app.run_test(size=size, notifications=True) as pilot:
        await press(pilot, "d")
        await until(pilot, lambda: len(app.screen.query(Toast)) == 1)
        await until(pilot, lambda: app.screen.query_one(Toast).region.area > 0)
        assert not app.screen.query_one(Toast).region.overlaps(app.explain.side.region)


async def test_a_key_pressed_while_the_library_is_imported_is_answered_at_once() -> None:
    engine = FakeEngine()
    gate = engine.hold("warm_up")
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, engine.waiting["warm_up"].is_set)
        await until(pilot, lambda: "loading PyTorch" in screen_text(app))
        await pilot.press("2")
        await until(pilot, lambda: app.views_made and app.selection.tasks.has_focus)
        gate.set()
        await settled(pilot)
        assert "loading PyTorch" not in screen_text(app)


async def test_compliant_images_come_first_and_the_reason_is_shown_for_the_others() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        assert [row.label for row in app.explain.images.shown][-1] == "patch-04.png"
        await press(pilot, "end")
        assert "at least 48x48" in " ".join(screen_text(app).split())
        assert ("diagnose", "patch-04.png") not in engine.calls
        assert app.explain.check_action("explain_all", ()) is False


async def test_the_filter_keeps_what_it_names_and_escape_takes_it_away() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "slash", "0", "7", "enter")
        assert [row.label for row in app.explain.images.shown] == ["patch-07.png"]
        assert app.explain.images.has_focus
        await press(pilot, "escape")
        assert len(app.explain.images.shown) == 8


async def test_holding_the_arrow_key_reads_only_the_image_one_ends_on() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        engine.calls.clear()
        for _ in range(5):  # faster than a pilot presses keys
            app.explain.images.action_move(1)
        await until(pilot, lambda: ("diagnose", "patch-07.png") in engine.calls)
        assert [call[1] for call in engine.calls if call[0] == "read"] == ["patch-07.png"]


async def test_one_picture_at_a_time_on_a_small_terminal_all_six_on_a_larger_one() -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, *TO_IMAGES)
        assert [card.key for card in app.explain.wall if card.display] == ["original"]
        await press(pilot, "e", "right")
        assert [card.key for card in app.explain.wall if card.display] == ["rise"]
        assert app.query_one(NavBar).size.width < 12
        await pilot.resize_terminal(120, 40)
        await settled(pilot)
        shown = [card.key for card in app.explain.wall if card.display]
        assert shown == ["original", "lime", "rise", "agreement", "gradcam", "gradcam++"], "as many as have room"


async def test_the_layer_of_the_cams_is_chosen_and_only_the_cams_are_made_anew() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        engine.calls.clear()
        await press(pilot, "y", "down", "enter")
        made = [call for call in engine.calls if call[0] in app.explain.runs]
        assert [(call[0], call[3]) for call in made] == [
            (method, "features.0") for method in ("gradcam", "gradcam++", "hirescam")
        ]
        assert set(app.explain.explanation.maps) == {"lime", "rise", "gradcam", "gradcam++", "hirescam"}


async def test_another_class_is_chosen_and_all_maps_are_made_anew_for_it() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        await press(pilot, "t", "down", "enter")
        assert {run.map.target for run in app.explain.runs.values()} == {"NO-IDC"}
        assert app.explain.explanation.target == "NO-IDC"


async def test_moving_in_the_table_points_out_the_cell_in_both_pictures() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "enter", "j", "j", "j", "j")
        pictures = [app.screen.query_one(name).picture for name in ("#image", "#map")]
        assert [picture.highlight for picture in pictures] == [(1, 1), (1, 1)]
        assert pictures[0].style == "cells"
        assert pictures[0].top == ((2, 0), (2, 1), (1, 1))


async def test_left_and_right_go_through_the_methods_and_back_leads_to_the_one_seen_last() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "enter", "right", "right")
        assert "Grad-CAM " in screen_text(app).splitlines()[0]
        await press(pilot, "escape")
        assert app.explain.wall.active == "gradcam"


async def test_the_numbers_in_the_detail_are_those_of_the_map() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "enter")
        statistics = app.explain.explanation.statistics["lime"]
        row = next(line for line in screen_text(app).splitlines() if "bottom left" in line and "0." in line)
        assert row.split()[0] == "1"
        numbers = [float(word) for word in row.split() if word.startswith(("0.", "1."))]
        expected = [statistics.mean, statistics.median, statistics.min, statistics.max, statistics.std]
        assert [numbers[0], *numbers[2:6]] == pytest.approx([float(table[2, 0]) for table in expected], abs=5e-4)


async def test_cells_whose_place_is_not_certain_carry_a_question_mark_and_words() -> None:
    app = make_app(FakeEngine(settled=False))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        assert "not certain" in caption_of(app.explain.wall.card("rise"))
        await press(pilot, "right", "right", "right", "enter")
        text = screen_text(app)
        assert "Not certain" in text
        assert "1?" in text or "3?" in text


async def test_a_folder_is_chosen_by_its_path(tmp_path: Path) -> None:
    engine = FakeEngine()
    app = make_app(engine)
    (tmp_path / "scans").mkdir()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "f")
        assert isinstance(app.screen, FolderDialog)
        path = app.screen.query_one("#folder-path")
        path.value = str(tmp_path / "nowhere")
        await press(pilot, "enter")
        assert isinstance(app.screen, FolderDialog)
        assert "is not a folder" in screen_text(app)
        path.value = f"{tmp_path}/sc"
        path.cursor_position = len(path.value)
        await until(pilot, lambda: path._suggestion == f"{tmp_path}/scans/")
        await press(pilot, "right", "enter")
        assert ("list_images", str(tmp_path / "scans")) in engine.calls


async def test_a_model_chosen_later_keeps_the_folder_that_was_chosen(tmp_path: Path) -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "3")
        app.explain.use_folder(tmp_path)
        await press(pilot, *TO_IMAGES)
        assert engine.calls.count(("list_images", str(tmp_path))) == 1  # the names do not depend on the model
        assert engine.calls[-1] == ("diagnose", "patch-01.png")
        assert ("list_images", "/samples") not in engine.calls


async def test_task_model_and_folder_of_the_command_line_are_opened(tmp_path: Path) -> None:
    engine = FakeEngine()
    app = make_app(engine, task="HIS Breast Cancer", model="Paper CNN", folder=tmp_path)
    async with app.run_test(size=BIG) as pilot:
        await settled(pilot)
        assert ("load", "Paper CNN") in engine.calls
        assert app.explain.images.has_focus
        assert ("list_images", str(tmp_path)) in engine.calls


async def test_only_what_can_be_done_is_offered() -> None:
    engine = FakeEngine()
    gate = engine.hold("lime")
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:

        def offered() -> set[str]:
            return {
                binding.binding.description for binding in app.screen.active_bindings.values() if binding.binding.show
            }

        await press(pilot, "3")
        assert offered() == {"Folder", "Help"}
        await press(pilot, *TO_IMAGES)
        assert {"Explain", "Class", "Layer"} <= offered()
        assert not {"Save", "Stop all", "Detail"} & offered()
        await press_until_held(pilot, "l", engine, "lime")
        await until(pilot, lambda: {"Stop all", "Stop this"} <= offered())
        gate.set()
        await settled(pilot)
        assert {"Save", "Detail"} <= offered()
        assert "Stop all" not in offered()


async def test_help_names_the_keys_of_the_view_and_closes_again() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "question_mark")
        assert isinstance(app.screen, HelpScreen)
        assert "LIME, RISE, Grad-CAM, Grad-CAM++, HiResCAM alone" in screen_text(app)
        await press(pilot, "escape")
        assert app.explain.images.has_focus


async def test_a_hundred_thousand_rows_are_shown_and_walked_without_waiting() -> None:
    import time

    from xaimed_tui.widgets.row_list import Row

    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        rows = app.explain.query_one("#images-list", RowList)
        begin = time.perf_counter()
        rows.set_rows(Row(number, f"image-{number}.png") for number in range(100_000))
        await pilot.press("end")
        await pilot.pause()
        assert rows.current is not None
        assert rows.current.key == 99_999
        assert "image-99999.png" in screen_text(app)
        assert time.perf_counter() - begin < 5.0


def test_the_demo_task_is_among_the_fakes() -> None:
    assert "IHC Stain (demo)" in [task.name for task in demo_tasks()]
