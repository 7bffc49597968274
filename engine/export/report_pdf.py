"""Lay a report out as PDF on one page of A4, in smaller letters where it has much to say."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from engine.drawing.lettering import drawable, fit, font, font_file
from engine.results.diagnosis import probability_text
from engine.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fpdf import FPDF

    from engine.explanation.figures import Figure
    from engine.export.report import Report, Table

_MARGIN = 10.0
_GAP = 3.0
_COLUMNS = 5
_PICTURE = 0.86
"""Width of a picture as a part of its column."""
_POINTS_A_MILLIMETRE = 72 / 25.4
_SMALLER = (1.0, 1.1, 1.2, 1.3)
"""By what all but the pictures' width is divided, tried in turn. After the last, a second page begins: smaller letters
could not be read."""
_WITH_HEADING = 16.0
"""Room that a table's heading must have below it for a few rows."""
_LONGEST = 2_000
_INK, _MUTED, _STRONG = (20, 20, 20), (80, 80, 80), (122, 46, 0)
_BLUE = (49, 104, 142)
_FAMILY = "DejaVu"


def report_pdf(report: Report, *, created: datetime | None = None) -> bytes:
    """Return a report as PDF.

    Args:
        report: what it says.
        created: the time in the document's properties; None for now.
    """
    for smaller in _SMALLER:
        page = _laid_out(report, created, smaller)
        if page.pages_count == 1:
            break
    return bytes(page.output())


def _laid_out(report: Report, created: datetime | None, smaller: float) -> FPDF:
    from fpdf import FPDF  # late: only who asks for a report needs it

    page = FPDF(format="A4", unit=_POINTS_A_MILLIMETRE / smaller)
    page.add_font(_FAMILY, "", font_file(bold=False))
    page.add_font(_FAMILY, "B", font_file(bold=True))
    page.set_margins(_MARGIN * smaller, _MARGIN * smaller, _MARGIN * smaller)
    page.set_auto_page_break(True, _MARGIN * smaller)
    page.set_title(_safe(f"{report.answer} · {report.lines[-1]}"))
    page.set_subject(report.intended_use)
    page.set_creator("XAIMed")
    if created is not None:
        page.set_creation_date(created)
    page.add_page()
    _head(page, report)
    _figures(page, report.figures)
    if report.evidence.rows:
        _table(page, report.evidence)
    if report.findings:
        _heading(page, "Exact cells and agreement")
        for line in report.findings:
            _line(page, line, 6.5, _MUTED)
    if report.warnings:
        _heading(page, "Warnings")
        for line in report.warnings:
            _line(page, line, 6.5, _STRONG, bold=True)
    for table in report.tables:
        _table(page, table)
    _heading(page, "Facts")
    for name, value in report.facts:
        _line(page, f"{name}: {value}", 6, _MUTED)
    return page


def _head(page: FPDF, report: Report) -> None:
    _line(page, report.intended_use, 8, _STRONG, bold=True)
    _line(page, report.answer, 17, _INK, bold=True)
    for line in report.lines:
        _line(page, line, 8.5, _INK)
    for line in report.strong:
        _line(page, line, 8.5, _STRONG, bold=True)
    page.ln(1)
    for name, probability in report.classes:
        top = page.get_y()
        _letters(page, 7)
        page.set_text_color(*_INK)
        page.cell(50, 3.4, _fitted(name, 7, 50))
        page.cell(14, 3.4, probability_text(probability, 3))
        page.set_fill_color(*_BLUE)
        page.rect(page.l_margin + 66, top + 0.7, 60 * probability, 2, style="F")
        page.ln(3.4)
    if report.more_classes:
        _line(page, f"and {report.more_classes:,} more", 6.5, _MUTED)
    page.ln(1.5)


def _figures(page: FPDF, figures: Sequence[Figure]) -> None:
    """Place the figures in rows; a row whose tallest figure does not fit begins a new page."""
    wide = (page.epw - (_COLUMNS - 1) * _GAP) / _COLUMNS
    for start in range(0, len(figures), _COLUMNS):
        row = figures[start : start + _COLUMNS]
        tall = max(_height(page, figure, wide) for figure in row)
        if page.get_y() + tall > page.page_break_trigger:
            page.add_page()
        top = page.get_y()
        for place, figure in enumerate(row):
            _figure(page, figure, page.l_margin + place * (wide + _GAP), top, wide)
        page.set_y(top + tall + 2)


