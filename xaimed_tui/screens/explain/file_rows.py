"""The rows of an image folder: names, below headings where images belong together; made only when they are drawn."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.images.listing import shown_name
from xaimed_tui.widgets.row_list import Row

if TYPE_CHECKING:
    from xaimed_tui.background.backend import Group

ALL_JUDGED = 1000
"""Files up to which all are judged at once, and unusable ones are listed last. In larger folders, files are judged
as they come into view, and keep their places."""


OTHERS = "other files"
"""The heading of what belongs to no series."""


class FileRows:
    """The images of a folder as the `Rows` of a list, those that belong together below a heading.

    Args:
        folder: the folder.
        names: of its images, in order.
        reasons: why an image cannot be used, by name, as far as known; empty if it can. May change later.
        groups: which images belong together; those of no group follow them.
    """

    def __init__(
        self, folder: Path, names: Sequence[str], reasons: Mapping[str, str], groups: Sequence[Group] = ()
    ) -> None:
        self.folder = folder
        self.names = names
        self._reasons = reasons
        self._lines: Sequence[str | _Heading] = names
        self._groups: list[range] = []  # of lines, without their headings
        self._others = range(0)
        if groups:
            lines: list[str | _Heading] = []
            for group in groups:
                self._groups.append(_put(lines, group.title, group.names))
            grouped = {name for group in groups for name in group.names}
            if others := [name for name in names if name not in grouped]:
                self._others = _put(lines, OTHERS, others)
                self._groups.append(self._others)
            self._lines = lines

    @property
    def all_judged(self) -> bool:
        """Whether all files are judged at once."""
        return len(self.names) <= ALL_JUDGED

    def __len__(self) -> int:
        return len(self._lines)

    def row(self, index: int) -> Row:
        line = self._lines[index]
        if isinstance(line, _Heading):
            return Row(line, line.title, heading=True, count=f"{line.images:,}")
        return Row(self.folder / line, shown_name(line), reason=self._reasons.get(line, ""))

    def label(self, index: int) -> str:
        line = self._lines[index]
        return line.title if isinstance(line, _Heading) else shown_name(line)

    def order(self, text: str) -> Sequence[int]:
        if not self._groups:
            return self._usable_first(self._found(range(len(self._lines)), text))
        shown = [(lines, found) for lines in self._groups if (found := self._found(lines, text))]
        if self.all_judged:
            # Slices keep their places in the body, whether the network takes them or not; a whole series goes last.
            shown.sort(key=lambda group: all(map(self._unusable, group[1])))
        order: list[int] = []
        for lines, found in shown:
            order += [lines.start - 1, *(self._usable_first(found) if lines is self._others else found)]
        return order

    def _found(self, lines: range, text: str) -> Sequence[int]:
        folded = text.casefold()
        return [i for i in lines if folded in str(self._lines[i]).casefold()] if text else lines

    def _usable_first(self, found: Sequence[int]) -> Sequence[int]:
        return sorted(found, key=self._unusable) if self.all_judged else found

    def _unusable(self, index: int) -> bool:
        return bool(self._reasons.get(str(self._lines[index])))

    def find(self, key: Hashable) -> int | None:
        if not isinstance(key, Path) or not key.is_relative_to(self.folder):
            return None
        name = self.name_of(key)
        with suppress(ValueError):
            return self._lines.index(name)
        # Before its header was read, a file with several frames or slices stood there as one image.
        return next((place for place, line in enumerate(self._lines) if str(line).startswith(f"{name}#")), None)

    def series_of(self, path: Path) -> list[str]:
        """Return the names of the images that belong together with one; none for an image that belongs to no other."""
        place = self.find(path)
        within = (lines for lines in self._groups if lines is not self._others and place in lines)
        return [str(self._lines[index]) for index in next(within, range(0))]

    def name_of(self, path: Path) -> str:
        """Return the name by which an image is listed: that of a DICOMDIR's file says where it lies in the folder."""
        return path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else path.name


@dataclass(frozen=True, slots=True)
class _Heading:
    """What stands above images that belong together; its place tells two with the same title apart."""

    title: str
    images: int
    place: int


def _put(lines: list[str | _Heading], title: str, names: Sequence[str]) -> range:
    """Add a heading and the names below it; return the places of these."""
    lines.append(_Heading(title, len(names), len(lines)))
    lines.extend(names)
    return range(len(lines) - len(names), len(lines))
