"""Make a torch network of an ONNX file: converted and compared with onnxruntime, or else a black box that it runs."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from engine.bundle.model_bundle import SETTINGS
from engine.bundle.specs import InputSpec, Layout
from engine.errors import BundleError
from engine.network.device import is_out_of_memory
from engine.network.sources.black_box import BlackBox
from engine.network.sources.onnx_file import OnnxFile, OnnxInput, read_onnx, read_onnx_file
from engine.network.sources.onnx_graph import for_conversion, with_open_batch
from engine.network.sources.onnx_shapes import shapes_of
from engine.network.weights import too_little_memory

AGREEMENT = 1e-4
"""By how much a converted network's outputs may differ from onnxruntime's, of 1 or of the largest, if that is more."""


def build_onnx(
    data: bytes,
    path: Path,
    spec: InputSpec,
    undeclared: Collection[str] = (),
    beside: Mapping[str, bytes] | None = None,
) -> tuple[nn.Module, OnnxInput]:
    """Return the network of an ONNX file, on the CPU, in float32 and evaluation mode, and how the file says it is fed.

    Args:
        data: the file's content.
        path: the file, for errors.
        spec: how the bundle says that it is fed.
        undeclared: keys such as `input.size` that the bundle does not declare: the file then decides.
        beside: content of the files of weights beside it, by name.

    Raises:
        BundleError: see `read_onnx`; or the file takes other images than those declared, or does not run.
        OutOfMemoryError: the machine ran out of memory.
    """
    file = read_onnx(data, path, beside)
    spec = _settled(file.input, spec, undeclared)
    check_declared(file, spec)
    model = with_open_batch(file, spec.size, spec.channels)
    session = _session(model, path)
    try:
        network = convert(model)
        apart = _disagreement(network, session, file, spec)
    except ConversionError as error:
        return OnnxBlackBox(session, file, str(error)), file.input
    if apart is not None:
        return OnnxBlackBox(session, file, f"its conversion to PyTorch {apart}"), file.input
    return network, file.input


def _settled(given: OnnxInput, spec: InputSpec, undeclared: Collection[str]) -> InputSpec:
    """Return how a network is fed: what is not declared is as its file says."""
    count = given.channels if "input.channels" in undeclared and given.channels in (1, 3) else None
    if count not in (None, spec.channels):
        spec = replace(spec, channels=count, mean=(0.0,) * count, std=(1.0,) * count)
    return replace(
        spec,
        size=given.size if given.size is not None and "input.size" in undeclared else spec.size,
        layout=given.layout if "input.layout" in undeclared else spec.layout,
        value_range=(0.0, 255.0) if given.dtype == "uint8" and "input.value_range" in undeclared else spec.value_range,
    )


@dataclass(frozen=True, slots=True)
class OnnxDescription:
    """What an ONNX file says about its network, for whoever makes a model folder of it.

    Attributes:
        size: (height, width) of its input; None if it takes any.
        channels: 1 or 3; None if the file does not say.
        layout: of its input's axes.
        whole_numbers: whether it takes whole numbers from 0 to 255, which has to be declared as `value_range`.
        outputs: how many numbers it gives; None if the file does not say.
        classes: their names, where the file has them.
        black_box: why it cannot be converted, so that the CAMs do not work, as a clause; empty if it can.
        data: the network as one file, with all weights in it.
        producer, opset: the program that wrote it, as it says, and the version of its operators.
    """

    size: tuple[int, int] | None
    channels: int | None
    layout: Layout
    whole_numbers: bool
    outputs: int | None
    classes: tuple[str, ...] | None
    black_box: str
    data: bytes
    producer: str
    opset: int


def describe_onnx(path: Path) -> OnnxDescription:
    """Return what an ONNX file says about its network, and whether it can be converted. Nothing of it is run.

    Raises:
        BundleError: see `engine.network.sources.onnx_file.read_onnx`.
    """
    file = read_onnx_file(path)
    given = file.input
    size = given.size or InputSpec().size
    model = with_open_batch(file, size, given.channels or InputSpec().channels)
    shape = shapes_of(model).get(file.output, ())
    outputs = shape[1] if len(shape) > 1 and isinstance(shape[1], int) else file.outputs
    try:
        convert(model)
        black_box = ""
    except ConversionError as error:
        black_box = str(error)
    return OnnxDescription(
        given.size,
        given.channels,
        given.layout,
        given.dtype == "uint8",
        outputs,
        file.classes,
        black_box,
        file.model.SerializeToString(),
        file.producer,
        file.opset,
    )


def check_declared(file: OnnxFile, spec: InputSpec) -> None:
    """Check that a file takes the images that a bundle declares.

    Raises:
        BundleError: it takes others; the remedy is the line for `model.toml`.
    """
    given = file.input
    if given.channels is not None and given.channels not in (1, 3):
        raise BundleError(
            f"takes images of {given.channels} channels, not 1 (grey) or 3 (RGB)",
            subject=file.path,
            remedy="use a network for grey or RGB images",
        )
    told = [("layout", given.layout, spec.layout), ("channels", given.channels, spec.channels)]
    for key, found, declared in (*told, ("size", given.size, spec.size)):
        if found is not None and found != declared:
            value = list(found) if isinstance(found, tuple) else found
            shown = f'"{value}"' if isinstance(value, str) else value
            raise BundleError(
                f"takes images of {key} {shown}, and the bundle says {key} {declared}",
                subject=file.path,
                remedy=f"set {key} = {shown} under [input] in {SETTINGS}",
            )
    if given.dtype == "uint8" and spec.value_range != (0.0, 255.0):
        raise BundleError(
            "takes whole numbers from 0 to 255, and the bundle says something else",
            subject=file.path,
            remedy=f"set value_range = [0, 255] under [input] in {SETTINGS}",
        )


class ConversionError(Exception):
    """A graph that cannot be converted; the text says why, as a clause."""


def convert(model: Any) -> fx.GraphModule:
    """Return a graph (see `with_open_batch`) as torch modules, in float32 and evaluation mode.

    Raises:
        ConversionError: it cannot be converted.
    """
    import onnx2torch

    from engine.network.sources import onnx_converters  # noqa: F401 - it registers converters

    older = for_conversion(model)
    flat = {name for name, shape in shapes_of(older).items() if len(shape) == 2}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tensors that cannot be written to, which nobody does
            converted = onnx2torch.convert(older)
        network = _nested(converted, older.graph, flat)
        return network.float().eval()
    except NotImplementedError as error:
        raise ConversionError(_what_is_missing(older, error)) from error
    # onnx2torch raises KeyError, AssertionError, ValueError and more for graphs that it does not expect.
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ConversionError(f"it cannot be converted to PyTorch ({type(error).__name__})") from error


def _what_is_missing(model: Any, error: NotImplementedError) -> str:
    from onnx2torch.node_converters import get_converter

    opset = {each.domain: each.version for each in model.opset_import}
    for node in model.graph.node:
        try:
            get_converter(operation_type=node.op_type, version=opset.get(node.domain, 0), domain=node.domain)
        except NotImplementedError:
            name = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"
            return f"its operator {name} cannot be converted to PyTorch"
    return f"it cannot be converted to PyTorch ({str(error)[:100]})"


def _nested(flat: fx.GraphModule, graph: Any, of_rank_2: set[str]) -> fx.GraphModule:
    """Return a network whose modules lie in one another as their names say: `layer1/0/conv1` is `layer1.0.conv1`."""
    nodes = {node.name: node for node in graph.node}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    root = nn.Module()
    for name, child in flat.named_children():
        if name not in nodes:
            root.add_module(name, child)  # the weights that no layer holds
    for step in flat.graph.nodes:
        if step.op != "call_module" or str(step.target) not in nodes:
            continue
        name = str(step.target)
        module = _as_torchs_own(flat.get_submodule(name), nodes[name], weights, of_rank_2)
        *outer, own = name.split("/")
        place = root
        for part in outer:
            if not hasattr(place, part):
                place.add_module(part, nn.Module())
            place = place.get_submodule(part)
        place.add_module(own, module)
        step.target = ".".join((*outer, own))
    network = fx.GraphModule(root, flat.graph)
    network.recompile()
    return network


def _as_torchs_own(module: nn.Module, node: Any, weights: Mapping[str, Any], of_rank_2: set[str]) -> nn.Module:
    """Return a module that is better known: `nn.Softmax` at the network's end, a reshape that can be traced."""
    from onnx import numpy_helper

    from engine.network.sources.onnx_converters import Reshape

    if node.op_type == "Reshape" and node.input[1] in weights:
        first, *rest = (int(each) for each in numpy_helper.to_array(weights[node.input[1]]).ravel())
        if first == 0 and 0 not in rest:
            return Reshape(tuple(rest))
    # The softmax of older opsets is one over all axes from one on.
    axis = getattr(module, "axis", None)
    if type(module).__name__ == "OnnxSoftmaxV1V11" and axis in (1, -1) and node.output[0] in of_rank_2:
        return nn.LogSoftmax(-1) if getattr(module, "is_log", False) else nn.Softmax(-1)
    return module


