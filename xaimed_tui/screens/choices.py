"""Dialogs that choose what is explained: the class, and the layer at which the CAMs look."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from engine.errors import ExplanationError
from engine.explainers.registry import BUILT_IN
from engine.results.diagnosis import probability_text
from engine.text import safe_name, word_list
from xaimed_tui.widgets.dialogs import ChooseDialog
from xaimed_tui.widgets.row_list import Row
from xaimed_tui.wording import undecided_mark

if TYPE_CHECKING:
    from textual.app import App

    from engine.results.diagnosis import Diagnosis
    from xaimed_tui.background.backend import Layer, Model
    from xaimed_tui.session.scene import Scene


def class_rows(diagnosis: Diagnosis) -> list[Row]:
    """Return a row for every class, with its probability and confidence level."""
    return [
        Row(name, f"{safe_name(name, 40)}   {probability_text(value)} {level}")
        for name, value, level in zip(diagnosis.classes, diagnosis.probabilities, diagnosis.confidences, strict=True)
    ]


def choose_class(app: App[int], scene: Scene, changed: Callable[[], None]) -> None:
    """Ask which class the maps should explain; call `changed` if the scene gets another one."""
    model = scene.model
    if (diagnosis := scene.diagnosis) is None:
        return
    predicted = f"{safe_name(diagnosis.predicted, 40)}{undecided_mark(diagnosis, diagnosis.predicted)}"
    rows = [Row("", f"the predicted class ({predicted})"), *class_rows(diagnosis)]

    def chosen(name: Hashable) -> None:
        # While the dialog was open, another network may have been loaded: these are not its classes.
        if isinstance(name, str) and (name or None) != scene.target and scene.model is model:
            scene.target = name or None
            changed()

    about = "The maps show what speaks for this class."
    app.push_screen(ChooseDialog("Class to explain", about, rows, scene.target or ""), chosen)


def default_layer(model: Model) -> str:
    """Return the layer of the CAMs unless another is chosen; empty if the CAMs cannot look at any before one is chosen.

    That the bundle names a layer that gives no map does not mean that no other one does.
    """
    return _default_or_why_not(model)[0]


def _default_or_why_not(model: Model) -> tuple[str, str]:
    """Return the CAMs' layer unless another is chosen, and why there is none; one of them is empty."""
    try:
        return model.default_layer, ""
    except ExplanationError as error:
        return "", error.message


def choose_layer(app: App[int], scene: Scene, changed: Callable[[], None]) -> None:
    """Ask at which layer the CAMs should look; call `changed` if the scene gets another one."""
    if (model := scene.model) is None:
        return
    (default, why_not), layers = _default_or_why_not(model), model.layers
    if not layers:
        app.notify(f"There is no layer to choose ({why_not}).", markup=False)
        return
    current = scene.layer or default
    rows = [Row("", f"the model's default ({safe_name(default, 40)})")] if default else []
    rows += layer_rows(layers, current)

    def chosen(name: Hashable) -> None:
        if not isinstance(name, str) or scene.model is not model:
            return
        layer = None if name in ("", default) else name
        if layer != scene.layer:
            scene.layer = layer
            changed()

    looking = [method.name for method in BUILT_IN if method.layer]
    about = f"{word_list(looking)} look here. Early layers show detail, late ones meaning. ● is the one in use."
    app.push_screen(ChooseDialog("Layer of the CAMs", about, rows, scene.layer or ""), chosen)


def layer_rows(layers: Sequence[Layer], current: str) -> list[Row]:
    """Return a row for every layer, in order of execution, with its size and kind; the one in use is marked."""
    names = [current if current in (layer.name, *layer.also) else layer.name for layer in layers]
    wide = min(max(map(len, names), default=0), 40)
    rows = []
    for layer, named in zip(layers, names, strict=True):
        also = [name for name in (layer.name, *layer.also) if name != named]
        size = f"{layer.channels} maps of {layer.height}x{layer.width}"
        words = f"{safe_name(named, 40):<{wide}}   {size}   {safe_name(layer.kind, 24)}"
        if also:
            words += f"   = {safe_name(', '.join(also), 40)}"
        if layer.branch:
            words += "   a branch"
        rows.append(Row(named, words, mark="●" if named == current else " "))
    return rows
