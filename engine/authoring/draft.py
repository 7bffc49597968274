"""Draft a first `model.toml` for a model that has none, from what its architecture and weights reveal.

What only the training knows (colours' mean, class names, how images were resized) is commented out, so that the app
goes on saying that it is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from engine.bundle.architecture_py import declare, read_constants
from engine.bundle.declared import Declared, declare_values
from engine.bundle.model_bundle import (
    ARCHITECTURE,
    NETWORKS,
    ONNX,
    SETTINGS,
    ModelBundle,
    read_bundle,
    read_with_code,
    subject_of,
)
from engine.bundle.model_toml import parse_model_toml, toml_line, toml_value
from engine.bundle.schema import EXPLAIN, INPUT, KEYS, NETWORK, OUTPUT, Section
from engine.bundle.specs import InputSpec
from engine.errors import BundleError, LibraryError
from engine.library import changes
from engine.network.classifier import Classifier
from engine.network.expected_input import Sides, SideSearch, Waiting, channels_asked
from engine.network.faults import another_fault, judges_pairs_apart, why_it_fails
from engine.network.loading import build_network
from engine.network.outputs import EACH_CLASS
from engine.network.settled_input import input_told
from engine.network.torch_state import StateWatch
from engine.storage.writing import SHARED, replace_file
from engine.text import safe_text

_MOST_LAYERS = 200


@dataclass(frozen=True, slots=True)
class _Findings:
    """What was found out about a model.

    Attributes:
        declared: what the constants of `architecture.py` declare.
        size: (height, width) of an input that the network accepts.
        sides: the square inputs that it accepts; None if the size is declared.
        channels: how many channels it takes, and the name of the convolution that shows it; empty if none does.
        classifier: the network, fed and read in this way.
        multilabel: whether multilabel had to be assumed.
    """

    declared: Declared
    size: tuple[int, int]
    sides: Sides | None
    channels: tuple[int, str]
    classifier: Classifier
    multilabel: bool


def draft(bundle: ModelBundle, waiting: Waiting = lambda text: None) -> str:
    """Return the text of a `model.toml`. This runs the model's code.

    Args:
        bundle: the model. A `model.toml` that it has is ignored.
        waiting: told what takes long.

    Raises:
        BundleError: the model is not approved, does not run, or takes no input that was tried.
    """
    found = _inspect(bundle, waiting)
    text = "\n".join([*_header(bundle), *_network(bundle), *_input(found), *_output(found), *_explain(found)]) + "\n"
    parse_model_toml(text.encode(), bundle.path / SETTINGS)  # never write a file that cannot be read
    return text


def draft_into_place(bundle: ModelBundle, waiting: Waiting = lambda text: None) -> ModelBundle:
    """Draft a `model.toml` and write it into the model's folder. Earlier approvals of the model no longer hold.

    Args:
        bundle: the model.
        waiting: told what takes long.

    Returns:
        The bundle, read again.

    Raises:
        BundleError: see `draft`.
        LibraryError: there is a `model.toml` already, the model comes with XAIMed, or the file could not be written.
    """
    subject = subject_of(bundle)
    folder = bundle.path.parent.parent
    changes.refuse_bundled(folder, subject)
    _refuse_existing(bundle)
    text = draft(bundle, waiting)
    with changes.changing(folder, subject, "there is no model.toml, as before"):
        _refuse_existing(bundle)  # again, now that nobody else changes the folder
        replace_file(bundle.path / SETTINGS, text.encode(), mode=SHARED)
        return read_bundle(bundle.path, task=bundle.task)


def _refuse_existing(bundle: ModelBundle) -> None:
    if (bundle.path / SETTINGS).exists():
        raise LibraryError(
            "this file exists already",
            subject=bundle.path / SETTINGS,
            remedy="add --print to see what would be written",
        )


def _inspect(bundle: ModelBundle, waiting: Waiting) -> _Findings:
    if bundle.architecture is None:
        declared = declare_values({})
    else:
        _, code = read_with_code(bundle.path, task=bundle.task)
        declared = declare(read_constants(code[ARCHITECTURE], bundle.architecture), bundle.architecture)
    watch = StateWatch()
    network = build_network(bundle, watch)
    if (told := input_told(network)) is not None:
        declared = declare_values({f"input.{name}": value for name, value in told.declared().items()})
    size, sides = declared.input.size, None
    with watch.trying():
        channels = _channels(declared, network, bundle, watch)
        if "input.size" not in declared.given:
            sides = _sides(network, (channels[0], *size), bundle, watch, waiting)
            size = (sides.accepted[0], sides.accepted[0])
    spec = InputSpec(
        layout=declared.input.layout,
        colour_order=declared.input.colour_order,
        value_range=declared.input.value_range,
        size=size,
        channels=channels[0],
        mean=declared.input.mean if "input.mean" in declared.given else (0.0,) * channels[0],
        std=declared.input.std if "input.std" in declared.given else (1.0,) * channels[0],
    )
    trial = replace(
        bundle,
        input=spec,
        output=declared.output,
        explain=replace(bundle.explain, target_layer=None),
        undeclared=frozenset(),
    )
    multilabel = False
    try:
        classifier = Classifier(trial, network, device="cpu", watch=watch)
    except BundleError as error:
        if error.code != EACH_CLASS or "output.threshold" in declared.given:
            raise
        each_class = replace(declared.output, multilabel=True)
        classifier = Classifier(replace(trial, output=each_class), network, device="cpu", watch=watch)
        multilabel = True
    return _Findings(declared, size, sides, channels, classifier, multilabel)


def _sides(
    network: nn.Module, shape: tuple[int, int, int], bundle: ModelBundle, watch: StateWatch, waiting: Waiting
) -> Sides:
    """Return the square inputs that the network takes.

    Raises:
        BundleError: it takes none that was tried; says why.
    """
    subject = subject_of(bundle)
    search = SideSearch(network, shape[0], watch)
    # What fails whatever the size needs no search.
    if not search.takes(shape[1]):
        with watch.passing():
            fault = another_fault(network, shape, subject)
        if fault is not None and not judges_pairs_apart(network, shape):
            raise fault
    sides = search.run(shape[1], waiting)
    if not sides.accepted:
        with watch.passing():
            raise why_it_fails(network, shape, subject, sides=sides)
    return sides


def _channels(declared: Declared, network: nn.Module, bundle: ModelBundle, watch: StateWatch) -> tuple[int, str]:
    """Return how many channels the network takes, and the name of the layer that shows it, if one does."""
    if "input.channels" in declared.given:
        return declared.input.channels, ""
    fed = bundle.input.channels
    asked = channels_asked(SideSearch(network, fed, watch).at(declared.input.size[0]), fed)
    if asked is None:
        return fed, ""
    if asked[0] not in (1, 3):
        raise BundleError(
            f"its first layer, {asked[1]}, takes {asked[0]} channels",
            subject=subject_of(bundle),
            remedy="use a network for 1 (grey) or 3 (RGB) channels",
        )
    return asked


# The text


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the draft for one key.

    Attributes:
        value: its value, known or assumed.
        comment: its purpose, or where the value comes from.
        known: False if the value is only assumed: the line is then commented out.
    """

    value: object
    comment: str
    known: bool = True


