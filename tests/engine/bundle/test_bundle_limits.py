"""Files of a model that are far too large: refused or cut with a word, at once, and not read into memory."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest
from app_driver import notices, press, until
from factories import make_model
from PIL import Image

from engine.bundle.model_bundle import read_bundle
from engine.errors import BundleError
from engine.library.tasks import list_tasks
from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Engine
from xaimed_tui.widgets.image_view import ImageView


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "tasks" / "Lungs" / "CNN", approved=True)


def test_descriptions_of_100_mb_are_cut_with_a_word_and_never_held(model: Path) -> None:
    for path in (model / "description.txt", model.parent / "task_description.txt"):
        path.write_bytes(b"word " * 20_000_000)
    tracemalloc.start()
    begin = time.monotonic()
    (task,) = list_tasks([model.parents[1]])
    seconds, (_, most) = time.monotonic() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for text in (task.description, task.models[0].description):
        assert len(text) < 65_000
        assert text.endswith("has 100,000,000 bytes, of which 64,000 are shown.)")
    assert most < 8_000_000
    assert seconds < 10  # a second alone, to hash what an approval covers


@pytest.mark.parametrize("beginning", ["", "[training]\n"], ids=["unknown", "notes"])
def test_a_model_toml_with_a_million_keys_is_refused_by_its_size(model: Path, beginning: str) -> None:
    keys = "".join(f"k{number} = 1\n" for number in range(1_000_000))  # not above: every process would make it
    (model / "model.toml").write_text(beginning + keys)
    begin = time.monotonic()
    with pytest.raises(BundleError, match=r"model.toml: the file has [\d,]+ bytes; at most 1,000,000 are read"):
        read_bundle(model)
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize(
    "content",
    [
        "a = " + "[" * 900_000,
        "a." * 450_000 + "b = 1",
        "[" + "a." * 450_000 + "b]",
        "".join(f"[training.a{number}]\n" for number in range(50_000)),
        "[training]\n" + "".join(f"k{number} = 1\n" for number in range(90_000)),
        "[training]\nk = '" + "x" * 900_000 + "'",
        "k = " + "9" * 900_000,
        "a" * 900_000 + " = 1",
        "k = " + "{a=" * 300_000,
        '\\"' * 450_000,
    ],
    ids=["lists", "key", "header", "tables", "keys", "string", "number", "name", "nested", "quotes"],
)
def test_a_model_toml_of_a_megabyte_is_read_or_refused_at_once(model: Path, content: str) -> None:
    (model / "model.toml").write_text(content)
    begin = time.monotonic()
    try:
        read_bundle(model)
    except BundleError as error:
        said = error.message
    else:
        said = ""
    assert len(said) < 1_000
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    ("size", "words"), [(1000 * 2**30, "the file claims 1,073,741,824,000 bytes and takes"), (2**29, "more than 0 GiB")]
)
def test_a_folder_too_large_to_hash_is_refused_unread(
    model: Path, size: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if size < 2**30:
        monkeypatch.setattr("engine.bundle.digest.MOST_BYTES", 2**28)
    with (model / "samples.bin").open("wb") as file:
        file.truncate(size)
    begin = time.monotonic()
    with pytest.raises(BundleError, match=words):
        read_bundle(model)
    assert time.monotonic() - begin < 2


async def test_a_picture_of_20000_pixels_a_side_and_long_notes_are_said_and_cut_in_the_app(model: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(model / "description.png")
    names = ", ".join(f'"class {number}"' for number in range(500))
    (model / "model.toml").write_text(f"[output]\nclasses = [{names}]\n[training]\nk = '{'word ' * 100_000}'")
    (model / "description.txt").write_text("word " * 50_000)
    app = XAIMedApp(Engine(model.parents[1]))
    async with app.run_test(size=(100, 30)) as pilot:
        await press(pilot, "2", "enter")
        picture = app.selection.query_one("#model-picture", ImageView)
        await until(pilot, lambda: "at most 16,000,000 are read" in picture.placeholder)
        assert not notices(app)
        facts = str(app.selection.query_one("#model-facts").render())
        assert "and 450 more" in facts
        assert "(Cut here: the text has 500,003 characters.)" in facts
        assert "(Cut here: the text has" in str(app.selection.query_one("#model-text").render())


@pytest.mark.parametrize(
    "code",
    [
        "import " + "a." * 80_000 + "a",
        "import " + "a . " * 80_000 + "a",
        "import " + "a.\\\n" * 80_000 + "a",
        "import " + "a\u00b7." * 80_000 + "a",
        "from " + "a." * 300_000 + "a import b",
        'x = f"' + "{a}" * 100_000 + '"',
        "x = " + "-" * 500_000 + "1",
        "x = a" + "()" * 100_000,
    ],
    ids=["import", "spaces", "lines", "letters", "from", "f-string", "signs", "calls"],
)
def test_code_that_would_cost_gigabytes_to_parse_is_refused_at_once(model: Path, code: str) -> None:
    (model / "architecture.py").write_text(code, encoding="utf-8")
    tracemalloc.start()
    begin = time.monotonic()
    with pytest.raises(BundleError, match=r"architecture.py: it is not Python that can be parsed"):
        read_bundle(model)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 400_000_000
    assert time.monotonic() - begin < 10


def test_long_lines_of_dots_that_name_nothing_are_no_harm(model: Path) -> None:
    code = (model / "architecture.py").read_text(encoding="utf-8")
    ruler = "# " + "." * 1000 + "\n# see " + "https://a.b/" * 200 + "\n"
    (model / "architecture.py").write_text(ruler + code, encoding="utf-8")
    read_bundle(model)


def test_nothing_linked_from_elsewhere_is_shown_of_a_task_or_a_broken_model(model: Path, tmp_path: Path) -> None:
    secret, picture = tmp_path / "secret.txt", tmp_path / "secret.png"
    secret.write_text("PATIENT", encoding="utf-8")
    Image.new("RGB", (9, 9)).save(picture)
    (model / "weights.pt").unlink()
    for link in (Path.symlink_to, Path.hardlink_to):
        for path, target in (
            (model.parent / "task_description.txt", secret),
            (model / "description.txt", secret),
            (model / "description.png", picture),
        ):
            path.unlink(missing_ok=True)
            link(path, target)
        (task,) = list_tasks([model.parents[1]])
        (entry,) = task.models
        assert "cannot be shown" in task.description
        assert "cannot be shown" in entry.description
        assert "PATIENT" not in task.description + entry.description
        assert entry.picture is None


def test_a_task_may_link_its_description_to_a_file_of_its_own(model: Path) -> None:
    (model.parent / "about.txt").write_text("About lungs.", encoding="utf-8")
    (model.parent / "task_description.txt").unlink(missing_ok=True)
    (model.parent / "task_description.txt").symlink_to("about.txt")
    assert list_tasks([model.parents[1]])[0].description == "About lungs."
