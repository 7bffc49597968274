"""Read an ONNX file as what it is, foreign data: bounded, complete, with no operator that only its maker knows.

Nothing is run here. The result is a graph that `engine.network.sources.onnx_network` converts or hands to onnxruntime.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from engine.bundle.specs import Layout
from engine.errors import BundleError
from engine.network.weights import most_bytes
from engine.storage.reading import UnusableFileError, read_limited

MOST_BYTES = 2**31 - 1
"""Most bytes of a file: those that a protocol buffer can have."""

_MOST_NODES = 100_000
_MOST_CLASSES = 10_000
_LONGEST_CLASSES = 200_000
_MOST_BRACES = 100
_DOMAINS = ("", "ai.onnx", "com.microsoft")
"""Whose operators onnxruntime brings along."""

_LOOPS = ("Loop", "Scan")
_INTERPRETED: Mapping[str, str] = {"FLOAT": "float32", "FLOAT16": "float16", "DOUBLE": "float64", "UINT8": "uint8"}
_CLASS_KEYS = ("names", "classes", "class_names", "labels")


@dataclass(frozen=True, slots=True)
class OnnxInput:
    """The image input of a graph.

    Attributes:
        name: in the graph.
        dtype: numpy's name of its values.
        layout: `nhwc` if its last axis, and not its second, has 1 or 3 entries.
        channels: 1 or 3, or another number that no image has; None if the file does not say.
        size: (height, width); None if the file leaves them open.
        batch: how many images it is fixed to; None for any number.
    """

    name: str
    dtype: str
    layout: Layout
    channels: int | None
    size: tuple[int, int] | None
    batch: int | None

    def declared(self) -> dict[str, object]:
        """Return what this says of the keys of `[input]`, by their names; what the file leaves open is missing."""
        said: dict[str, object] = {"layout": self.layout}
        if self.size is not None:
            said["size"] = self.size
        if self.channels in (1, 3):
            said["channels"] = self.channels
        if self.dtype == "uint8":
            said["value_range"] = (0.0, 255.0)
        return said


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """An ONNX file that was read and checked.

    Attributes:
        path: the file, for errors.
        model: the `onnx.ModelProto`, with all weights in it and without local functions.
        input: what images are fed to.
        output: name of the output that gives a number for each class.
        outputs: how many classes that is, 1 for a single logit; None if the file does not say.
        classes: their names, where the file has them in a usual place.
        operators: the operators used, sorted.
        opset: version of the set of operators.
        ir_version: version of the format.
        producer: the program that wrote it, as it says; may be empty.
    """

    path: Path
    model: Any
    input: OnnxInput
    output: str
    outputs: int | None
    classes: tuple[str, ...] | None
    operators: tuple[str, ...]
    opset: int
    ir_version: int
    producer: str


def require_onnx() -> None:
    """Import what ONNX files need.

    Raises:
        BundleError: a package of the extra `onnx` is missing.
    """
    try:
        import onnx
        import onnx2torch
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise BundleError(
            f"ONNX files need the package {error.name or 'onnx'}, which is not installed",
            remedy="run pip install 'xaimed[onnx]'",
            code="library-missing",
        ) from error
    del onnx, onnx2torch


def read_onnx_file(path: Path) -> OnnxFile:
    """Read an ONNX file, and files of weights beside it that it names; see `read_onnx`."""
    try:
        data = read_limited(path, MOST_BYTES)
        beside = {name: read_limited(path.parent / name, MOST_BYTES) for name in weight_files(data, path)}
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error
    return read_onnx(data, path, beside)


def weight_files(data: bytes, path: Path) -> tuple[str, ...]:
    """Return the names of the files beside an ONNX file in which it keeps weights; usually there are none.

    Raises:
        BundleError: it is no ONNX file, or one of the files would lie elsewhere.
    """
    names = {_place(tensor).get("location", "") for tensor in _tensors(_parsed(data, path)) if _is_elsewhere(tensor)}
    for name in names:
        if not name or name != Path(name).name or name in (".", "..") or "\\" in name or "\0" in name:
            raise BundleError(
                f"keeps weights in {name!r}, which is not a file beside it", subject=path, remedy=_IN_ONE_FILE
            )
    return tuple(sorted(names))


_IN_ONE_FILE = "save it as one file: onnx.save(onnx.load(path), new_path)"


def read_onnx(data: bytes, path: Path, beside: Mapping[str, bytes] | None = None) -> OnnxFile:
    """Read an ONNX graph from a file's content.

    Args:
        data: the content.
        path: the file, for errors.
        beside: content of the files of weights beside it, by name (see `weight_files`).

    Raises:
        BundleError: the packages are missing; the file is damaged or no classifier of images, has operators of its
            maker or loops, or lacks weights; or its weights hold NaN.
    """
    model = _parsed(data, path)
    del model.training_info[:]
    _fill_in(model, beside or {}, path)
    model = _without_functions(model, path)
    operators = _operators(model, path)
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
    newest = _newest_opset()
    if not 1 <= opset <= newest:
        raise BundleError(
            f"uses version {opset} of ONNX's operators (opset); those up to {newest} are known",
            subject=path,
            remedy="update onnx and onnxruntime, or export it with an older opset",
        )
    _check_weights(model, path)
    output, outputs = _output(model, path)
    return OnnxFile(
        path=path,
        model=model,
        input=_input(model, path),
        output=output,
        outputs=outputs,
        classes=_classes(model, outputs),
        operators=operators,
        opset=opset,
        ir_version=model.ir_version,
        producer=f"{model.producer_name} {model.producer_version}".strip()[:100],
    )


def _newest_opset() -> int:
    from onnx import defs

    return int(defs.onnx_opset_version())


def _parsed(data: bytes, path: Path) -> Any:
    """Return the `ModelProto` of a file; protocol buffers nest 100 messages at most."""
    require_onnx()
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    if len(data) > MOST_BYTES:
        raise BundleError(f"the file has {len(data):,} bytes; at most {MOST_BYTES:,} are read", subject=path)
    try:
        model = ModelProto.FromString(data)
    except (DecodeError, ValueError) as error:
        raise BundleError("is not an ONNX file, or is damaged", subject=path, remedy="export it again") from error
    if not model.ir_version or not model.graph.node or not model.opset_import:
        raise BundleError("is not an ONNX file, or holds no network", subject=path, remedy="export it again")
    return model


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and those in its nodes' attributes. Iterative: messages nest, but Python's stack is not theirs."""
    waiting = [graph]
    while waiting:
        found = waiting.pop()
        yield found
        for node in found.node:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs


