"""What each operation does to the axes of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from engine.network.layers.axes import Axes, Axis, Call, Factor, axis, chosen, reshaped, unknown
from engine.network.layers.scopes import all_tensors

_Rule = Callable[[Call, Sequence[int], int], Axes]
"""Takes a call, the shape of one of its results, and the number of that result; returns the result's axes."""


def axes_after(call: Call, shape: Sequence[int], part: int = 0) -> Axes:
    """Return the axes of a tensor that an operation gave.

    Args:
        call: the operation; one of its inputs depends on the image.
        shape: of the tensor.
        part: its number among several tensors.
    """
    operation = call.operation
    if "2d" in operation and ("conv" in operation or "pool" in operation):
        rule: _Rule = _on_grid
    else:
        rule = _RULES.get(operation, _broadcast)
    try:
        axes = rule(call, shape, part)
    except Exception:  # a call that its rule does not foresee: not to know its axes costs a layer, not the model
        return unknown(shape)
    if len(axes) != len(shape):
        return unknown(shape)
    return tuple(each if each.size == size else axis("?", size) for each, size in zip(axes, shape, strict=True))


def _on_grid(call: Call, shape: Sequence[int], _: int) -> Axes:
    """For what takes (B, C, H, W) by definition; windows, which are more than the images, are no picture."""
    old = _axes_of_source(call)
    if len(shape) != 4 or not (shape[0] == 1 or (old and old[0].is_only("b"))):
        return unknown(shape)
    made = [axis("b", shape[0]), axis("c", shape[1]), axis("h", shape[2]), axis("w", shape[3])]
    if len(old) == 4:
        for at, what in ((2, "h"), (3, "w")):
            # Tokens may be dressed as a picture one pixel wide.
            if old[at].factors and not old[at].is_only(what) and not old[at].is_only("?"):
                made[at] = old[at]
    return tuple(made)


def _broadcast(call: Call, shape: Sequence[int], _: int) -> Axes:
    """For operations element by element, and for all that are not known otherwise."""
    inputs = all_tensors((call.arguments, call.keywords))
    return _common([axes for each in inputs if (axes := call.axes_of(each)) is not None], shape)


def _common(sources: Sequence[Axes], shape: Sequence[int]) -> Axes:
    found = []
    for back in range(-len(shape), 0):
        size = shape[back]
        at = [axes[back] for axes in sources if len(axes) >= -back and axes[back].size == size]
        known = {each for each in at if not any(factor.what == "?" for factor in each.factors)}
        # What mixes places, as in an MLP-Mixer, is a channel when it is added to the places again.
        placed = {each for each in known if any(factor.what in "hw" for factor in each.factors)}
        one = placed or known
        found.append(one.pop() if len(one) == 1 else axis("?", size))
    return tuple(found)


def _linear(call: Call, shape: Sequence[int], _: int) -> Axes:
    return (*_axes_of_source(call)[:-1], axis("c", shape[-1]))


def _product(call: Call, shape: Sequence[int], _: int) -> Axes:
    """For matrix products: rows of the first, columns of the second."""
    first, second = (call.axes_of(call.argument(at, name)) for at, name in ((0, "input"), (1, "other")))
    if len(shape) < 2:
        return unknown(shape)
    rows = axis("c", shape[-2]) if first is None or len(first) < 2 else first[-2]
    columns = axis("c", shape[-1]) if second is None or len(second) < 2 else second[-1]
    batch = _common([axes[:-2] for axes in (first, second) if axes is not None], shape[:-2])
    return (*batch, rows, columns)


def _attention(call: Call, shape: Sequence[int], _: int) -> Axes:
    query = call.axes_of(call.argument(0, "query"))
    return unknown(shape) if query is None else (*query[:-1], axis("c", shape[-1]))