def _height(page: FPDF, figure: Figure, wide: float) -> float:
    """Return how high a figure is in millimetres."""
    text = sum(len(_wrapped(page, note, wide)) for note in (*figure.notes, *figure.strong))
    bar = 5.8 + 2.4 * len(_wrapped(page, figure.bar.unit, wide)) if figure.bar is not None else 0
    return 4 + _PICTURE * wide * figure.picture.height / figure.picture.width + bar + 1 + 2.4 * text


def _figure(page: FPDF, figure: Figure, left: float, top: float, wide: float) -> None:
    page.set_xy(left, top)
    _letters(page, 7.5, bold=True)
    page.set_text_color(*_INK)
    page.cell(wide, 4, _fitted(figure.title, 7.5, wide))
    drawn = _PICTURE * wide
    tall = drawn * figure.picture.height / figure.picture.width
    page.image(figure.picture, left, top + 4, drawn, tall, alt_text=_safe(f"{figure.title}: {figure.spoken}"))
    y = top + 4 + tall + 1
    _letters(page, 5.5)
    if figure.bar is not None:
        page.image(figure.bar.picture, left, y, drawn, 2)
        page.set_text_color(*_MUTED)
        for place, tick in enumerate(figure.bar.ticks):
            page.set_xy(left, y + 2)
            step = drawn * place / max(len(figure.bar.ticks) - 1, 1)
            near = page.get_string_width(tick)
            page.set_x(left + min(max(step - near / 2, 0), drawn - near) - page.c_margin)
            page.cell(near, 2.6, tick)
        y += 5
        y = _block(page, figure.bar.unit, left, y, wide, _MUTED) + 0.8
    for note in figure.notes:
        y = _block(page, note, left, y, wide, _MUTED)
    for note in figure.strong:
        y = _block(page, note, left, y, wide, _STRONG)


def _block(page: FPDF, text: str, left: float, y: float, wide: float, colour: tuple[int, int, int]) -> float:
    page.set_text_color(*colour)
    for line in _wrapped(page, text, wide):
        page.set_xy(left - page.c_margin, y)
        page.cell(wide, 2.4, line)
        y += 2.4
    return y


def _wrapped(page: FPDF, text: str, wide: float) -> list[str]:
    _letters(page, 5.5)
    found = page.multi_cell(wide + 2 * page.c_margin, 2.4, _safe(text), dry_run=True, output="LINES")
    return [str(line) for line in found] if isinstance(found, list) else []


def _heading(page: FPDF, text: str) -> None:
    page.ln(1)
    _line(page, text, 8.5, _INK, bold=True)


def _line(page: FPDF, text: str, size: float, colour: tuple[int, int, int], *, bold: bool = False) -> None:
    _letters(page, size, bold=bold)
    page.set_text_color(*colour)
    page.multi_cell(page.epw, size * 0.44, _safe(text), new_x="LMARGIN", new_y="NEXT", align="L")


def _table(page: FPDF, table: Table) -> None:
    if page.will_page_break(_WITH_HEADING):
        page.add_page()
    _heading(page, table.title)
    _letters(page, 5.5)
    page.set_text_color(*_MUTED)
    page.set_fill_color(255)
    with page.table(
        col_widths=table.widths or None,
        text_align="LEFT",
        line_height=2.6,
        borders_layout="HORIZONTAL_LINES",
        padding=0.2,
    ) as made:
        for row in (table.header, *table.rows):
            made.row([_safe(text) for text in row])
    if table.note:
        _line(page, table.note, 5.5, _MUTED)


def _letters(page: FPDF, size: float, *, bold: bool = False) -> None:
    """Choose letters of so many points, smaller on a page on which all is smaller."""
    page.set_font(_FAMILY, "B" if bold else "", size * page.k / _POINTS_A_MILLIMETRE)


def _fitted(text: str, size: float, wide: float) -> str:
    """Return a text, shortened to so many millimetres."""
    pixels = 10  # for a point, so that the measured width is fine enough
    return fit(_safe(text), font(round(size * pixels)), int(wide / 25.4 * 72 * pixels))


def _safe(text: str) -> str:
    return drawable(safe_text(text, limit=_LONGEST), font(12))
