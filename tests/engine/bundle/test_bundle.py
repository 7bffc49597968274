"""Model folders: what is read from them, what is assumed, and what is refused by file and key."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.bundle.model_bundle import ExplainSpec, InputSpec, ModelBundle, OutputSpec, read_bundle
from engine.errors import BundleError

CODE = "def build_model():\n    raise SystemExit('this must not run')\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder with the four files of the paper; running its code would end the test."""
    folder = tmp_path / "A task" / "A model"
    folder.mkdir(parents=True)
    (folder / "weights.pt").write_bytes(b"weights")
    (folder / "architecture.py").write_text(CODE)
    (folder / "description.txt").write_text("Trained on 10 images.\n")
    (folder / "description.png").write_bytes(b"picture")
    return folder


def declare(model: Path, toml: str) -> ModelBundle:
    (model / "model.toml").write_text(toml)
    return read_bundle(model)


def constants(model: Path, text: str) -> ModelBundle:
    (model / "architecture.py").write_text(text + "\n" + CODE)
    return read_bundle(model)


def test_the_four_files_are_enough_and_what_is_assumed_is_said(model: Path) -> None:
    bundle = read_bundle(model)
    assert (bundle.task, bundle.name, bundle.path) == ("A task", "A model", model)
    assert (bundle.weights, bundle.architecture) == (model / "weights.pt", model / "architecture.py")
    assert bundle.input == InputSpec(size=(224, 224), channels=3, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    assert bundle.output == OutputSpec(classes=None, activation=None, multilabel=False)
    assert bundle.explain == ExplainSpec()
    assert bundle.description == "Trained on 10 images.\n"
    assert bundle.picture == model / "description.png"
    assert bundle.samples is None
    said = " ".join(bundle.assumed)
    assert len(bundle.assumed) == 5
    for word in ("input size", "224 x 224", "channels", "3 (RGB)", "Mean and std", "classes", "activation"):
        assert word in said


def test_every_key_of_model_toml_is_read(model: Path) -> None:
    (model / "samples").mkdir()
    bundle = declare(
        model,
        """
        [input]
        size = [50, 60]
        channels = 1
        exact_size = true
        minimum_size = [20, 30]
        resize = "crop"
        mean = [0.5]
        std = [1]
        [output]
        classes = ["NO-IDC", "IDC"]
        activation = "sigmoid"
        multilabel = true
        [explain]
        target_layer = "features.4"
        [explain.rise]
        samples = 500
        grid = 8
        probability = 0.25
        estimator = "paper"
        [explain.lime]
        samples = 100
        superpixels = 40
        kernel_width = 0.3
        [intended_use]
        statement = "Research use only."
        [training]
        images = 10
        sets = ["a", "b"]
        [performance.test]
        f1 = 0.9
        """,
    )
    assert bundle.input == InputSpec(
        size=(50, 60),
        channels=1,
        exact_size=True,
        minimum_size=(20, 30),
        resize="crop",
        mean=(0.5,),
        std=(1.0,),
    )
    assert bundle.output == OutputSpec(classes=("NO-IDC", "IDC"), activation="sigmoid", multilabel=True)
    assert bundle.explain.target_layer == "features.4"
    assert bundle.explain.rise == {"samples": 500, "grid": 8, "probability": 0.25, "estimator": "paper"}
    assert bundle.explain.lime == {"samples": 100, "superpixels": 40, "kernel_width": 0.3}
    assert bundle.notes == {
        "intended_use": "statement: Research use only.",
        "training": "images: 10\nsets: a, b",
        "performance": "test.f1: 0.9",
    }
    assert bundle.assumed == ()
    assert bundle.samples == model / "samples"


def test_constants_are_read_without_running_the_code(model: Path) -> None:
    bundle = constants(
        model,
        "import no_such_package\n"
        "INPUT_SIZE = 50\nCHANNELS: int = 1\nEXACT_SIZE = True\nMINIMUM_SIZE = (20, 30)\nRESIZE = 'fit'\n"
        "MEAN = (0.5,)\nSTD = [0.25]\nCLASSES = ('a', 'b')\nACTIVATION = 'softmax'\nMULTILABEL = False\n"
        "TARGET_LAYER = 'features.4'\nOTHER = print('hello')\n"
        "if True:\n    CLASSES = ('not at', 'the top level')",
    )
    assert bundle.input == InputSpec(
        size=(50, 50), channels=1, exact_size=True, minimum_size=(20, 30), resize="fit", mean=(0.5,), std=(0.25,)
    )
    assert bundle.output == OutputSpec(classes=("a", "b"), activation="softmax")
    assert bundle.explain.target_layer == "features.4"
    assert bundle.assumed == ()


def test_model_toml_takes_the_place_of_the_constants(model: Path) -> None:
    (model / "model.toml").write_text("[input]\nchannels = 1\n")
    bundle = constants(model, "INPUT_SIZE = 50\nCLASSES = 'not even a list'")
    assert bundle.input == InputSpec(channels=1, mean=(0.0,), std=(1.0,))
    assert bundle.output.classes is None


def test_the_number_of_channels_follows_the_mean_where_it_is_not_declared(model: Path) -> None:
    bundle = declare(model, "[input]\nmean = [0.5]\n")
    assert (bundle.input.channels, bundle.input.mean, bundle.input.std) == (1, (0.5,), (1.0,))


def test_how_values_are_fed_is_read_from_settings_and_from_constants(model: Path) -> None:
    fed = InputSpec(
        layout="nhwc",
        colour_order="bgr",
        value_range=(0.0, 255.0),
        mean=(103.9, 116.8, 123.7),
        std=(58.0, 57.0, 57.0),
    )
    written = "mean = [103.9, 116.8, 123.7]\nstd = [58, 57, 57]\n"
    bundle = declare(model, f'[input]\nlayout = "nhwc"\ncolour_order = "bgr"\nvalue_range = [0, 255]\n{written}')
    assert bundle.input == fed
    (model / "model.toml").unlink()
    text = f'LAYOUT = "nhwc"\nCOLOUR_ORDER = "bgr"\nVALUE_RANGE = (0, 255)\n{written.upper()}'
    assert constants(model, text).input == fed


def test_what_is_fed_without_mean_and_std_is_said_in_the_declared_range(model: Path) -> None:
    said = " ".join(declare(model, "[input]\nvalue_range = [-1, 1]\n").assumed)
    assert "pixel values in [-1, 1] are fed as they are" in said


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[inputs]\n", ["no section 'inputs'", "did you mean 'input'?"]),
        ("size = 3\n", ["no section 'size'"]),
        ("input = 3\n", ["[input]"]),
        ("[input]\nsise = [1, 2]\n", ["[input] has no key 'sise'", "did you mean 'size'?"]),
        ("[input]\nsize = 50\n", ["[input] size", "[height, width]", "not 50"]),
        ("[input]\nsize = [50, 2]\n", ["[input] size", "from 3"]),
        ("[input]\nsize = [50.0, 50]\n", ["[input] size"]),
        ("[input]\nsize = [true, 50]\n", ["[input] size"]),
        ("[input]\nsize = [50, 50, 3]\n", ["[input] size"]),
        ("[input]\nsize = [50, 100000]\n", ["[input] size", "4,096"]),
        ("[input]\nchannels = 4\n", ["[input] channels", "1 (grey) or 3 (RGB), not 4"]),
        ("[input]\nchannels = true\n", ["[input] channels", "not true"]),
        ("[input]\nexact_size = 1\n", ["[input] exact_size", "true or false"]),
        ('[input]\nresize = "Crop"\n', ["[input] resize", '"crop"', 'not "Crop"']),
        ("[input]\nmean = 0.5\n", ["[input] mean", "list of numbers"]),
        ("[input]\nmean = [0.5, 0.5]\n", ["[input] mean", "1 or 3"]),
        ("[input]\nmean = [123.7, 116.3, 103.5]\n", ["[input] mean", "[0, 1]", "divide by 255"]),
        ("[input]\nmean = [nan, 0.5, 0.5]\n", ["[input] mean"]),
        ("[input]\nstd = [0, 1, 1]\n", ["[input] std", "greater than 0"]),
        ("[input]\nstd = [inf, 1, 1]\n", ["[input] std"]),
        ("[input]\nchannels = 3\nmean = [0.5]\n", ["[input] mean", "3 numbers", "not 1"]),
        ("[input]\nmean = [0.5]\nstd = [1, 1, 1]\n", ["[input] std", "1 number,", "not 3"]),
        ('[input]\nlayout = "hwc"\n', ["[input] layout", '"nhwc"']),
        ('[input]\ncolour_order = "gbr"\n', ["[input] colour_order", '"bgr"']),
        ('[input]\nchannels = 1\ncolour_order = "bgr"\n', ["[input] colour_order", "one channel"]),
        ("[input]\nvalue_range = [1, 1]\n", ["[input] value_range", "two different numbers"]),
        ("[input]\nvalue_range = [0, inf]\n", ["[input] value_range"]),
        ("[input]\nvalue_range = 255\n", ["[input] value_range", "not 255"]),
        ("[input]\nvalue_range = [1, 2]\n", ["[input] value_range", "must include 0"]),
        ("[input]\nmean = [124, 116, 104]\n", ["[input] mean", "value_range = [0, 255]"]),
        ("[input]\nvalue_range = [0, 255]\nmean = [124, 116, 300]\n", ["[input] mean", "[0, 255]", "300"]),
        ("[input]\nmean = [0.5, 0.5, 0.5]\nstd = [58, 57, 57]\n", ["[input] std", "at most 10", "divide by 255"]),
        ("[input]\nexact_size = true\nsize = [9, 9]\nminimum_size = [10, 9]\n", ["[input] minimum_size", "9 x 9"]),
        ('[output]\nclasses = "IDC"\n', ["[output] classes", "list of names"]),
        ("[output]\nclasses = []\n", ["[output] classes"]),
        ('[output]\nclasses = ["a", "a"]\n', ["[output] classes", '"a" is there twice']),
        ('[output]\nclasses = ["a", " "]\n', ["[output] classes", "1 to 200 characters"]),
        ('[output]\nactivation = "relu"\n', ["[output] activation", '"sigmoid"']),
        ("[input]\naccept_grey = 1\n", ["[input] accept_grey", "true or false"]),
        ("[input]\naccept_grey = false\naccept_colour = false\n", ["[input] accept_grey", "no image would be left"]),
        ("[output]\nthreshold = 0\n", ["[output] threshold", "between 0 and 1, not 0"]),
        ("[output]\nthreshold = 1.0\n", ["[output] threshold", "between 0 and 1"]),
        ("[output]\nthreshold = nan\n", ["[output] threshold", "between 0 and 1"]),
        ('[output]\nactivation = "softmax"\nthreshold = 0.4\n', ["[output] threshold", "most probable class"]),
        ('[output]\nclasses = ["a", "b", "c"]\nthreshold = 0.4\n', ["[output] threshold", "most probable class"]),
        ("[output]\ntemperature = 0\n", ["[output] temperature", "between 0 and 1000"]),
        ("[output]\ntemperature = -1.5\n", ["[output] temperature", "between 0 and 1000"]),
        ("[output]\ntemperature = inf\n", ["[output] temperature", "between 0 and 1000"]),
        ('[explain]\nlayer = "x"\n', ["[explain] has no key 'layer'", "target_layer"]),
        ("[explain]\ntarget_layer = 4\n", ["[explain] target_layer"]),
        ("[explain.rise]\ns = 4\n", ["[explain.rise] has no key 's'"]),
        ("[explain.rise]\nsamples = 4.0\n", ["[explain.rise] samples", "whole number"]),
        ("[explain.rise]\nsamples = 1\n", ["[explain.rise] samples", "16"]),
        ("[explain.rise]\nprobability = 1\n", ["[explain.rise] probability", "between 0 and 1"]),
        ('[explain.rise]\nestimator = "centered"\n', ["[explain.rise] estimator", '"centred"']),
        ("[explain.lime]\nkernel_width = 0\n", ["[explain.lime] kernel_width"]),
        ("[explain.gradcam]\nx = 1\n", ["[explain] has no key 'gradcam'"]),
        ("training = 'long'\n", ["[training]"]),
        ("[input\n", ["not TOML", "line 1"]),
        ("x = " + "[" * 5000, ["nested too deeply"]),
        ("x = " + "9" * 5000, ["not TOML"]),
        ("# " + "x" * 1_000_000, ["1,000,002 bytes", "1,000,000"]),
    ],
)
def test_a_wrong_model_toml_is_refused_by_file_and_key(model: Path, toml: str, words: list[str]) -> None:
    with pytest.raises(BundleError) as caught:
        declare(model, toml)
    assert caught.value.subject == str(model / "model.toml")
    for word in words:
        assert word in caught.value.message
    assert len(caught.value.message) < 600


