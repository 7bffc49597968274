"""What the app is set to and what it remembers: from which place, and what happens to files that make no sense."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from app_driver import make_app, notices, press, settled, told, until
from fakes import FakeEngine
from plug_ins import Offered, Sampled, offer

from engine.cli.main import AppRequest, run
from engine.explainers import registry
from engine.explainers.settings import check_settings
from engine.storage import places
from xaimed_tui.background.backend import Engine
from xaimed_tui.preferences.look import Look
from xaimed_tui.preferences.remembered import MOST_RECENT, Opening, Remembered, StateFile, opening
from xaimed_tui.preferences.settings import FLAGS, AppSettings, load_settings


def write_settings(text: str) -> Path:
    path = places.settings()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def opened(*arguments: str) -> AppRequest:
    requests: list[AppRequest] = []

    def open_app(request: AppRequest) -> int:
        requests.append(request)
        return 0

    assert run(list(arguments), open_app=open_app, flags=FLAGS) == 0
    return requests[0]


def test_without_a_file_the_settings_are_the_defaults() -> None:
    assert load_settings({}) == (AppSettings(), ())


def test_a_flag_beats_the_environment_which_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write_settings('rise_samples = 100\nlime_samples = 200\nuntil = "samples"\n')
    monkeypatch.setenv("XAIMED_LIME_SAMPLES", "300")
    monkeypatch.setenv("XAIMED_RISE_SAMPLES", "400")
    settings, problems = load_settings(opened("--rise-samples", "500").flags)
    assert (settings.rise_samples, settings.lime_samples, settings.until) == (500, 300, "samples")
    assert problems == ()


def test_every_word_that_the_help_offers_for_a_setting_is_taken() -> None:
    offered = [(flag, word) for flag in FLAGS if "|" in flag.metavar for word in flag.metavar.split("|")]
    assert len(offered) > 10
    for flag, word in offered:
        assert flag.check(word) == word


def test_what_cannot_be_used_is_left_out_and_reported_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_settings('animations = "no"\nrise_samples = true\ncolour = 3\ndevice = "cpu"\n')
    monkeypatch.setenv("XAIMED_UNTIL", "tomorrow")
    settings, problems = load_settings({})
    assert settings == AppSettings(device="cpu")
    assert problems[0] == f"{path}: animations is 'no': it may be auto, on or off"
    assert problems[1] == f"{path}: rise_samples is True: it may be a whole number from 0 to 1,000,000"
    assert problems[2].startswith(f"{path}: there is no setting colour; it may be one of theme, ")
    assert problems[3] == "$XAIMED_UNTIL is 'tomorrow': it may be certain or samples"
    assert len(problems) == 4


def test_a_settings_file_that_is_not_toml_is_reported_with_the_line() -> None:
    path = write_settings("until = certain\n")
    settings, problems = load_settings({})
    assert settings == AppSettings()
    assert problems[0].startswith(f"{path}: the settings file cannot be used: it is not TOML: ")
    assert "line 1" in problems[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--until", "noon"], "it may be certain or samples"),
        (["--rise-samples", "15"], "it may be 0, or a whole number from 16 to 1,000,000"),
        (["--model", "M"], "--model needs --task"),
        (["--device", "gpu"], "it may be auto, cpu, cuda or cuda:<number>"),
        (["--until", "samples", "tasks"], "--until is for the app, not for the command tasks"),
        (["--task", "T", "tasks"], "go after the command tasks"),
        (["/no/such/folder"], "there is no such folder"),
        ([__file__], "this is a file; name the folder that it is in"),
        ([".", "tasks"], "give only one of them"),
        (["folder-or-command"], "folder-or-command: this is neither a command nor a folder"),
    ],
)
def test_wrong_flags_are_wrong_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments, open_app=lambda request: 0, flags=FLAGS) == 2
    assert words in capsys.readouterr().err


def test_a_folder_task_and_model_can_be_named_in_any_order(tmp_path: Path) -> None:
    wanted = AppRequest(None, "T", "M", tmp_path)
    assert opened("--task", "T", "--model", "M", str(tmp_path)) == wanted
    assert opened(str(tmp_path), "--model=M", "--task=T") == wanted
    assert opened(str(tmp_path)) == AppRequest(folder=tmp_path)


def test_a_folder_named_like_a_command_is_given_with_a_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert opened("./demo") == AppRequest(folder=Path("demo"))


def test_samples_and_until_reach_the_methods() -> None:
    settings = Engine(None, AppSettings(until="samples", rise_samples=64)).settings(target=None, layer=None)
    assert (settings.until, dict(settings.samples)) == ("samples", {"rise": 64})


def test_who_votes_and_parameters_of_methods_reach_the_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, Offered("Ramp", Sampled))
    path = write_settings(
        'voters = "all"\n[rise]\ngrid = 9\nprobability = 2\n[gradcam]\ngrid = 9\n'
        '[ramp]\nside = "left"\nslope = [1]\n[rsie]\n'
    )
    found, problems = load_settings({})
    settings = Engine(None, found).settings(target=None, layer=None)
    assert settings.voters == "all"
    assert settings.parameters == {"rise": {"grid": 9}, "ramp": {"side": "left"}}
    check_settings(settings)
    assert problems == (
        f"{path}: [rise] probability must be a number between 0 and 1, not 2",
        f"{path}: [gradcam] grid is no parameter of this method",
        f"{path}: [ramp] slope must be a number or a word",
        f"{path}: there is no method rsie; it may be one of lime, rise, gradcam, gradcam++, hirescam, ramp",
    )
    registry.find_plug_ins.cache_clear()


def test_nothing_moves_by_itself_over_ssh_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_TTY", raising=False)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert AppSettings().animated
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    assert not AppSettings().animated
    assert AppSettings(animations="on").animated
    assert make_app().animation_level == "none"


def test_what_is_remembered_is_read_again_even_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "state" / "app.json"
    memory = StateFile(path)
    odd = Path(os.fsdecode(b"/data/\xff.png"))
    memory.now = Remembered(task="T", model="M", theme="nord").at(Path("/data"), odd)
    assert memory.changed
    memory.write()
    assert not memory.changed
    again = StateFile(path)
    assert (again.now, again.problem) == (memory.now, "")
    assert Path(again.now.images[0]) == odd
    assert [name.name for name in path.parent.iterdir()] == ["app.json"]


def test_the_last_folders_come_first_and_the_oldest_are_forgotten() -> None:
    now = Remembered()
    for number in [*range(20), 18]:
        now = now.at(Path(f"/{number}"), None)
    assert now.folders[:3] == ("/18", "/19", "/17")
    assert len(now.folders) == MOST_RECENT


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"version": 2}',
        b'{"version": 1, "folders": [1]}',
        b'{"version": 1, "opacity": "1"}',
        b"\xff",
        b"[" * 9999,
    ],
)
def test_an_unreadable_memory_is_set_aside_and_reported(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "app.json"
    path.write_bytes(content)
    memory = StateFile(path)
    assert memory.now == Remembered()
    assert memory.problem == f"{path}: not what XAIMed wrote there; it was set aside as app-unreadable.json"
    assert (tmp_path / "app-unreadable.json").read_bytes() == content
    assert not path.exists()


def test_a_memory_that_cannot_be_written_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    memory = StateFile(tmp_path / "file" / "app.json")
    memory.now = Remembered(task="T")
    memory.write()
    memory.write()
    assert len(caplog.records) == 1
    assert "cannot be written" in caplog.text


LAST = Remembered(task="T", model="M", folder="/data", image="/data/a.png")


@pytest.mark.parametrize(
    ("named", "opens"),
    [
        ({}, Opening("T", "M", Path("/data"), Path("/data/a.png"))),
        ({"task": "T"}, Opening("T", None, Path("/data"), Path("/data/a.png"))),
        ({"task": "T", "model": "N"}, Opening("T", "N")),
        ({"task": "U"}, Opening("U")),
        ({"folder": Path("/other")}, Opening("T", "M", Path("/other"))),
    ],
)
def test_what_is_not_named_is_opened_as_it_was(named: dict[str, Any], opens: Opening) -> None:
    assert opening(LAST, **{"task": None, "model": None, "folder": None, **named}) == opens


async def test_a_later_run_opens_task_model_folder_and_image_again(tmp_path: Path) -> None:
    path = tmp_path / "app.json"
    app = make_app(memory=StateFile(path))
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "d", "j")
        await until(pilot, path.exists)
        app.memory.write()
    assert json.loads(path.read_text())["image"] == "/samples/patch-02.png"
    engine = FakeEngine()
    app = make_app(engine, memory=StateFile(path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: ("diagnose", "patch-02.png") in engine.calls)
        await settled(pilot)
        assert app.explain.images.has_focus
        assert app.explain.images.current.key == Path("/samples/patch-02.png")
        assert ("load", "Small CNN") in engine.calls
        assert ("read", "patch-01.png") not in engine.calls


async def test_a_theme_chosen_in_the_app_is_used_next_time_and_a_setting_beats_it() -> None:
    app = make_app()
    async with app.run_test() as pilot:
        await press(pilot, "ctrl+t")
        assert app.memory.now.theme == "xaimed-light"
    assert make_app(memory=app.memory).theme == "xaimed-light"
    assert make_app(memory=app.memory, settings=AppSettings(theme="nord")).theme == "nord"


async def test_the_look_chosen_by_keys_is_used_next_time_and_settings_beat_it(tmp_path: Path) -> None:
    path = tmp_path / "app.json"
    app = make_app(memory=StateFile(path))
    async with app.run_test(size=(160, 50)) as pilot:
        await press(
            pilot, "d", "g", "m", "o", "o", "left_square_bracket", "right_square_bracket", "right_square_bracket"
        )
        app.memory.write()
    chosen = Look(display="cells", colormap="cividis", opacity=0.7)
    assert make_app(memory=StateFile(path)).look == chosen
    given = AppSettings(colormap="magma", opacity=20)
    assert make_app(memory=StateFile(path), settings=given).look == Look(display="cells", colormap="magma", opacity=0.2)
    assert make_app().look == Look(display="overlay", colormap="viridis", opacity=0.55)


def test_a_remembered_look_of_another_version_is_left_out() -> None:
    assert Look.first(Remembered(display="3d", colormap="jet", opacity=400)) == Look()


async def test_what_is_wrong_with_the_settings_is_said_in_the_app() -> None:
    app = make_app(settings=AppSettings(theme="mauve"), problems=["/x/settings.toml: there is no setting colour"])
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "/x/settings.toml: there is no setting colour" in notices(app).splitlines())
        await told(pilot, "There is no theme mauve")


async def test_the_demo_says_what_can_be_done_with_it() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "d")
        await told(pilot, "Press e")
