"""The dialog that chooses an image folder: by a roughly typed path, from recent folders, or in a tree."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.suggester import Suggester
from textual.widgets import DirectoryTree, Input
from textual.widgets.directory_tree import DirEntry
from textual.widgets.tree import TreeNode

from engine.text import safe_text
from xaimed_tui.screens.explain.folder_search import completed, existing, is_folder, matching_folders
from xaimed_tui.widgets.dialogs import FRAME, KeysLine
from xaimed_tui.widgets.row_list import Row, RowList
from xaimed_tui.widgets.type_ahead import TypeAheadDialog
from xaimed_tui.widgets.words import Words
from xaimed_tui.wording import path_text


class FolderSuggester(Suggester):
    """Completes a typed path to the first folder whose name starts with it."""

    def __init__(self) -> None:
        # No cache, because folders come and go.
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """Return the completed path, searched in a thread: folders may be large and disks slow."""
        return await asyncio.to_thread(completed, value)


class FolderTree(DirectoryTree):
    """A tree of folders only, with safe names."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
    ]

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Return the folders that are not hidden."""
        return [path for path in paths if not path.name.startswith(".") and is_folder(path)]

    def render_label(self, node: TreeNode[DirEntry], base_style: Style, style: Style) -> Text:
        """Return the name as safe text."""
        mark = "▾ " if node.is_expanded else "▸ "
        return Text(f"{mark}{safe_text(node.label)}", style=base_style + style)


class FolderDialog(TypeAheadDialog[Path | None]):
    """Choose a folder; returns None if none is chosen."""

    DEFAULT_CSS = (
        FRAME.format(name="FolderDialog")
        + """
    FolderDialog Input { margin: 0; }
    FolderDialog #folder-matches { height: 7; margin: 1 0 0 0; }
    FolderDialog #folder-tree { height: 11; margin: 1 0 0 0; background: transparent; }
    FolderDialog #folder-problem { height: auto; color: $text-error; }
    FolderDialog.-slim #folder-matches { height: 5; margin: 0; }
    FolderDialog.-slim #folder-tree { height: 6; }
    """
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel"),
        Binding("slash", "type", "Type a path", show=False),
        Binding("enter", "choose", "Open", show=False),
    ]

    def __init__(self, start: Path, recent: Sequence[Path] = ()) -> None:
        super().__init__()
        self._start = start.absolute()
        self._recent = tuple(recent)
        self._matched = ""  # the text that the shown matches belong to

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Image folder"
            typed = safe_text(self._start)  # if that changes the path, nobody could edit it to the real one
            yield Input(
                value=f"{typed}/" if typed == str(self._start) else "",
                placeholder="a folder; → completes",
                suggester=FolderSuggester(),
                id="folder-path",
                compact=True,
            )
            yield Words(id="folder-problem")
            yield RowList(empty="no folder matches", ask_filter=self.action_type, id="folder-matches")
            yield FolderTree(self._start.parent, id="folder-tree")
            yield KeysLine(("→", "complete"), ("↓", "matches"), ("Tab", "tree"), ("Enter", "open"), ("Esc", "cancel"))

    def on_mount(self) -> None:
        path = self.query_one(Input)
        path.focus()
        path.cursor_position = len(path.value)
        self._match("")
        self.run_worker(self._root_tree, group="tree")  # type: ignore[arg-type]  # mypy finds no type in Textual's union

    async def _root_tree(self) -> None:
        root = await asyncio.to_thread(_existing, self._start)
        tree = self.query_one(FolderTree)
        if tree.path != root:
            tree.path = root

    @property
    def matches(self) -> RowList:
        """The folders that the typed text may mean; recent ones while nothing is typed."""
        return self.query_one("#folder-matches", RowList)

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        message.stop()
        self._problem("")
        # The path is only a proposal: until it is edited, the recent folders are offered.
        untouched = message.value == f"{safe_text(self._start)}/"
        self._match("" if untouched else message.value)

    def _match(self, typed: str) -> None:
        find = partial(self._find, typed)  # a coroutine cancelled unstarted would warn
        self.run_worker(find, group="matches", exclusive=True)  # type: ignore[arg-type]  # mypy finds no type in Textual's union

    async def _find(self, typed: str) -> None:
        if typed:
            found = await asyncio.to_thread(matching_folders, typed, self._recent, Path.cwd())
        else:
            found = await asyncio.to_thread(existing, self._recent)
        words = "no folder matches" if typed else "no recent folders"
        self._matched = typed
        self.matches.set_rows([Row(folder, path_text(folder, 66)) for folder in found], empty=words)
        if found:
            self.matches.go_to(found[0])

    def on_key(self, event: events.Key) -> None:
        """Go from the path to the matches with the down arrow."""
        if event.key == "down" and self.query_one(Input).has_focus:
            event.stop()
            self.matches.focus()

    @on(RowList.Chosen)
    def action_choose(self) -> None:
        """Open the match under the cursor."""
        if self.matches.has_focus:
            self._open(None, self._match_here)

    @property
    def _match_here(self) -> Path | None:
        row = self.matches.current
        return row.key if row is not None and isinstance(row.key, Path) else None

    def action_type(self) -> None:
        """Focus the path, which filters the matches."""
        self.set_focus(self.query_one(Input))

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        """Open the typed folder or, if there is none, its best match."""
        # The matches may still be those of an earlier text.
        self._open(message.value.strip(), self._match_here if message.value == self._matched else None)

    @on(DirectoryTree.DirectorySelected)
    def _selected(self, message: DirectoryTree.DirectorySelected) -> None:
        self._open(None, message.path)

    def _open(self, typed: str | None, match: Path | None) -> None:
        find = partial(self._open_existing, typed, match)
        self.run_worker(find, group="open", exclusive=True)  # type: ignore[arg-type]  # mypy finds no type in Textual's union

    async def _open_existing(self, typed: str | None, match: Path | None) -> None:
        """Find the folder in a thread, since disks may be slow, and open it."""
        folder = await asyncio.to_thread(_first_folder, typed, match)
        # Closed while the disk was slow.
        if self not in self.app.screen_stack:
            return
        if folder is not None:
            self.dismiss(folder)
        elif wanted := typed or (None if match is None else str(match)):
            self._problem(f"{path_text(Path(wanted), 34)} is not a folder that can be opened")

    def _problem(self, words: str) -> None:
        self.query_one("#folder-problem", Words).say(words)

    def action_leave(self) -> None:
        self.dismiss(None)


def _first_folder(typed: str | None, match: Path | None) -> Path | None:
    """Return the typed folder, or else the match; None if neither exists."""
    if typed:
        try:
            folder = Path(typed).expanduser()
        except RuntimeError:  # there is no such home folder
            folder = None
        if folder is not None and is_folder(folder):
            return folder.absolute()
    return match.absolute() if match is not None and is_folder(match) else None


def _existing(path: Path) -> Path:
    """Return the folder where the tree starts: the nearest existing one above, so that neighbours are shown."""
    return next((candidate for candidate in (path.parent, *path.parents) if is_folder(candidate)), Path("/"))
