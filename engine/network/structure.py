"""What one pass reveals about a network: its layers and their sizes, its outputs, its final activation."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from engine.bundle.specs import OutputSpec
from engine.errors import ExplanationError
from engine.network.faults import check_weights_kept, judges_pairs_apart, kinds_of_weights, why_it_fails
from engine.network.layers.finding import layers_of_modules, layers_of_pass
from engine.network.layers.graph import PassRecorder
from engine.network.layers.info import LayerInfo
from engine.network.layers.listing import Layers
from engine.network.reading import choose_output, flat_output, tensors_in
from engine.results.caution import Caution

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_DENSE = (nn.Linear,)
_SIGMOIDS = (nn.Sigmoid,)
_SOFTMAXES = (nn.Softmax,)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A network's structure, as one pass reveals it.

    Attributes:
        outputs: number of output units.
        head: name of the `nn.Sigmoid` or `nn.Softmax` module whose output is the network's output, or None.
        head_kind: the kind of that module, `sigmoid` or `softmax`; `none` if there is none.
        maps: the layers that the CAMs can look at.
        readout: innermost modules that ran once, after the last convolution with a map, in order of execution.
        classifying: the linear layer or convolution that gives the scores, whose input are the penultimate
            activations; empty if none is found. It is the last to run of those with as many outputs as the network.
        selected: which of several outputs are the scores, see `engine.network.reading`; empty if there is just one.
        doubled: whether the network fails for one image by itself, so that it is passed together with a copy.
        watched: whether the network runs while its operations are watched, too.
        doubts: what had to be guessed about the output.
        notes: what is done for the network to be usable at all, in sentences.
    """

    outputs: int
    head: str | None
    head_kind: str
    maps: Layers
    readout: tuple[str, ...]
    classifying: str = ""
    selected: str = ""
    doubled: bool = False
    watched: bool = True
    doubts: tuple[Caution, ...] = ()
    notes: tuple[str, ...] = ()

    def check_layer(self, name: str) -> LayerInfo:
        """Return a layer that can be the CAMs' target layer.

        Raises:
            ExplanationError: there is no such layer, or its output is not a map.
        """
        if name not in self.maps.named:
            names = ", ".join(self._suggestions(name))
            raise ExplanationError(
                "is not a layer of this network that gives a map",
                subject=f"layer {name}",
                remedy=f"choose one such as {names}" if names else "use a method that looks at no layer",
            )
        return self.maps.named[name]

    def doubts_at(self, layer: LayerInfo) -> tuple[Caution, ...]:
        """Return what has to be said beside every map made at a layer."""
        if not layer.branch:
            return ()
        if layer.name == self.maps.default and self.maps.others:
            others = ", ".join(self.maps.others)
            said = (
                "The network decides at several layers, and this map is made at the one with the most channels. What "
            )
            return (Caution("branch", f"{said}reaches the score through {others} does not show."),)
        said = f"{layer.name} is a branch of the network: some of what decides reaches the score past it, and does not "
        return (Caution("branch", f"{said}show in this map."),)

    def layers_with(self, name: str) -> tuple[LayerInfo, ...]:
        """Return the layers to choose from, with the one of this name, where it has its place, if it gives a map."""
        layers = self.maps.listed
        if name not in self.maps.named or any(layer.is_named(name) for layer in layers):
            return layers
        order = list(self.maps.named)
        return tuple(sorted((*layers, self.maps.named[name]), key=lambda layer: order.index(layer.name)))

    def _suggestions(self, name: str) -> list[str]:
        """Return layers with a similar name, then the last one of each size, from the last to the first."""
        alike = difflib.get_close_matches(name, self.maps.named, n=3, cutoff=0.7)
        last = {(layer.height, layer.width): layer.name for layer in self.maps.listed}
        return list(dict.fromkeys((*alike, *reversed(last.values()))))[:6]


