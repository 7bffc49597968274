"""Find a network's layers: from the graph of a pass where it can be recorded, else from its convolutions alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import nn

from engine.network.device import is_out_of_memory
from engine.network.layers.choice import Flow
from engine.network.layers.experiments import Experiments
from engine.network.layers.graph import PassRecorder
from engine.network.layers.info import LayerInfo
from engine.network.layers.listing import Layers, list_layers

Scores = Callable[[object], torch.Tensor | None]
"""Returns the scores in what a network gives."""


def layers_of_pass(
    network: nn.Module,
    recorder: PassRecorder,
    scored: int | None,
    images: torch.Tensor,
    head: str | None,
    scores: Scores,
) -> Layers:
    """Return the layers of a recorded pass.

    Args:
        network: in evaluation mode.
        recorder: what recorded the pass.
        scored: the node of the network's scores in it.
        images: what was passed.
        head: the final activation, whose input are the scores; None if it is no module.
        scores: finds the scores in the network's output.
    """
    if recorder.graph.strangers:
        recorder, scored = _with_operators(network, recorder, scored, images.clone(), scores)
    if head is not None:
        scored = recorder.graph.inputs.get(head, scored)
    if scored is None:
        return Layers()
    flow = Flow(recorder.graph, scored)
    layers = list_layers(flow, _kinds(network))
    experiments = Experiments(network, tuple(images.shape), scores)
    if recorder.graph.leaks:
        return experiments.confirmed(layers)
    return _with_places_that_speak(layers, flow, experiments)


def _with_operators(
    network: nn.Module, recorder: PassRecorder, scored: int | None, images: torch.Tensor, scores: Scores
) -> tuple[PassRecorder, int | None]:
    """Record the pass again, in compiled code as well; return what there was if that fails."""
    deeper = PassRecorder(network, images, operators=True)
    try:
        with torch.no_grad(), deeper:
            output = scores(network(images))
    except Exception as error:  # code may refuse to run while its operators are watched, in any way
        if is_out_of_memory(error):
            raise
        return recorder, scored
    return deeper, None if output is None else deeper.node_of(output)


def layers_of_modules(
    network: nn.Module, sizes: Mapping[str, torch.Size], images: torch.Size, scores: Scores
) -> Layers:
    """Return the convolutions of a network whose pass cannot be recorded; the default is found by experiment.

    Args:
        network: in evaluation mode.
        sizes: (B, C, H, W) of what each convolution gave, in order of execution.
        images: (B, C, H, W) of its input.
        scores: finds the scores in the network's output.
    """
    kinds = _kinds(network)
    found = tuple(LayerInfo(name, size[1], size[2], size[3], kinds[name], branch=True) for name, size in sizes.items())
    layers = Layers(found, {layer.name: layer for layer in found}, found[-1].name if found else "")
    return Experiments(network, tuple(images), scores).confirmed(layers)


def _with_places_that_speak(layers: Layers, flow: Flow, experiments: Experiments) -> Layers:
    """Return the layers with a default whose places decide.

    A class token that has read the places carries everything on. Where no attention was recognised after the layer, it
    is not known whether the places are read once more.
    """
    if flow.attentions:
        return layers
    reached = False
    for layer in reversed(layers.listed):
        reached = reached or layer.is_named(layers.default)
        if reached and not layer.branch:
            if not (layer.axes and layer.axes.before):
                return layers
            if experiments.speaks(layer):
                return layers if layer.is_named(layers.default) else replace(layers, default=layer.name)
    return layers


def _kinds(network: nn.Module) -> dict[str, str]:
    return {name: type(module).__name__ for name, module in network.named_modules()}
