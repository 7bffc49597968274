"""The rows of an image folder: each file's name, and why it cannot be used; made only when they are drawn."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

from engine.images.listing import shown_name
from xaimed_tui.widgets.row_list import Row

ALL_JUDGED = 1000
"""Files up to which all are judged at once, and unusable ones are listed last. In larger folders, files are judged
as they come into view, and keep their places."""


class FileRows:
    """The images of a folder as the `Rows` of a list.

    Args:
        folder: the folder.
        names: of its images, in order.
        reasons: why an image cannot be used, by name, as far as known; empty if it can. May change later.
    """

    def __init__(self, folder: Path, names: Sequence[str], reasons: Mapping[str, str]) -> None:
        self.folder = folder
        self.names = names
        self._reasons = reasons

    @property
    def all_judged(self) -> bool:
        """Whether all files are judged at once."""
        return len(self.names) <= ALL_JUDGED

    def __len__(self) -> int:
        return len(self.names)

    def row(self, index: int) -> Row:
        name = self.names[index]
        return Row(self.folder / name, shown_name(name), reason=self._reasons.get(name, ""))

    def order(self, text: str) -> Sequence[int]:
        found: Sequence[int] = range(len(self.names))
        if text:
            folded = text.casefold()
            found = [index for index, name in enumerate(self.names) if folded in name.casefold()]
        if self.all_judged:
            return sorted(found, key=lambda index: bool(self._reasons.get(self.names[index])))
        return found

    def find(self, key: Hashable) -> int | None:
        if not isinstance(key, Path) or not key.is_relative_to(self.folder):
            return None
        try:
            return self.names.index(self.name_of(key))
        except ValueError:
            return None

    def name_of(self, path: Path) -> str:
        """Return the name by which an image is listed: that of a DICOMDIR's file says where it lies in the folder."""
        return path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else path.name
