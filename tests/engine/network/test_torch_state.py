"""What a model's code sets for the whole process changes no other model's answers, and is said."""

from __future__ import annotations

import locale
import os
import random
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from factories import MODEL_CODE, make_image, make_model
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from engine.acceleration.torch_settings import torch_settings
from engine.authoring.check import check_model
from engine.bundle.model_bundle import read_bundle
from engine.errors import BundleError
from engine.network.classifier import Classifier
from engine.network.torch_state import StateWatch, gate

SUPPORT = Path(__file__).parents[2] / "support"


class PlainFunctions(TorchFunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


class PlainDispatch(TorchDispatchMode):
    """A mode that changes nothing."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def _set(owner: object, name: str, value: object) -> None:
    setattr(owner, name, value)


KEPT: list[object] = []
"""Inference modes end when they are collected, so a test keeps what it has entered."""


def _entered(mode: object) -> None:
    KEPT.append(mode)
    mode.__enter__()  # type: ignore[attr-defined]


SETTERS = {
    "torch's default dtype to float64": lambda: torch.set_default_dtype(torch.float64),
    "torch's default dtype to float16": lambda: torch.set_default_tensor_type(torch.HalfTensor),
    "torch's default device to meta": lambda: torch.set_default_device("meta"),
    "torch's function modes to PlainFunctions": lambda: PlainFunctions().__enter__(),
    "torch's dispatch modes to PlainDispatch": lambda: PlainDispatch().__enter__(),
    "torch's inference mode to True": lambda: _entered(torch.inference_mode()),
    "torch's gradient mode to False": lambda: torch.set_grad_enabled(False),
    "torch's threads for gradients to False": lambda: torch.autograd.set_multithreading_enabled(False),
    "torch's autocast to on for cpu": lambda: torch.autocast("cpu").__enter__(),
    "torch's autocast to float16 for cpu": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "without its cache": lambda: torch.set_autocast_cache_enabled(False),
    "torch's deterministic algorithms to True": lambda: torch.use_deterministic_algorithms(True),
    "not deterministic to True": lambda: torch.set_deterministic_debug_mode("warn"),
    "fill_uninitialized_memory to False": lambda: _set(torch.utils.deterministic, "fill_uninitialized_memory", False),
    "torch's anomaly detection to True": lambda: torch.autograd.set_detect_anomaly(True),
    "torch's number of threads to 7": lambda: torch.set_num_threads(7),
    "torch's flushing of denormal numbers to True": lambda: torch.set_flush_denormal(True),
    "float32 matrix products to medium": lambda: torch.set_float32_matmul_precision("medium"),
    "float32 matrix products to high": lambda: _set(torch.backends.cuda.matmul, "allow_tf32", True),
    "cuda.conv none": lambda: _set(torch.backends.cudnn, "allow_tf32", False),
    "mkldnn.conv tf32": lambda: _set(torch.backends, "fp32_precision", "tf32"),
    "mkldnn.matmul bf16": lambda: _set(torch.backends.mkldnn.matmul, "fp32_precision", "bf16"),
    "cuda.conv ieee": lambda: _set(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    "torch's hooks of all modules to hook": lambda: nn.modules.module.register_module_forward_hook(_hook),
    "cudnn.enabled to False": lambda: _set(torch.backends.cudnn, "enabled", False),
    "cudnn.benchmark to True": lambda: _set(torch.backends.cudnn, "benchmark", True),
    "cudnn.deterministic to True": lambda: _set(torch.backends.cudnn, "deterministic", True),
    "mkldnn.enabled to False": lambda: _set(torch.backends.mkldnn, "enabled", False),
    "nnpack to False": lambda: torch.backends.nnpack.set_flags(False),
    "mha's fast path to False": lambda: torch.backends.mha.set_fastpath_enabled(False),
    "cuda's flash_sdp to False": lambda: torch.backends.cuda.enable_flash_sdp(False),
    "cuda's math_sdp to False": lambda: torch.backends.cuda.enable_math_sdp(False),
    "allow_fp16_accumulation to True": lambda: _set(torch.backends.cuda.matmul, "allow_fp16_accumulation", True),
    "allow_bf16_reduced_precision_reduction to (False, True)": lambda: _set(
        torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False
    ),
    "cuda's blas library": lambda: torch.backends.cuda.preferred_blas_library("cublaslt"),
    "quantized.engine to onednn": lambda: _set(torch.backends.quantized, "engine", "onednn"),
}


def _hook(module: object, inputs: object, output: object) -> None: ...


_hook.__name__ = "hook"


def _state() -> list[object]:
    return [setting.read() for setting in torch_settings()]


@pytest.mark.parametrize("said", SETTERS)
def test_a_setting_of_torch_is_restored_and_named(said: str) -> None:
    before, watch = _state(), StateWatch()
    with watch.passing():
        SETTERS[said]()
        assert _state() != before
    assert _state() == before
    (caution,) = watch.cautions
    assert caution.code == "torch-state"
    assert said in caution
    # Restored in truth, not only as it is read.
    ones = torch.ones(3, 3, requires_grad=True)
    (ones @ ones).sum().backward()
    assert ones.grad is not None
    assert (ones.dtype, ones.device.type) == (torch.float32, "cpu")
    torch.get_float32_matmul_precision()  # raises where old and new settings contradict each other
    torch.set_default_device(None)  # would fail if its mode were missing
    assert _state() == before


def test_a_pass_that_sets_nothing_is_not_blamed() -> None:
    watch = StateWatch()
    with watch.passing(), torch.inference_mode(), torch.autocast("cpu"):
        torch.ones(2, 2) @ torch.ones(2, 2)
    assert watch.cautions == ()


def test_what_the_process_had_set_before_stays() -> None:
    watch, threads = StateWatch(), torch.get_num_threads()
    torch.set_num_threads(5)
    try:
        with watch.passing():
            torch.set_num_threads(1)
        assert torch.get_num_threads() == 5
    finally:
        torch.set_num_threads(threads)


def test_loading_restores_what_belongs_to_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIMED_TEST", "before")
    code = """
import locale, logging, os, random, signal, sys, warnings
import numpy, torch
random.seed(5); numpy.random.seed(5); torch.manual_seed(5)
numpy.seterr(all="raise"); warnings.filterwarnings("error"); sys.setrecursionlimit(400)
os.environ["XAIMED_TEST"] = "after"; os.environ["XAIMED_NEW"] = "1"; os.chdir("/")
signal.signal(signal.SIGINT, signal.SIG_IGN); logging.disable(50); sys.stdout = None
locale.setlocale(locale.LC_ALL, "C")
"""
    folder = make_model(tmp_path / "task" / "model", code=code + MODEL_CODE, approved=True)

    def process() -> list[object]:
        import logging
        import signal

        return [
            *(random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), np.geterr()),
            *(list(warnings.filters), sys.getrecursionlimit(), dict(os.environ), Path.cwd(), sys.stdout),
            *(signal.getsignal(signal.SIGINT), logging.root.manager.disable, locale.setlocale(locale.LC_ALL)),
        ]

    before = process()
    loaded = Classifier.load(read_bundle(folder), device="cpu")
    loaded.diagnose(make_image())
    assert process() == before
    assert loaded.state_cautions == ()  # seeds and the like are nobody's concern


def test_what_a_network_draws_at_random_is_the_same_whatever_was_drawn_before(tmp_path: Path) -> None:
    code = MODEL_CODE.replace(
        "self.conv = nn.Conv2d(3, 2, 3)",
        "self.conv = nn.Conv2d(3, 2, 3); self.by = [torch.rand(2), random.random(), numpy.random.rand()]",
    ).replace(".mean((2, 3))", ".mean((2, 3)) * self.by[0] * self.by[1] * self.by[2]")
    code = f"import random, numpy, torch\n{code}"
    folder = make_model(tmp_path / "task" / "model", code=code, approved=True)
    answers = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        answers.add(Classifier.load(read_bundle(folder), device="cpu").diagnose(make_image()).probabilities.tobytes())
    assert len(answers) == 1


IN_FORWARD = "def forward(self, x):\n        "
"""Where a line can be put into `MODEL_CODE`'s forward."""


def _kinds() -> dict[str, str]:
    at_import = {
        "plain": "",
        "double": "torch.set_default_dtype(torch.float64)",
        "meta": "torch.set_default_device('meta')",
        "medium": "torch.set_float32_matmul_precision('medium'); torch.set_num_threads(1)",
        "modes": "torch.set_grad_enabled(False); torch.autocast('cpu', dtype=torch.bfloat16).__enter__()",
        "odd": "torch.use_deterministic_algorithms(True); torch.set_flush_denormal(True); torch.manual_seed(3)",
        "interop": "torch.set_num_interop_threads(1)",
    }
    in_forward = {
        "late": "x = x + torch.linspace(0, 1, 9); torch.set_default_dtype(torch.float64)",
        "late_modes": "torch.set_grad_enabled(False); torch.autocast('cpu', dtype=torch.bfloat16).__enter__()",
        "seeded": "torch.manual_seed(1); x = x + 0.1 * torch.rand(3, 9, 9)",
    }
    kinds = {name: f"import torch\n{line}\n{MODEL_CODE}" for name, line in at_import.items()}
    for name, line in in_forward.items():
        kinds[name] = f"import torch\n{MODEL_CODE.replace(IN_FORWARD, f'{IN_FORWARD}{line}; ')}"
    return kinds


@pytest.mark.skipif(not hasattr(os, "fork"), reason="one process a model is made by forking")
def test_every_model_answers_as_in_a_process_of_its_own(tmp_path: Path) -> None:
    folders = [make_model(tmp_path / "task" / name, code=code) for name, code in _kinds().items()]

    def answers(how: str) -> list[tuple[str, str]]:
        # Without a cache, batches have a fixed size; measuring one for each model would take long.
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(SUPPORT), *sys.path]),
            "XDG_CACHE_HOME": str(folders[0] / "weights.pt"),
        }
        command = [sys.executable, "-W", "ignore", str(SUPPORT / "answers.py"), how, *map(str, folders)]
        made = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert made.returncode == 0, made.stderr
        return [(line.split()[0], line.split(maxsplit=1)[1]) for line in made.stdout.splitlines()]

    alone = dict(answers("alone"))
    assert list(alone) == list(_kinds())
    assert alone["meta"].startswith("torch-state: ")
    together = answers("together")
    assert len(together) == 4 * len(alone)
    assert [entry for entry in together if entry[1] != alone[entry[0]]] == []
    # The same network, whatever it sets: XAIMed's settings hold.
    assert alone["plain"] == alone["medium"] == alone["modes"] == alone["odd"] == alone["interop"]
    assert not any(" " in alone[name] for name in alone if name != "meta")  # they all answer