def test_a_model_toml_that_is_not_utf_8_is_refused(model: Path) -> None:
    (model / "model.toml").write_bytes(b"[input] # caf\xe9")
    with pytest.raises(BundleError, match="not UTF-8"):
        read_bundle(model)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CHANNELS = [16, 32, 64]", ["CHANNELS must be 1 (grey) or 3 (RGB)", "add a model.toml"]),
        ("CLASSES = tuple('ab')", ["CLASSES is not a plain literal", "code is not run"]),
        ("INPUT_SIZE = (50, 50, 3)", ["INPUT_SIZE must be [height, width]"]),
        ("MEAN = (0.5,)\nSTD = (1, 1, 1)", ["STD must have 1 number"]),
        ("INPUT_SIZE = " + "-" * 100_000 + "5", ["architecture.py"]),
        ("class Net(:", ["not valid Python in line 1"]),
        ("x = '\0'", ["Python"]),
    ],
)
def test_wrong_constants_are_refused_by_name(model: Path, text: str, words: list[str]) -> None:
    with pytest.raises(BundleError) as caught:
        constants(model, text)
    assert caught.value.subject == str(model / "architecture.py")
    for word in words:
        assert word in caught.value.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: (m / "weights.pt").unlink(), ["neither weights.pt nor weights.safetensors"]),
        (lambda m: (m / "weights.pt").write_bytes(b""), ["weights.pt", "empty"]),
        (lambda m: (m / "weights.safetensors").touch(), ["both weights.pt and weights.safetensors"]),
        (lambda m: (m / "architecture.py").unlink(), ["no architecture.py"]),
        (lambda m: (m / "architecture.py").write_text("#" * 1_000_001), ["architecture.py", "1,000,001 bytes"]),
        (lambda m: ((m / "weights.pt").unlink(), os.mkfifo(m / "weights.pt")), ["weights.pt", "a pipe"]),
        (lambda m: ((m / "architecture.py").unlink(), os.mkfifo(m / "architecture.py")), ["architecture.py", "a pipe"]),
        (lambda m: os.mkfifo(m / "model.toml"), ["model.toml", "a pipe"]),
        (lambda m: os.mkfifo(m / "other"), ["other", "neither a file nor a folder"]),
        (lambda m: (m / "extra").symlink_to("/etc/hostname"), ["extra", "link"]),
        (lambda m: (m / "extra").symlink_to(m.parent), ["extra", "link"]),
        (lambda m: (m / "extra").symlink_to("nowhere"), ["extra", "link"]),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(model: Path, change: Callable[[Path], object], words: list[str]) -> None:
    change(model)
    with pytest.raises(BundleError) as caught:
        read_bundle(model)
    for word in words:
        assert word in caught.value.message