def _nodes(model: Any) -> Iterator[Any]:
    """Yield all nodes of a model, those in functions and in nodes' own graphs included."""
    for graph in chain([model.graph], model.functions):
        for inner in _graphs(graph):
            yield from inner.node


def _attributes(model: Any) -> Iterator[Any]:
    """Yield all attributes of nodes, and the defaults of those of functions."""
    for node in _nodes(model):
        yield from node.attribute
    for function in model.functions:
        yield from getattr(function, "attribute_proto", ())


def _tensors(model: Any) -> Iterator[Any]:
    """Yield all tensors of a model: weights, and constants in attributes."""
    for graph in chain([model.graph], model.functions):
        for inner in _graphs(graph):
            yield from getattr(inner, "initializer", ())
            for sparse in getattr(inner, "sparse_initializer", ()):
                yield from (sparse.values, sparse.indices)
    for attribute in _attributes(model):
        yield from [attribute.t] if attribute.HasField("t") else []
        yield from attribute.tensors


def _is_elsewhere(tensor: Any) -> bool:
    return bool(tensor.data_location == tensor.EXTERNAL)


def _place(tensor: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _fill_in(model: Any, beside: Mapping[str, bytes], path: Path) -> None:
    """Put weights that lie in other files into the model."""
    taken, most = 0, most_bytes(sum(len(content) for content in beside.values()))
    for tensor in _tensors(model):
        if not _is_elsewhere(tensor):
            continue
        place = _place(tensor)
        name = place.get("location", "")
        if name not in beside:
            raise BundleError(
                f"keeps its weights in {name!r}, which is not there", subject=path, remedy=f"put {name!r} beside it"
            )
        content = beside[name]
        try:
            start = int(place.get("offset", "0"))
            length = int(place["length"]) if "length" in place else len(content) - start
        except ValueError:
            start = length = -1
        if start < 0 or length < 0 or start + length > len(content):
            raise BundleError(f"{name} is shorter than the network needs", subject=path, remedy="copy both files again")
        taken += length
        if taken > most:
            raise BundleError(
                f"its weights claim more than {most:,} bytes of the files beside it", subject=path, remedy=_IN_ONE_FILE
            )
        tensor.raw_data = content[start : start + length]
        tensor.data_location = tensor.DEFAULT
        del tensor.external_data[:]


_Called = tuple[str, str, str]
"""Domain, name and overload, by which nodes call functions."""


def _of(part: Any, name: str = "name") -> _Called:
    """Return what a function is called by, or what a node calls."""
    return ("" if part.domain == "ai.onnx" else part.domain, getattr(part, name), getattr(part, "overload", ""))


def _without_functions(model: Any, path: Path) -> Any:
    """Return the model with its own functions written out where they are called."""
    if not model.functions:
        return model
    from onnx import inliner

    calls = {
        _of(function): [_of(node, "op_type") for graph in _graphs(function) for node in graph.node]
        for function in model.functions
    }
    if len(calls) < len(model.functions):
        raise BundleError("has two functions of one name", subject=path, remedy="export it again")
    try:
        order = tuple(
            TopologicalSorter({name: calls.keys() & set(inner) for name, inner in calls.items()}).static_order()
        )
    except CycleError as error:
        raise BundleError("has functions that call themselves", subject=path, remedy="export it again") from error
    own = {_of(function): function.ByteSize() for function in model.functions}
    # A function that calls another twice, which calls another twice, ... is a small file and a network without end.
    nodes: dict[_Called, int] = {}
    size: dict[_Called, int] = {}
    for name in order:
        nodes[name] = min(sum(nodes.get(each, 1) for each in calls[name]), _MOST_NODES + 1)
        size[name] = min(own[name] + sum(size.get(each, 0) for each in calls[name]), MOST_BYTES + 1)
    here = [_of(node, "op_type") for graph in _graphs(model.graph) for node in graph.node]
    if sum(nodes.get(each, 1) for each in here) > _MOST_NODES or sum(size.get(each, 0) for each in here) > MOST_BYTES:
        raise _too_many(path)
    try:
        written_out = inliner.inline_local_functions(model)
    except Exception as error:  # onnx raises RuntimeError, ValueError and its own for what it cannot read
        raise BundleError(
            f"its functions cannot be written out ({type(error).__name__})", subject=path, remedy="export it again"
        ) from error
    return written_out


def _too_many(path: Path) -> BundleError:
    return BundleError(f"has more than {_MOST_NODES:,} nodes", subject=path, remedy="use a smaller network")


def _operators(model: Any, path: Path) -> tuple[str, ...]:
    """Return the names of the operators used.

    Raises:
        BundleError: there are too many nodes; one is a loop, or an operator that onnxruntime does not know.
    """
    found: set[str] = set()
    for number, node in enumerate(_nodes(model)):
        if number >= _MOST_NODES:
            raise _too_many(path)
        found.add(node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}")
        if node.domain not in _DOMAINS:
            raise BundleError(
                f"uses the operator {node.domain}::{node.op_type}, which is not one of ONNX's own",
                subject=path,
                remedy="export it with standard operators, ask who made it, or bring it as a PyTorch model",
                code="operator",
            )
        if node.op_type in _LOOPS:
            raise BundleError(
                f"has a loop ({node.op_type}), which may never end",
                subject=path,
                remedy="export a network without loops",
                code="operator",
            )
    return tuple(sorted(found))


def _check_weights(model: Any, path: Path) -> None:
    """Check that all weights can be read and are numbers. Infinities may stand for what an attention must not see."""
    from onnx import TensorProto, numpy_helper

    # onnxruntime makes them dense, whatever size they claim, and takes them from any file that they name.
    if any(graph.sparse_initializer for graph in _graphs(model.graph)) or any(
        attribute.HasField("sparse_tensor") or attribute.sparse_tensors for attribute in _attributes(model)
    ):
        raise BundleError("has sparse weights, which are not supported", subject=path, remedy="save dense weights")
    for tensor in _tensors(model):
        try:
            values = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, AttributeError) as error:  # fewer values than its shape needs, an unknown type
            raise BundleError(
                f"the weights {tensor.name} are damaged", subject=path, remedy="copy the file again"
            ) from error
        if tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE) and np.isnan(values).any():
            raise BundleError(f"{tensor.name} holds NaN", subject=path, remedy="train or copy the model again")


