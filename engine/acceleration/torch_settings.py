"""The settings of PyTorch that stay as code left them: how each is read, restored and named.

PyTorch has public functions for some only, so this module may use private ones, as `torch_private` may. A new version
of PyTorch may rename or move them without notice; `tests/engine/network/test_torch_state.py` then fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of PyTorch that stays as code left it.

    Attributes:
        read: returns its value, in about a microsecond; values are compared with `==`.
        write: sets it to a value that `read` returned.
        said: returns what is said of code that sets it to a value, as in `torch's default dtype to float64`.
        breaks: whether a network may fail, not only answer a little differently, because of another value.
    """

    read: Callable[[], Any]
    write: Callable[[Any], object]
    said: Callable[[Any], str]
    breaks: bool = False


def torch_settings() -> tuple[Setting, ...]:
    """Return the settings that change the answers of networks or make them fail, in the order to restore them.

    Some belong to the process: the default dtype, precisions, backends, deterministic algorithms, anomaly detection,
    and the hooks of all modules. Some belong to the thread: the modes (function, dispatch, inference, gradient,
    autocast), the default device, and whether denormal numbers count as 0. The number of threads is of both kinds. The
    number of threads between operations is left out: it can be set only once, and it changes no answer. What code has
    replaced in PyTorch's own modules cannot be found in this way.
    """
    c = torch._C
    settings = [
        Setting(_function_modes, _set_function_modes, _function_modes_said, breaks=True),
        Setting(_dispatch_modes, _set_dispatch_modes, _dispatch_modes_said, breaks=True),
        # Before the dtype, which it sets, too.
        Setting(c._get_default_device, _set_tensor_type, _to("the device of torch's default tensors"), breaks=True),
        Setting(torch.get_default_dtype, torch.set_default_dtype, _to("torch's default dtype"), breaks=True),
        # Before the two after it, which it sets, too.
        Setting(torch.is_inference_mode_enabled, _set_inference_mode, _to("torch's inference mode"), breaks=True),
        Setting(torch.is_grad_enabled, c._set_grad_enabled, _to("torch's gradient mode"), breaks=True),
        Setting(c._is_multithreading_enabled, c._set_multithreading_enabled, _to("torch's threads for gradients")),
        Setting(_autocast, _set_autocast, _autocast_said, breaks=True),
        Setting(
            c._get_deterministic_algorithms,
            lambda on: c._set_deterministic_algorithms(on, warn_only=c._get_deterministic_algorithms_warn_only()),
            _to("torch's deterministic algorithms"),
            breaks=True,
        ),
        Setting(
            c._get_deterministic_algorithms_warn_only,
            lambda only: c._set_deterministic_algorithms(c._get_deterministic_algorithms(), warn_only=only),
            _to("torch's mere warning of algorithms that are not deterministic"),
        ),
        Setting(
            c._get_deterministic_fill_uninitialized_memory,
            c._set_deterministic_fill_uninitialized_memory,
            _to("torch.utils.deterministic.fill_uninitialized_memory"),
        ),
        Setting(
            torch.is_anomaly_enabled,
            lambda on: c.set_anomaly_enabled(on, torch.is_anomaly_check_nan_enabled()),
            _to("torch's anomaly detection"),
            breaks=True,
        ),
        Setting(
            torch.is_anomaly_check_nan_enabled,
            lambda on: c.set_anomaly_enabled(torch.is_anomaly_enabled(), on),
            _to("torch's anomaly detection of NaN"),
        ),
        Setting(torch.get_num_threads, torch.set_num_threads, _to("torch's number of threads")),
        Setting(_flushes_denormals, torch.set_flush_denormal, _to("torch's flushing of denormal numbers")),
        Setting(_float32, _set_float32, _float32_said),
        Setting(_hooks_of_all, _set_hooks_of_all, _hooks_said, breaks=True),
        Setting(_cuda_device, torch.cuda.set_device, _to("torch's current CUDA device"), breaks=True),
    ]
    backends = (
        ("cudnn.enabled", c._get_cudnn_enabled, c._set_cudnn_enabled),
        ("cudnn.benchmark", c._get_cudnn_benchmark, c._set_cudnn_benchmark),
        ("cudnn.deterministic", c._get_cudnn_deterministic, c._set_cudnn_deterministic),
        ("mkldnn.enabled", c._get_mkldnn_enabled, c._set_mkldnn_enabled),
        ("mkldnn.deterministic", c._get_mkldnn_deterministic, c._set_mkldnn_deterministic),
        ("nnpack", c._get_nnpack_enabled, c._set_nnpack_enabled),
        ("mha's fast path", torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled),
        ("cuda's flash_sdp", c._get_flash_sdp_enabled, c._set_sdp_use_flash),
        ("cuda's mem_efficient_sdp", c._get_mem_efficient_sdp_enabled, c._set_sdp_use_mem_efficient),
        ("cuda's math_sdp", c._get_math_sdp_enabled, c._set_sdp_use_math),
        ("cuda's cudnn_sdp", c._get_cudnn_sdp_enabled, c._set_sdp_use_cudnn),
        (
            "cuda's fp16_bf16_reduction_math_sdp",
            c._get_math_sdp_allow_fp16_bf16_reduction,
            c._set_math_sdp_allow_fp16_bf16_reduction,
        ),
        (
            "cuda.matmul.allow_fp16_accumulation",
            c._get_cublas_allow_fp16_accumulation,
            c._set_cublas_allow_fp16_accumulation,
        ),
        (
            "cuda.matmul.allow_fp16_reduced_precision_reduction",
            c._get_cublas_allow_fp16_reduced_precision_reduction,
            _unpacked(c._set_cublas_allow_fp16_reduced_precision_reduction),
        ),
        (
            "cuda.matmul.allow_bf16_reduced_precision_reduction",
            c._get_cublas_allow_bf16_reduced_precision_reduction,
            _unpacked(c._set_cublas_allow_bf16_reduced_precision_reduction),
        ),
        ("cuda's blas library", c._get_blas_preferred_backend, c._set_blas_preferred_backend),
        ("cuda's linalg library", c._get_linalg_preferred_backend, c._set_linalg_preferred_backend),
    )
    settings += [Setting(read, write, _to(f"torch.backends.{name}")) for name, read, write in backends]
    settings.append(Setting(c._get_qengine, c._set_qengine, _engine_said))
    return tuple(settings)


