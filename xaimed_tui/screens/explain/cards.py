"""Fill the cards of Visualize & Explain with pictures and words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.content import Content

from engine.images.numbers import number_text
from engine.results.evidence import Verdict
from engine.text import safe_text
from xaimed_tui.screens.explain.card import Card
from xaimed_tui.screens.explain.diagnosis_panel import warning_lines
from xaimed_tui.screens.explain.window_keys import given_words, window_words
from xaimed_tui.session.method_run import MethodRun
from xaimed_tui.widgets.captions import agreement_caption, cell_caption, method_caption, method_state
from xaimed_tui.widgets.evidence_words import evidence_line
from xaimed_tui.widgets.exact_words import exact_caption, worth_of
from xaimed_tui.widgets.pictures import agreement_picture, exact_picture, image_picture, method_picture
from xaimed_tui.widgets.words import Part
from xaimed_tui.wording import EXACT, key_of

if TYPE_CHECKING:
    from engine.images.image import MedicalImage
    from xaimed_tui.render.spec import PictureSpec
    from xaimed_tui.session.scene import Scene


def ground_of(scene: Scene) -> PictureSpec | None:
    """Return the image that the maps of a scene are drawn on, as the network gets it; None while there is none."""
    return None if scene.image is None or scene.pixels is None else image_picture(scene.image, scene.pixels)


def show_original(card: Card, scene: Scene) -> None:
    """Show the image, its name and its size."""
    image = scene.image
    if image is None or scene.shown is None:
        card.show(None, words=scene.words)
        return
    facts: list[Part] = [f"{safe_text(image.path.name)}\n{_facts(card, image)}"]
    if scene.shown_given is not None:
        facts.append(f"\n{given_words(scene, card.room)}")
    elif image.scan is not None or scene.eye is not None:
        words = window_words(scene, card.room)
        facts += [(f"\n{words}", "" if scene.eye is None else "bold $text-warning")] if words else []
    warnings = scene.diagnosis.warnings if scene.diagnosis is not None else ()
    # In two lines, as the caption has five.
    facts += [(f"\n{line}", "$text-warning") for line in warning_lines(warnings, card.room, 2)]
    picture, state = image_picture(image, scene.shown), ""
    if (given := given_picture(scene)) is not None:
        picture, state = given, "as given"
    card.show(replace(picture, highlight=scene.cell), state=state, caption=Content.assemble(*facts))


def given_picture(scene: Scene) -> PictureSpec | None:
    """Return a picture of what the network was given, if it is shown: of its own shape, whatever that of the body."""
    given, image = scene.shown_given, scene.image
    return None if given is None or image is None else replace(image_picture(image, given), aspect=1.0)


def _facts(card: Card, image: MedicalImage) -> str:
    """Return what kind of image this is, in one line."""
    colour = "grey" if image.colour == "grey" else "RGB"
    if image.scan is None:
        return f"{image.width}x{image.height} {colour}, {image.bit_depth} bit"
    said = image.metadata
    what = " ".join(said[name] for name in ("modality", "body part", "view", "laterality") if name in said)
    part = f"frame {said['frame']}" if "frame" in said else said.get("slice", "")
    spacing = "" if image.scan.spacing is None else f"{' x '.join(map(number_text, image.scan.spacing))} mm"
    parts = (what, part, f"{image.width}x{image.height} {colour}", f"{image.scan.bits} bit", spacing)
    found = [each for each in parts if each]
    # The first of them, as many as there is room for.
    return next(
        (", ".join(found[:n]) for n in range(len(found), 1, -1) if len(", ".join(found[:n])) <= card.room), found[0]
    )


def show_method(card: Card, run: MethodRun, scene: Scene, now: float) -> None:
    """Show a method's map, its state and its three cells."""
    card.show(
        method_picture(ground_of(scene), run.map, run.statistics, scene.look, highlight=scene.cell),
        words=_words(run, offered=scene.offers),
        state=_state(run, scene),
        caption=_caption(card, run, scene, now),
    )


def show_exact(card: Card, run: MethodRun, scene: Scene, now: float) -> None:
    """Show the exact value of every cell, under the fill looked at."""
    card.show(
        exact_picture(ground_of(scene), scene.exact, scene.look, highlight=scene.cell),
        words=_words(run, offered=scene.offers),
        state=_state(run, scene),
        caption=_caption(card, run, scene, now),
    )


def show_progress(card: Card, run: MethodRun, scene: Scene, now: float) -> None:
    """Update only the words of a method's card; its picture has not changed."""
    card.caption(_caption(card, run, scene, now), _state(run, scene))
    if run.map is None and card.view.picture is None:
        card.view.placeholder = _words(run, offered=scene.offers)


def show_agreement(card: Card, scene: Scene, methods: int) -> None:
    """Show the counts of the maps made so far, of `methods` voting methods in all."""
    ground = ground_of(scene)
    if scene.explanation is None or ground is None:
        card.show(None, words="counts where the methods agree" if scene.offers else "")
        return
    state = f"{len(scene.explanation.consensus.methods)} of {methods}"
    picture = agreement_picture(ground, scene.explanation, scene.look, highlight=scene.cell)
    card.show(picture, state=state, caption=agreement_caption(scene.explanation, scene.look, scene.cell))


def _state(run: MethodRun, scene: Scene) -> str:
    """Return the state of a method; empty while it cannot be started."""
    return "" if run.state == "idle" and not scene.offers else method_state(run)


def _caption(card: Card, run: MethodRun, scene: Scene, now: float) -> Content:
    exact = scene.exact
    if run.method == EXACT:
        if exact is None or (run.state == "running" and scene.cell is None):
            return method_caption(run, card.room, now)
        return exact_caption(exact, scene.look, card.room, scene.cell)
    if scene.cell is not None and run.map is not None and run.statistics is not None:
        return cell_caption(run.map, run.statistics, scene.cell)
    return method_caption(run, card.room, now, _worth(run, scene, card.room))


def _worth(run: MethodRun, scene: Scene, width: int) -> list[Part]:
    """Return whether a finished map can be believed, and what its three cells are worth."""
    known = run.evidence is not None and any(each is not Verdict.NOT_ASKED for each in run.evidence.verdicts.values())
    parts: list[Part] = evidence_line(run.evidence, width) if known and run.evidence is not None else []
    worth = "" if scene.exact is None else worth_of(run, scene.exact, scene.look, width)
    return [*parts, *(["\n"] if parts and worth else []), *([worth] if worth else [])]


def _words(run: MethodRun, *, offered: bool) -> str:
    match run.state:
        case "failed":
            return "no answer" if run.method == EXACT else "no map"
        case "waiting":
            return "waits for its turn"
        case "running":
            return "at work…"
        case "stopped":
            return "stopped before an answer" if run.method == EXACT else "stopped before a first map"
    if not offered:
        return ""
    key = key_of(run.method)
    if run.method == EXACT:
        return f"{key} weighs the nine cells\ne makes all"
    return f"{key} makes this map\ne makes all" if key else "e makes all maps"
