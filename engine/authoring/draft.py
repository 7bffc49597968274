"""A first `model.toml` for a model that has none, from what its architecture and weights reveal.

What only the training knows (colours' mean, class names, how images were resized) is left commented out, so that the
app goes on saying that it is assumed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from engine.bundle.architecture_py import declare, read_constants
from engine.bundle.model_bundle import SETTINGS, ModelBundle, read_bundle, read_with_code, subject_of
from engine.bundle.model_toml import parse_model_toml, toml_string
from engine.bundle.schema import Declared
from engine.bundle.specs import InputSpec
from engine.errors import BundleError, LibraryError
from engine.library import changes
from engine.network.classifier import Classifier
from engine.network.loading import build_network
from engine.network.structure import Anatomy
from engine.storage.writing import SHARED, replace_file
from engine.text import safe_text

_USUAL = (224, 256, 192, 160, 128, 112, 96, 64, 50, 48, 32, 28, 240, 260, 299, 300, 320, 380, 384, 448, 512)
"""Sides of square inputs that are tried first."""

_ALL = range(3, 641)
_MOST_LAYERS = 200
_MOST_CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found out.

    Attributes:
        declared: the constants of `architecture.py`.
        size: (height, width) that the network takes.
        taken: sides of square inputs that it takes too, of those tried; empty if the size was declared.
        channels: that it takes, and the name of the convolution that says so.
        classifier: the network with all this.
        multilabel: whether that had to be assumed.
        kinds: class name of every module, by name.
    """

    declared: Declared
    size: tuple[int, int]
    taken: tuple[int, ...]
    channels: tuple[int, str]
    classifier: Classifier
    multilabel: bool
    kinds: dict[str, str]


def draft(bundle: ModelBundle) -> str:
    """The text of a `model.toml`; runs the model's code.

    Args:
        bundle: a model without `model.toml`, or with one that is not looked at.

    Raises:
        BundleError: it is not approved, does not run, or takes no input that was tried.
    """
    found = _look(bundle)
    text = "\n".join([*_head(bundle), *_input(found), *_output(found), *_explain(found)]) + "\n"
    parse_model_toml(text.encode(), bundle.path / SETTINGS)  # what we write must be what we read
    return text


def draft_into_place(bundle: ModelBundle) -> ModelBundle:
    """Draft a `model.toml` and put it into the model's folder. An approval from before does not hold any longer.

    Returns:
        The bundle as it is now.

    Raises:
        BundleError: see `draft`.
        LibraryError: there is one already, the model comes with XAIMed, or it could not be written.
    """
    subject = subject_of(bundle)
    folder = bundle.path.parent.parent
    changes.refuse_bundled(folder, subject)
    _refuse_existing(bundle)
    text = draft(bundle)
    with changes.changing(folder, subject, "there is no model.toml, as before"):
        _refuse_existing(bundle)
        replace_file(bundle.path / SETTINGS, text.encode(), mode=SHARED)
        return read_bundle(bundle.path, task=bundle.task)


def _refuse_existing(bundle: ModelBundle) -> None:
    if (bundle.path / SETTINGS).exists():
        raise LibraryError(
            "there is one already", subject=bundle.path / SETTINGS, remedy="add --print to see what would be written"
        )