def _to(name: str) -> Callable[[Any], str]:
    return lambda value: f"{name} to {str(value).removeprefix('torch.')}"


def _unpacked(write: Callable[..., object]) -> Callable[[Any], object]:
    # Older versions of PyTorch read a single bool, newer ones a pair.
    return lambda value: write(*value) if isinstance(value, tuple) else write(value)


def _function_modes() -> tuple[object, ...]:
    # The default device is such a mode, too.
    count = torch._C._len_torch_function_stack()
    return tuple(torch._C._get_function_stack_at(at) for at in range(count)) if count else ()


def _set_function_modes(modes: tuple[object, ...]) -> None:
    from torch.utils import _device

    for _ in range(torch._C._len_torch_function_stack()):
        torch._C._pop_torch_function_stack()
    for mode in modes:
        torch._C._push_on_torch_function_stack(mode)
    devices = [mode for mode in modes if isinstance(mode, _device.DeviceContext)]
    # `torch.set_default_device` leaves the mode that it finds here, and would fail if it is not on the stack any more.
    torch._GLOBAL_DEVICE_CONTEXT.device_context = devices[-1] if devices else None
    _device.CURRENT_DEVICE = devices[-1].device if devices else None


def _function_modes_said(modes: tuple[Any, ...]) -> str:
    devices = [str(mode.device) for mode in modes if hasattr(mode, "device")]
    return f"torch's default device to {devices[-1]}" if devices else _modes_said("function", modes)


def _dispatch_modes() -> tuple[object, ...]:
    count = torch._C._len_torch_dispatch_stack()
    return tuple(torch._C._get_dispatch_stack_at(at) for at in range(count)) if count else ()


def _set_dispatch_modes(modes: tuple[object, ...]) -> None:
    from torch.utils import _python_dispatch

    for _ in range(torch._C._len_torch_dispatch_stack()):
        _python_dispatch._pop_mode()
    for mode in modes:
        _python_dispatch._push_mode(cast("_python_dispatch.TorchDispatchMode", mode))


def _dispatch_modes_said(modes: tuple[Any, ...]) -> str:
    return _modes_said("dispatch", modes)


def _modes_said(kind: str, modes: tuple[Any, ...]) -> str:
    return f"torch's {kind} modes to {', '.join(type(mode).__name__ for mode in modes) or 'none'}"


def _set_tensor_type(device: str) -> None:
    torch.set_default_tensor_type("torch.FloatTensor" if device == "cpu" else f"torch.{device}.FloatTensor")


_kept_modes: list[torch.inference_mode] = []


def _set_inference_mode(enabled: bool) -> None:
    # There is no function that sets it. A mode that is entered stays until it is left or collected, so it is kept.
    mode = torch.inference_mode(mode=enabled)
    mode.__enter__()
    _kept_modes.append(mode)


_CAST = ("cpu", "cuda")
"""The kinds of device whose autocast is looked after."""


