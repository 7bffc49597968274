"""Why a network fails for an image: the true cause, found by looking at the pass, and what helps."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Mapping

import torch
from torch import nn

from engine.errors import BundleError
from engine.network.device import is_out_of_memory
from engine.network.expected_input import Sides, SideSearch, channels_asked, flat_image
from engine.network.reading import may_be_scores, tensors_in
from engine.network.torch_state import StateWatch
from engine.network.trial import Entered, Trial, first_line, line_of, try_pass

Shape = tuple[int, int, int]
"""(C, H, W) of the input."""

Found = tuple[str, str]
"""The cause as a clause, and the remedy."""

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_VOLUMES = (nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d, nn.MaxPool3d, nn.AvgPool3d)
_BATCHES = (4, 8, 16, 32, 64)
_MISSING = re.compile(r"missing \d+ required positional arguments?: (.+)")
_UNPACKED = re.compile(r"values to unpack \(expected (\d+)(?:, got (\d+))?\)")
_DEVICES = ("NVIDIA driver", "not compiled with CUDA", "same device", "torch.cuda", "at least two devices")
_KINDS = {
    torch.float16: "float16 (.half())",
    torch.bfloat16: "bfloat16 (.bfloat16())",
    torch.float64: "float64 (.double())",
}
_PRECISION = re.compile(r"same dtype|expected scalar type|should be the same|mixed dtype|not implemented for '", re.I)
_BATCH_FIRST = "make its forward take a (batch, channels, height, width) tensor"
_FLOAT32 = "remove .half(), .double() and dtype=... from its forward, as XAIMed computes in float32"
_CLOSE = 1e-4
_SHORT_SEARCH = 4.0


def judges_pairs_apart(network: nn.Module, shape: Shape) -> bool:
    """Whether a network gives an image the same scores whichever image is passed with it.

    A network that fails for a single image, because it squeezes the batch dimension away, can then be fed an image
    together with its copy.
    """
    generator = torch.Generator().manual_seed(0)
    image, *others = (torch.randn(*shape, generator=generator) for _ in range(3))
    rows = []
    for other in (image, *others):
        trial = try_pass(network, torch.stack([image, 3.0 * other if other is not image else other]))
        if trial.error is not None:
            return False
        scores = [value[0] for value in tensors_in(trial.output).values() if may_be_scores(value, 2)]
        if not scores or not all(bool(torch.isfinite(row).all()) for row in scores):
            return False
        rows.append(torch.cat([row.float().ravel() for row in scores]))
    return all(torch.allclose(rows[0], row, rtol=_CLOSE, atol=_CLOSE) for row in rows[1:])


def kinds_of_weights(network: nn.Module) -> dict[str, torch.dtype]:
    """Return the types of a network's weights by name, to compare them after a pass."""
    return {name: parameter.dtype for name, parameter in network.named_parameters()}


def check_weights_kept(network: nn.Module, before: Mapping[str, torch.dtype], subject: str) -> None:
    """Check that a pass has not turned the network's weights into another type, as `self.half()` in its code does.

    Raises:
        BundleError: it has. What the weights have lost by that is not to be had again.
    """
    for name, dtype in kinds_of_weights(network).items():
        if before.get(name, dtype) != dtype:
            kind = _KINDS.get(dtype, str(dtype).removeprefix("torch."))
            raise BundleError(
                f"its code turns its own weights into {kind} as it runs, {name} for one",
                subject=subject,
                remedy=_FLOAT32,
            )


def why_it_fails(
    network: nn.Module, shape: Shape, subject: str, *, error: BaseException | None = None, sides: Sides | None = None
) -> BundleError:
    """Return the error for a network that fails for an image, with the true cause as far as it can be found.

    Args:
        network: on the CPU, in evaluation mode.
        shape: of what it was fed.
        subject: the model's name.
        error: what it raised.
        sides: the inputs that it takes, if that is known already.
    """
    if error is not None and is_out_of_memory(error):
        return BundleError("there is not enough memory to pass one image through it", subject=subject)
    trial = try_pass(network, torch.zeros(1, *shape, device=_device(network)))
    if trial.error is None and error is not None:  # so the cause is nothing that each image has
        return BundleError(
            f"the network fails for an image of noise ({first_line(error)}{line_of(error)})",
            subject=subject,
            remedy="mend its code or ask who made the model",
        )
    error = trial.error or error or RuntimeError("it fails now and then")
    if (fault := _another_fault(network, shape, subject, trial, error)) is not None:
        return fault
    cause, remedy = _by_size(network, shape, trial, error, sides)
    return BundleError(cause, subject=subject, remedy=remedy)