def test_safetensors_may_take_the_place_of_weights_pt(model: Path) -> None:
    (model / "weights.pt").rename(model / "weights.safetensors")
    assert read_bundle(model).weights == model / "weights.safetensors"


def test_a_missing_description_and_picture_are_no_obstacle(model: Path) -> None:
    (model / "description.txt").unlink()
    (model / "description.png").unlink()
    bundle = read_bundle(model)
    assert (bundle.description, bundle.picture) == ("", None)


def test_a_long_description_is_cut_with_a_word(model: Path) -> None:
    (model / "description.txt").write_text("x" * 100_000)
    text = read_bundle(model).description
    assert text.startswith("x" * 64_000 + "\n(Cut here")
    assert "100,000 bytes" in text
    assert len(text) < 64_200


def test_a_description_that_is_no_text_file_is_said_so(model: Path) -> None:
    (model / "description.txt").unlink()
    os.mkfifo(model / "description.txt")
    with pytest.raises(BundleError, match="neither a file nor a folder"):
        read_bundle(model)
    (model / "description.txt").unlink()
    (model / "description.txt").write_bytes(b"caf\xe9")
    assert read_bundle(model).description == "caf\ufffd"


def test_the_digest_is_over_paths_sizes_and_contents(model: Path) -> None:
    (model / "samples").mkdir()
    (model / "samples" / "b.png").write_bytes(b"12345")
    files = {
        "architecture.py": CODE.encode(),
        "description.png": b"picture",
        "description.txt": b"Trained on 10 images.\n",
        "samples/b.png": b"12345",
        "weights.pt": b"weights",
    }
    lines = [f"{n}\0{len(c)}\0{hashlib.sha256(c).hexdigest()}\n" for n, c in sorted(files.items())]
    assert read_bundle(model).digest == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_any_changed_byte_changes_the_digest_and_a_cache_of_bytecode_does_not(model: Path) -> None:
    before = read_bundle(model).digest
    (model / "__pycache__").mkdir()
    (model / "__pycache__" / "architecture.pyc").write_bytes(b"x")
    assert read_bundle(model).digest == before
    seen = {before}
    state = (model / "weights.pt").stat()
    (model / "weights.pt").write_bytes(b"Weights")
    os.utime(model / "weights.pt", ns=(state.st_atime_ns, state.st_mtime_ns))  # same size, same time
    seen.add(read_bundle(model).digest)
    (model / "description.txt").rename(model / "description.md")
    seen.add(read_bundle(model).digest)
    (model / "empty").touch()
    seen.add(read_bundle(model).digest)
    assert len(seen) == 4