def _reduced(call: Call, shape: Sequence[int], part: int) -> Axes:
    """For sums, means and the like over some axes."""
    old = _axes_of_source(call)
    given = [value for value in (*call.arguments[1:], *call.keywords.values()) if isinstance(value, torch.Tensor)]
    if given:  # the larger of two tensors, element by element
        return _broadcast(call, shape, part)
    at = 2 if call.operation in ("norm", "vector_norm") else 1
    dims = call.keywords.get("dim", call.keywords.get("axis", call.arguments[at] if len(call.arguments) > at else None))
    if isinstance(dims, bool) or dims is None:
        return tuple(Axis() for _ in shape)
    gone = {int(dim) % len(old) for dim in (dims if isinstance(dims, Sequence) else (dims,))} or set(range(len(old)))
    if len(shape) == len(old):
        return tuple(Axis() if at in gone else each for at, each in enumerate(old))
    return tuple(each for at, each in enumerate(old) if at not in gone)


def _permuted(call: Call, shape: Sequence[int], _: int) -> Axes:
    """For permutations of the axes, told from a tensor whose axes all have different sizes."""
    if (source := call.source) is None:
        return unknown(shape)
    tensor, old = source
    probe = torch.empty(tuple(range(2, 2 + tensor.ndim)), device="meta")
    made = _again(call, tensor, probe)
    return tuple(old[size - 2] for size in made[0].shape)


def _reshaped(call: Call, shape: Sequence[int], _: int) -> Axes:
    return reshaped(_axes_of_source(call), shape)


def _indexed(call: Call, shape: Sequence[int], part: int) -> Axes:
    """For what takes some entries of some axes, told from tensors that hold the numbers of the entries."""
    if (source := call.source) is None:
        return unknown(shape)
    tensor, old = source
    found: dict[int, Axis] = {}
    for at, each in enumerate(old):
        if each.size == 1:
            continue
        numbers = torch.arange(each.size).reshape([-1 if other == at else 1 for other in range(len(old))])
        made = _again(call, tensor, numbers.expand(tensor.shape))[part]
        for new in range(made.ndim):
            line = made[tuple(slice(None) if other == new else 0 for other in range(made.ndim))].tolist()
            if len(set(line)) > 1:
                found[new] = axis("?", len(line)) if new in found else chosen(each, line)
    return tuple(found.get(at, axis("?", size)) for at, size in enumerate(shape))


def _joined(call: Call, shape: Sequence[int], _: int) -> Axes:
    """For concatenation: more channels, or tokens before and after the places."""
    parts = call.argument(0, "tensors")
    at = call.keywords.get("axis", call.argument(1, "dim", 0)) % len(shape)
    axes = [call.axes_of(part) for part in parts]
    others = _common([(*each[:at], Axis(), *each[at + 1 :]) for each in axes if each is not None], shape)
    along = [axis("?", part.shape[at]) if each is None else each[at] for part, each in zip(parts, axes, strict=True)]
    placed = [number for number, each in enumerate(along) if any(factor.what in "hw" for factor in each.factors)]
    if len(placed) == 1:
        one = along[placed[0]]
        before = sum(each.size for each in along[: placed[0]]) + one.before
        joined = Axis(one.factors, before, shape[at] - before - (one.size - one.extra))
    else:
        same = not placed and all(each is None or each[at].is_only("c") or each[at].size == 1 for each in axes)
        joined = axis("c" if same else "?", shape[at])
    return (*others[:at], joined, *others[at + 1 :])


def _stacked(call: Call, shape: Sequence[int], _: int) -> Axes:
    parts = call.argument(0, "tensors")
    at = call.argument(1, "dim", 0) % len(shape)
    axes = [found for part in parts if (found := call.axes_of(part)) is not None]
    others = _common(axes, [*shape[:at], *shape[at + 1 :]])
    return (*others[:at], axis("c", shape[at]), *others[at:])