def another_fault(network: nn.Module, shape: Shape, subject: str) -> BundleError | None:
    """Return the error for a network that fails for an image whatever its size; None if the size may be the cause."""
    trial = try_pass(network, torch.zeros(1, *shape, device=_device(network)))
    return None if trial.error is None else _another_fault(network, shape, subject, trial, trial.error)


def _another_fault(
    network: nn.Module, shape: Shape, subject: str, trial: Trial, error: BaseException
) -> BundleError | None:
    for look in _LOOKS:
        if (found := look(network, shape, trial, error)) is not None:
            cause, remedy = found
            code = "batch-dependent" if look in (_by_batch_statistics, _by_batch_size) else None
            return BundleError(cause, subject=subject, remedy=remedy, code=code)
    return None


def _fed(trial: Trial) -> str:
    """Say what the layer in which a pass failed was given, and what it takes."""
    failed = trial.failed_in
    if failed is None or not failed.given:
        return ""
    takes = f", takes {failed.expected:,}" if failed.expected is not None and failed.expected != failed.got else ""
    return f"; {failed.said} was given {failed.given}{takes}"


# Each of these looks for one cause.


def _by_inputs(network: nn.Module, shape: Shape, trial: Trial, error: BaseException) -> Found | None:
    remedy = "wrap it in a class whose forward takes the image alone and supplies the rest"
    names = _required(network)
    if isinstance(error, TypeError) and len(names) > 1:
        return f"the network takes {len(names)} inputs ({', '.join(names)}), and XAIMed feeds it one image", remedy
    if isinstance(error, TypeError) and (matched := _MISSING.search(str(error))):
        return f"a part of the network needs more than the image ({matched[1]}){line_of(error)}", remedy
    if isinstance(error, TypeError) and "NoneType" in str(error) and (optional := _left_out(network)):
        return f"the network needs more than the image: {optional} is not given{line_of(error)}", remedy
    if isinstance(error, ValueError) and trial.first is None and (matched := _UNPACKED.search(str(error))):
        wanted = int(matched[1])
        if matched[2] == "1":
            return (
                f"the network takes {wanted} things at once, and XAIMed feeds it one image{line_of(error)}",
                remedy,
            )
        if wanted > 4:
            return _volume(f"the network takes an input of {wanted} dimensions")
        if matched[2] is None and wanted == 3:
            return (
                f"the network takes an image without a batch, and was fed {(1, *shape)}{line_of(error)}",
                _BATCH_FIRST,
            )
    if trial.first is None and isinstance(error, IndexError | TypeError | KeyError) and "indices" in str(error):
        return f"the network takes a dictionary or a list of inputs, and XAIMed feeds it one image{line_of(error)}", (
            remedy
        )
    return None