def _lines(section: Section[object], spec: object, given: frozenset[str], found: Mapping[str, _Line]) -> Iterator[str]:
    """Yield a section's lines: for each key what was found out, otherwise what is declared or assumed."""
    yield f"[{section.name}]"
    for name, key in section.with_full_names():
        line = found.get(key.name)
        if line is None:
            value = getattr(spec, key.name)
            if value is None:
                continue
            # A flag that is declared with its default value adds nothing.
            known = name in given and not (isinstance(value, bool) and value == key.default)
            reminder = "CHECK: " if key.from_training and not known else ""
            line = _Line(value, f"{reminder}{key.help}", known)
        yield toml_line(f"{'' if line.known else '# '}{key.name} = {toml_value(line.value)}", line.comment)


def _header(bundle: ModelBundle) -> Iterator[str]:
    yield f"# How to feed and read {safe_text(bundle.task)}/{safe_text(bundle.name)}: drafted by xaimed models init."
    yield "# CHECK marks what only the training knows. A line that is commented out shows what is assumed without it."
    yield ""


def _network(bundle: ModelBundle) -> Iterator[str]:
    """Yield the section that names the network and its arguments, as it is declared; nothing if it is not."""
    declared = [
        (name, value)
        for name, value in (("source", bundle.network.source), ("arguments", bundle.network.arguments))
        if value
    ]
    if declared:
        yield f"[{NETWORK.name}]"
        yield from (f"{name} = {toml_value(value)}" for name, value in declared)
        yield ""


