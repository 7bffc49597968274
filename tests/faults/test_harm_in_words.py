"""Everything that prints or names things, given texts with all that has ever done harm in them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from app_driver import press, screen_text
from factories import make_model
from harmful import HARM
from hypothesis import HealthCheck, given, settings
from nasty_text import acts, texts

from engine.cli import console
from engine.errors import XAIMedError
from engine.trust.permission import Changes
from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Engine
from xaimed_tui.screens.library.manage import DescribeDialog

some = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@some
@given(texts, texts)
def test_what_the_command_line_prints_is_harmless(text: str, other: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        out, err = io.StringIO(), io.StringIO()
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", err)
        console.print_line(text)
        console.print_failure(XAIMedError(text, subject=other, remedy=text).message)
        console.print_failure(text)
        console.print_table(("A", "B"), [(text, other)])
        console.print_json({text: [other]})
    for written in (out.getvalue(), err.getvalue()):
        assert acts(written, allowed="\n") == set()
    assert err.getvalue().count("\n") == 2


@some
@given(texts)
def test_errors_and_changes_are_one_harmless_line(text: str) -> None:
    for shown in (str(XAIMedError(text, subject=text, remedy=text)), XAIMedError(str(Changes((text,)))).message):
        assert acts(shown) == set()


async def test_markup_in_names_and_descriptions_is_shown_and_not_obeyed_in_titles(tmp_path: Path) -> None:
    tasks = tmp_path / "tasks"
    make_model(tasks / "a[red]x[" / "b] [bold]m")
    app = XAIMedApp(Engine(tasks))
    async with app.run_test(size=(100, 30)) as pilot:
        await press(pilot, "2")
        app.push_screen(DescribeDialog("a[red]x[", "b] [bold]m", f"text {HARM}"))
        await press(pilot)
        assert "Describe a[red]x[/b] [bold]m" in screen_text(app)
        await press(pilot, "escape")
        assert "a[red]x[" in screen_text(app)
        assert "b] [bold]m" in screen_text(app)


def test_json_of_any_name_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"name": HARM})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out)["name"] == HARM