def test_the_answer_says_what_the_code_sets(tmp_path: Path) -> None:
    code = f"import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_num_threads(1)\n{MODEL_CODE}"
    folder = make_model(tmp_path / "task" / "model", code=code, approved=True)
    diagnosis = Classifier.load(read_bundle(folder), device="cpu").diagnose(make_image())
    assert diagnosis.warnings == (
        "The model's code sets torch's default dtype to float64 and torch's number of threads to 1; "
        "XAIMed set them back.",
    )
    assert diagnosis.warning_codes == ("torch-state",)


@pytest.mark.parametrize(
    "method",
    [
        "train(self, mode=True)",
        "_load_from_state_dict(self, *given)",
        "_apply(self, *given, **named)",
    ],
)
def test_what_is_set_while_the_weights_are_loaded_is_restored_and_said(tmp_path: Path, method: str) -> None:
    call = method.replace("self, ", "").replace("=True", "")
    line = f"    def {method}:\n        torch.set_num_threads(7)\n        return super().{call}\n"
    folder = make_model(tmp_path / "task" / "model", code=f"import torch\n{MODEL_CODE}\n{line}", approved=True)
    before = _state()
    diagnosis = Classifier.load(read_bundle(folder), device="cpu").diagnose(make_image())
    assert _state() == before
    assert "torch's number of threads to 7" in diagnosis.warnings[0]