def examine(
    network: nn.Module,
    shape: tuple[int, int, int],
    subject: str,
    declared: OutputSpec | None = None,
    *,
    doubled: bool = False,
    watched: bool = True,
) -> Anatomy:
    """Pass noise of `shape` (C, H, W) through the network and record what every module and operation does.

    Args:
        network: in evaluation mode.
        shape: of the input.
        subject: the model's name, for errors.
        declared: how the bundle says its output is read.
        doubled: pass two images at once, because one by itself fails.
        watched: record the operations, too; where that fails, only the modules are recorded.

    Raises:
        BundleError: the network does not take such an input, or no output of it can be read as scores.
    """
    seen: dict[str, list[torch.Size]] = {}
    order: list[str] = []
    last: dict[str, torch.Tensor] = {}
    fed: set[str] = set()
    modules = dict(network.named_modules())
    handles = []
    batch = 2 if doubled else 1
    failed: BaseException | None = None
    images = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(14))
    recorder = PassRecorder(network, images)
    weights = kinds_of_weights(network)

    def note(name: str, module: nn.Module) -> None:
        def hook(_: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if isinstance(output, torch.Tensor):
                if inputs and isinstance(inputs[0], torch.Tensor):
                    fed.add(name)
                seen.setdefault(name, []).append(output.shape)
                order.append(name)
                if isinstance(module, _SIGMOIDS + _SOFTMAXES):
                    last[name] = output

        handles.append(module.register_forward_hook(hook))

    try:
        for name, module in modules.items():
            if name:
                note(name, module)
        with torch.no_grad(), recorder if watched else nullcontext():
            output = network(images)
    except KeyboardInterrupt:
        raise
    # A network may fail in any way on a wrong input size, or even call sys.exit(); the error's own text is the reason.
    except BaseException as error:
        failed = error
    finally:
        for handle in handles:
            handle.remove()
    if failed is not None:
        if watched and _works(network, images):
            return examine(network, shape, subject, declared, doubled=doubled, watched=False)
        if not doubled and judges_pairs_apart(network, shape):
            return examine(network, shape, subject, declared, doubled=True)
        raise why_it_fails(network, shape, subject, error=failed) from failed
    check_weights_kept(network, weights, subject)

    def again() -> object:
        noise = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            return network(noise)

    def scores(given: object) -> torch.Tensor | None:
        return tensors_in(given).get(selected)

    selected, doubts = choose_output(output, declared or OutputSpec(), batch, subject, again)
    outputs = flat_output(output, batch, subject, selected).shape[1]
    output = tensors_in(output)[selected]
    # A network may still reshape what its last module gave.
    head = next((name for name, value in last.items() if value is output or _same(value, output)), None)
    kind = "none" if head is None else ("sigmoid" if isinstance(modules[head], _SIGMOIDS) else "softmax")
    once = {name: sizes[0] for name, sizes in seen.items() if len(sizes) == 1}
    convolutions = [
        name
        for name in order
        if isinstance(modules[name], _CONVOLUTIONS)
        and name in once
        and len(once[name]) == 4
        and once[name][2:].numel() > 1
    ]
    if watched:
        maps = layers_of_pass(network, recorder, recorder.node_of(output), images, head, scores)
    else:
        maps = layers_of_modules(network, {name: once[name] for name in convolutions}, images.shape, scores)
    outer = [
        name
        for name in order
        if isinstance(modules[name], _DENSE + _CONVOLUTIONS)
        and name in fed
        and len(seen[name]) == 1
        and outputs == seen[name][0][-1 if isinstance(modules[name], _DENSE) else 1]
    ]
    after = order[order.index(convolutions[-1]) + 1 :] if convolutions else []
    return Anatomy(
        outputs=outputs,
        head=head,
        head_kind=kind,
        maps=maps,
        readout=tuple(name for name in after if len(seen[name]) == 1 and not any(modules[name].children())),
        classifying=outer[-1] if outer else "",
        selected=selected,
        doubled=doubled,
        watched=watched,
        doubts=doubts,
        notes=_notes(output, doubled=doubled),
    )


def _works(network: nn.Module, images: torch.Tensor) -> bool:
    try:
        with torch.inference_mode():
            network(images.clone())
    except KeyboardInterrupt:
        raise
    except BaseException:  # the network's code raises anything
        return False
    return True


def _notes(output: torch.Tensor, *, doubled: bool) -> tuple[str, ...]:
    if doubled:
        return (
            "The network fails for a single image, as if it squeezed the batch dimension away: an image by itself is "
            "passed together with a copy, which changes no answer.",
        )
    if output.ndim < 2 and output.shape != (1,):
        return (
            "The network drops the batch dimension of a single image (squeeze() without a dimension); XAIMed gives it "
            "back.",
        )
    return ()


@contextmanager
def input_of(network: nn.Module, module: str | None) -> Iterator[list[torch.Tensor]]:
    """Append the input of one of the network's modules to the list at every pass, while the context is open.

    Args:
        network: the network.
        module: its name in `named_modules()`; with None or an empty name nothing is appended.
    """
    taken: list[torch.Tensor] = []
    if not module:
        yield taken
        return

    def hook(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs:  # not where it is called by keyword
            taken.append(inputs[0])

    handle = network.get_submodule(module).register_forward_pre_hook(hook)
    try:
        yield taken
    finally:
        handle.remove()


def _same(value: torch.Tensor, output: object) -> bool:
    return (
        isinstance(output, torch.Tensor)
        and value.numel() == output.numel()
        and torch.equal(value.ravel(), output.ravel())
    )
