"""Tables of the nine cells, and of a map's statistics in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from engine.explanation.exact_words import speaking
from engine.results.cells import CELL_NAMES, CELLS, Cell
from xaimed_tui.widgets.exact_words import FILL_WORDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.results.exact_cells import ExactCells
    from engine.results.statistics import GridStatistics


class CellTable(DataTable[Text]):
    """A table with one row per cell."""

    DEFAULT_CSS = "CellTable { height: 10; width: auto; max-width: 100%; background: transparent; }"

    HELP = "The cells: the pictures point out that of the current row"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "cursor_down", "Next cell", show=False),
        Binding("up,k", "cursor_up", "Previous cell", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=1)

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self.call_after_refresh(self.move_cursor, row=self.cursor_row)

    def go_to(self, cell: Cell) -> None:
        """Put the cursor on the row of a cell."""
        self.move_cursor(row=CELLS.index(cell))


class StatisticsTable(CellTable):
    """Mean, median, minimum, maximum and standard deviation per cell; the three marked cells carry their rank."""

    def show(self, statistics: GridStatistics, errors: NDArray[np.float64] | None) -> None:
        """Fill the table; `errors` are the standard errors of the means, for sampled methods."""
        row = self.cursor_row
        self.clear(columns=True)
        names = ["", "cell", "mean", "median", "min", "max", "std"]
        if errors is not None:
            names.insert(3, "± error")
        for name in names:
            self.add_column(Text(name, justify="left" if name in ("", "cell") else "right"))
        for cell in CELLS:
            top = cell in statistics.top
            mark = (str(statistics.top.index(cell) + 1) if top else "") + ("?" if cell in statistics.ties else "")
            numbers = [statistics.mean, statistics.median, statistics.min, statistics.max, statistics.std]
            values = [f"{table[cell]:.3f}" for table in numbers]
            if errors is not None:
                values.insert(1, f"{errors[cell]:.3f}")
            style = "bold" if top else ""
            self.add_row(
                Text(f"{mark:<2}", style="bold"),
                Text(CELL_NAMES[cell], style=style),
                *(Text(value, style=style, justify="right") for value in values),
            )
        self.move_cursor(row=max(row, 0))

    def show_exact(self, exact: ExactCells, shown: str) -> None:
        """Fill the table with the exact value of every cell under every fill; ranks are those of the fill `shown`."""
        row = self.cursor_row
        self.clear(columns=True)
        for name in ("", "cell", *(FILL_WORDS[fill] for fill in exact.fills), "firm"):
            self.add_column(Text(name, justify="left" if name in ("", "cell", "firm") else "right"))
        three = speaking(exact.fills[shown])
        for cell in CELLS:
            style = "bold" if cell in three else ""
            self.add_row(
                Text(f"{three.index(cell) + 1 if cell in three else ''!s:<2}", style="bold"),
                Text(CELL_NAMES[cell], style=style),
                *(
                    Text(f"{found.shapley[cell]:+.3f}", style=style if fill == shown else "", justify="right")
                    for fill, found in exact.fills.items()
                ),
                Text("firm" if exact.firm is not None and cell in exact.firm else ""),
            )
        self.move_cursor(row=max(row, 0))
