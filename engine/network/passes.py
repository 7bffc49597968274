"""A network on a device: its passes, exact or fast, in batches or one by one, also when memory runs out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from typing import Literal, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.acceleration.fast_copy import FastCopy, make_fast_copy
from engine.acceleration.precision import reduced_convolutions
from engine.bundle.model_bundle import ModelBundle, subject_of
from engine.errors import BundleError, DeviceError, ExplanationError, OutOfMemoryError
from engine.network.device import is_out_of_memory
from engine.network.familiarity import pooled
from engine.network.faults import why_it_fails
from engine.network.final_activation import FinalActivation
from engine.network.outputs import check_conduct, noise_for, rows_passed, settle_activation
from engine.network.reading import flat_output
from engine.network.sources.black_box import BLACK_BOX, device_for, why_black_box
from engine.network.structure import Anatomy, examine, input_of
from engine.network.torch_state import StateWatch, gate
from engine.results.caution import Caution

Precision = Literal["auto", "fp32", "bf16", "fp16"]
_Result = TypeVar("_Result")

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class NetworkOnDevice:
    """A network on a device, and how passes through it are made; `Classifier` says what they mean.

    The network stays in evaluation mode, and the gradients of its parameters are left unchanged. Passes of several
    networks take turns, and what a network's code sets for the whole process is restored after each
    (`engine.network.torch_state`).

    Attributes:
        bundle: the model folder it came from.
        network: the torch module, float32.
        memory_format: of its weights and of what it is fed: channels last, which is faster, where its code takes that.
        device: `cpu` or `cuda:<n>`.
        precision: as requested; the sampling methods resolve `auto`.
        black_box: why the network is one that cannot be looked into, as a clause; empty if it can.
        anatomy: the network's structure.
        activation: what the network applies at its end: `none`, `sigmoid`, `softmax` or `log_softmax`, whose outputs
            are logits of the same probabilities.
        lock: hold it while using the network.
        inverted: whether the scores of the last pass come from the network's probabilities, so that digits are lost.
        one_at_a_time: whether each image is passed by itself, because answers depend on the other images of a batch.
        unfinished: work on the network itself that was stopped and goes on when it is asked for again, by what it is.
        moved: a sentence if the network was moved to the CPU because the device ran out of memory.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        network: nn.Module,
        *,
        device: str = "cpu",
        precision: Precision = "auto",
        watch: StateWatch | None = None,
    ) -> None:
        """Try a network that is already built, and put it on the device.

        Args:
            bundle: what its model folder declares.
            network: the network, on the CPU.
            device: `auto`, `cpu`, `cuda` or `cuda:<n>`.
            precision: for many passes.
            watch: what has watched over the network's code since it was loaded.

        Raises:
            BundleError: the network does not do what the bundle declares.
            DeviceError: no such device or precision.
        """
        if precision not in ("auto", "fp32", *_AUTOCAST):
            raise DeviceError(
                f"no such precision: {precision}", subject="--precision", remedy="use auto, fp32, bf16 or fp16"
            )
        self.bundle = bundle
        self.black_box: str = why_black_box(network)
        # A black box computes as it does: no part of it can be cast.
        self.precision: Precision = "fp32" if self.black_box else precision
        self._uncast: tuple[Caution, ...] = ()
        if self.black_box and precision in _AUTOCAST:
            said = f"This network is computed in float32, not in {precision}: {self.black_box}."
            self._uncast = (Caution("precision", said),)
        self.device = device_for(network, device)
        # Re-entrant, because whoever explains an image holds it while `diagnose` takes it again.
        self.lock = threading.RLock()
        self._subject = subject_of(bundle)
        height, width = bundle.input.size
        self._watch = watch or StateWatch()
        self.one_at_a_time = self.inverted = False
        self.memory_format: torch.memory_format = torch.channels_last
        try:
            with self._watch.trying():
                with self._watch.passing():
                    network = network.eval()
                    shipped = {name: buffer.clone() for name, buffer in network.named_buffers()}
                    self.anatomy: Anatomy = examine(
                        network, (bundle.input.channels, height, width), self._subject, bundle.output
                    )
                run = self._trial(network)
                self._conduct = check_conduct(network, bundle, self.anatomy, self._subject, run)
                self.one_at_a_time = self._conduct.one_at_a_time
                self._shipped = {name: shipped[name] for name in self._conduct.buffers}
                self.activation, self._doubts = settle_activation(
                    bundle, self.anatomy, self._subject, run, same_answers=self._conduct.same_answers
                )
                self._doubts = (*self.anatomy.doubts, *self._doubts)
        except BundleError as error:
            raise self._watch.blamed(error) from error
        self._fast: FastCopy | None = None
        self._kept: tuple[str, dict[Hashable, object]] = ("", {})
        self.unfinished: dict[Hashable, object] = {}
        self.moved: tuple[Caution, ...] = ()
        self.network: nn.Module = network
        self.with_memory(self._settle_on_device)

    def around(self, network: nn.Module) -> Self:
        """Return one like this around a copy of its network with other weights; the two share no passes and no lock.

        Args:
            network: a copy of `network`, on the same device and in evaluation mode.
        """
        made = copy(self)
        made.network, made.lock = network, threading.RLock()
        made._fast, made._kept, made.unfinished = None, ("", {}), {}
        return made

    def require_layers(self, method: str) -> None:
        """Check that the network has layers and gradients for a method to look at.

        Raises:
            ExplanationError: it is a black box; the message says why.
        """
        if self.black_box:
            raise ExplanationError(
                f"{self.black_box}, so there are no layers and no gradients to look at",
                subject=method,
                remedy="use LIME or RISE",
                code=BLACK_BOX,
            )

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """What has to be said beside every answer and every map of this model, on the device that it is on."""
        return (*self._uncast, *self.moved, *self._conduct.cautions)

    @property
    def state_cautions(self) -> tuple[Caution, ...]:
        """What the model's code has set for the whole process so far, as a warning; empty if nothing."""
        return self._watch.cautions

    @property
    def one_logit(self) -> bool:
        """Whether the network has a single output unit, which stands for two classes."""
        return self.anatomy.outputs == 1

    def kept_for(self, fed: str) -> dict[Hashable, object]:
        """Return the results cached for an image, so that explaining another class needs no new passes.

        Only the last image's results are kept: asking for another image drops them.

        Args:
            fed: identifies what is fed to the network: the image's digest and how many of its bits are significant.
        """
        if self._kept[0] != fed:
            self._kept = (fed, {})
        return self._kept[1]

    @contextmanager
    def penultimate(self) -> Iterator[list[torch.Tensor]]:
        """Append the penultimate activations to the list at every pass of `network`, while the context is open."""
        with input_of(self.network, self.anatomy.classifying) as taken:
            yield taken

    def logits(self, tensor: torch.Tensor, *, fast: bool = False) -> torch.Tensor:
        """Return the scores before the final sigmoid or softmax, (B, outputs), with gradients where enabled.

        If the network ends in an `nn.Sigmoid` or `nn.Softmax` module, the scores are that module's input. The output
        of an activation inside the network's own code is inverted; digits that the activation has rounded away are
        lost. Where gradients are enabled, the scores are the input of that activation too, if PyTorch tells of it.

        Args:
            tensor: (B, C, H, W) normalised input.
            fast: use the fast copy.
        """
        return self.scores(self.fast_copy().network if fast else self.network, tensor)

    def fast_copy(self) -> FastCopy:
        """Return the copy of the network for many passes; the first call makes it.

        It is the network itself where each image has to be passed by itself, a pass changes the network, or it is a
        black box.
        """
        if self._fast is None and (self.one_at_a_time or self._shipped or self.black_box):
            self._fast = FastCopy(self.network)
        if self._fast is None:
            example = noise_for(self.bundle, 4).to(self.device, memory_format=self.memory_format)
            # The first call may come from within inference mode, and whatever is made there stays an inference tensor.
            with self.exact(), torch.inference_mode(mode=False), torch.no_grad():
                # The fused convolutions know only float32 and bfloat16.
                fuse = self.device == "cpu" and self.precision != "fp16"
                # They give their results with the channels last.
                fuse = fuse and self.memory_format is torch.channels_last
                self._fast = make_fast_copy(
                    self.network,
                    example,
                    self.scores,
                    fuse=fuse,
                    memory_format=self.memory_format,
                    watched=self._watch.passing,
                )
        return self._fast

    def scores(self, network: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the scores as `logits` does, from a copy of the network or from its last part.

        If each image has to be passed by itself, this passes them one by one.

        Args:
            network: the module to call.
            inputs: its inputs, (B, ...) each.
        """
        batch = inputs[0].shape[0]
        if self.one_at_a_time and batch > 1:
            singles = (self.scores(network, *(each[at : at + 1] for each in inputs)) for at in range(batch))
            return torch.cat(list(singles))
        watch_ending = torch.is_grad_enabled() and self.anatomy.head is None and self.anatomy.watched
        ending = FinalActivation() if watch_ending else nullcontext()
        with input_of(network, self.anatomy.head) as taken, self._watch.passing(), ending:
            self._restore_buffers()
            passed = rows_passed(self.anatomy, batch)
            if passed > batch:
                inputs = tuple(torch.cat([each, each]) for each in inputs)
            if self.memory_format is torch.contiguous_format:  # whoever made the batch may not know
                inputs = tuple(each.contiguous() for each in inputs)
            output = network(*inputs)
        self.inverted = False
        if self.anatomy.head is not None:
            return flat_output(taken[-1], passed, self._subject)[:batch]
        output = flat_output(output, passed, self._subject, self.anatomy.selected)
        if isinstance(ending, FinalActivation) and (given := ending.logits(output, self.activation)) is not None:
            return given[:batch]
        output = output[:batch]
        self.inverted = self.activation != "none"
        # The clamps keep the inverses finite: a float32 activation rounds to exactly 0 or 1.
        if self.activation == "sigmoid":
            return torch.logit(output.double(), eps=2.0**-25)
        if self.activation == "softmax":
            return torch.log(output.double().clamp_min(2.0**-126))
        return output

    @contextmanager
    def many_passes(self, precision: str) -> Iterator[None]:
        """Enter inference mode and a precision, for a loop over `logits` or one pass of a part of the fast copy."""
        with self.exact(), torch.inference_mode(), self._reduced(precision) if precision != "fp32" else nullcontext():
            yield

    def _reduced(self, precision: str) -> AbstractContextManager[None]:
        network = self.fast_copy().network
        return reduced_convolutions(network, self.anatomy.readout, torch.device(self.device).type, _AUTOCAST[precision])

    @contextmanager
    def exact(self) -> Iterator[None]:
        """Use true float32 and deterministic convolutions.

        Otherwise cuDNN rounds to TF32 on a GPU and sums in any order. No other classifier makes a pass meanwhile.
        """
        with gate:
            if torch.device(self.device).type != "cuda":
                yield
                return
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
                yield

    def watched(self) -> AbstractContextManager[None]:
        """Restore what the network's code sets for the whole process; for passes that `scores` does not make."""
        return self._watch.passing()

    def with_memory(self, work: Callable[[], _Result]) -> _Result:
        """Do the work on the device; if its memory runs out, start again on the CPU.

        The network then stays on the CPU, because the same work would fill the device's memory again. See `moved`.

        Args:
            work: reads the device from the classifier, and holds nothing on the device once it has failed.

        Raises:
            DeviceError: the CPU's memory runs out, too.
        """
        try:
            # A caller in inference mode would take the gradients from the CAMs.
            with self._watch.job(), torch.inference_mode(mode=False):
                return work()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if self.device == "cpu":
                raise OutOfMemoryError(
                    "there is not enough memory",
                    subject=self._subject,
                    remedy="end other programs, or use a machine with more memory",
                ) from error
        # Outside the `except` block: inside it, the error still holds the tensors of the work that failed.
        self.moved = (Caution("device", f"{self.device} ran out of memory, so this was computed on the CPU."),)
        self.device = "cpu"
        # What was kept for other classes lies on the device that is full.
        self._kept = ("", {})
        self._fast = None
        self._settle_on_device()
        torch.cuda.empty_cache()
        return self.with_memory(work)

    def _settle_on_device(self) -> None:
        with self._watch.passing():
            self.network.to(self.device).to(memory_format=torch.channels_last)
        if (error := self._failure_on_device()) is not None:
            # Code such as `x.view(-1, 400)` fails for tensors whose channels come last in memory.
            self.memory_format = torch.contiguous_format
            with self._watch.passing():
                self.network.to(memory_format=torch.contiguous_format)
            if self._failure_on_device() is not None:
                shape = (self.bundle.input.channels, *self.bundle.input.size)
                with self._watch.passing():
                    raise why_it_fails(self.network, shape, self._subject, error=error)
        self._shipped = {name: buffer.to(self.device) for name, buffer in self._shipped.items()}

    def _failure_on_device(self) -> Exception | None:
        """Return what the network raises for an image of noise on its device, in its memory format; None if nothing."""
        images = noise_for(self.bundle, rows_passed(self.anatomy, 1)).to(self.device, memory_format=self.memory_format)
        try:
            with torch.inference_mode(), self._watch.passing():
                self.network(images)
        except Exception as error:  # a network's code may raise anything
            if is_out_of_memory(error):
                raise
            return error
        return None

    def _restore_buffers(self) -> None:
        """Restore the buffers that a pass changes."""
        # What is made in inference mode could not take part in a pass with gradients.
        with torch.inference_mode(mode=False):
            for name, shipped in self._shipped.items():
                owner, _, own = name.rpartition(".")
                setattr(self.network.get_submodule(owner), own, shipped.clone())

    def _trial(self, network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what passes images through a network, before it is known whether it takes batches."""

        def run(images: torch.Tensor) -> torch.Tensor:
            if self.one_at_a_time and len(images) > 1:
                return torch.cat([run(image[None]) for image in images])
            passed = rows_passed(self.anatomy, len(images))
            images, count = (images.repeat(passed, 1, 1, 1), 1) if passed > len(images) else (images, len(images))
            with torch.inference_mode(), self._watch.passing():
                return flat_output(network(images), passed, self._subject, self.anatomy.selected)[:count]

        return run


def activations_of(taken: list[torch.Tensor], batch: int) -> NDArray[np.float32]:
    """Return the activations (B, F) that `NetworkOnDevice.penultimate` took for a batch; F is 0 if it took none.

    Args:
        taken: of the whole batch, or of its images one after another.
        batch: B.
    """
    if batch == 1 and len(taken) == 1:  # it may have been passed with a copy, or lost the batch dimension
        taken = [taken[0][None] if taken[0].ndim == 1 else taken[0][:1]]
    if not taken or sum(len(part) for part in taken) != batch:
        return np.zeros((batch, 0), dtype=np.float32)
    return np.concatenate([pooled(part.detach().float().cpu().numpy()) for part in taken])
