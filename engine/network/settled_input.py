"""Settle what a bundle does not declare about its input by what its network's weights ask for."""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

from torch import nn

from engine.bundle.declared import channels_sentence, size_sentence
from engine.bundle.model_bundle import InputSpec, ModelBundle
from engine.network.expected_input import SideSearch, channels_asked
from engine.network.faults import another_fault
from engine.network.sources.onnx_file import OnnxInput
from engine.network.torch_state import StateWatch


def with_input_found(bundle: ModelBundle, network: nn.Module, watch: StateWatch) -> ModelBundle:
    """Return a bundle whose channels and size, where it does not declare them, are those that the weights ask for.

    What the weights do not tell stays as it is assumed.

    Args:
        bundle: the model folder.
        network: its network, on the CPU, in evaluation mode.
        watch: over the network's code.
    """
    if (told := input_told(network)) is not None:
        return _as_told(bundle, told)
    undeclared = bundle.undeclared & {"input.size", "input.channels"}
    if not undeclared:
        return bundle
    with watch.trying():
        found, said = _found(bundle.input, undeclared, network.eval(), watch)
    return replace(bundle, input=found, assumed=tuple(said.get(sentence, sentence) for sentence in bundle.assumed))


_TOLD: WeakKeyDictionary[nn.Module, OnnxInput] = WeakKeyDictionary()


def remember_input(network: nn.Module, told: OnnxInput) -> None:
    """Remember how the file that a network was read from says that it is fed; `input_told` returns it."""
    _TOLD[network] = told


def input_told(network: nn.Module) -> OnnxInput | None:
    """Return how the file that a network was read from says that it is fed; None if it does not say."""
    return _TOLD.get(network)


def _as_told(bundle: ModelBundle, told: OnnxInput) -> ModelBundle:
    """Return a bundle whose size, channels and layout, where it does not declare them, are those of the file."""
    spec, name = bundle.input, bundle.weights.name
    said: dict[str, str] = {}
    if told.channels is not None and "input.channels" in bundle.undeclared:
        count, kind = told.channels, "grey" if told.channels == 1 else "RGB"
        said[channels_sentence(spec.channels)] = (
            f"The number of channels is not declared: {count} ({kind}), as in {name}."
        )
        if count != spec.channels:
            spec = replace(spec, channels=count, mean=(0.0,) * count, std=(1.0,) * count)
    if told.size is not None and "input.size" in bundle.undeclared:
        height, width = told.size
        said[size_sentence(spec.size)] = (
            f"The input size is not declared: {height} x {width} pixels (height x width), as in {name}."
        )
        spec = replace(spec, size=told.size)
    if told.dtype == "uint8" and "input.value_range" in bundle.undeclared:
        spec = replace(spec, value_range=(0.0, 255.0))
    spec = replace(spec, layout=told.layout)
    return replace(bundle, input=spec, assumed=tuple(said.get(sentence, sentence) for sentence in bundle.assumed))


def _found(
    spec: InputSpec, undeclared: frozenset[str], network: nn.Module, watch: StateWatch
) -> tuple[InputSpec, dict[str, str]]:
    """Return the input that was found, and what is then said in place of the sentences about assumptions."""
    said: dict[str, str] = {}
    height, width = spec.size
    search = SideSearch(network, spec.channels, watch)
    if "input.channels" in undeclared:
        asked = channels_asked(search.at(height), spec.channels)
        if asked is not None and asked[0] in (1, 3):
            count, layer = asked
            kind = "grey" if count == 1 else "RGB"
            said[channels_sentence(spec.channels)] = (
                f"The number of channels is not declared: {count} ({kind}), as {layer} takes them."
            )
            if count != spec.channels:
                spec = replace(spec, channels=count, mean=(0.0,) * count, std=(1.0,) * count)
                search = SideSearch(network, count, watch)
    if "input.size" in undeclared and not search.takes(height):
        shape = (spec.channels, height, width)
        sides = None if another_fault(network, shape, "") is not None else search.run(height)
        if sides is not None and sides.accepted:
            side = sides.accepted[0]
            spec = replace(spec, size=(side, side))
            why = f"which gives {sides.layer} as many numbers as it takes" if sides.layer else "which the network takes"
            said[size_sentence((height, width))] = (
                f"The input size is not declared: {side} x {side} pixels (height x width), {why}."
            )
    return spec, said
