"""Follow the shapes in an ONNX graph, also through nodes that compute with them, to give reshapes a constant shape."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

BATCH = "xaimed_batch"
"""Name of the open length of the batch's axis."""

Length = int | str | None
"""Of an axis: a number, the name of an open length, or unknown."""

_ROUNDS = 100
_LONGEST = 16
"""Shapes have few numbers: longer vectors are not followed."""


def shapes_of(model: Any) -> Mapping[str, tuple[Length, ...]]:
    """Return the shapes of a graph's results by name."""
    graph = inferred(model).graph
    return {
        value.name: tuple(
            each.dim_value if each.HasField("dim_value") else (each.dim_param or None)
            for each in value.type.tensor_type.shape.dim
        )
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }


def inferred(model: Any) -> Any:
    """Return a model with the shapes that onnx finds, if it finds any, but without the numbers of its weights."""
    from onnx import shape_inference

    skeleton = _without_weights(model)
    try:
        return shape_inference.infer_shapes(skeleton, data_prop=True)
    except Exception:  # it is a help, and onnx raises several kinds of errors for graphs that it cannot follow
        return skeleton


def _without_weights(model: Any) -> Any:
    """Return a copy whose larger weights are inputs of the same shape: onnx copies all that it is given, twice."""
    from onnx import ModelProto, helper

    skeleton = ModelProto(ir_version=model.ir_version)
    skeleton.opset_import.extend(model.opset_import)
    graph, copy = model.graph, skeleton.graph
    copy.name = graph.name or "graph"
    copy.node.extend(graph.node)
    copy.input.extend(graph.input)
    copy.output.extend(graph.output)
    given = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if prod(tensor.dims) <= _LONGEST:
            copy.initializer.append(tensor)
        elif tensor.name not in given:
            copy.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return skeleton


def open_reshapes(model: Any) -> None:
    """Give reshapes a constant shape that keeps the batch's axis, where the shapes show that this is what they do.

    A graph that was exported for one image, or that computes with shapes, then takes several, and can be traced.
    """
    for _ in range(_ROUNDS):
        shapes = shapes_of(model)
        numbers = _numbers(model.graph, shapes)
        given = {tensor.name for tensor in model.graph.initializer}
        opened = [node for node in model.graph.node if _opened(model.graph, node, shapes, numbers, given)]
        if not opened:  # else what comes after them may have a shape now
            return


def _opened(
    graph: Any,
    node: Any,
    shapes: Mapping[str, tuple[Length, ...]],
    numbers: Mapping[str, tuple[Length, ...]],
    weights: set[str],
) -> bool:
    """Give one reshape a constant shape, and say whether that was possible and not done before."""
    import numpy as np
    from onnx import numpy_helper

    if node.op_type != "Reshape" or len(node.input) != 2:
        return False
    before, wanted = shapes.get(node.input[0], ()), numbers.get(node.input[1], ())
    if not before or before[0] != BATCH or not wanted:
        return False
    constant = node.input[1] in weights
    # A constant that begins with 1 is fixed to one image; any other constant is right as it is.
    if wanted[0] != (1 if constant else BATCH):
        return False
    rest = [each if isinstance(each, int) else -1 for each in wanted[1:]]
    if rest.count(-1) > 1 or 0 in rest:
        return False
    del node.attribute[:]  # `allowzero`, without which 0 stands for the length that there is
    if len(rest) == 1:
        node.op_type = "Flatten"
        del node.input[1]
        return True
    name = f"{node.name}_shape"
    graph.initializer.append(numpy_helper.from_array(np.array([0, *rest], dtype=np.int64), name))
    node.input[1] = name
    return True


def _numbers(graph: Any, shapes: Mapping[str, tuple[Length, ...]]) -> dict[str, tuple[Length, ...]]:
    """Return what is known of the short vectors of whole numbers in a graph, by name."""
    from onnx import numpy_helper

    known: dict[str, tuple[Length, ...]] = {}
    for tensor in graph.initializer:
        if tensor.data_type in (tensor.INT64, tensor.INT32) and len(tensor.dims) <= 1 and sum(tensor.dims) <= _LONGEST:
            known[tensor.name] = tuple(int(each) for each in numpy_helper.to_array(tensor).ravel())
    for node in graph.node:
        found = _result(node, known, shapes)
        if found is not None and len(found) <= _LONGEST:
            known[node.output[0]] = found
    return known


def _result(
    node: Any, known: Mapping[str, tuple[Length, ...]], shapes: Mapping[str, tuple[Length, ...]]
) -> tuple[Length, ...] | None:
    """Return what a node makes of vectors that are known; None if it makes something else of them."""
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    if node.op_type == "Shape":
        given = shapes.get(node.input[0])
        return given[slice(attributes.get("start", 0), attributes.get("end"))] if given else None
    inputs = [known.get(name) for name in node.input if name]
    first = inputs[0] if inputs else None
    if first is None:
        return None
    if node.op_type in ("Cast", "Identity", "Unsqueeze", "Squeeze"):
        return first
    if any(each is None for each in inputs):
        return None
    others = [each for each in inputs[1:] if each is not None]
    if node.op_type == "Concat":
        return tuple(number for each in (first, *others) for number in each)
    numbers = [[each for each in other if isinstance(each, int)] for other in others]
    if node.op_type == "Gather" and numbers and all(-len(first) <= at < len(first) for at in numbers[0]):
        return tuple(first[at] for at in numbers[0])
    if node.op_type == "Slice" and len(numbers) >= 2 and all(len(each) == 1 for each in numbers):
        step = numbers[3][0] if len(numbers) > 3 else 1
        return first[slice(numbers[0][0], numbers[1][0], step)] if step > 0 else None
    return None