def _autocast() -> tuple[Any, ...]:
    """Return for which kinds of device it is on, the dtypes, whether weights are cached, and how deep it is nested."""
    on: tuple[bool, ...] = (False, False)
    dtypes: tuple[torch.dtype | None, ...] = (None, None)
    if torch._C._is_any_autocast_enabled():
        # The dtypes are left alone: the engine's own casting sets them, see `engine.acceleration.precision`.
        on = torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")
    else:
        dtypes = torch.get_autocast_dtype("cpu"), torch.get_autocast_dtype("cuda")
    torch.autocast_increment_nesting()
    return on, dtypes, torch.is_autocast_cache_enabled(), torch.autocast_decrement_nesting()


def _set_autocast(value: tuple[Any, ...]) -> None:
    on, dtypes, cached, nesting = value
    for kind, enabled, dtype in zip(_CAST, on, dtypes, strict=True):
        torch.set_autocast_enabled(kind, enabled)
        if dtype is not None:
            torch.set_autocast_dtype(kind, dtype)
    torch.set_autocast_cache_enabled(cached)
    while (now := _autocast()[-1]) != nesting:
        _ = torch.autocast_decrement_nesting() if now > nesting else torch.autocast_increment_nesting()
    if not nesting:
        torch.clear_autocast_cache()


def _autocast_said(value: tuple[Any, ...]) -> str:
    on, dtypes, cached, _ = value
    if any(on):
        return f"torch's autocast to on for {' and '.join(k for k, each in zip(_CAST, on, strict=True) if each)}"
    kinds = " and ".join(f"{str(dtype).removeprefix('torch.')} for {k}" for k, dtype in zip(_CAST, dtypes, strict=True))
    return f"torch's autocast to {kinds}{'' if cached else ', without its cache'}"


_TINY = [5e-324, 1.0]
"""The smallest denormal number and 1, in a list, so that Python does not multiply them in advance."""


def _flushes_denormals() -> bool:
    tiny, one = _TINY
    return tiny * one == 0.0


_KINDS = (
    ("cuda", "matmul"),
    ("cuda", "conv"),
    ("cuda", "rnn"),
    ("mkldnn", "matmul"),
    ("mkldnn", "conv"),
    ("mkldnn", "rnn"),
)


def _float32() -> tuple[str, ...]:
    """Return the older setting, `mixed` where PyTorch cannot tell it from the newer ones, and these."""
    read = torch._C._get_fp32_precision_getter
    try:
        older = torch._C._get_float32_matmul_precision()
    except RuntimeError:
        older = "mixed"
    return (older, *[read(backend, kind) for backend, kind in _KINDS])


def _set_float32(value: tuple[str, ...]) -> None:
    older, *newer = value
    write = torch._C._set_fp32_precision_setter
    # What covers several kinds comes first, as it also sets these.
    for backend in ("generic", "cuda", "mkldnn"):
        write(backend, "all", "none")
    if older != "mixed":
        torch._C._set_float32_matmul_precision(older)
    torch._C._set_cudnn_allow_tf32(newer[1] == "tf32")
    for kind, precision in zip(_KINDS, newer, strict=True):
        write(*kind, precision)


def _float32_said(value: tuple[str, ...]) -> str:
    older, *newer = value
    if older in ("high", "medium"):
        return f"torch's precision of float32 matrix products to {older}"
    kinds = ", ".join(f"{backend}.{kind} {each}" for (backend, kind), each in zip(_KINDS, newer, strict=True))
    return f"torch's precisions of float32 to {kinds}"


_HOOKS = tuple(
    value for name, value in vars(nn.modules.module).items() if name.startswith("_global_") and isinstance(value, dict)
)


def _hooks_of_all() -> tuple[Any, ...]:
    return (
        *[tuple(hooks.items()) if hooks else () for hooks in _HOOKS],
        nn.modules.module._global_is_full_backward_hook,
    )


def _set_hooks_of_all(value: tuple[Any, ...]) -> None:
    *kept, full = value
    for hooks, entries in zip(_HOOKS, kept, strict=True):
        hooks.clear()
        hooks.update(entries)
    nn.modules.module._global_is_full_backward_hook = full


def _hooks_said(value: tuple[Any, ...]) -> str:
    names = [getattr(hook, "__name__", type(hook).__name__) for part in value[:-1] for _, hook in part]
    return f"torch's hooks of all modules to {', '.join(names) or 'none'}"


def _cuda_device() -> int:
    return torch.cuda.current_device() if cuda_started() else 0


def cuda_started() -> bool:
    """Whether something has used CUDA in this process; asking CUDA for anything else would start it."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]  # torch declares no types for it


def _engine_said(engine: int) -> str:
    names = {0: "none", 1: "fbgemm", 2: "qnnpack", 3: "onednn", 4: "x86"}
    return f"torch.backends.quantized.engine to {names.get(engine, engine)}"
