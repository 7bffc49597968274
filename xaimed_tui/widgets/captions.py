"""The words under a map: how far the method is, which cells it marks, what to be careful about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from engine.explainers.registry import sharing_gradients
from engine.explanation.exact_words import ordinal, speaking
from engine.explanation.words import number_of_cells
from engine.results.cells import CELL_NAMES, Cell, rank_cells
from engine.text import safe_text
from xaimed_tui.widgets.exact_words import shown_fill
from xaimed_tui.widgets.words import Part
from xaimed_tui.wording import cell_list, count_word, key_of, method_name, seconds_text, settled_by, time_left

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.results.consensus import Consensus
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics
    from xaimed_tui.preferences.look import Look
    from xaimed_tui.session.method_run import MethodRun


def cells_line(statistics: GridStatistics, width: int, *, settled: str) -> list[Part]:
    """Return the three cells in words, and whether the choice is certain; lines break only between cells.

    `settled` is the word for a choice that is certain: `certain` after sampling; empty to say nothing.
    """
    if not statistics.top:
        return [("marks no cell: the map is constant", "bold $text-warning")]
    items: list[tuple[str, str, str]] = []
    if len(statistics.named) < len(statistics.top):  # the others are marked only because three cells are
        items.append(("", f"{number_of_cells(statistics)}:", ""))
    for rank, cell in enumerate(statistics.named, start=1):
        items.append((f"{rank}{'?' if cell in statistics.ties else ''} ", CELL_NAMES[cell], "bold $foreground"))
    if statistics.certain:
        items += [("", settled, "")] if settled else []
    else:
        others = [CELL_NAMES[cell] for cell in statistics.ties if cell not in statistics.top]
        words = f", or {', '.join(others)}" if len(others) < 3 else f", or {len(others)} other cells"
        items.append(("not certain", words if others else "", "bold $text-warning"))
    parts: list[Part] = []
    used = 0
    for mark, name, style in items:
        length = len(mark) + len(name)
        if used and used + 3 + length > width:
            parts.append("\n")
            used = 0
        elif used:
            parts.append(" · ")
            used += 3
        parts += [(mark, style), name]
        used += length
    return parts


def method_caption(run: MethodRun, width: int, now: float, worth: Sequence[Part] = ()) -> Content:
    """Return what there is to say about a method: how far it is, what it found, what to be careful about.

    `worth` is what is known of the map's worth; beside that, how long it took has no room.
    """
    parts: list[Part] = []
    if run.state == "running":
        parts += [_progress(run, width, now), "\n"]
        if left := time_left(now - run.paced_since, run.done - run.paced_from, run.total - run.paced_from):
            # "At most": a method may end before its last sample, as soon as its three cells are certain.
            parts.append(f"at most {left}\n")
    elif run.state == "waiting":
        parts.append("waits for its turn\n")
    elif run.state == "failed":
        return Content.assemble(("failed: ", "bold $text-error"), run.reason)
    elif run.map is not None and not worth:
        parts += [_made(run.map, width), "\n"]
    # Above the cells and in one line, because a small card cuts off the last lines. The detail shows all warnings.
    if run.map is not None and run.map.warnings and run.state == "done":
        parts.append((f"! {safe_text(run.map.warnings[0], limit=max(width - 2, 8))}\n", "$text-warning"))
    if worth and run.state == "done":
        parts += [*worth, "\n"]
    if run.statistics is not None:
        parts += cells_line(run.statistics, width, settled=_settled(run))
    return Content.assemble(*parts)


def _settled(run: MethodRun) -> str:
    """Return the word for a settled choice; empty while the map still gets sharper."""
    if run.map is None or run.statistics is None or run.state != "done":
        return ""
    return {"samples": "certain", "no samples": "not sampled", "": ""}[settled_by(run.map, run.statistics)]


def cell_caption(made: SaliencyMap, statistics: GridStatistics, cell: Cell) -> Content:
    """Return the numbers of one cell in one map, in four lines."""
    rank = rank_cells(statistics.mean).index(cell) + 1
    errors = made.cell_errors
    error = "" if errors is None else f" ± {errors[cell]:.3f}"
    place: Part = f" · {ordinal(rank)} of {len(CELL_NAMES)}"
    if cell in statistics.ties:
        place = (f" · {rank}?, not certain", "$text-warning")
    elif not statistics.top:
        place = (" · constant map", "$text-warning")
    return Content.assemble(
        (CELL_NAMES[cell], "bold $foreground"),
        place,
        f"\nmean {statistics.mean[cell]:.3f}{error}\nmedian {statistics.median[cell]:.3f}",
        f"\n{statistics.min[cell]:.3f} to {statistics.max[cell]:.3f}, std {statistics.std[cell]:.3f}",
    )


def method_state(run: MethodRun) -> str:
    """Return one or two words for the headline; a click on them starts or stops the method."""
    if run.state == "running":
        return f"{round(100 * run.done / run.total)} % ■" if run.total else "running ■"
    if run.state == "done":
        return "stopped" if run.map is not None and run.map.stopped else "done"
    if run.state == "idle":
        return f"{key_of(run.method)} ▶".strip()
    return {"waiting": "waits ■", "failed": "failed", "stopped": "stopped ▶"}[run.state]


def _progress(run: MethodRun, width: int, now: float) -> str:
    counts = f" {run.done:,}/{run.total:,} {seconds_text(now - run.since)}" if run.total else " starting"
    room = max(width - len(counts), 4)
    full = round(room * run.done / run.total) if run.total else 0
    return "━" * full + "╌" * (room - full) + counts


def _made(made: SaliencyMap, width: int) -> str:
    if not made.samples:
        return seconds_text(made.seconds)
    both = f"{made.samples:,} samples · {seconds_text(made.seconds)}"
    return both if len(both) <= width else f"{made.samples:,} samples"


def _beside_chance(consensus: Consensus) -> list[str]:
    """Return how many cells have nearly all votes, and how many two independent opinions, each beside chance."""
    lines = []
    if (voters := len(consensus.chance)) > 1:
        votes = max(voters - 1, 2)
        found = int((consensus.counts >= votes).sum())
        more = "+" if votes < voters else ""
        lines.append(f"{votes}{more} votes: {found} (chance {consensus.chance[votes - 1]:.1f})")
    if 1 < (opinions := len(consensus.opinions_chance)) < voters:
        found = int((consensus.opinions >= 2).sum())
        lines.append(f"2+ of {opinions} opinions: {found} ({consensus.opinions_chance[1]:.1f})")
    return lines


def agreement_caption(explanation: Explanation, look: Look, cell: Cell | None = None) -> Content:
    """Return where most methods agree, and what that is worth; or which methods mark a cell."""
    counts = explanation.consensus.counts
    if cell is not None:
        who = [
            f"{method_name(method)}{'?' if cell in explanation.statistics[method].ties else ''}"
            for method in explanation.consensus.methods
            if cell in explanation.statistics[method].top
        ]
        head = f"{CELL_NAMES[cell]}: {len(who)} of {len(explanation.consensus.methods)}"
        return Content.assemble((head, "bold $foreground"), "\n", ", ".join(who) or "no map marks it")
    most = int(counts.max())
    if not explanation.consensus.methods:
        return Content("none of these maps is counted")
    if most == 0:
        return Content("no map marks a cell")
    unsettled = explanation.consensus.unsettled
    cells = ", ".join(
        f"{name}{'?' if cell in unsettled else ''}" for cell, name in CELL_NAMES.items() if counts[cell] == most
    )
    made = len(explanation.consensus.methods)
    parts: list[Part] = [(f"{most} of {made}: ", "bold $foreground"), cells]
    if explanation.exact is not None:
        three = speaking(shown_fill(explanation.exact, look))
        parts += ["\n", ("E ", "bold $foreground"), f"exact: {cell_list(three) or 'no cell'}"]
    parts += [f"\n{line}" for line in _beside_chance(explanation.consensus)]
    parts.extend(
        f"\nthe {count_word(len(group))} CAMs are not independent" for group in sharing_gradients(explanation.maps)
    )
    return Content.assemble(*parts)