def test_a_link_to_a_file_of_the_folder_is_that_file(model: Path) -> None:
    (model / "weights.pt").rename(model / "best.pt")
    (model / "weights.pt").symlink_to("best.pt")
    linked = read_bundle(model).digest
    (model / "weights.pt").unlink()
    (model / "weights.pt").write_bytes(b"weights")
    assert read_bundle(model).digest == linked


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such model folder"):
        read_bundle(tmp_path / "nowhere")


def test_which_images_are_accepted_and_where_the_answer_turns_can_be_declared_in_both_places(model: Path) -> None:
    bundle = read_bundle(model)
    assert (bundle.input.accept_grey, bundle.input.accept_colour) == (None, None)
    assert (bundle.output.threshold, bundle.output.temperature) == (None, 1.0)
    in_code = constants(model, "ACCEPT_GREY = False\nACCEPT_COLOUR = True\nTHRESHOLD = 0.3\nTEMPERATURE = 2")
    in_toml = declare(
        model, "[input]\naccept_grey = false\naccept_colour = true\n[output]\nthreshold = 0.3\ntemperature = 2\n"
    )
    for bundle in (in_code, in_toml):
        assert (bundle.input.accept_grey, bundle.input.accept_colour) == (False, True)
        assert (bundle.output.threshold, bundle.output.temperature) == (0.3, 2.0)
    several = declare(model, '[output]\nclasses = ["a", "b", "c"]\nmultilabel = true\nthreshold = 0.4\n')
    assert several.output.threshold == 0.4
