"""The dialog that chooses what to compare with: another class of the network, or another network."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.text import safe_name, safe_text
from xaimed_tui.screens.choices import class_rows
from xaimed_tui.screens.compare.screen import SideBySideScreen
from xaimed_tui.screens.compare.side import Answer
from xaimed_tui.widgets.dialogs import ChooseDialog
from xaimed_tui.widgets.row_list import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.library.tasks import Task
    from xaimed_tui.app_services import AppServices
    from xaimed_tui.session.method_run import MethodRun
    from xaimed_tui.session.scene import Scene

ABOUT = "Compare on the same image with:"


def choices(scene: Scene, library: Sequence[Task]) -> list[Row]:
    """Return rows for the network's other classes, then for the other networks, those of its task first."""
    if scene.bundle is None or scene.diagnosis is None:
        return []
    here = scene.bundle
    rows = [
        Row(("class", row.key), f"class {row.label}")
        for row in class_rows(scene.diagnosis)
        if row.key != scene.explained_class
    ]
    for index, task in sorted(enumerate(library), key=lambda entry: entry[1].name != here.task):
        for entry in task.models:
            if entry.path == here.path:
                continue
            words = f"model {safe_name(entry.name, 30)}"
            if task.name != here.task:
                words += f"   of {safe_name(task.name, 30)}"
            reason = "" if entry.usable else entry.reason or "not usable"
            if reason:
                words += f"   ({safe_text(reason, limit=60)})"
            rows.append(Row(("model", index, entry.name), words, reason=reason))
    return rows


def open_comparison(
    app: AppServices, scene: Scene, runs: Mapping[str, MethodRun], method: str, comparing: Callable[[bool], None]
) -> None:
    """Ask what to compare with, and show it beside what is shown now; tell `comparing` when that begins and ends."""
    library = app.library
    rows = choices(scene, library)
    if scene.bundle is None or scene.image is None or scene.diagnosis is None:
        return
    done = {name: run for name, run in runs.items() if run.state == "done" and run.map is not None}
    first = Answer(
        bundle=scene.bundle,
        path=scene.image.path,
        model=scene.model,
        image=scene.image,
        pixels=scene.pixels,
        diagnosis=scene.diagnosis,
        target=scene.explained_class,
        layer=scene.layer,
        maps=done,
        explanation=scene.explanation,
    )

    def chosen(key: Hashable) -> None:
        second = None
        if isinstance(key, tuple) and key[0] == "class":
            second = replace(first, target=key[1], maps={}, explanation=None)
        elif isinstance(key, tuple) and key[0] == "model":
            entry = next(entry for entry in library[key[1]].models if entry.name == key[2])
            if entry.usable and entry.bundle is not None:
                second = Answer(bundle=entry.bundle, path=first.path, target=first.target)
            else:
                app.notify(safe_text(entry.reason), title="Not usable", severity="warning", markup=False)
        if second is not None:
            comparing(True)
            screen = SideBySideScreen(first, second, app.jobs, scene.look, method=method)
            app.push_screen(screen, lambda _: comparing(False))

    app.push_screen(ChooseDialog("Side by side", ABOUT, rows, None), chosen)
