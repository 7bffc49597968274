"""Compare a network's output for noise with what its bundle declares, and with what passing images in batches takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from engine.acceleration.fast_copy import ROUNDING
from engine.bundle.declared import SOFTMAX_HAS_NONE
from engine.bundle.model_bundle import ModelBundle
from engine.errors import BundleError
from engine.network.device import is_out_of_memory
from engine.network.reading import flat_output
from engine.network.structure import Anatomy, input_of
from engine.network.trial import first_line
from engine.results.caution import Caution

BATCH_CODE = "batch-dependent"

EACH_CLASS = "each-class"
"""The code of the refusal of a network that judges each class on its own, where the bundle does not say so."""

Pass = Callable[[torch.Tensor], torch.Tensor]
"""Passes (B, C, H, W) noise through the network in inference mode and returns its (B, outputs) output."""

SAME_TOLERANCE = 1e-6
"""Logits that differ by less than this, relative to their size, differ only by rounding."""

_LOG_TOLERANCE = 1e-3
"""If the logarithm of a sum of probabilities is nearer to 0 than this, they sum to 1."""


def settle_activation(
    bundle: ModelBundle, anatomy: Anatomy, subject: str, run: Pass, *, same_answers: bool
) -> tuple[str, tuple[Caution, ...]]:
    """Return the network's final activation, and the assumptions made about it; see `NetworkOnDevice.activation`.

    Args:
        bundle: its declarations are checked.
        anatomy: the network's structure.
        subject: its name, for errors.
        run: passes images through it.
        same_answers: whether it gave the same answer for two different inputs (see `check_conduct`).

    Raises:
        BundleError: the network does not do what the bundle declares.
    """
    declared = bundle.output.activation
    if anatomy.head is not None:
        if declared is not None and declared != anatomy.head_kind:
            raise BundleError(
                f"the network ends in {anatomy.head} ({anatomy.head_kind}), but the bundle declares {declared!r}",
                subject=subject,
                remedy=f'set activation = "{anatomy.head_kind}" under [output] in model.toml',
            )
        _check_head(anatomy.head_kind, anatomy.outputs, bundle.output.multilabel, subject)
        return anatomy.head_kind, ()
    seen = _looks_like(run, bundle)
    if declared is not None:
        if declared == "none" and seen == "softmax":
            raise BundleError(
                "the bundle declares 'none' at the network's end, but its outputs sum to 1 as a softmax's do",
                subject=subject,
                remedy='set activation = "softmax" under [output] in model.toml',
            )
        # Logits may lie in [0, 1] by chance, hence only a doubt. That they sum to 1 for every noise is no chance.
        if declared == "none" and seen == "sigmoid":
            return declared, (
                Caution(
                    "activation",
                    "The network's outputs look like those of a sigmoid, but the bundle declares 'none': if that is "
                    "wrong, every probability here is wrong.",
                ),
            )
        if declared != "none":
            if seen == "none" or (seen == "log_softmax") != (declared == "log_softmax"):
                what = "logarithms of probabilities" if declared == "log_softmax" else "probabilities"
                raise BundleError(
                    f"the bundle declares {declared!r} at the network's end, but its outputs are no {what}",
                    subject=subject,
                    remedy=f'set activation = "{seen}" under [output] in model.toml',
                )
            _check_head(declared, anatomy.outputs, bundle.output.multilabel, subject)
        # The logarithms of probabilities are logits of the same probabilities, so "none" is right as well.
        return ("log_softmax" if seen == "log_softmax" and not bundle.output.multilabel else declared), ()
    if seen == "none":
        return seen, ()
    if seen == "log_softmax":
        _check_head(seen, anatomy.outputs, bundle.output.multilabel, subject)
        return seen, ()  # nothing is assumed: taken as logits, they give the same probabilities
    # Constant outputs may lie in [0, 1] by chance; `_check_head` would blame a sigmoid for them.
    if same_answers and seen == "sigmoid" and anatomy.outputs > 1 and not bundle.output.multilabel:
        raise BundleError(
            "the network gives the same answer whatever it is shown", subject=subject, remedy="check the weights"
        )
    _check_head(seen, anatomy.outputs, bundle.output.multilabel, subject)
    sentence = f"The network's outputs look like those of a {seen}; they are taken as probabilities."
    return seen, (Caution("activation", sentence),)


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a network behaves when it is asked several times, and for several images at once.

    Attributes:
        same_answers: whether it gives the same answer for two different images.
        one_at_a_time: whether each image has to be passed by itself.
        buffers: names of the buffers that its passes change.
        cautions: what has to be said about this beside every answer.
    """

    same_answers: bool
    one_at_a_time: bool
    buffers: tuple[str, ...]
    cautions: tuple[Caution, ...]


