"""What one pass reveals about a network: its layers and their sizes, its outputs, its final activation."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from engine.bundle.specs import OutputSpec
from engine.errors import ExplanationError
from engine.network.faults import judges_pairs_apart, why_it_fails
from engine.network.layers.info import LayerInfo
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
        convolutions: those whose output is a map larger than one pixel, in order of execution.
        layers: all layers whose output is such a map, in order of execution: convolutions, norms, activations, pools
            and blocks, without those that pass on what they are given.
        shapes: output shape (C, H, W) of every module whose last run gave a map larger than one pixel.
        readout: innermost modules that ran once, after the last of `convolutions`, in order of execution.
        classifying: the linear layer or convolution that gives the scores, whose input are the penultimate
            activations; empty if none is found. It is the last to run of those with as many outputs as the network.
        selected: which of several outputs are the scores, see `engine.network.reading`; empty if there is just one.
        doubled: whether the network fails for one image by itself, so that it is passed together with a copy.
        doubts: what had to be guessed about the output.
        notes: what is done for the network to be usable at all, in sentences.
    """

    outputs: int
    head: str | None
    head_kind: str
    convolutions: tuple[LayerInfo, ...]
    layers: tuple[LayerInfo, ...]
    shapes: dict[str, tuple[int, int, int]]
    readout: tuple[str, ...]
    classifying: str = ""
    selected: str = ""
    doubled: bool = False
    doubts: tuple[Caution, ...] = ()
    notes: tuple[str, ...] = ()

    def check_layer(self, name: str) -> LayerInfo:
        """Return a layer that can be the CAMs' target layer.

        Raises:
            ExplanationError: there is no such layer, or its output is not a map.
        """
        if name not in self.shapes:
            names = ", ".join(self._suggestions(name))
            raise ExplanationError(
                "is not a layer of this network that gives a map",
                subject=f"layer {name}",
                remedy=f"choose one such as {names}" if names else "use a method that looks at no layer",
            )
        return LayerInfo(name, *self.shapes[name])

    def layers_with(self, name: str) -> tuple[LayerInfo, ...]:
        """Return `layers`, with a layer that is not among them though it gives a map, where it has its place."""
        if name not in self.shapes or any(layer.is_named(name) for layer in self.layers):
            return self.layers
        order = list(self.shapes)
        more = (*self.layers, LayerInfo(name, *self.shapes[name]))
        return tuple(sorted(more, key=lambda layer: order.index(layer.name)))

    def _suggestions(self, name: str) -> list[str]:
        """Return layers with a similar name, then the last one of each size, from the last to the first."""
        alike = difflib.get_close_matches(name, self.shapes, n=3, cutoff=0.7)
        last = {(layer.height, layer.width): layer.name for layer in self.layers}
        return list(dict.fromkeys((*alike, *reversed(last.values()))))[:6]


def examine(
    network: nn.Module,
    shape: tuple[int, int, int],
    subject: str,
    declared: OutputSpec | None = None,
    *,
    doubled: bool = False,
) -> Anatomy:
    """Pass zeros of `shape` (C, H, W) through the network and record what every module does.

    Args:
        network: in evaluation mode.
        shape: of the input.
        subject: the model's name, for errors.
        declared: how the bundle says its output is read.
        doubled: pass two images at once, because one by itself fails.

    Raises:
        BundleError: the network does not take such an input, or no output of it can be read as scores.
    """
    seen: dict[str, list[torch.Size]] = {}
    order: list[str] = []
    latest: tuple[str, torch.Tensor] | None = None
    same: dict[str, str] = {}
    passed_on: set[str] = set()
    last: dict[str, torch.Tensor] = {}
    fed: set[str] = set()
    modules = dict(network.named_modules())
    handles = []
    batch = 2 if doubled else 1
    failed: BaseException | None = None

    def note(name: str, module: nn.Module) -> None:
        def hook(_: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            nonlocal latest
            if isinstance(output, torch.Tensor):
                if inputs and isinstance(inputs[0], torch.Tensor):
                    fed.add(name)
                seen.setdefault(name, []).append(output.shape)
                order.append(name)
                if latest is not None and latest[1] is output and latest[0].startswith(f"{name}."):
                    same[name] = latest[0]
                latest = name, output
                # As dropout does. What an activation changes in place is another map than before.
                if any(output is each for each in inputs) and not getattr(module, "inplace", False):
                    passed_on.add(name)
                if isinstance(module, _SIGMOIDS + _SOFTMAXES):
                    last[name] = output

        handles.append(module.register_forward_hook(hook))

    try:
        for name, module in modules.items():
            if name:
                note(name, module)
        with torch.inference_mode():
            output = network(torch.zeros(batch, *shape))
    except KeyboardInterrupt:
        raise
    # A network may fail in any way on a wrong input size, or even call sys.exit(); the error's own text is the reason.
    except BaseException as error:
        failed = error
    finally:
        for handle in handles:
            handle.remove()
    if failed is not None:
        if not doubled and judges_pairs_apart(network, shape):
            return examine(network, shape, subject, declared, doubled=True)
        raise why_it_fails(network, shape, subject, error=failed) from failed

    def again() -> object:
        noise = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            return network(noise)

    selected, doubts = choose_output(output, declared or OutputSpec(), batch, subject, again)
    outputs = flat_output(output, batch, subject, selected).shape[1]
    output = tensors_in(output)[selected]
    # A network may still reshape what its last module gave.
    head = next((name for name, value in last.items() if value is output or _same(value, output)), None)
    kind = "none" if head is None else ("sigmoid" if isinstance(modules[head], _SIGMOIDS) else "softmax")
    shapes = {
        name: (sizes[-1][1], sizes[-1][2], sizes[-1][3])
        for name, sizes in seen.items()
        if len(sizes[-1]) == 4 and sizes[-1][2] * sizes[-1][3] > 1
    }
    infos = {name: LayerInfo(name, *shape, kind=type(modules[name]).__name__) for name, shape in shapes.items()}
    once = {name for name, sizes in seen.items() if len(sizes) == 1}
    convolutions = [
        name for name in order if isinstance(modules[name], _CONVOLUTIONS) and name in shapes and name in once
    ]
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
        convolutions=tuple(infos[name] for name in convolutions),
        layers=_distinct(
            [infos[name] for name in order if name in infos and name in once and name not in passed_on], same
        ),
        shapes=shapes,
        readout=tuple(name for name in after if len(seen[name]) == 1 and not any(modules[name].children())),
        classifying=outer[-1] if outer else "",
        selected=selected,
        doubled=doubled,
        doubts=doubts,
        notes=_notes(output, doubled=doubled),
    )


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


def _distinct(layers: Sequence[LayerInfo], same: Mapping[str, str]) -> tuple[LayerInfo, ...]:
    """Return layers without the containers that give the output of a layer inside them: these are named at that layer.

    Args:
        layers: in order of execution, so a container comes right behind its last layer.
        same: the layer inside whose output a container gives, by the container's name.
    """
    kept: list[LayerInfo] = []
    for layer in layers:
        if kept and layer.name in same and kept[-1].is_named(same[layer.name]):
            kept[-1] = replace(kept[-1], also=(*kept[-1].also, layer.name))
        else:
            kept.append(layer)
    return tuple(kept)


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