def _input(found: _Findings) -> Iterator[str]:
    given = found.declared.given
    count, first = found.channels
    accepted = () if found.sides is None else found.sides.accepted
    if found.sides is None:
        whole = found.classifier.bundle.weights.name in NETWORKS
        why = f"height, width; {f'as in {ONNX}' if whole else 'from ' + KEYS['input.size'].constant}"
    elif found.sides.layer and len(accepted) == 1:
        why = f"height, width; as {safe_text(found.sides.layer)} takes them"
    elif len(accepted) == 1:
        why = "the only size that the network takes, of those tried"
    else:
        why = f"CHECK: the network takes {_ranges(accepted)} too; which was it trained on?"
    only_default = found.size == InputSpec().size and len(accepted) > 1
    lines = {
        "size": _Line(found.size, why, known=not only_default),
        "channels": _Line(count, f"as {first} takes them" if first else KEYS["input.channels"].help),
    }
    for name, neutral in (("mean", 0.0), ("std", 1.0)):
        if f"input.{name}" not in given:
            comment = f"CHECK: as in training, {KEYS[f'input.{name}'].help}"
            lines[name] = _Line((neutral,) * count, comment, known=False)
    asked = "accept_grey" if count == 3 else "accept_colour"
    if f"input.{asked}" not in given:
        images = "grey images (R = G = B too)" if count == 3 else "colour images"
        lines[asked] = _Line(True, f"CHECK: may {images} be fed to it? Not said: yes, with a warning", known=False)
    yield from _lines(INPUT, found.declared.input, given, lines)
    yield ""


def _output(found: _Findings) -> Iterator[str]:
    classifier, declared = found.classifier, found.declared
    outputs, head = classifier.anatomy.outputs, classifier.anatomy.head
    order = "for one output: negative, positive" if outputs == 1 else f"in the order of the {outputs} outputs"
    named = "output.classes" in declared.given
    if "output.activation" in declared.given:
        ending = f"from {KEYS['output.activation'].constant}"
    elif head is not None:
        ending = f"the network ends in {safe_text(head)}"
    elif classifier.activation == "none":
        ending = "outputs for noise are no probabilities"
    else:
        ending = "CHECK: outputs for noise look like it"
    selected = classifier.anatomy.selected
    lines = {
        "classes": _Line(classifier.classes, order if named else f"CHECK: names, {order}", known=named),
        "activation": _Line(classifier.activation, ending),
    }
    if selected and "output.select" not in declared.given:
        lines["select"] = _Line(selected, "CHECK: " + " ".join(safe_text(said) for said in classifier.anatomy.doubts))
    if found.multilabel or declared.output.multilabel:
        meaning = KEYS["output.multilabel"].help.removeprefix("true: ")
        lines["multilabel"] = _Line(True, meaning + (", as each output has a sigmoid" if found.multilabel else ""))
    if (outputs == 1 or "multilabel" in lines) and "output.threshold" not in declared.given:
        lines["threshold"] = _Line(classifier.threshold, "from here on the answer is yes", known=False)
    yield from _lines(OUTPUT, declared.output, declared.given, lines)
    yield ""


def _explain(found: _Findings) -> Iterator[str]:
    maps, declared = found.classifier.anatomy.maps, found.declared
    if not maps.listed:
        yield f"[{EXPLAIN.name}]"
        yield "# No layer gives a map, so the CAMs have nothing to look at."
        return
    chosen = declared.explain.target_layer
    if chosen is None:
        layer = _Line(maps.default, "the last maps that all that decides passes through", known=False)
    else:
        layer = _Line(chosen, f"from {KEYS['explain.target_layer'].constant}")
    yield from _lines(EXPLAIN, declared.explain, declared.given, {"target_layer": layer})
    yield "# Layers that give a map, in order of execution: channels, height x width, kind, name, other names"
    for each in maps.listed[-_MOST_LAYERS:]:
        size = f"{each.height}x{each.width}"
        names = " = ".join(safe_text(name) for name in (each.name, *each.also))
        branch = "  (a branch)" if each.branch else ""
        yield f"#   {each.channels:>5}  {size:>9}  {safe_text(each.kind)}  {names}{branch}"
    if len(maps.listed) > _MOST_LAYERS:
        yield f"#   (and {len(maps.listed) - _MOST_LAYERS} before them)"


def _ranges(sides: Sequence[int]) -> str:
    """Return sides as text, in order, consecutive ones as `50 to 53`."""
    runs: list[list[int]] = []
    for side in sorted(sides):
        if runs and side == runs[-1][-1] + 1:
            runs[-1].append(side)
        else:
            runs.append([side])
    parts = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    return ", ".join(parts[:24]) + (" and more" if len(parts) > 24 else "")
