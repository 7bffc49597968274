"""Tiny ONNX files, made with `onnx.helper` alone. Tests that use them are skipped where the extra `onnx` is missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from networks import small_cnn
from torch import nn

onnx = pytest.importorskip("onnx", reason="needs the extra onnx: pip install 'xaimed[onnx]'")
pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install 'xaimed[onnx]'")
pytest.importorskip("onnx2torch", reason="needs the extra onnx: pip install 'xaimed[onnx]'")

SIZE = 24
CLASSES = ("glioma", "meningioma", "none")


def small_onnx(
    *,
    layout: Literal["nchw", "nhwc"] = "nchw",
    batch: int | str = "batch",
    size: tuple[int | str, int | str] = (SIZE, SIZE),
    softmax: bool = True,
    opset: int = 17,
    extra: Sequence[Any] = (),
    names: Sequence[str] = ("/features/features.0/Conv", "/features/features.1/Relu"),
    reshape: Sequence[int] | None = None,
    dtype: int | None = None,
) -> Any:
    """The network of `networks.small_cnn` as an ONNX model, with a softmax at its end.

    Args:
        layout: of its input; `nhwc` begins with a Transpose, as tf2onnx writes it.
        batch, size: of its input, numbers or names of open lengths.
        softmax: whether it ends in one.
        opset: of its operators.
        extra: nodes from `pooled` (B, 8, 1, 1) to `extra`, put before the linear layer.
        names: of the first nodes.
        reshape: the shape of a Reshape before the linear layer; a Flatten if None.
        dtype: of its input; float32 if None.
    """
    network = small_cnn()
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    convolutions = [module for module in network if isinstance(module, nn.Conv2d)]
    linear = next(module for module in network if isinstance(module, nn.Linear))
    weights = [
        onnx.numpy_helper.from_array(tensor.detach().numpy(), f"{name}.{part}")
        for name, module in (("first", convolutions[0]), ("second", convolutions[1]), ("last", linear))
        for part, tensor in (("weight", module.weight), ("bias", module.bias))
    ]
    named = iter([*names, *(f"/features/features.{number}/Node" for number in range(len(names), 9))])

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        return helper.make_node(kind, inputs, [output], name=next(named, ""), **attributes)

    before = [helper.make_node("Cast", ["image"], ["cast"], to=kind)] if dtype is not None else []
    start = "cast" if before else "image"
    if layout == "nhwc":
        before.append(helper.make_node("Transpose", [start], ["first_axes"], perm=[0, 3, 1, 2]))
        start = "first_axes"
    convolution = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        *before,
        node("Conv", [start, "first.weight", "first.bias"], "a", **convolution),
        node("Relu", ["a"], "b"),
        node("MaxPool", ["b"], "c", **pool),
        node("Conv", ["c", "second.weight", "second.bias"], "d", **convolution),
        node("Relu", ["d"], "e"),
        node("MaxPool", ["e"], "f", **pool),
        node("GlobalAveragePool", ["f"], "pooled"),
        *extra,
    ]
    pooled = "extra" if extra else "pooled"
    if reshape is None:
        nodes.append(node("Flatten", [pooled], "flat"))
    else:
        weights.append(onnx.numpy_helper.from_array(np.array(reshape, dtype=np.int64), "shape"))
        nodes.append(node("Reshape", [pooled, "shape"], "flat"))
    scores = "logits" if softmax else "scores"
    nodes.append(helper.make_node("Gemm", ["flat", "last.weight", "last.bias"], [scores], transB=1))
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["scores"], axis=1))
    shape = [batch, *size, 3] if layout == "nhwc" else [batch, 3, *size]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", kind if dtype is None else dtype, shape)],
        [helper.make_tensor_value_info("scores", kind, [batch, len(CLASSES)])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def unknown_to_onnx2torch() -> list[Any]:
    """Nodes that onnxruntime runs and onnx2torch does not convert; they change nothing."""
    helper = onnx.helper
    return [
        helper.make_node("Softsign", ["pooled"], ["unused"]),
        helper.make_node("ThresholdedRelu", ["pooled"], ["extra"], alpha=-1000.0),
    ]


def make_onnx_model(folder: Path, model: Any = None, *, settings: str = "", data: bytes | None = None) -> Path:
    """A model folder whose network is an ONNX file. No approval is needed, for no code of it runs."""
    folder.mkdir(parents=True, exist_ok=True)
    model = small_onnx() if model is None else model
    (folder / "model.onnx").write_bytes(model.SerializeToString() if data is None else data)
    (folder / "description.txt").write_text("Made up for tests.")
    classes = ", ".join(f'"{name}"' for name in CLASSES)
    (folder / "model.toml").write_text(
        f"[input]\nsize = [{SIZE}, {SIZE}]\n{settings}\n[output]\nclasses = [{classes}]\n"
    )
    return folder
