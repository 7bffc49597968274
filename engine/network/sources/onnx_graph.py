"""Rewrite a checked ONNX graph so that onnx2torch understands more of it, and its modules have their authors' names.

Nothing here may change an answer; `engine.network.sources.onnx_network` compares the outcome with onnxruntime anyway.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from math import prod
from typing import Any

from torch import nn

from engine.errors import BundleError
from engine.network.sources.onnx_file import OnnxFile
from engine.network.sources.onnx_shapes import BATCH, inferred, open_reshapes, shapes_of

_OPSET = 17
"""The newest operators that onnx2torch knows. Later ones mostly take more types of numbers; see `_as_before`."""

_AXES_AS_INPUT = {
    f"Reduce{kind}" for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
}
"""Reductions whose axes became an input in opset 18."""

_MOST_VALUES = 2**28
"""An intermediate result with more numbers, for one image, is refused before it takes all memory."""

_TAKEN = frozenset((*dir(nn.Module()), "initializers"))
"""What a module cannot be named: torch's own attributes, and where onnx2torch keeps weights."""

_LONGEST_NAME = 200


def with_open_batch(file: OnnxFile, size: tuple[int, int], channels: int) -> Any:
    """Return a copy of the graph that takes any number of images of one size, and gives the classes' output only.

    Args:
        file: the graph.
        size: (height, width) of the images.
        channels: how many they have.

    Raises:
        BundleError: some result would be too large.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    height, width = size
    shape: list[int | str] = [BATCH, height, width, channels]
    if file.input.layout == "nchw":
        shape = [BATCH, channels, height, width]
    given = next(value for value in graph.input if value.name not in weights)
    fresh = onnx.helper.make_tensor_value_info(given.name, given.type.tensor_type.elem_type, shape)
    chosen = next(value for value in graph.output if value.name == file.output)
    kept = onnx.helper.make_tensor_value_info(chosen.name, chosen.type.tensor_type.elem_type, None)
    del graph.input[:], graph.output[:], graph.value_info[:]
    graph.input.append(fresh)
    graph.output.append(kept)
    model.doc_string = graph.doc_string = ""
    del model.metadata_props[:]
    _constants_as_weights(graph)
    _drop_identities(graph)
    _name_nodes(graph)
    _drop_unused(graph)
    _check_sizes(inferred(model), file)
    open_reshapes(model)
    _drop_unused(graph)
    return model


def for_conversion(model: Any) -> Any:
    """Return a copy of a graph in the operators that onnx2torch knows, with linear layers as such."""
    import onnx

    older = onnx.ModelProto()
    older.CopyFrom(model)
    _dense_layers(older)
    opset = next(each for each in older.opset_import if each.domain in ("", "ai.onnx"))
    if opset.version > _OPSET:
        _as_before(older.graph)
        opset.version = _OPSET
    _drop_unused(older.graph)
    return older


def _check_sizes(model: Any, file: OnnxFile) -> None:
    for value in model.graph.value_info:
        tensor = value.type.tensor_type
        if prod(each.dim_value for each in tensor.shape.dim if each.dim_value > 0) > _MOST_VALUES:
            raise BundleError(
                f"its result {value.name} would have more than {_MOST_VALUES:,} numbers for one image",
                subject=file.path,
                remedy="use a smaller network, or a smaller [input] size in model.toml",
            )


def _constants_as_weights(graph: Any) -> None:
    """Turn nodes that give a constant into weights: what depends on constants only can then be read off the graph."""
    import numpy as np
    from onnx import numpy_helper

    kept = []
    for node in graph.node:
        found = node.attribute[0] if node.op_type == "Constant" and len(node.attribute) == 1 else None
        if found is None or found.name not in ("value", "value_float", "value_floats", "value_int", "value_ints"):
            kept.append(node)
            continue
        if found.name == "value":
            tensor = type(found.t)()
            tensor.CopyFrom(found.t)
        else:
            kind = np.float32 if "float" in found.name else np.int64
            value = {"value_float": found.f, "value_int": found.i}.get(
                found.name, list(found.floats if "float" in found.name else found.ints)
            )
            tensor = numpy_helper.from_array(np.array(value, dtype=kind))
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
    _replace(graph, kept)


def _replace(graph: Any, nodes: list[Any]) -> None:
    copies = []
    for node in nodes:
        copy = type(node)()
        copy.CopyFrom(node)
        copies.append(copy)
    del graph.node[:]
    graph.node.extend(copies)


def _branches(graph: Any) -> bool:
    """Whether nodes have graphs of their own, which use results without saying so."""
    return any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute)


def _drop_identities(graph: Any) -> None:
    """Use what nodes are given in place of what they pass on as it is; exporters share weights in this way."""
    if _branches(graph):
        return
    given = {tensor.name for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    source: dict[str, str] = {}
    kept = []
    for node in graph.node:
        for at, name in enumerate(node.input):
            node.input[at] = source.get(name, name)
        if node.op_type == "Identity" and node.output[0] not in outputs | given:
            source[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    if source:
        _replace(graph, kept)


def _drop_unused(graph: Any) -> None:
    """Remove nodes and weights that nothing depends on."""
    if _branches(graph):
        return
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed.update(node.input)
    if len(kept) < len(graph.node):
        _replace(graph, kept[::-1])
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    if len(weights) < len(graph.initializer):
        copies = []
        for tensor in weights:
            copy = type(tensor)()
            copy.CopyFrom(tensor)
            copies.append(copy)
        del graph.initializer[:]
        graph.initializer.extend(copies)


def _name_nodes(graph: Any) -> None:
    """Name nodes after the modules that they were exported from: `/layer1/layer1.0/conv/Conv` becomes `layer1/0/conv`.

    Only letters, digits and `_-/` are left: torch.fx writes modules' names into the code that it makes.
    """
    full = [_module_name(node) for node in graph.node]
    short = [name.removesuffix(f"/{node.op_type}") for name, node in zip(full, graph.node, strict=True)]
    times = Counter(short)
    names = [brief if times[brief] == 1 else name for brief, name in zip(short, full, strict=True)]
    # No module may lie inside another that is a node, as `conv/Relu` would in `conv`.
    inner = {"/".join(name.split("/")[:end]) for name in names for end in range(1, name.count("/") + 1)}
    taken: set[str] = set()
    for node, name in zip(graph.node, names, strict=True):
        unique, number = name, 0
        while unique in taken or unique in inner:
            number += 1
            unique = f"{name}_{node.op_type}" if number == 1 else f"{name}_{number}"
        taken.add(unique)
        node.name = unique


def _module_name(node: Any) -> str:
    parts: list[str] = []
    for part in (_scope(node) or node.name or node.op_type).split("/"):
        # Exporters repeat the parents: layer1/layer1.0/conv1.
        parts = [*parts[:-1], part] if parts and part.startswith(f"{parts[-1]}.") else [*parts, part]
    clean = re.sub(r"[^A-Za-z0-9_/\-]", "_", "/".join(parts).replace(".", "/"))
    clean = clean.removeprefix("StatefulPartitionedCall/")[:_LONGEST_NAME]
    return "/".join(f"{part}_" if part in _TAKEN else part for part in clean.split("/") if part) or "node"


def _scope(node: Any) -> str:
    """Return the module that torch's newer exporter notes beside a node, with the operator; empty if it notes none."""
    noted = next((entry.value for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"), "")
    try:
        scopes = ast.literal_eval(noted[: _LONGEST_NAME * 10]) if noted else ()
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ""
    if isinstance(scopes, list) and len(scopes) > 1 and isinstance(scopes[-2], str) and scopes[-2]:
        return f"{scopes[-2]}/{node.op_type}"
    return ""


def _dense_layers(model: Any) -> None:
    """Turn products with weights, and the addition of a bias after them, into linear layers."""
    graph = model.graph
    shapes = shapes_of(model)
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)
    biased: dict[str, Any] = {}
    kept = []
    for node in graph.node:
        if node.op_type == "MatMul" and len(weights.get(node.input[1], ())) == 2:
            if len(shapes.get(node.input[0], ())) == 2:
                node.op_type = "Gemm"
                if uses[node.output[0]] == 1:
                    biased[node.output[0]] = node
        elif node.op_type == "Add":
            product, bias = node.input
            product, bias = (product, bias) if product in biased else (bias, product)
            if product in biased and len(weights.get(bias, ())) == 1:
                dense = biased.pop(product)
                dense.input.append(bias)
                dense.output[0] = node.output[0]
                continue
        kept.append(node)
    _replace(graph, kept)


def _as_before(graph: Any) -> None:
    """Write operators that changed their form after opset 17 in the form that they had."""
    from onnx import helper, numpy_helper

    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in _AXES_AS_INPUT and len(node.input) == 2 and node.input[1] in weights:
            axes = [int(each) for each in numpy_helper.to_array(weights[node.input[1]]).ravel()]
            del node.input[1]
            node.attribute.append(helper.make_attribute("axes", axes))
        if node.op_type in _AXES_AS_INPUT or node.op_type == "Split":
            for at in reversed(range(len(node.attribute))):
                if node.attribute[at].name in ("noop_with_empty_axes", "num_outputs"):
                    del node.attribute[at]
