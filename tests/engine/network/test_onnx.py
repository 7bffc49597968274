"""ONNX files as networks: converted and explained, or asked as black boxes; what is damaged or harmful is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from factories import make_bundle, make_image
from networks import small_cnn
from onnx_models import CLASSES, SIZE, make_onnx_model, onnx, small_onnx, unknown_to_onnx2torch
from torch import nn

from engine.authoring.check import check_model
from engine.bundle.model_bundle import InputSpec, ModelBundle, OutputSpec
from engine.errors import BundleError, DeviceError, ExplanationError
from engine.explainers.settings import Settings
from engine.explanation.explain import explain
from engine.network.classifier import Classifier
from engine.network.layout import take_channels_first
from engine.network.sources import onnx_file, onnx_network
from engine.network.sources.black_box import BlackBox
from engine.network.sources.onnx_file import read_onnx, weight_files
from engine.network.sources.onnx_network import build_onnx, describe_onnx

helper, TensorProto = onnx.helper, onnx.TensorProto
PATH = Path("model.onnx")
IMAGE = make_image(height=SIZE, width=SIZE)


def bundle(**declared: Any) -> ModelBundle:
    spec = InputSpec(**{"size": (SIZE, SIZE), **declared})
    return replace(make_bundle(), assumed=(), input=spec, output=OutputSpec(classes=CLASSES))


def network_of(model: Any, **declared: Any) -> nn.Module:
    return build_onnx(model.SerializeToString(), PATH, bundle(**declared).input)[0]


def classifier(model: Any, *, device: str = "cpu", precision: Any = "fp32", **declared: Any) -> Classifier:
    network = network_of(model, **declared)
    if declared.get("layout") == "nhwc":
        network = take_channels_first(network)
    return Classifier(bundle(**declared), network, device=device, precision=precision)


@pytest.fixture(scope="module")
def twin() -> Classifier:
    """The same network from torch modules."""
    return Classifier(bundle(), nn.Sequential(*small_cnn(), nn.Softmax(1)).eval(), precision="fp32")


def settings(**more: Any) -> Settings:
    return Settings(samples={"lime": 200, "rise": 200}, target=CLASSES[1], seed=3, **more)


# Converted


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 18, 21])
def test_a_converted_network_answers_and_is_explained_as_its_twin(twin: Classifier, opset: int) -> None:
    found = classifier(small_onnx(opset=opset))
    assert not found.black_box
    assert (found.anatomy.head_kind, found.anatomy.classifying != "") == ("softmax", True)
    np.testing.assert_allclose(found.diagnose(IMAGE).probabilities, twin.diagnose(IMAGE).probabilities, atol=1e-5)
    if opset != 17:
        return
    ours = explain(found, IMAGE, settings(layer="features.1"))
    theirs = explain(twin, IMAGE, settings(layer="1"))
    assert not ours.failures
    assert ours.maps.keys() == theirs.maps.keys()
    for method, each in ours.maps.items():
        np.testing.assert_allclose(each.values, theirs.maps[method].values, atol=2e-3, err_msg=method)


def test_layers_have_the_names_of_the_modules_that_were_exported() -> None:
    layers = [layer.name for layer in classifier(small_onnx()).layers]
    assert layers[:2] == ["features.0", "features.1"]


def test_a_network_with_channels_last_is_the_same_network(twin: Classifier) -> None:
    found = classifier(small_onnx(layout="nhwc"), layout="nhwc")
    assert not found.black_box
    np.testing.assert_allclose(found.diagnose(IMAGE).probabilities, twin.diagnose(IMAGE).probabilities, atol=1e-5)
    assert not explain(found, IMAGE, settings(methods=("gradcam", "rise"))).failures


@pytest.mark.parametrize("reshape", [(1, -1), (1, 8), (0, -1), (-1, 8)])
def test_a_network_fixed_to_one_image_takes_several(twin: Classifier, reshape: tuple[int, int]) -> None:
    found = classifier(small_onnx(batch=1, reshape=reshape))
    assert not found.black_box
    assert not found.one_at_a_time
    np.testing.assert_allclose(found.diagnose(IMAGE).probabilities, twin.diagnose(IMAGE).probabilities, atol=1e-5)


def test_a_graph_that_computes_its_shapes_takes_several_images() -> None:
    model = small_onnx(reshape=(0, -1))
    nodes = [
        helper.make_node("Shape", ["pooled"], ["dims"]),
        helper.make_node("Constant", [], ["zero"], value_ints=[0]),
        helper.make_node("Gather", ["dims", "zero"], ["first"], axis=0),
        helper.make_node("Constant", [], ["rest"], value=helper.make_tensor("", TensorProto.INT64, [1], [-1])),
        helper.make_node("Concat", ["first", "rest"], ["computed"], axis=0),
    ]
    at = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Reshape")
    model.graph.node[at].input[1] = "computed"
    for node in reversed(nodes):
        model.graph.node.insert(at, node)
    found = classifier(model)
    assert not found.black_box
    assert not found.one_at_a_time
    assert found.fast_copy().fused, "it can be traced"


def test_weights_that_are_passed_on_as_they_are_belong_to_their_layers() -> None:
    model = small_onnx()
    model.graph.node[0].input[2] = "shared"
    model.graph.node.insert(0, helper.make_node("Identity", ["first.bias"], ["shared"]))
    assert not classifier(model).black_box


def test_a_reshape_into_more_axes_can_be_traced() -> None:
    extra = [
        helper.make_node("Reshape", ["pooled", "groups"], ["grouped"]),
        helper.make_node("Transpose", ["grouped"], ["shuffled"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["shuffled", "back"], ["extra"]),
    ]
    model = small_onnx(batch=1, extra=extra)
    for name, shape in (("groups", [1, 2, 4, 1, 1]), ("back", [1, 8, 1, 1])):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(shape, dtype=np.int64), name))
    found = classifier(model)
    assert not found.black_box
    assert not found.one_at_a_time
    assert found.fast_copy().fused


def test_a_network_for_any_size_takes_the_declared_one() -> None:
    assert classifier(small_onnx(size=("height", "width")), size=(30, 40)).anatomy.outputs == 3


def test_whole_numbers_are_fed_to_a_network_that_takes_them() -> None:
    model = small_onnx(dtype=TensorProto.UINT8)
    with pytest.raises(BundleError, match=r"whole numbers from 0 to 255.*set value_range = \[0, 255\]"):
        network_of(model)
    assert classifier(model, value_range=(0.0, 255.0)).diagnose(IMAGE).probabilities.sum() == pytest.approx(1)


def test_the_names_of_nodes_are_never_run_as_code(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    evil = f'x") or open({str(trace)!r}, "w") or getattr(self, "y'
    found = classifier(small_onnx(names=(evil, "forward", "training", "a/initializers", "", "..")))
    found.diagnose(IMAGE)
    assert not trace.exists()
    assert not found.black_box


def test_names_are_taken_from_what_torchs_newer_exporter_notes() -> None:
    model = small_onnx(names=("node_conv2d", "node_relu"))
    for node, scope in zip(model.graph.node, ("stem", "stem.act"), strict=False):
        entry = node.metadata_props.add()
        entry.key, entry.value = "pkg.torch.onnx.name_scopes", str(["", scope, "conv2d"])
    names = [layer.name for layer in classifier(model).layers]
    assert names[:2] == ["stem_Conv", "stem.act"]


# Black boxes


def test_a_black_box_is_explained_by_methods_that_only_ask(twin: Classifier) -> None:
    found = classifier(small_onnx(extra=unknown_to_onnx2torch()), precision="auto")
    assert "ThresholdedRelu cannot be converted" in found.black_box
    assert any("ThresholdedRelu" in sentence for sentence in found.assumed)
    assert (found.layers, found.precision) == ((), "fp32")
    np.testing.assert_allclose(found.diagnose(IMAGE).probabilities, twin.diagnose(IMAGE).probabilities, atol=1e-5)
    ours, theirs = explain(found, IMAGE, settings()), explain(twin, IMAGE, settings())
    assert set(ours.maps) == {"lime", "rise"}
    for method, each in ours.maps.items():
        np.testing.assert_allclose(each.values, theirs.maps[method].values, atol=2e-3, err_msg=method)
    assert set(theirs.maps) - set(ours.maps) == set(ours.failures)
    for failure in ours.failures.values():
        assert "ThresholdedRelu" in failure
        assert "use LIME or RISE" in failure


def test_a_black_box_passes_its_check_without_the_maps_that_it_cannot_have() -> None:
    found = check_model(classifier(small_onnx(extra=unknown_to_onnx2torch())), samples=16)
    assert found.passed
    assert {each.method for each in found.methods if each.failure} >= {"gradcam", "gradcam++"}
    assert not any(each.failure for each in found.methods if each.method in ("lime", "rise"))


def test_a_black_box_says_so_even_where_a_layer_is_asked_for() -> None:
    found = classifier(small_onnx(extra=unknown_to_onnx2torch()))
    with pytest.raises(ExplanationError, match="ThresholdedRelu"):
        explain(found, IMAGE, settings(methods=("gradcam",), layer="features.1"))
    with pytest.raises(ExplanationError, match="ThresholdedRelu"):
        _ = found.default_layer


def test_a_black_box_computes_in_float32_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_onnx(extra=unknown_to_onnx2torch())
    found = classifier(model, precision="bf16")
    assert found.precision == "fp32"
    assert any("float32, not in bf16" in caution for caution in found.diagnose(IMAGE).warnings)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert classifier(model, device="auto").device == "cpu"
    with pytest.raises(DeviceError, match="on the CPU only; use --device cpu"):
        classifier(model, device="cuda")


def test_a_wrong_conversion_is_not_used(monkeypatch: pytest.MonkeyPatch, twin: Classifier) -> None:
    right = onnx_network.convert

    def wrong(model: Any) -> Any:
        network = right(model)
        with torch.no_grad():
            network.get_submodule("features.0").weight.mul_(1.05)
        return network

    monkeypatch.setattr(onnx_network, "convert", wrong)
    found = classifier(small_onnx())
    assert "differs from onnxruntime by" in found.black_box
    np.testing.assert_allclose(found.diagnose(IMAGE).probabilities, twin.diagnose(IMAGE).probabilities, atol=1e-5)


# Refused


def refused(model: Any, *words: str, **declared: Any) -> BundleError:
    with pytest.raises(BundleError) as error:
        network_of(model, **declared)
    for word in words:
        assert word in error.value.message
    return error.value


def test_other_images_than_those_declared_are_refused_with_the_line_that_helps() -> None:
    refused(small_onnx(layout="nhwc"), 'layout "nhwc"', 'set layout = "nhwc" under [input] in model.toml')
    refused(small_onnx(size=(32, 40)), "size [32, 40]", "set size = [32, 40] under [input] in model.toml")
    refused(small_onnx(), "set channels = 3", channels=1, mean=(0.0,), std=(1.0,))


def test_an_operator_of_its_maker_is_refused_by_name() -> None:
    own = helper.make_node("Secret", ["pooled"], ["extra"], domain="com.example")
    error = refused(small_onnx(extra=[own]), "com.example::Secret", "standard operators")
    assert error.code == "operator"


def test_a_loop_is_refused_even_in_a_branch() -> None:
    loop = helper.make_node("Loop", ["", ""], ["y"], body=helper.make_graph([], "body", [], []))
    branch = helper.make_graph([loop], "then", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    chosen = helper.make_node("If", ["pooled"], ["extra"], then_branch=branch, else_branch=branch)
    refused(small_onnx(extra=[chosen]), "loop (Loop)")


def test_several_inputs_or_outputs_are_listed() -> None:
    model = small_onnx()
    model.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, [1, 1]))
    refused(model, "2 inputs (image, age)")
    model = small_onnx()
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3]))
    refused(model, "scores (?x3), logits (?x3)")


def test_the_only_output_with_a_number_for_each_class_is_taken() -> None:
    model = small_onnx()
    model.graph.output.insert(0, helper.make_tensor_value_info("e", TensorProto.FLOAT, ["batch", 8, 12, 12]))
    assert classifier(model).anatomy.outputs == 3


def test_newer_operators_and_damaged_files_are_named() -> None:
    refused(small_onnx(opset=99), "version 99 of ONNX's operators", "update onnx")
    for data in (b"", b"no network", small_onnx().SerializeToString()[:-4000]):
        with pytest.raises(BundleError, match=r"ONNX file|damaged"):
            build_onnx(data, PATH, bundle().input)
    model = small_onnx()
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-8]
    refused(model, "first.weight are damaged")
    model = small_onnx()
    values = onnx.numpy_helper.to_array(model.graph.initializer[1]).copy()
    values[2] = np.nan
    model.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(values, "first.bias"))
    refused(model, "first.bias holds NaN")


def functions(calls: dict[str, list[str]]) -> Any:
    """A model with functions of one input that call others, or Relu."""
    model = small_onnx(extra=[helper.make_node("f0", ["pooled"], ["extra"], domain="own")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model.opset_import.append(opsets[1])
    for name, called in calls.items():
        nodes, value = [], "x"
        for number, other in enumerate(called):
            domain = "own" if other in calls else ""
            nodes.append(helper.make_node(other, [value], [f"y{number}"], domain=domain))
            value = f"y{number}"
        model.functions.append(helper.make_function("own", name, ["x"], [value], nodes, opsets))
    return model


def test_functions_are_written_out_but_neither_circles_nor_towers(twin: Classifier) -> None:
    found = classifier(functions({"f0": ["f1", "Relu"], "f1": ["Relu"]}))
    np.testing.assert_allclose(found.diagnose(IMAGE).probabilities, twin.diagnose(IMAGE).probabilities, atol=1e-5)
    refused(functions({"f0": ["f1"], "f1": ["f0"]}), "call themselves")
    tower = {f"f{level}": [f"f{level + 1}"] * 10 for level in range(12)} | {"f12": ["Relu"]}
    refused(functions(tower), "more than 100,000 nodes")
    overloaded = functions(tower)
    for function in overloaded.functions:
        for node in function.node:
            if node.domain == "own":
                node.op_type, node.overload = "f", node.op_type
        function.name, function.overload = "f", function.name
    call = next(node for node in overloaded.graph.node if node.domain == "own")
    call.op_type, call.overload = "f", "f0"
    refused(overloaded, "more than 100,000 nodes")
    twice = functions({"f0": ["Relu"]})
    twice.functions.append(twice.functions[0])
    refused(twice, "two functions of one name")


def test_a_result_beyond_all_memory_is_refused() -> None:
    size = helper.make_tensor("", TensorProto.INT64, [4], [1, 8, 100_000, 100_000])
    nodes = [
        helper.make_node("Constant", [], ["size"], value=size),
        helper.make_node("ConstantOfShape", ["size"], ["huge"]),
        helper.make_node("ReduceMax", ["huge"], ["most"], keepdims=0),
        helper.make_node("Add", ["pooled", "most"], ["extra"]),
    ]
    refused(small_onnx(extra=nodes), "huge", "more than 268,435,456 numbers")


# Weights in another file


def elsewhere(model: Any, location: str) -> tuple[Any, bytes]:
    """The model with the first weights in another file, and that file's content."""
    tensor = model.graph.initializer[0]
    data = b"####" + tensor.raw_data
    onnx.external_data_helper.set_external_data(tensor, location, offset=4, length=len(tensor.raw_data))
    tensor.ClearField("raw_data")
    return model, data