def _dims(value: Any) -> list[int | None]:
    """Return the lengths of a graph's input or output; None for one that is open."""
    tensor = value.type.tensor_type
    return [each.dim_value if each.dim_value > 0 else None for each in tensor.shape.dim]


def _input(model: Any, path: Path) -> OnnxInput:
    from onnx import TensorProto

    weights = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in weights]
    if len(given) != 1:
        names = ", ".join(value.name for value in given[:5])
        raise BundleError(
            f"takes {len(given)} inputs ({names}); XAIMed feeds one image",
            subject=path,
            remedy="export a network that takes only the image",
            code="inputs",
        )
    value = given[0]
    kind = TensorProto.DataType.Name(value.type.tensor_type.elem_type)
    if kind not in _INTERPRETED:
        raise BundleError(
            f"takes values of the type {kind}, not pixels", subject=path, remedy="export a network that takes float32"
        )
    dims = _dims(value)
    if len(dims) != 4:
        raise BundleError(
            f"takes an input of {len(dims)} axes, not images: batch, channels, height, width",
            subject=path,
            remedy="export a network that takes images",
        )
    batch, second, _, last = dims
    channels_last = last in (1, 3) and second not in (1, 3)
    channels, height, width = (dims[3], dims[1], dims[2]) if channels_last else dims[1:]
    return OnnxInput(
        value.name,
        _INTERPRETED[kind],
        "nhwc" if channels_last else "nchw",
        channels,
        (height, width) if height is not None and width is not None else None,
        batch,
    )


