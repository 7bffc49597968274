"""An explanation shows itself: as HTML that loads nothing, on a terminal in its colours, and as plain text."""

from __future__ import annotations

import base64
import io
import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pyte
import pytest
from factories import CLASSES, make_bundle, make_diagnosis, make_explanation, make_image, make_map
from PIL import Image
from wcwidth import wcswidth

from engine import Explanation
from engine.drawing.cells import cell_boxes
from engine.drawing.half_blocks import terminal_colours
from engine.images.dicom.facts import DicomFacts
from engine.results.cells import CELL_NAMES

EVIL = '"><script>alert(1)</script>\x1b[2J\u202e'


class Page(HTMLParser):
    """What a page holds: tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def pictures(self) -> list[Image.Image]:
        data = [value.partition("base64,")[2] for name, value in self.attributes if name == "src"]
        return [Image.open(io.BytesIO(base64.b64decode(each))).convert("RGB") for each in data]


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def evil() -> Explanation:
    """An explanation in which everything that may come from outside tries to get out of its place."""
    image = make_image(f"folder/{EVIL}.png")
    maps = {method: make_map(method, target=EVIL, warnings=(f"map {EVIL}",)) for method in ("rise", "gradcam")}
    return make_explanation(
        image,
        maps=maps,
        diagnosis=make_diagnosis((0.2, 0.8), ("a & b", EVIL), warnings=(f"answer {EVIL}",)),
        failures={"lime": f"failed {EVIL}"},
        bundle=make_bundle(f"tasks/{EVIL[2:]}/m", classes=("a & b", EVIL)),
    )


def uncertain() -> Explanation:
    maps = {
        "lime": make_map("lime", settled=False),
        "rise": make_map("rise"),
        "gradcam": make_map("gradcam", warnings=("Mind this map.",)),
        "gradcam++": make_map("gradcam++", constant=True),
    }
    return make_explanation(maps=maps, diagnosis=make_diagnosis((0.48, 0.52), warnings=("Mind this answer.",)))


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    return monkeypatch


def shown(explanation: Explanation, file: io.StringIO, width: int = 100) -> str:
    explanation.show(file=file, width=width)
    return file.getvalue()


def test_html_tells_the_answer_its_doubts_and_what_each_map_points_at() -> None:
    page = Page(uncertain()._repr_html_())
    for words in (
        "malignant 0.520",
        "Undecided: the two highest are 0.04 apart.",
        "Mind this answer.",
        "Mind this map.",
        "Constant map: no cell is marked.",
        "not settled which of these cells",
        "use the same activations and gradients",
        "How many of 4 maps",
        "Research use only",
        "1 bottom 0.94, 2 bottom right 0.71, 3 centre 0.47",
    ):
        assert words in page.text
    alternatives = [value for name, value in page.attributes if name == "alt"]
    assert "RISE: 1 bottom 0.94, 2 bottom right 0.71, 3 centre 0.47" in alternatives
    assert len(page.pictures) == 1 + 4 + 1 + 1, "the view, four maps, the agreement, and the colours"


def test_the_name_of_a_dicom_file_which_may_be_the_patients_is_not_shown() -> None:
    facts = DicomFacts("CT Image", "CT", "RGB", 1, 1, 48, 48, bits=8, allocated=8, low=0.0, high=255.0)
    explanation = make_explanation(replace(make_image("Meier_Anna.dcm"), dicom=facts))
    for said in (explanation._repr_html_(), shown(explanation, io.StringIO())):
        assert "Meier" not in said
        assert explanation.image.public_name in said


def test_chance_stands_beside_the_agreement_and_forced_places_are_told_of() -> None:
    values = np.kron([[0.0, 0.0, 0.1], [0.4, 0.0, 0.0], [1.0, 0.0, 0.0]], np.ones((16, 16))).astype(np.float32)
    maps = {method: make_map(method, values=values) for method in ("lime", "rise", "gradcam", "gradcam++")}
    maps["rise"] = replace(maps["rise"], blank=0.25)
    explanation = make_explanation(maps=maps)
    page, text = Page(explanation._repr_html_()).text, " ".join(shown(explanation, io.StringIO()).split())
    for words in (
        "Cells with 2 or more of 4 votes: 3 (by chance 3.7); 3 or more: 3 (1.0); 4: 3 (0.1).",
        "where Grad-CAM and Grad-CAM++ have one together: cells with 2 or more of 3 opinions: 3 (by chance 2.3); 3: 3",
    ):
        assert words in page
        assert words in text
    assert "two cells: 1 bottom left 1.00, 2 left 0.40" in page
    assert "RISE: With the whole image hidden, the probability is 0.250." in text
    assert "RISE: This map points at two cells: top right has its mark only because three cells are marked" in text


def test_html_loads_nothing_and_runs_nothing() -> None:
    page = Page(uncertain()._repr_html_())
    assert {"script", "style", "link", "iframe", "object", "form", "a"}.isdisjoint(page.tags)
    assert all(value.startswith("data:image/png;base64,") for name, value in page.attributes if name in ("src", "href"))
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in "".join(value for name, value in page.attributes if name == "style")


def test_nothing_from_outside_gets_out_of_its_place_in_html() -> None:
    html = evil()._repr_html_()
    page = Page(html)
    assert set(page.tags) == set(Page(uncertain()._repr_html_()).tags)
    assert "script" not in page.tags
    assert page.text.count("alert(1)") >= 6
    assert "\x1b" not in html
    assert "\u202e" not in html


@pytest.mark.parametrize("side", [9, 700])
def test_html_stays_below_a_megabyte_whatever_the_picture(side: int) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (side, side, 3)).astype(np.float32)
    image = make_image(pixels=noise)
    methods = ("lime", "rise", "gradcam", "gradcam++", "one", "two", "three")
    maps = {method: make_map(method) for method in methods}
    html = make_explanation(image, maps=maps, diagnosis=make_diagnosis(warnings=("x" * 100_000,)))._repr_html_()
    assert len(html.encode()) < 1_000_000
    pictures = Page(html).pictures
    assert min(pictures[0].size) >= 64


def test_html_names_a_few_of_many_classes() -> None:
    classes = tuple(f"class {i}" for i in range(1000))
    probabilities = np.full(1000, 0.0005)
    probabilities[7] = 1 - 0.0005 * 999
    maps = {"rise": make_map("rise", target="class 7")}
    page = Page(make_explanation(maps=maps, diagnosis=make_diagnosis(probabilities, classes))._repr_html_())
    assert page.tags.count("tr") == 8
    assert "992 more classes" in page.text


def test_a_map_in_html_is_brightest_where_the_map_is_highest() -> None:
    explanation = make_explanation(methods=("gradcam",))
    picture = Page(explanation._repr_html_()).pictures[1]
    boxes = cell_boxes((48, 48), picture.size)
    pixels = np.asarray(picture).astype(float).sum(axis=2)

    def middle(cell: tuple[int, int]) -> float:
        left, top, right, bottom = boxes[cell]
        width, height = right - left, bottom - top
        return float(pixels[top + height // 2 : bottom - height // 5, left + width // 2 : right - width // 5].mean())

    assert middle((2, 1)) > middle((2, 0)) > middle((0, 1))
    assert explanation.statistics["gradcam"].top[0] == (2, 1)


def test_a_terminal_shows_pictures_in_half_blocks(colours: pytest.MonkeyPatch) -> None:
    text = shown(uncertain(), Terminal())
    assert text.count("▀") > 2000
    screen = pyte.Screen(100, text.count("\n") + 1)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    display = "\n".join(screen.display)
    assert "What the network sees" in display
    assert "0.94 1" in display
    assert "! Grad-CAM: Mind this map." in display
    rows = [row for row in range(screen.lines) if any(screen.buffer[row][column].data == "▀" for column in range(100))]
    cells = {screen.buffer[row][column].fg for row in rows for column in range(100)}
    assert len(cells) > 100, "the terminal understood the colours"


def test_256_colours_are_used_where_there_are_no_more(colours: pytest.MonkeyPatch) -> None:
    colours.delenv("COLORTERM")
    text = shown(uncertain(), Terminal())
    assert "▀" in text
    assert ";2;" not in text
    numbers = {int(number) for number in re.findall(r"[34]8;5;(\d+)", text)}
    assert numbers
    assert numbers <= set(range(16, 256))


@pytest.mark.parametrize(
    "variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": "linux", "COLORTERM": ""}], ids=str
)
def test_without_colours_a_terminal_gets_characters_and_numbers(
    variables: dict[str, str], colours: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        colours.setenv(name, value)
    text = shown(uncertain(), Terminal())
    assert "\x1b" not in text
    assert "@@@@" in text
    assert "0.94 1" in text


def test_a_terminal_that_has_no_half_blocks_gets_characters_that_it_has(colours: pytest.MonkeyPatch) -> None:
    class Latin(Terminal):
        encoding = "latin-1"

    assert terminal_colours(Latin(), os.environ) == "none"
    text = shown(uncertain(), Latin())
    text.encode("latin-1")
    assert "\x1b" not in text


def test_a_file_gets_plain_text_with_all_numbers(colours: pytest.MonkeyPatch) -> None:
    text = shown(uncertain(), io.StringIO(), 80)
    assert "\x1b" not in text
    assert "▀" not in text
    assert "@" not in text
    for words in ("LIME", "RISE", "Grad-CAM++", "Agreement", "0.94 1", "0.47 3?", "3?", "! Undecided", "Research use"):
        assert words in text


@pytest.mark.parametrize("width", [10, 24, 47, 80, 200])
@pytest.mark.parametrize("no_colour", ["", "1"])
def test_no_line_is_wider_than_the_terminal(width: int, no_colour: str, colours: pytest.MonkeyPatch) -> None:
    colours.setenv("NO_COLOR", no_colour)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown(uncertain(), Terminal(), width)).splitlines()
    assert max(wcswidth(line) for line in lines) <= max(width, 24)


@pytest.mark.parametrize(("height", "width"), [(200, 20), (20, 200), (5, 5)])
def test_a_narrow_or_flat_view_keeps_its_shape(height: int, width: int, colours: pytest.MonkeyPatch) -> None:
    image = make_image(height=height, width=width)
    maps = {"gradcam": make_map("gradcam", height=height, width=width)}
    lines = shown(make_explanation(image, maps=maps), Terminal(), 60).splitlines()
    picture = [line for line in lines if "▀" in line]
    assert 3 <= len(picture) <= 3 * 24


def test_nothing_from_outside_acts_on_the_terminal(colours: pytest.MonkeyPatch) -> None:
    text = shown(evil(), Terminal())
    assert re.sub(r"\x1b\[[0-9;]*m", "", text).isprintable() is False  # line feeds
    assert "\x1b" not in re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "\x1b[2J" not in text
    assert "\u202e" not in text


def test_the_class_that_is_explained_is_named_beside_the_predicted_one() -> None:
    explanation = make_explanation(target=CLASSES[0])
    said = "“benign”, probability 0.100 (predicted: “malignant”)"
    assert said in shown(explanation, io.StringIO())
    assert said in Page(explanation._repr_html_()).text


def test_cells_are_named_as_everywhere_else() -> None:
    text = Page(make_explanation()._repr_html_()).text
    assert any(name in text for name in CELL_NAMES.values())