def test_weights_in_a_file_beside_it_are_read(twin: Classifier) -> None:
    model, weights = elsewhere(small_onnx(), "model.onnx.data")
    data = model.SerializeToString()
    assert weight_files(data, PATH) == ("model.onnx.data",)
    network, _ = build_onnx(data, PATH, bundle().input, beside={"model.onnx.data": weights})
    found = Classifier(bundle(), network, precision="fp32")
    np.testing.assert_allclose(found.diagnose(IMAGE).probabilities, twin.diagnose(IMAGE).probabilities, atol=1e-5)
    with pytest.raises(BundleError, match=r"model\.onnx\.data is shorter than the network needs"):
        read_onnx(data, PATH, {"model.onnx.data": weights[:-1]})
    with pytest.raises(BundleError, match=r"put 'model\.onnx\.data' beside it"):
        read_onnx(data, PATH)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/b", "..", "a\\b", ""])
def test_weights_anywhere_else_are_refused(location: str) -> None:
    model, _ = elsewhere(small_onnx(), location)
    with pytest.raises(BundleError, match="not a file beside it"):
        weight_files(model.SerializeToString(), PATH)


def test_defaults_of_functions_name_files_too() -> None:
    model = functions({"f0": ["Relu"]})
    default = model.functions[0].attribute_proto.add(name="value", type=onnx.AttributeProto.TENSOR)
    default.t.CopyFrom(elsewhere(small_onnx(), "../secret")[0].graph.initializer[0])
    with pytest.raises(BundleError, match="not a file beside it"):
        weight_files(model.SerializeToString(), PATH)