def test_a_model_that_cannot_work_because_of_a_setting_is_refused_by_its_name(tmp_path: Path) -> None:
    settings = {
        "meta": "torch.set_default_device('meta')",
        "double": "torch.set_default_dtype(torch.float64); mean = torch.zeros(3, 1, 1)",
        "device": "torch.set_default_device('cuda:97')",
    }
    said = {"meta": "default device to meta", "double": "default dtype to float64", "device": "device to cuda:97"}
    for name, line in settings.items():
        code = f"import torch\n{line}\n{MODEL_CODE}"
        if name == "double":
            code = code.replace("self.conv(x)", "self.conv(x - mean)")
        folder = make_model(tmp_path / "task" / name, code=code, approved=True)
        before = _state()
        with pytest.raises(BundleError) as raised:
            Classifier.load(read_bundle(folder), device="cpu")
        assert said[name] in raised.value.cause, name
        assert raised.value.code == "torch-state"
        assert _state() == before, name


def test_a_model_that_fails_for_another_reason_is_not_blamed_for_a_harmless_setting(tmp_path: Path) -> None:
    code = f"import torch\ntorch.backends.cudnn.benchmark = True\n{MODEL_CODE.replace('.mean((2, 3))', '')}"
    folder = make_model(tmp_path / "task" / "model", code=code, approved=True)
    with pytest.raises(BundleError) as raised:
        Classifier.load(read_bundle(folder), device="cpu")
    assert raised.value.code == "model"
    assert not torch.backends.cudnn.benchmark


def test_a_check_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    code = _kinds()["late_modes"]
    folder = make_model(tmp_path / "task" / "model", code=code, approved=True)
    before = _state()
    checked = check_model(Classifier.load(read_bundle(folder), device="cpu"))
    assert "autocast" in checked.diagnosis.warnings[0]
    assert _state() == before


def test_a_pass_waits_for_that_of_another_thread() -> None:
    inside, seen = threading.Event(), []

    def other() -> None:
        with StateWatch().passing():
            torch.set_default_dtype(torch.float64)
            inside.set()
            time.sleep(0.2)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    with StateWatch().passing():
        seen.append(torch.get_default_dtype())
    thread.join()
    assert seen == [torch.float32]


def test_a_loop_of_passes_does_not_keep_others_waiting() -> None:
    passes, ended = [0], threading.Event()

    def loop() -> None:
        while not ended.is_set():
            with gate:
                time.sleep(0.002)
                passes[0] += 1

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        while not passes[0]:
            time.sleep(0.001)
        for _ in range(20):
            before = passes[0]
            with gate:
                assert passes[0] - before <= 2
            time.sleep(0.003)
    finally:
        ended.set()
        thread.join()