def check_conduct(network: nn.Module, bundle: ModelBundle, anatomy: Anatomy, subject: str, run: Pass) -> Conduct:
    """Pass four images of noise one by one, together, and in part once more, and compare the answers.

    Raises:
        BundleError: the answer for an image changes from pass to pass.
    """
    shapes = torch.tensor([[1.0, 0.0], [10.0, 0.0], [0.3, 0.5], [3.0, -1.0]])[..., None, None, None]
    # Different strengths and means: statistics over a batch of alike images would hardly differ from those of one.
    noise = noise_for(bundle, 4) * shapes[:, 0] + shapes[:, 1]

    def scores(images: torch.Tensor) -> torch.Tensor:
        with input_of(network, anatomy.head) as taken:
            output = run(images.clone())  # it may change its input in place
        found = output
        if anatomy.head is not None:
            batch = rows_passed(anatomy, len(images))
            found = flat_output(taken[-1], batch, subject)[: len(images)]
        # NaN is not equal to itself, and beside infinity every difference is small; `diagnose` reports both.
        return torch.nan_to_num(found, posinf=0.0, neginf=0.0).clone()

    def single(count: int) -> torch.Tensor:
        try:
            return torch.cat([scores(image[None]) for image in noise[:count]])
        except (BundleError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a network's code may raise anything
            if is_out_of_memory(error):
                raise
            raise BundleError(
                f"the network fails for an image of noise ({first_line(error)})",
                subject=subject,
                remedy="mend its code or ask who made the model",
            ) from error

    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    alone = single(4)
    together = True
    try:
        batches = [scores(noise), scores(noise[:2])]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it takes no batch: its code raises anything, or its output has a wrong shape
        if is_out_of_memory(error):
            raise
        together, batches = False, []
    again = single(2)
    after = dict(network.named_buffers())
    changed = tuple(name for name, buffer in before.items() if not _equal(buffer, after.get(name)))
    if not torch.equal(alone[:2], again):
        raise _changing(changed, subject)
    allowed = ROUNDING * max(float(alone.abs().max()), 1e-3)
    together = together and all(batch.shape[1:] == alone.shape[1:] for batch in batches)
    agree = together and all(float((batch - alone[: len(batch)]).abs().max()) <= allowed for batch in batches)
    same = torch.allclose(alone[0], alone[1], rtol=SAME_TOLERANCE, atol=SAME_TOLERANCE)
    return Conduct(same, not (together and agree), changed, _cautions(together, agree, changed, _batch_norm(network)))


def rows_passed(anatomy: Anatomy, images: int) -> int:
    """Return how many images are passed for so many: an image by itself has a copy beside it where it needs one."""
    return 2 if anatomy.doubled and images == 1 else images


def _equal(before: torch.Tensor, after: torch.Tensor | None) -> bool:
    return after is not None and before.shape == after.shape and torch.equal(before, after)


def _changing(buffers: tuple[str, ...], subject: str) -> BundleError:
    if buffers:
        return BundleError(
            f"the network's answer depends on the images it was shown before: each pass changes {_some(buffers)}",
            subject=subject,
            remedy="make it leave its buffers alone in evaluation mode",
            code="self-changing",
        )
    return BundleError(
        "the network gives a different answer each time",
        subject=subject,
        remedy="remove what is random in evaluation mode, such as F.dropout without training=self.training",
        code="self-changing",
    )


def _batch_norm(network: nn.Module) -> str:
    """Return why a batch normalisation uses the statistics of the batch, in brackets; empty if none does."""
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            if module.running_mean is None:
                return f" ({name} keeps no statistics of its training: track_running_stats=False)"
            if module.training:
                return f" (its code switches {name} to training mode)"
    return ""


def _cautions(together: bool, agree: bool, buffers: tuple[str, ...], norm: str) -> tuple[Caution, ...]:
    said = []
    if not together:
        said.append(
            Caution(
                BATCH_CODE,
                "The network takes only one image at a time, so the images and their masked copies are passed one by "
                "one; this takes longer.",
            )
        )
    elif not agree:
        said.append(
            Caution(
                BATCH_CODE,
                f"The network's answer for an image depends on the other images in its batch{norm}, so all answers and "
                "maps are those of single images: in batches, as in its training or tests, it may answer otherwise.",
            )
        )
    if buffers:
        said.append(
            Caution(
                "self-changing",
                f"Each pass through the network changes {_some(buffers)}; XAIMed restores that before every pass, so "
                "that no answer depends on the images before.",
            )
        )
    return tuple(said)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def noise_for(bundle: ModelBundle, count: int) -> torch.Tensor:
    """Return (count, C, H, W) float32 normal noise on the CPU, always the same for one input size.

    Its standard deviation is 1, or about that of what is fed where the values are not in [0, 1]: noise of 1 grey level
    of 255 would hardly move a network.
    """
    spec = bundle.input
    noise = torch.randn(count, spec.channels, *spec.size, generator=torch.Generator().manual_seed(0))
    low, high = spec.value_range
    return noise if spec.is_unit else noise * (abs(high - low) * len(spec.std) / sum(spec.std))


def _check_head(kind: str, outputs: int, multilabel: bool, subject: str) -> None:
    if kind in ("softmax", "log_softmax") and (outputs == 1 or multilabel):
        why = "one output unit" if outputs == 1 else "multilabel = true"
        raise BundleError(f"a softmax does not go with {why}", subject=subject, remedy="correct [output] in model.toml")
    if kind == "sigmoid" and outputs > 1 and not multilabel:
        raise BundleError(
            f"the network applies a sigmoid to each of its {outputs} outputs, so every class is judged on its own",
            subject=subject,
            remedy="set multilabel = true under [output] in model.toml",
            code=EACH_CLASS,
        )


def _looks_like(run: Pass, bundle: ModelBundle) -> str:
    """Guess the final activation from the outputs for noise of very different strengths."""
    noise = noise_for(bundle, 6)
    strengths = torch.tensor([0.0, 0.3, 1.0, 3.0, 30.0, 300.0]).reshape(-1, 1, 1, 1)
    output = run(noise * strengths)
    several = output.shape[1] > 1
    if several and bool((output <= 0).all()) and bool((output.double().logsumexp(dim=1).abs() < _LOG_TOLERANCE).all()):
        return "log_softmax"
    if bool((output < 0).any()) or bool((output > 1).any()) or not bool(torch.isfinite(output).all()):
        return "none"
    if several and torch.allclose(output.sum(dim=1), torch.ones(6), atol=1e-3):
        return "softmax"
    return "sigmoid"


def settle_classes(bundle: ModelBundle, outputs: int, subject: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the classes, and the assumptions made about them.

    Raises:
        BundleError: the number of declared classes does not match the outputs.
    """
    expected = 2 if outputs == 1 else outputs
    classes = bundle.output.classes
    if classes is None:
        made_up = ("negative", "positive") if outputs == 1 else tuple(f"class {i}" for i in range(outputs))
        return made_up, ("The classes have no names; they are called " + ", ".join(made_up[:4]) + ".",)
    if len(classes) != expected:
        what = "one output unit, which stands for two classes" if outputs == 1 else f"{outputs} outputs"
        raise BundleError(
            f"{len(classes)} classes are named, but the network has {what}",
            subject=subject,
            remedy="correct [output] classes in model.toml",
        )
    return classes, ()


def check_threshold(bundle: ModelBundle, outputs: int, subject: str) -> None:
    """Check that a bundle declares a threshold only for a network that has one.

    Raises:
        BundleError: the network's classes exclude each other, so the most probable one is its answer.
    """
    if bundle.output.threshold is not None and outputs > 1 and not bundle.output.multilabel:
        raise BundleError(
            f"the bundle declares a threshold, but the network has {outputs} outputs, one for each class: "
            f"{SOFTMAX_HAS_NONE}",
            subject=subject,
            remedy="remove threshold under [output] in model.toml",
        )
