"""Load a TorchScript archive: a program that torch runs, so only ever one that a person has approved."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from engine.acceleration.torch_private import archive_records
from engine.bundle.torchscript import NotShownError, code_files, is_code
from engine.errors import BundleError
from engine.network.device import is_out_of_memory
from engine.network.sources.black_box import BlackBox
from engine.network.weights import too_little_memory


def build_torchscript(data: bytes, path: Path) -> nn.Module:
    """Return the network of a TorchScript archive, on the CPU, in float32 and evaluation mode. This runs its code.

    It is a black box: torch calls no hooks inside of it, so that no layer can be looked at.

    Args:
        data: the content, as it was approved.
        path: the file, for errors.

    Raises:
        BundleError: it cannot be loaded, torch finds other code in it than is shown, or its weights hold NaN or
            infinity.
        OutOfMemoryError: the machine ran out of memory.
    """
    _check_shown(data, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch would rather have it exported anew
            script = torch.jit.load(io.BytesIO(data), map_location="cpu")  # type: ignore[no-untyped-call]
        script.eval()
        for parameter in script.parameters():
            parameter.requires_grad_(False)
        script.float()
    except KeyboardInterrupt:
        raise
    # torch raises RuntimeError for most, but the archive's code may raise anything.
    except BaseException as error:
        if is_out_of_memory(error):
            raise too_little_memory(path) from error
        raise BundleError(
            f"cannot be loaded as TorchScript ({type(error).__name__})",
            subject=path,
            remedy="save it again with torch.jit.save, under this version of torch or an older one",
        ) from error
    for name, value in script.state_dict().items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise BundleError(
                f"{name} holds NaN or infinite values", subject=path, remedy="train or copy the model again"
            )
    return TorchScriptBlackBox(script)


def _check_shown(data: bytes, path: Path) -> None:
    """Check that the code which runs is the code that a person was shown: torch reads archives in its own way.

    Raises:
        BundleError: it is not.
    """
    try:
        shown = code_files(data)
        found = [(name, content) for name, content in archive_records(data) if is_code(name)]
    except (NotShownError, RuntimeError):  # the person was told so; or loading it will fail
        return
    if sorted((name.partition("/")[2], content) for name, content in shown) != sorted(found):
        raise BundleError(
            "torch finds other code in it than was shown, so it was not loaded",
            subject=path,
            remedy="remove it, or ask its maker for a file that torch.jit.save wrote",
        )


class TorchScriptBlackBox(BlackBox):
    """A TorchScript module. It is not registered as a part: nothing is to be expected of its modules."""

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        super().__init__("TorchScript runs this network, in which no layer can be looked at")
        self._script = (script,)

    def forward(self, images: torch.Tensor) -> object:
        """Return the script's output."""
        return self._script[0](images)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> TorchScriptBlackBox:
        self._script[0]._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
