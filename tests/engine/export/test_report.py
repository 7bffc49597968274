"""Reports: one page an image, as HTML that loads nothing, and as PDF."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
from factories import make_diagnosis, make_explanation, make_image

from engine.explainers.registry import method_name
from engine.explanation.explain import Explanation
from engine.export.folder import explanation_file_names, explanation_files
from engine.export.report import report_of
from engine.export.report_html import report_html
from engine.export.report_pdf import report_pdf
from engine.results.exact_cells import ExactCells, fill_values

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Page(HTMLParser):
    """What is on a page: its texts, and what it would load."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.words: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.feed(page.decode("utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attributes if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def explained() -> Explanation:
    """An explanation with everything that a report can say."""
    made = make_explanation(make_image("slides/<b>a\x1b[2J.png"), diagnosis=make_diagnosis((0.48, 0.52)))
    noise = np.random.default_rng(0)
    fills = {fill: fill_values(fill, noise.random(512)) for fill in ("mean", "blur")}
    return replace(
        made,
        exact=ExactCells(target=made.target, fills=fills),
        failures={"lime": "<script>it</script> failed"},
        assumed=("The colours were assumed.",),
    )


def test_a_report_says_all_and_loads_nothing() -> None:
    explanation = explained()
    page = Page(report_html(report_of(explanation, created=NOON)))
    assert all(each.startswith("data:image/png;base64,") for each in page.loads)
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert page.tags.count("b") == page.tags.count("figure")  # the one in the name is text
    for said in (
        explanation.diagnosis.predicted,
        "Undecided: ",
        "Research use only; not a medical device.",
        "<b>a",
        "<script>it</script> failed",
        "The colours were assumed.",
        "Exact cells: mean",
        "Exact cells: blur",
        "Agreement",
        "Statistics of the cells",
        "saliency, scaled",
        explanation.image.sha256,
        explanation.bundle.digest,
        "2026-01-01T12:00:00+00:00",
        *map(method_name, explanation.maps),
    ):
        assert said in page.text, said
    assert "\x1b" not in page.text
    mean = next(iter(explanation.statistics.values())).mean[1, 1]
    assert f"{mean:.2f} (" in page.text
    assert page.text.count(" of 84; blur: ") == len(explanation.maps), "once, in the table of the evidence"
    assert "· not asked yet" in page.text
    assert page.tags.count("img") >= 2 * (len(explanation.maps) + 3)  # pictures and their bars


def test_why_there_are_no_exact_cells_stands_among_the_warnings() -> None:
    report = report_of(make_explanation(exact_failure="the network gave NaN"), created=NOON)
    assert report.warnings == ("No exact cells: the network gave NaN",)


def test_the_pdf_is_one_page_that_does_not_depend_on_when_it_is_written() -> None:
    report = report_of(explained(), created=NOON)
    page = report_pdf(report, created=NOON)
    assert page.startswith(b"%PDF-")
    assert re.search(rb"/Count (\d+)", page).group(1) == b"1"  # type: ignore[union-attr]
    assert len(page) < 1_500_000
    assert report_pdf(report, created=NOON) == page
    long = replace(report, warnings=("A long warning. " * 20,) * 12)
    assert re.search(rb"/Count (\d+)", report_pdf(long, created=NOON)).group(1) == b"1", "in smaller letters"  # type: ignore[union-attr]
    longer = replace(report, warnings=("A long warning. " * 20,) * 40)
    assert re.search(rb"/Count (\d+)", report_pdf(longer, created=NOON)).group(1) != b"1"  # type: ignore[union-attr]


def test_reports_are_written_beside_the_other_files() -> None:
    explanation = explained()
    made = dict(explanation_files(explanation, reports=("html", "pdf")))
    assert list(made) == explanation_file_names(explanation.maps, exact=True, reports=("html", "pdf"))
    assert made["report.html"].startswith(b"<!DOCTYPE html>")
    assert made["report.pdf"].startswith(b"%PDF-")