def _look(bundle: ModelBundle) -> _Found:
    _, code = read_with_code(bundle.path, task=bundle.task)
    declared = declare(read_constants(code, bundle.architecture), bundle.architecture)
    with torch.random.fork_rng():
        network = build_network(bundle)
    channels = _channels(declared, network, bundle)
    size = declared.size
    taken: tuple[int, ...] = ()
    if size is None:
        taken = _sizes(network, channels[0])
        if not taken:
            raise BundleError(
                f"it takes no square input of {_ALL[0]} to {_ALL[-1]} pixels and {channels[0]} channels",
                subject=subject_of(bundle),
                remedy="declare INPUT_SIZE = (height, width) in architecture.py",
            )
        side = taken[0]
        size = (side, side)
    spec = InputSpec(
        size=size,
        channels=channels[0],
        mean=declared.mean or (0.0,) * channels[0],
        std=declared.std or (1.0,) * channels[0],
    )
    output = replace(
        bundle.output,
        classes=declared.classes,
        activation=declared.activation,
        multilabel=bool(declared.multilabel),
    )
    trial = replace(bundle, input=spec, output=output, explain=replace(bundle.explain, target_layer=None))
    multilabel = False
    try:
        classifier = Classifier(trial, network, device="cpu")
    except BundleError:
        if declared.multilabel is not None:
            raise
        # A sigmoid for each of several outputs: every class is judged on its own. If that is not it, the error stands.
        classifier = Classifier(replace(trial, output=replace(output, multilabel=True)), network, device="cpu")
        multilabel = True
    kinds = {name: type(module).__name__ for name, module in network.named_modules()}
    return _Found(declared, size, taken, channels, classifier, multilabel, kinds)


def _channels(declared: Declared, network: nn.Module, bundle: ModelBundle) -> tuple[int, str]:
    first = next(((name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d)), None)
    if declared.channels is not None:
        return declared.channels, ""
    if first is None:
        return bundle.input.channels, ""
    name, convolution = first
    if convolution.in_channels not in (1, 3):
        raise BundleError(
            f"its first convolution, {name}, takes {convolution.in_channels} channels",
            subject=subject_of(bundle),
            remedy="use a network for 1 (grey) or 3 (RGB) channels",
        )
    return convolution.in_channels, name


def _sizes(network: nn.Module, channels: int) -> tuple[int, ...]:
    """Sides of the square inputs that the network takes, the usual ones first; without them, of all."""
    try:
        shapes_only = copy.deepcopy(network).to("meta")  # no numbers are computed there, so that it is quick
    except Exception:  # a network's own code may refuse to be copied in any way; then it is run itself
        shapes_only = network
    # A network that looks at numbers fails where there are none, and is run after all.
    for subject, sides in ((shapes_only, _USUAL), (shapes_only, _ALL), (network, _USUAL)):
        if taken := tuple(side for side in sides if _takes(subject, channels, side)):
            return taken
    return ()


def _takes(network: nn.Module, channels: int, side: int) -> bool:
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    try:
        with torch.inference_mode():
            output = network(torch.zeros(1, channels, side, side, device=device))
    except KeyboardInterrupt:
        raise
    except BaseException:  # a network may fail on a wrong size in any way
        return False
    return isinstance(output, torch.Tensor) and output.shape[:1] == (1,) and output.numel() > 0


# The text


def _line(setting: str, words: str, *, known: bool = True) -> str:
    return f"{'' if known else '# '}{setting}".ljust(28) + f" # {words}"


def _head(bundle: ModelBundle) -> Iterator[str]:
    yield f"# How to feed and read {safe_text(bundle.task)}/{safe_text(bundle.name)}: drafted by xaimed models init."
    yield "# CHECK marks what only the training knows. A line that is commented out shows what is assumed without it."
    yield ""