def test_sparse_constants_are_refused_since_they_may_lie_in_any_file() -> None:
    sparse = onnx.SparseTensorProto(dims=[1])
    sparse.values.CopyFrom(helper.make_tensor("", TensorProto.FLOAT, [1], bytes(4), raw=True))
    onnx.external_data_helper.set_external_data(sparse.values, "secret", offset=0, length=4)
    sparse.indices.CopyFrom(helper.make_tensor("", TensorProto.INT64, [1], [0]))
    nodes = [
        helper.make_node("Constant", [], ["sparse"], sparse_value=sparse),
        helper.make_node("Add", ["pooled", "sparse"], ["extra"]),
    ]
    refused(small_onnx(extra=nodes), "has sparse weights")


def test_many_weights_cannot_all_be_the_same_bytes_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    model, weights = elsewhere(small_onnx(), "model.onnx.data")
    copy = model.graph.initializer.add()
    copy.CopyFrom(model.graph.initializer[0])
    copy.name = "again"
    data, beside = model.SerializeToString(), {"model.onnx.data": weights}
    read_onnx(data, PATH, beside)
    monkeypatch.setattr(onnx_file, "most_bytes", lambda size: size)
    with pytest.raises(BundleError, match="claim more than"):
        read_onnx(data, PATH, beside)