def _unfolded(call: Call, shape: Sequence[int], _: int) -> Axes:
    """For patches: of a picture (`F.unfold`), or along one axis (`Tensor.unfold`)."""
    old = _axes_of_source(call)
    if len(old) == 4 and len(shape) == 3:
        kernel, dilation, padding, stride = (
            _pair(call.argument(at, name, default))
            for at, name, default in ((1, "kernel_size", 1), (2, "dilation", 1), (3, "padding", 0), (4, "stride", 1))
        )
        rows, columns = (
            (old[2 + at].size + 2 * padding[at] - dilation[at] * (kernel[at] - 1) - 1) // stride[at] + 1
            for at in (0, 1)
        )
        return reshaped((Axis(), axis("c", shape[1]), axis("h", rows), axis("w", columns)), shape)
    at = call.argument(1, "dimension") % len(old)
    size, step = call.argument(2, "size"), call.argument(3, "step")
    if len(old[at].factors) != 1 or old[at].extra:
        return unknown(shape)
    (factor,) = old[at].factors
    inner = Axis((Factor(factor.what, factor.step, size),)) if size == step else axis("c", size)
    return (*old[:at], Axis((Factor(factor.what, factor.step * step, shape[at]),)), *old[at + 1 :], inner)


def _padded(call: Call, shape: Sequence[int], _: int) -> Axes:
    old = _axes_of_source(call)
    if len(old) != len(shape):
        return unknown(shape)
    whole = [len(each.factors) == 1 and not each.extra and each.factors[0].step == 1 for each in old]
    return tuple(
        axis(each.factors[0].what, size) if whole[at] else each
        for at, (each, size) in enumerate(zip(old, shape, strict=True))
    )


def _einsum(call: Call, shape: Sequence[int], _: int) -> Axes:
    equation, operands = call.arguments[0], list(all_tensors(call.arguments[1:]))
    if not isinstance(equation, str) or "." in equation or "->" not in equation:
        return unknown(shape)
    given, made = equation.replace(" ", "").split("->")
    known: dict[str, Axis] = {}
    for letters, operand in zip(given.split(","), operands, strict=True):
        for letter, each in zip(letters, call.axes_of(operand) or (), strict=False):
            known.setdefault(letter, each)
    return tuple(known.get(letter, axis("c", size)) for letter, size in zip(made, shape, strict=True))


def _axes_of_source(call: Call) -> Axes:
    return () if call.source is None else call.source[1]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _again(call: Call, tensor: torch.Tensor, other: torch.Tensor) -> list[torch.Tensor]:
    """Call an operation again with another tensor in the place of one, and return the tensors that it gives."""
    arguments = [other if value is tensor else value for value in call.arguments]
    keywords = {name: other if value is tensor else value for name, value in call.keywords.items()}
    return list(all_tensors(call.function(*arguments, **keywords)))


def _table(*rules: tuple[_Rule, str]) -> dict[str, _Rule]:
    return {name: rule for rule, names in rules for name in names.split()}


_RULES = _table(
    (_on_grid, "convolution interpolate upsample pixel_shuffle pixel_unshuffle upsample_bilinear2d upsample_nearest2d"),
    (_linear, "linear"),
    (_product, "matmul"),
    (_attention, "scaled_dot_product_attention multi_head_attention_forward"),
    (
        _reduced,
        "mean sum amax amin max min var std prod norm vector_norm logsumexp median nanmean argmax argmin any all",
    ),
    (_permuted, "permute transpose t T mT H mH swapaxes swapdims movedim moveaxis adjoint"),
    (_reshaped, "reshape view flatten unflatten squeeze unsqueeze view_as reshape_as ravel unsafe_view contiguous"),
    (_indexed, "getitem select narrow slice split split_with_sizes chunk tensor_split unbind flip roll index_select"),
    (_joined, "cat"),
    (_stacked, "stack"),
    (_unfolded, "unfold"),
    (_padded, "pad constant_pad_nd"),
    (_einsum, "einsum"),
)
