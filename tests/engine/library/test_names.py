"""Names of tasks and models: which will do, and that every place stays below the tasks folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import TaskError
from engine.library.names import check_name, name_problem, place_of, stays_below
from engine.text import safe_text


@pytest.mark.parametrize("name", ["HIS Breast Cancer", "IHC Stain (demo)", "a", "Ä–ö 漢字", "v1.2", "a" * 100, "-x"])
def test_names_as_people_give_them_will_do(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        (".", "begins with a dot"),
        ("..", "begins with a dot"),
        (".trash", "begins with a dot"),
        ("a/b", "contains a / or"),
        ("/etc", "contains a / or"),
        ("..\\b", "contains a / or"),
        ("a\0b", "cannot be seen"),
        ("a\nb", "cannot be seen"),
        ("a\x1b[2Jb", "cannot be seen"),
        ("a\x9bb", "cannot be seen"),
        ("a\u202eb", "cannot be seen"),
        ("a\u200bb", "cannot be seen"),
        ("caf\udce9", "cannot be seen"),
        (" a", "begins or ends with a space"),
        ("a\u00a0", "cannot be seen"),
        ("a" * 101, "longer than 100 characters"),
        ("漢" * 67, "longer than 100 characters or 200 bytes"),
    ],
)
def test_other_names_are_refused_with_the_reason(name: str, problem: str) -> None:
    assert problem in str(name_problem(name))
    with pytest.raises(TaskError, match="choose another name") as caught:
        check_name("model", name)
    assert caught.value.message == safe_text(caught.value.message)
    assert len(caught.value.message) < 300
    with pytest.raises(TaskError):
        place_of(Path("tasks"), name)
    with pytest.raises(TaskError):
        place_of(Path("tasks"), "T", name)


@given(st.text(max_size=20))
def test_a_name_that_will_do_is_one_folder_below_the_other_and_is_shown_as_it_is(name: str) -> None:
    if name_problem(name) is None:
        assert place_of(Path("tasks"), name).parent == Path("tasks")
        assert place_of(Path("tasks"), "T", name).parts == ("tasks", "T", name)
        assert safe_text(name) == name


def test_a_link_out_of_the_tasks_folder_is_refused_and_one_within_is_not(tmp_path: Path) -> None:
    (tmp_path / "tasks" / "T").mkdir(parents=True)
    (tmp_path / "elsewhere" / "M").mkdir(parents=True)
    (tmp_path / "tasks" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "tasks" / "T" / "M").symlink_to(tmp_path / "elsewhere" / "M")
    (tmp_path / "tasks" / "same").symlink_to("T")
    (tmp_path / "tasks" / "self").symlink_to(".")
    for names in (("linked",), ("linked", "M"), ("T", "M"), ("self",)):
        with pytest.raises(TaskError, match="leads out of the tasks folder"):
            place_of(tmp_path / "tasks", *names)
    assert place_of(tmp_path / "tasks", "same", "New") == tmp_path / "tasks" / "same" / "New"


def test_a_tasks_folder_that_is_itself_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real" / "T").mkdir(parents=True)
    (tmp_path / "tasks").symlink_to("real")
    assert place_of(tmp_path / "tasks", "T") == tmp_path / "tasks" / "T"
    assert not stays_below(tmp_path / "tasks", tmp_path / "real")