# What a file says


def test_a_file_is_described_without_running_it(tmp_path: Path) -> None:
    model = small_onnx(layout="nhwc")
    entry = model.metadata_props.add()
    entry.key, entry.value = "names", "{0: 'glioma', 1: 'meningioma', 2: 'none'}"
    folder = make_onnx_model(tmp_path / "Task" / "Model", model)
    found = describe_onnx(folder / "model.onnx")
    assert (found.size, found.channels, found.layout, found.outputs) == ((SIZE, SIZE), 3, "nhwc", 3)
    assert (found.classes, found.black_box, found.opset, found.whole_numbers) == (CLASSES, "", 17, False)
    read_onnx(found.data, PATH)
    entry.value = str(["{" * 101, "b", "c"])
    assert read_onnx(model.SerializeToString(), PATH).classes is None
    box = make_onnx_model(tmp_path / "Task" / "Box", small_onnx(size=("h", "w"), extra=unknown_to_onnx2torch()))
    described = describe_onnx(box / "model.onnx")
    assert "ThresholdedRelu" in described.black_box
    assert described.size is None


def test_a_black_box_is_one_module_without_parts() -> None:
    network = network_of(small_onnx(extra=unknown_to_onnx2torch()))
    assert isinstance(network, BlackBox)
    assert [name for name, _ in network.named_modules()] == [""]