def _required(network: nn.Module) -> list[str]:
    try:
        parameters = inspect.signature(network.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    return [
        each.name
        for each in parameters
        if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]


def _left_out(network: nn.Module) -> str:
    """Return the names of the inputs after the first that are None unless they are given."""
    try:
        parameters = list(inspect.signature(network.forward).parameters.values())
    except (TypeError, ValueError):
        return ""
    return ", ".join(each.name for each in parameters[1:] if each.default is None)


def _volume(what: str) -> Found:
    return (
        f"{what}, as volumes (depth, height, width) or series of images have, and XAIMed feeds it one image",
        "use a network for two-dimensional images",
    )


def _by_dimensions(network: nn.Module, shape: Shape, trial: Trial, error: BaseException) -> Found | None:
    failed = trial.failed_in
    at = failed if failed is not None and isinstance(failed.module, _VOLUMES) else trial.first
    if at is not None and isinstance(at.module, _VOLUMES):
        return _volume(f"{at.said} is three-dimensional: it takes inputs of five dimensions")
    if trial.first is not None and trial.first is failed and isinstance(failed.module, nn.Conv1d):
        return (
            f"its first layer, {failed.said}, is one-dimensional: it takes signals, not images",
            "use a network for two-dimensional images",
        )
    return None


def _by_device(network: nn.Module, shape: Shape, trial: Trial, error: BaseException) -> Found | None:
    if not any(words in str(error) for words in _DEVICES):
        return None
    return (
        f"its code chooses a device by itself, as .cuda() does, and so it fails elsewhere ({first_line(error)})"
        f"{line_of(error)}",
        "remove .cuda() and .to(device) from its forward, as XAIMed moves network and images itself; "
        "make new tensors with device=x.device",
    )


def _by_precision(network: nn.Module, shape: Shape, trial: Trial, error: BaseException) -> Found | None:
    if not isinstance(error, RuntimeError | NotImplementedError) or not _PRECISION.search(str(error)):
        return None
    failed = trial.failed_in
    weights = next((p.dtype for p in failed.module.parameters()), None) if failed is not None else None
    if failed is not None and failed.dtype in _KINDS and weights != failed.dtype:
        what = f"its code turns the image into {_KINDS[failed.dtype]}, and {failed.said} has float32 weights"
    elif weights in _KINDS:
        said = "" if failed is None else f" of {failed.said}"
        what = f"its code turns the weights{said} into {_KINDS[weights]}, and the image is float32"
    else:
        what = f"its code mixes numbers of several precisions ({first_line(error)})"
    return f"{what}{line_of(error)}", _FLOAT32


def _by_layout(network: nn.Module, shape: Shape, trial: Trial, error: BaseException) -> Found | None:
    first, (channels, height, width) = trial.first, shape
    if first is None or not isinstance(first.module, nn.Conv2d) or len(first.given) != 4:
        return None
    if first.got == first.expected or tuple(first.given[1:]) not in (
        (width, channels, height),
        (height, width, channels),
    ):
        return None
    return (
        f"the network takes its channels last, and was fed them first: its first layer, {first.said}, was given "
        f"{first.given}",
        'set layout = "nhwc" under [input] in model.toml, or remove the permute before that layer',
    )


def _by_channels(network: nn.Module, shape: Shape, trial: Trial, error: BaseException) -> Found | None:
    first, (channels, _, _) = trial.first, shape
    if first is None or first.got == first.expected or trial.failed_in is not first:
        return None
    asked = channels_asked(trial, channels)
    if asked is None or asked[0] == channels or isinstance(first.module, nn.Linear):
        return None
    cause = f"its first layer, {first.said}, takes {first.expected} channels, and it was fed {first.got}"
    if asked[0] in (1, 3):
        return cause, f"set channels = {asked[0]} under [input] in model.toml, or CHANNELS in architecture.py"
    return cause, "use a network for 1 (grey) or 3 (RGB) channels"


def _by_batch_statistics(network: nn.Module, shape: Shape, trial: Trial, error: BaseException) -> Found | None:
    failed = trial.failed_in
    if failed is None or not isinstance(failed.module, _NORMS) or "more than 1 value per channel" not in str(error):
        return None
    if failed.module.running_mean is None:
        return (
            f"{failed.said} keeps no statistics of its training (track_running_stats=False), and a single image has "
            "none of its own",
            "train it with track_running_stats=True, or put a norm in its place that judges each image by itself",
        )
    return (
        f"its code switches {failed.said} to training mode, in which a single image has no answer{line_of(error)}",
        "remove .train() and training=True from its code",
    )


def _by_batch_size(network: nn.Module, shape: Shape, trial: Trial, error: BaseException) -> Found | None:
    if _takes(network, shape, 2):
        return (
            f"the network gives no answer for a single image, only for several at once ({first_line(error)}"
            f"{line_of(error)})",
            "make it judge every image by itself, with batch normalisation in evaluation mode for example",
        )
    if not isinstance(error, RuntimeError | ValueError):
        return None
    network = _without_numbers(network)
    count = next((count for count in _BATCHES if _takes(network, shape, count)), None)
    if count is None:
        return None
    return (
        f"the network takes only batches of {count} images, a number written into its code{line_of(error)}",
        "write x.shape[0] in place of that number in its code",
    )


def _takes(network: nn.Module, shape: Shape, count: int) -> bool:
    trial = try_pass(network, torch.zeros(count, *shape, device=_device(network)))
    return trial.error is None and any(may_be_scores(value, count) for value in tensors_in(trial.output).values())


def _device(network: nn.Module) -> torch.device:
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def _without_numbers(network: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(network).to("meta")
    except Exception:  # a network's own code may fail in any way when it is copied
        return network


def _by_lost_dimension(network: nn.Module, shape: Shape, trial: Trial, error: BaseException) -> Found | None:
    if not isinstance(error, IndexError) or "Dimension out of range" not in str(error):
        return None
    if trial.first is not None and trial.first.given == shape:
        return (
            f"the network takes a list of inputs, or drops the batch dimension: its first layer, {trial.first.said}, "
            f"was given {shape}{line_of(error)}",
            _BATCH_FIRST,
        )
    return (
        "its code loses the batch dimension of a single image, as squeeze() does "
        f"({first_line(error)}{line_of(error)})",
        "write flatten(1), or squeeze with the dimensions to drop, in its code",
    )


def _by_size(network: nn.Module, shape: Shape, trial: Trial, error: BaseException, sides: Sides | None) -> Found:
    """Say that this size is not for the network, and which one is, if any is found."""
    channels, height, width = shape
    fed = f"the network does not take a {height}x{width} input of {channels} channels"
    cause = f"{fed} ({first_line(error)}{line_of(error)}{_fed(trial)})"
    if not isinstance(error, RuntimeError | ValueError | AssertionError):
        return cause, "correct [input] in model.toml, or mend its code"
    sides = sides or SideSearch(network, channels, StateWatch(), seconds=_SHORT_SEARCH).run(height)
    if sides.wanted:
        cause = (
            f"{fed}: {_dense(trial, sides.layer)} takes {sides.wanted:,} numbers an image, and is given {sides.given:,}"
        )
    first = trial.first
    if sides.wanted and first is not None and first.name == sides.layer and (flat := flat_image(sides.wanted)):
        count, side = flat
        return cause, f"set size = [{side}, {side}] and channels = {count} under [input] in model.toml"
    if sides.accepted:
        side = sides.accepted[0]
        return cause, f"set size = [{side}, {side}] under [input] in model.toml, which it takes"
    searched = "no square input gives as many" if sides.wanted else "none of the square sizes that were tried does"
    return (
        f"{cause}; {searched}" + ("" if sides.complete else " in the time that was given"),
        "declare the size that it was trained with: size = [height, width] under [input] in model.toml",
    )


def _dense(trial: Trial, name: str) -> str:
    if not name:
        return "a line of its code"
    return next((each.said for each in trial.entered if each.name == name), name)


def _by_parts(network: nn.Module, shape: Shape, trial: Trial, error: BaseException) -> Found | None:
    failed = trial.failed_in
    if failed is None or not _disagrees(failed) or trial.first is failed:
        return None
    return (
        f"its parts do not fit together: {failed.said} takes {failed.expected:,} channels, and the layers before it "
        f"give {failed.got:,}{line_of(error)}",
        "mend its code or ask who made the model",
    )


def _disagrees(entered: Entered) -> bool:
    return (
        not isinstance(entered.module, nn.Linear) and entered.expected is not None and entered.expected != entered.got
    )


_LOOKS: tuple[Callable[[nn.Module, Shape, Trial, BaseException], Found | None], ...] = (
    _by_inputs,
    _by_dimensions,
    _by_device,
    _by_precision,
    _by_layout,
    _by_channels,
    _by_batch_statistics,
    _by_batch_size,
    _by_lost_dimension,
    _by_parts,
)
"""Causes other than the size, in the order in which they are looked for; the first that is found is right."""
