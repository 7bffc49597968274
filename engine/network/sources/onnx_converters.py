"""Converters for operators that onnx2torch lacks and that classifiers use, registered with it when this is imported."""

from __future__ import annotations

import torch
from onnx2torch.node_converters.registry import add_converter
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OnnxMapping, OperationConverterResult, onnx_mapping_from_node
from torch import nn


class GlobalMaxPool(nn.Module):
    """The maximum over all places, (B, C, 1, 1) for (B, C, H, W)."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the maximum over all places."""
        return images.amax(dim=tuple(range(2, images.ndim)), keepdim=True)


class Reshape(nn.Module):
    """Gives each image of a batch a shape that is known beforehand, so that it can be traced."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, images: torch.Tensor, *_: object) -> torch.Tensor:
        """Return (B, ...) as (B, *shape)."""
        return images.reshape(images.shape[0], *self.shape)


class GroupNorm(nn.Module):
    """Normalisation over groups of channels."""

    def __init__(self, groups: int, epsilon: float) -> None:
        super().__init__()
        self.groups, self.epsilon = groups, epsilon

    def forward(self, images: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Return the normalised images."""
        return nn.functional.group_norm(images, self.groups, scale, bias, self.epsilon)


def _gelu(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    return OperationConverterResult(
        nn.GELU(approximate=node.attributes.get("approximate", "none")), onnx_mapping_from_node(node)
    )


def _group_norm(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    groups, epsilon = node.attributes["num_groups"], node.attributes.get("epsilon", 1e-5)
    return OperationConverterResult(GroupNorm(groups, epsilon), onnx_mapping_from_node(node))


def _mish(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    return OperationConverterResult(nn.Mish(), onnx_mapping_from_node(node))


def _global_max_pool(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    mapping = OnnxMapping(inputs=node.input_values[:1], outputs=node.output_values)
    return OperationConverterResult(GlobalMaxPool(), mapping)


# The version is the one that onnx2torch looks up in a graph of opset 17: its first one, or 17 where its first is later.
for _operator, _version, _converter in (
    ("Gelu", 17, _gelu),
    ("GroupNormalization", 17, _group_norm),
    ("Mish", 17, _mish),
    ("GlobalMaxPool", 1, _global_max_pool),
):
    add_converter(operation_type=_operator, version=_version)(_converter)
