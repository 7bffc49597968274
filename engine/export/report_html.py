"""Lay a report out as HTML: one file without scripts or anything to be loaded, and every text escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.explanation.figures import data_url
from engine.results.diagnosis import probability_text
from engine.text import safe_text

if TYPE_CHECKING:
    from engine.export.report import Report

_LONGEST = 2_000
"""Characters of one text from outside."""


def report_html(report: Report) -> bytes:
    """Return a report as HTML in UTF-8."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # late: only who asks for a report needs it

    layout = Environment(
        loader=PackageLoader("engine.export"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    layout.filters["safe_words"] = lambda text: safe_text(text, limit=_LONGEST)
    layout.filters["percent"] = lambda probability: probability_text(probability, 3)
    layout.filters["data"] = data_url
    return layout.get_template("report.html.j2").render(report=report).encode("utf-8")