def _output(model: Any, path: Path) -> tuple[str, int | None]:
    """Return the output that gives a number for each class, and how many; only one may be of that shape.

    Raises:
        BundleError: none or several are; the message lists them with their shapes.
    """
    outputs = [(value.name, _dims(value)) for value in model.graph.output]
    scores = [(name, dims) for name, dims in outputs if _is_scores(dims)] if len(outputs) > 1 else outputs
    if len(scores) != 1:
        listed = ", ".join(
            f"{name} ({'x'.join('?' if each is None else str(each) for each in dims)})" for name, dims in outputs[:8]
        )
        raise BundleError(
            f"gives {len(outputs)} outputs, and which one has the classes cannot be told: {listed}",
            subject=path,
            remedy="export it with the classes' output only",
            code="outputs",
        )
    name, dims = scores[0]
    return name, (dims[1] if len(dims) > 1 else None)


def _is_scores(dims: list[int | None]) -> bool:
    """Whether an output has a number for each class: (batch, classes), perhaps followed by axes of length 1."""
    return len(dims) >= 2 and all(each == 1 for each in dims[2:]) and dims[0] in (None, 1)


def _classes(model: Any, outputs: int | None) -> tuple[str, ...] | None:
    """Return names of classes that the file has in its metadata, where as many as the network has outputs."""
    for entry in model.metadata_props:
        if entry.key.lower() in _CLASS_KEYS and len(entry.value) < _LONGEST_CLASSES:
            names = _names(entry.value)
            if (
                names
                and 1 < len(names) <= _MOST_CLASSES
                and outputs in (None, len(names))
                and len(set(names)) == len(names)
            ):
                return names
    return None


def _names(text: str) -> tuple[str, ...]:
    """Return names written as a list, as numbers with names, or separated by commas."""
    if text.count("{") > _MOST_BRACES:  # Python's parser reads an f-string again for every field of it
        return ()
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        value = [part.strip() for part in re.split(r"[,\n;]", text)]
    if isinstance(value, dict) and sorted(value, key=str) == sorted(range(len(value)), key=str):
        value = [value[at] for at in range(len(value))]
    if isinstance(value, list | tuple) and all(isinstance(name, str) and 0 < len(name) <= 200 for name in value):
        return tuple(value)
    return ()
