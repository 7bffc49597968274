"""Listing the images of a folder by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import ImageError
from engine.images import listing
from engine.images.listing import list_images, scan_images


def names(folder: Path) -> list[str]:
    return [image.name for image in list_images(folder)]


def test_images_are_listed_in_natural_order(tmp_path: Path) -> None:
    for name in ("b10.PNG", "b9.png", "B1.tiff", "a.jpeg", "b2.Tif", "c.WebP", "d.bmp", "e.jpg", "b09.png"):
        (tmp_path / name).touch()
    assert names(tmp_path) == [
        "a.jpeg",
        "B1.tiff",
        "b2.Tif",
        "b09.png",
        "b9.png",
        "b10.PNG",
        "c.WebP",
        "d.bmp",
        "e.jpg",
    ]


def test_what_is_no_image_is_left_out(tmp_path: Path) -> None:
    for name in (".hidden.png", "notes.txt", "a.png.bak", "b.gif", "README", "c.svg"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "a.png").touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    assert names(tmp_path) == ["a.png", "link.png"]


def test_a_folder_without_images_stands_for_those_below_it_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("s10/b.png", "s9/deeper/a2.png", "s9/deeper/a10.png", "s9/.hidden/c.png", "s9/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "s9")
    (tmp_path / "shut").mkdir(mode=0)
    below = ["link", "s9/deeper/a2.png", "s9/deeper/a10.png", "s10/b.png"]
    shut = [] if os.access(tmp_path / "shut", os.R_OK) else ["shut"]  # root reads everything
    assert names(tmp_path) == []
    assert list(scan_images(tmp_path, below_empty=True))[-1] == below + shut
    monkeypatch.setattr(listing, "_FOLDERS", 2)
    assert list(scan_images(tmp_path, below_empty=True))[-1] == [*below[:3], "s10", "shut"], "no folder is lost"
    (tmp_path / "own.png").touch()
    assert list(scan_images(tmp_path, below_empty=True))[-1] == ["own.png"]


def test_dicom_files_are_listed_by_suffix_or_by_their_mark(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").touch()
    (tmp_path / "b.DICOM").touch()
    (tmp_path / "IM1").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "IM2").write_bytes(bytes(128) + b"DICN")
    (tmp_path / "short").write_bytes(b"x")
    assert names(tmp_path) == ["a.dcm", "b.DICOM", "IM1"]


def test_names_that_are_not_utf_8_survive_and_are_shown_safely(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    with open(raw, "wb"):  # noqa: PTH123 - a bytes path
        pass
    (tmp_path / "\x1b[2J.png").touch()
    images = {os.fsencode(image.path): image.name for image in list_images(tmp_path)}
    assert images[raw] == "caf⟨U+DCE9⟩.png"
    assert images[os.fsencode(tmp_path) + b"/\x1b[2J.png"] == "␛[2J.png"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: None, "no such folder"),
        (lambda p: p.touch(), "not a folder"),
        (lambda p: p.symlink_to(p), "cannot be read"),
    ],
)
def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, make: object, reason: str) -> None:
    folder = tmp_path / "images"
    make(folder)  # type: ignore[operator]
    with pytest.raises(ImageError, match=reason) as caught:
        list_images(folder)
    assert caught.value.subject == str(folder)


def test_an_empty_folder_has_no_images(tmp_path: Path) -> None:
    assert list_images(tmp_path) == ()