def _input(found: _Found) -> Iterator[str]:
    declared, (height, width) = found.declared, found.size
    count, first = found.channels
    yield "[input]"
    sized = declared.size is not None
    if sized:
        why = "height, width; from INPUT_SIZE"
    elif len(found.taken) == 1:
        why = "the only size that the network takes, of those tried"
    else:
        why = f"CHECK: the network takes {_listed(found.taken)} too; which was it trained on?"
    default = found.size == InputSpec().size and not sized and len(found.taken) > 1
    yield _line(f"size = [{height}, {width}]", why, known=not default)
    yield _line(f"channels = {count}", f"as {first} takes them" if first else "1 (grey) or 3 (RGB)")
    exact = bool(declared.exact_size)
    yield _line(f"exact_size = {str(exact).lower()}", "true: images of another size are not compliant", known=exact)
    if declared.minimum_size is not None:
        yield _line(f"minimum_size = {list(declared.minimum_size)}", "smaller images are not compliant")
    resize = declared.resize or "stretch"
    yield _line(
        f'resize = "{resize}"',
        ("" if declared.resize else "CHECK: ") + '"stretch", "fit" (padded) or "crop" (centre)',
        known=declared.resize is not None,
    )
    for name, values, neutral in (("mean", declared.mean, 0.0), ("std", declared.std, 1.0)):
        numbers = list(values) if values is not None else [neutral] * count
        words = "on values in [0, 1]" if values is not None else "CHECK: as in training, on values in [0, 1]"
        yield _line(f"{name} = {numbers}", words, known=values is not None)
    yield ""


def _output(found: _Found) -> Iterator[str]:
    classifier, declared = found.classifier, found.declared
    names = ", ".join(toml_string(name) for name in classifier.classes)
    outputs = classifier.anatomy.outputs
    order = "for one output: negative, positive" if outputs == 1 else f"in the order of the {outputs} outputs"
    yield "[output]"
    yield _line(
        f"classes = [{names}]",
        order if declared.classes else f"CHECK: names, {order}",
        known=declared.classes is not None,
    )
    head = classifier.anatomy.head
    if declared.activation is not None:
        words = "from ACTIVATION"
    elif head is not None:
        words = f"the network ends in {safe_text(head)}"
    elif classifier.activation == "none":
        words = "outputs for noise are no probabilities"
    else:
        words = "CHECK: outputs for noise look like it"
    yield _line(f'activation = "{classifier.activation}"', words)
    multilabel = found.multilabel or bool(declared.multilabel)
    words = "every class is judged on its own" + (", as each output has a sigmoid" if found.multilabel else "")
    yield _line(f"multilabel = {str(multilabel).lower()}", words if multilabel else f"true: {words}", known=multilabel)
    yield ""


def _explain(found: _Found) -> Iterator[str]:
    anatomy = found.classifier.anatomy
    yield "[explain]"
    if not anatomy.layers:
        yield "# No convolution gives a map, so Grad-CAM and Grad-CAM++ have nothing to look at."
        return
    last = anatomy.layers[-1].name
    chosen = found.declared.target_layer or last
    words = "from TARGET_LAYER" if found.declared.target_layer else "the last convolution"
    yield _line(f"target_layer = {toml_string(chosen)}", words, known=found.declared.target_layer is not None)
    yield f"# Candidates for it: {', '.join(safe_text(name) for name in _candidates(anatomy))}"
    yield "# Layers that give a map, in order of execution: channels, height x width, kind, name"
    listed = list(anatomy.shapes.items())
    for name, (channels, height, width) in listed[-_MOST_LAYERS:]:
        yield f"#   {channels:>5}  {f'{height}x{width}':>9}  {safe_text(found.kinds[name])}  {safe_text(name)}"
    if len(listed) > _MOST_LAYERS:
        yield f"#   (and {len(listed) - _MOST_LAYERS} before them)"


def _candidates(anatomy: Anatomy) -> Sequence[str]:
    """The last layers whose maps are as large as those of the last convolution: it, its ReLU, its block, its likes."""
    last = anatomy.layers[-1]
    alike = [name for name, shape in anatomy.shapes.items() if shape[1:] == (last.height, last.width)]
    return alike[-_MOST_CANDIDATES:]


def _listed(sides: Sequence[int]) -> str:
    """Sides in order, runs of them as `50 to 53`."""
    runs: list[list[int]] = []
    for side in sorted(sides):
        if runs and side == runs[-1][-1] + 1:
            runs[-1].append(side)
        else:
            runs.append([side])
    parts = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    return ", ".join(parts[:24]) + (" and more" if len(parts) > 24 else "")