def _session(model: Any, path: Path) -> Any:
    """Return a session of onnxruntime that runs a graph on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it writes would end up on the terminal
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # Threads that wait by spinning take the time of other programs, see `engine.threads`.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an error of its own for each of its codes
        if is_out_of_memory(error):
            raise too_little_memory(path) from error
        raise BundleError(
            f"onnxruntime does not take it ({_first_words(error)})",
            subject=path,
            remedy="export it again, or update onnxruntime",
        ) from error


def _first_words(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _run(session: Any, file: OnnxFile, images: torch.Tensor) -> torch.Tensor:
    """Return onnxruntime's output for images in the file's own layout, on the images' device."""
    values = images.detach().to("cpu", torch.float32).contiguous().numpy()
    if file.input.dtype == "uint8":
        values = np.rint(values).clip(0, 255)
    (output,) = session.run([file.output], {file.input.name: values.astype(file.input.dtype)})
    return torch.from_numpy(np.asarray(output, dtype=np.float32)).to(images.device)


def _disagreement(network: nn.Module, session: Any, file: OnnxFile, spec: InputSpec) -> str | None:
    """Return how a converted network differs from onnxruntime, as a clause; None if it does not.

    Raises:
        ConversionError: it fails where onnxruntime does not.
    """
    for trial in _trials(spec):
        images = trial.round() if file.input.dtype == "uint8" else trial
        expected = _run(session, file, images)
        try:
            with torch.inference_mode():
                found = network(images)
        except Exception as error:  # whatever a wrongly converted operator raises
            if is_out_of_memory(error):
                raise
            raise ConversionError(f"its conversion to PyTorch does not run ({_first_words(error)})") from error
        if not isinstance(found, torch.Tensor) or found.shape != expected.shape:
            return "gives outputs of another shape"
        apart = float((found - expected).abs().max())
        if not apart <= AGREEMENT * max(1.0, float(expected.abs().max())):  # written so that NaN disagrees
            return f"differs from onnxruntime by {apart:.2g}"
    return None


def _trials(spec: InputSpec) -> tuple[torch.Tensor, ...]:
    """Return images, one by one, in the network's layout: noise of two strengths and a smooth picture."""
    height, width = spec.size
    generator = torch.Generator().manual_seed(0)
    low, high = spec.value_range
    mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
    rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    smooth = (0.5 + 0.5 * torch.sin(7 * rows + 5 * columns)).expand(spec.channels, height, width)
    noise = torch.rand(spec.channels, height, width, generator=generator)
    units = (noise, 0.5 + 0.1 * (noise - 0.5), smooth)
    images = [(((unit * (high - low)) + low - mean) / std)[None] for unit in units]
    return tuple(image.permute(0, 2, 3, 1) if spec.layout == "nhwc" else image for image in images)


class OnnxBlackBox(BlackBox):
    """An ONNX graph that onnxruntime runs on the CPU."""

    def __init__(self, session: Any, file: OnnxFile, why: str) -> None:
        super().__init__(f"onnxruntime runs this network, since {why}", only_on_cpu=True)
        self._session = session
        self._file = file

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the graph's output for (B, C, H, W) images, or in the file's own layout."""
        return _run(self._session, self._file, images)
