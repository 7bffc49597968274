"""The files of an explanation: what is in them, what they are called, and that they come whole or not at all."""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from checkout import SUPPORT
from factories import make_bundle, make_diagnosis, make_explanation, make_image, make_map
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from PIL import Image

from engine.errors import ExportError
from engine.explainers.registry import METHODS
from engine.export import folder
from engine.export.folder import maps_bytes, safe_folder_name, save_explanation, statistics_bytes
from engine.export.record import explanation_record, path_record, record_bytes
from engine.results.caution import Caution
from engine.results.cells import cell_slices
from engine.results.diagnosis import Diagnosis
from engine.results.evidence import BetterThanChance, Curves, Evidence, OfThisNetwork, Right, Stable, Verdict
from engine.results.statistics import GridStatistics, grid_statistics
from engine.storage import partial

FILES = {
    *("original.png", "agreement.png", "saliency.npz", "statistics.csv", "explanation.json"),
    *("lime.png", "rise.png", "gradcam.png", "gradcam++.png", "hirescam.png"),
    *("lime-cells.png", "rise-cells.png", "gradcam-cells.png", "gradcam++-cells.png", "hirescam-cells.png"),
}


@pytest.fixture
def few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures: for tests about folders, not about what is in them."""
    contents = [(name, name.encode()) for name in sorted(FILES)]
    monkeypatch.setattr(folder, "explanation_files", lambda *_, **__: iter(contents))


def left_in(out: Path) -> list[str]:
    return sorted(entry.name for entry in out.iterdir())


def test_exactly_the_designs_files_are_written(tmp_path: Path) -> None:
    saved = save_explanation(make_explanation(make_image("slides/a.png")), tmp_path / "results")
    assert saved == tmp_path / "results" / "a"
    assert {entry.name for entry in saved.iterdir()} == FILES
    assert left_in(tmp_path / "results") == ["a"]


def test_a_method_without_a_map_has_no_files_but_a_reason(tmp_path: Path) -> None:
    explanation = make_explanation(methods=("rise",), failures={"lime": "one superpixel only"})
    saved = save_explanation(explanation, tmp_path)
    assert {entry.name for entry in saved.iterdir()} == {
        name for name in FILES if not name.startswith(("lime", "gradcam", "hirescam"))
    }
    assert json.loads((saved / "explanation.json").read_text())["failures"] == {"lime": "one superpixel only"}


def test_maps_are_kept_bit_for_bit(tmp_path: Path) -> None:
    explanation = make_explanation()
    with np.load(save_explanation(explanation, tmp_path) / "saliency.npz") as maps:
        assert tuple(maps.files) == METHODS
        for method in METHODS:
            assert maps[method].dtype == np.float32
            assert np.array_equal(maps[method], explanation.maps[method].values)


def test_the_same_maps_give_the_same_bytes() -> None:
    assert maps_bytes(make_explanation().maps) == maps_bytes(make_explanation().maps)


def test_maps_are_written_as_numpy_writes_them() -> None:
    values = make_map("rise").values
    expected = io.BytesIO()
    np.savez(expected, rise=values)
    expected.seek(0)
    with np.load(io.BytesIO(maps_bytes({"rise": make_map("rise")}))) as ours, np.load(expected) as theirs:
        assert ours.files == theirs.files
        assert np.array_equal(ours["rise"], theirs["rise"])


def test_a_method_may_be_called_like_an_argument_of_savez() -> None:
    with np.load(io.BytesIO(maps_bytes({"file": make_map("file", samples=0)}))) as maps:
        assert maps.files == ["file"]


def test_the_numbers_of_the_table_are_those_of_the_maps(tmp_path: Path) -> None:
    saved = save_explanation(make_explanation(), tmp_path)
    lines = (saved / "statistics.csv").read_text(encoding="ascii").splitlines()
    assert lines[0] == "method,row,column,mean,median,min,max,std,top,certain,warning_codes,stable"
    rows = list(csv.DictReader(lines))
    assert len(rows) == 9 * len(METHODS)
    with np.load(saved / "saliency.npz") as maps:
        for row in rows:
            values = maps[row["method"]].astype(np.float64)
            pixels = values[cell_slices(*values.shape)[int(row["row"]), int(row["column"])]]
            for name in ("mean", "median", "min", "max", "std"):
                assert float(row[name]) == pytest.approx(float(getattr(np, name)(pixels)), abs=1e-12)
    tops = {(row["method"], int(row["row"]), int(row["column"])) for row in rows if row["top"] == "1"}
    record = json.loads((saved / "explanation.json").read_bytes())
    assert tops == {(name, *cell) for name, entry in record["methods"].items() for cell in entry["top"]}
    assert {row["top"] for row in rows} == {"0", "1"}


def test_the_table_marks_the_cells_whose_place_is_open() -> None:
    unsettled = grid_statistics(make_map("rise", settled=False))
    assert unsettled.ties
    found = certain_of({"rise": unsettled, "lime": grid_statistics(make_map("lime"))})
    assert {
        (row, column) for (method, row, column), certain in found.items() if method == "rise" and certain == "0"
    } == {*(tuple(map(str, cell)) for cell in unsettled.ties)}
    assert {certain for (method, _, _), certain in found.items() if method == "lime"} == {"1"}


def test_the_table_says_which_maps_are_stable() -> None:
    statistics = {method: grid_statistics(make_map(method)) for method in METHODS}
    verdicts = dict(zip(METHODS, (Verdict.YES, Verdict.NO, Verdict.UNKNOWN, Verdict.NOT_ASKED), strict=False))
    evidence = {method: Evidence(stable=Stable(verdict)) for method, verdict in verdicts.items()}
    rows = list(csv.DictReader(statistics_bytes(statistics, evidence=evidence).decode("ascii").splitlines()))
    assert [row["stable"] for row in rows] == [*"1" * 9, *"0" * 9, *[""] * 27]


def test_no_cell_of_a_constant_map_is_certain_in_the_table() -> None:
    assert set(certain_of({"rise": grid_statistics(make_map("rise", constant=True))}).values()) == {"0"}


def test_neither_table_nor_original_goes_without_the_warnings(tmp_path: Path) -> None:
    maps = {
        "rise": make_map("rise", warnings=(Caution("no-cell-matters", "No cell matters."), "A plug-in's own.")),
        "gradcam": make_map("gradcam"),
    }
    diagnosis = replace(make_diagnosis(), warnings=(Caution("bits", "12 bits \x1b[2J."), Caution("colour", "Grey é.")))
    saved = save_explanation(make_explanation(maps=maps, diagnosis=diagnosis), tmp_path)
    rows = list(csv.DictReader((saved / "statistics.csv").read_text(encoding="ascii").splitlines()))
    assert {row["method"]: row["warning_codes"] for row in rows} == {
        "rise": "bits colour no-cell-matters other",
        "gradcam": "bits colour",
    }
    with Image.open(saved / "original.png") as picture:
        assert picture.text == {"Warning": "12 bits ␛[2J.\nGrey é."}
    sound = save_explanation(make_explanation(), tmp_path / "sound")
    with Image.open(sound / "original.png") as picture:
        assert picture.text == {}
    assert {row["warning_codes"] for row in csv.DictReader((sound / "statistics.csv").open(newline=""))} == {""}


@pytest.mark.parametrize("name", ["slides/a.png", "slides/caf\udce9.png"])
def test_the_record_is_what_its_schema_says(name: str) -> None:
    schema = json.loads((Path(folder.__file__).parent / "schemas" / "explanation.json").read_text(encoding="ascii"))
    Draft202012Validator.check_schema(schema)
    diagnosis = replace(make_diagnosis(), warnings=(Caution("bits", "12 bits."), "A plug-in's own."))
    none = np.zeros(5)
    curves = Curves("deletion", none, none, none, none, 0.25, np.array([0.5, np.nan]), 0.5)
    asked = Evidence(
        Right(Verdict.YES, {}, 0.1, "why"),
        BetterThanChance(Verdict.NO, curves, replace(curves, kind="insertion"), "why"),
        Stable(Verdict.UNKNOWN, None, None, 16, 0.75, 0.5, "why"),
        OfThisNetwork(Verdict.YES, {"head": -0.5, "all": 0.25}, {"head": 1.0, "all": 0.5}, 4, "why"),
    )
    for explanation in (
        make_explanation(make_image(name), diagnosis=diagnosis),
        make_explanation(methods=("rise",), failures={"lime": "one superpixel only"}),
        make_explanation(
            maps={"rise": make_map("rise", settled=False, stopped=True), "x": make_map("x", constant=True)}
        ),
        replace(make_explanation(methods=("rise", "lime")), evidence={"rise": Evidence(), "lime": asked}),
    ):
        record = json.loads(record_bytes(explanation_record(explanation)))
        Draft202012Validator(schema).validate(record)
        assert record["schema"] == 2
        assert not Draft202012Validator(schema).is_valid(record | {"unknown": 1}), "the schema is strict"


def certain_of(statistics: dict[str, GridStatistics]) -> dict[tuple[str, str, str], str]:
    rows = csv.DictReader(statistics_bytes(statistics).decode("ascii").splitlines())
    return {(row["method"], row["row"], row["column"]): row["certain"] for row in rows}


def test_the_record_says_what_was_found_and_how() -> None:
    explanation = make_explanation(
        make_image("slides/a.png", height=30, width=40), maps={"rise": make_map("rise", settled=False, stopped=True)}
    )
    at = datetime(2031, 5, 6, 9, 8, 7, 654321, tzinfo=timezone(timedelta(hours=2)))
    record = json.loads(record_bytes(explanation_record(explanation, created=at)))
    assert record["classes"] == ["benign", "malignant"]
    assert record["probabilities"] == [0.1, 0.9]
    assert (record["predicted"], record["confidence"], record["target"]) == ("malignant", "high", "malignant")
    assert record["agreement"] == [[0, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert record["agreement_unsettled"] == record["methods"]["rise"]["ties"]
    rise = record["methods"]["rise"]
    assert rise["parameters"] == {"device": "cpu", "precision": "fp32", "p": 0.5}
    assert (rise["seed"], rise["samples"], rise["seconds"]) == (7, 4000, 2.5)
    assert rise["top"] == [[2, 1], [2, 2], [1, 1]]
    assert rise["certain"] is False
    assert len(rise["ties"]) > 3
    assert rise["stopped"] is True
    assert (rise["raw_min"], rise["raw_max"]) == (0.0, 1.0)
    assert rise["cell_means"][2][1] == pytest.approx(0.9412, abs=1e-4)
    assert rise["cell_standard_errors"] == [[pytest.approx(0.2)] * 3] * 3
    assert record["image"]["name"] == "a.png"
    assert record["image"]["path"] == "a.png"
    assert record["image"]["size"] == [30, 40]
    assert (record["image"]["bit_depth"], record["image"]["colour"]) == (8, "rgb")
    assert record["model"]["task"] == "Demo task"
    assert record["model"]["digest"] == "0" * 64
    assert record["settings"]["until"] == "samples"
    assert record["environment"]["device"] == "cpu"
    assert record["created"] == "2031-05-06T07:08:07+00:00"
    assert record["intended_use"] == "Research use only; not a medical device."


def test_no_file_says_where_the_image_lay_unless_asked(tmp_path: Path) -> None:
    explanation = make_explanation(make_image("DOE^JANE/ward 7/a.png"), failures={"lime": "one superpixel only"})
    saved = save_explanation(explanation, tmp_path / "names")
    for file in saved.iterdir():
        content = file.read_bytes()
        assert not any(word in content for word in (b"DOE", b"JANE", b"ward")), file.name
    record = json.loads((save_explanation(explanation, tmp_path, full_paths=True) / "explanation.json").read_bytes())
    assert record["image"]["path"] == "DOE^JANE/ward 7/a.png"
    assert record["image"]["name"] == "a.png"


def test_methods_that_draw_no_samples_have_no_standard_errors() -> None:
    record = explanation_record(make_explanation(methods=("gradcam",)))
    assert record["methods"]["gradcam"]["cell_standard_errors"] is None  # type: ignore[index, call-overload]


def test_a_correlation_that_is_not_defined_is_null() -> None:
    maps = {"lime": make_map("lime"), "rise": make_map("rise", constant=True)}
    record = json.loads(record_bytes(explanation_record(make_explanation(maps=maps))))
    assert record["correlation"] == [{"methods": ["lime", "rise"], "spearman": None}]
    assert record["methods"]["rise"]["top"] == []


def test_the_record_is_ascii_whatever_the_names(tmp_path: Path) -> None:
    classes = ("良性\udcff", "عربي\x1b]52;c;eA==\x07")
    image = make_image("bilder/Müller ☃.png", metadata={"note": "\u202eabc"})
    explanation = make_explanation(image, diagnosis=make_diagnosis(classes=classes), bundle=make_bundle())
    data = (save_explanation(explanation, tmp_path) / "explanation.json").read_bytes()
    data.decode("ascii")
    record = json.loads(data)
    assert record["classes"] == list(classes)
    assert record["image"]["path"] == "Müller ☃.png"


def test_a_name_that_is_not_utf8_is_shown_safely_and_kept_truly() -> None:
    record = path_record(Path(os.fsdecode(b"scans/caf\xe9.png")))
    assert record == {"path": "scans/caf⟨U+DCE9⟩.png", "path_bytes": b"scans/caf\xe9.png".hex()}


def test_the_original_is_the_whole_image_at_its_own_size(tmp_path: Path) -> None:
    pixels = np.arange(5 * 7, dtype=np.float32).reshape(5, 7, 1)
    explanation = make_explanation(make_image(pixels=pixels), view=np.zeros((3, 3, 1), dtype=np.uint8))
    with Image.open(save_explanation(explanation, tmp_path) / "original.png") as original:
        assert original.mode == "L"
        assert np.array_equal(np.asarray(original), pixels[:, :, 0])


@pytest.mark.usefixtures("few_files")
def test_a_folder_that_exists_is_left_alone_and_numbers_are_appended(tmp_path: Path) -> None:
    (tmp_path / "patch").mkdir()
    (tmp_path / "patch-2").write_text("mine")
    (tmp_path / "patch-3").symlink_to(tmp_path / "nowhere")
    explanation = make_explanation()
    assert [save_explanation(explanation, tmp_path).name for _ in range(2)] == ["patch-4", "patch-5"]
    assert left_in(tmp_path / "patch") == []
    assert (tmp_path / "patch-2").read_text() == "mine"


@pytest.mark.usefixtures("few_files")
def test_a_name_taken_while_the_files_were_written_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "patch").mkdir()
    (tmp_path / "patch" / "other.txt").write_text("another run's")
    monkeypatch.setattr(folder.os.path, "lexists", lambda _: False)
    assert save_explanation(make_explanation(), tmp_path).name == "patch-2"
    assert left_in(tmp_path / "patch") == ["other.txt"]


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("dab-full_x380_y192", "dab-full_x380_y192"),
        ("a b/c", "a_b_c"),
        ("Zoë", "Zoe"),
        ("..", "image"),
        (".hidden.v2", "hidden.v2"),
        ("-rf", "rf"),
        ("", "image"),
        ("___", "image"),
        ("影像", "image"),
        ("影像7", "_7"),
        ("x" * 300, "x" * 100),
        ("a\x1b[2J\udcff", "a_2J_"),
    ],
)
def test_folder_names_are_safe_forms_of_the_stem(stem: str, expected: str) -> None:
    assert safe_folder_name(stem) == expected


@given(st.text(max_size=300))
def test_every_stem_gives_a_safe_folder_name(stem: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", safe_folder_name(stem))


@pytest.mark.usefixtures("few_files")
def test_another_name_may_be_asked_for(tmp_path: Path) -> None:
    assert save_explanation(make_explanation(), tmp_path, name="my study: 1").name == "my_study_1"


@pytest.mark.parametrize("after", range(len(FILES)))
@pytest.mark.usefixtures("few_files")
def test_a_full_disk_leaves_nothing_whenever_it_strikes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    written: list[Path] = []
    write = folder._write

    def fail_later(path: Path, content: bytes) -> None:
        if len(written) == after:
            path.write_bytes(content[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        written.append(path)
        write(path, content)

    monkeypatch.setattr(folder, "_write", fail_later)
    with pytest.raises(ExportError, match="no space left on the disk; free some space"):
        save_explanation(make_explanation(), tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.usefixtures("few_files")
def test_a_file_that_came_out_short_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def truncate(descriptor: int) -> None:
        fsync(descriptor)
        if (Path("/proc/self/fd") / str(descriptor)).resolve().name == "saliency.npz":
            os.truncate(descriptor, 5)

    monkeypatch.setattr(folder.os, "fsync", truncate)
    with pytest.raises(ExportError, match="shorter than what was written"):
        save_explanation(make_explanation(), tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EIO])
@pytest.mark.usefixtures("few_files")
def test_a_rename_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(ExportError) as caught:
        save_explanation(make_explanation(), tmp_path)
    assert str(tmp_path) in caught.value.message
    assert caught.value.remedy
    assert left_in(tmp_path) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "agreement_picture", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_explanation(make_explanation(), tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_the_place_of_the_folder_is_said_so(tmp_path: Path, below: str) -> None:
    taken = tmp_path / "results"
    taken.write_text("not a folder")
    with pytest.raises(ExportError, match=r"file, not a folder; choose another folder"):
        save_explanation(make_explanation(), taken / below)
    assert taken.read_text() == "not a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_said_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ExportError, match="you may not write there"):
            save_explanation(make_explanation(), tmp_path)
    finally:
        tmp_path.chmod(0o700)


def make_partial(out: Path, writer: str, age: float = 0.0) -> Path:
    made = out / f".xaimed-{writer}-{'0' * 16}.partial"
    made.mkdir()
    (made / "lime.png").write_bytes(b"half")
    then = made.stat().st_mtime - age
    os.utime(made, (then, then))
    return made


@pytest.mark.usefixtures("few_files")
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = make_partial(tmp_path, partial._writer()[:-17])
    save_explanation(make_explanation(), tmp_path)
    assert not left.exists(), "nobody holds its lock, whatever its process number"


@pytest.mark.usefixtures("few_files")
def test_what_somebody_is_writing_is_left_alone_whoever_it_seems_to_be(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for writer in (f"{partial._boot()}-{partial._space()}-{dead.pid}-1", f"00000000-0-{dead.pid}-0", "00000000-1"):
        theirs = make_partial(tmp_path, writer, age=90_000)
        descriptor = os.open(theirs, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        save_explanation(make_explanation(), tmp_path)
        assert (theirs / "lime.png").exists()
        os.close(descriptor)
        save_explanation(make_explanation(), tmp_path)
        assert not theirs.exists()


@pytest.mark.usefixtures("few_files")
@pytest.mark.parametrize(("age", "stays"), [(80_000, True), (90_000, False)])
def test_what_another_machine_left_is_removed_after_a_day(tmp_path: Path, age: float, stays: bool) -> None:
    theirs = [make_partial(tmp_path, writer, age=age) for writer in ("00000000-1", "12345678-4026531836-1-99")]
    save_explanation(make_explanation(), tmp_path)
    assert [made.exists() for made in theirs] == [stays, stays]


@pytest.mark.usefixtures("few_files")
def test_where_there_are_no_locks_age_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(9, "Bad file descriptor")  # as NFS says of a folder

    monkeypatch.setattr(fcntl, "flock", none)
    new = make_partial(tmp_path, partial._writer()[:-17])
    ours = f"{partial._boot()}-{partial._space()}"
    running = f"{ours}-{os.getppid()}-{partial._start_of(os.getppid())}"
    old = make_partial(tmp_path, f"{ours}-1-1", age=90_000)
    slow = make_partial(tmp_path, running, age=90_000)
    save_explanation(make_explanation(), tmp_path)
    assert (new.exists(), old.exists(), slow.exists()) == (True, False, True)


@pytest.mark.usefixtures("few_files")
def test_a_result_that_lost_files_before_it_got_its_name_is_not_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = folder._rename

    def tidied_up(partial: Path, out: Path, stem: str) -> Path:
        next(partial.iterdir()).unlink()
        return rename(partial, out, stem)

    monkeypatch.setattr(folder, "_rename", tidied_up)
    with pytest.raises(ExportError, match="1 of the files vanished"):
        save_explanation(make_explanation(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("few_files")
def test_folders_that_only_look_like_leftovers_are_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / ".xaimed-notes.partial"
    mine.mkdir()
    save_explanation(make_explanation(), tmp_path)
    assert mine.is_dir()


@pytest.mark.usefixtures("few_files")
def test_the_folder_can_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        saved = save_explanation(make_explanation(), tmp_path)
    finally:
        os.umask(before)
    assert saved.stat().st_mode & 0o777 == 0o750


def test_saving_needs_neither_torch_nor_a_screen(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from factories import make_explanation\n"
        "from engine.export.folder import save_explanation\n"
        f"save_explanation(make_explanation(), Path({str(tmp_path)!r}))\n"
        "print([name for name in ('torch', 'textual', 'rich_pixels', 'skimage', 'lime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SUPPORT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert {entry.name for entry in (tmp_path / "patch").iterdir()} == FILES


def test_an_explanation_without_any_map_can_be_saved(tmp_path: Path) -> None:
    explanation = make_explanation(maps={}, failures=dict.fromkeys(METHODS, "stopped"))
    saved = save_explanation(explanation, tmp_path)
    assert json.loads((saved / "explanation.json").read_bytes())["agreement"] == [[0] * 3] * 3


def test_record_time_is_now_in_utc() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    made = datetime.fromisoformat(str(explanation_record(make_explanation())["created"]))
    assert before <= made <= datetime.now(UTC)


def test_numbers_that_json_cannot_say_become_null() -> None:
    broken = replace(make_map("gradcam"), parameters=MappingProxyType({"scale": float("inf")}), seconds=float("nan"))
    record = json.loads(record_bytes(explanation_record(make_explanation(maps={"gradcam": broken}))))
    assert record["methods"]["gradcam"]["parameters"] == {"scale": None}
    assert record["methods"]["gradcam"]["seconds"] is None


def test_the_record_says_whether_the_answer_is_undecided_and_where_the_threshold_lies() -> None:
    def of(diagnosis: Diagnosis) -> list[object]:
        record = explanation_record(make_explanation(diagnosis=diagnosis))
        return [record[key] for key in ("undecided", "undecided_classes", "threshold", "temperature")]

    assert of(make_diagnosis((0.1, 0.9))) == [False, [], None, 1.0]
    assert of(make_diagnosis((0.46, 0.54))) == [True, ["benign", "malignant"], None, 1.0]
    assert of(make_diagnosis((0.46, 0.54), one_logit=True, threshold=0.7)) == [False, [], 0.7, 1.0]
    assert of(make_diagnosis((0.9, 0.48), multilabel=True)) == [True, ["malignant"], 0.5, 1.0]
