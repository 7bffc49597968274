"""Compare a network's output for noise with what its bundle declares: activation, classes, determinism."""

from __future__ import annotations

import torch
from torch import nn

from engine.bundle.declared import SOFTMAX_HAS_NONE
from engine.bundle.model_bundle import ModelBundle
from engine.errors import BundleError
from engine.network.structure import Anatomy, flat_output

SAME_TOLERANCE = 1e-6
"""Logits that differ by less than this, relative to their size, differ only by rounding."""


def settle_activation(
    bundle: ModelBundle, network: nn.Module, anatomy: Anatomy, subject: str, *, same_answers: bool
) -> tuple[str, tuple[str, ...]]:
    """Return the network's final activation (`none`, `sigmoid` or `softmax`), and the assumptions made about it.

    Args:
        bundle: its declarations are checked.
        network: the network, on the CPU, in evaluation mode.
        anatomy: the network's structure.
        subject: its name, for errors.
        same_answers: whether it gave the same answer for two different inputs (see `check_deterministic`).

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
    seen = _looks_like(network, bundle)
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
                "The network's outputs look like those of a sigmoid, but the bundle declares 'none': if that is wrong, "
                "every probability here is wrong.",
            )
        if declared != "none":
            if seen == "none":
                raise BundleError(
                    f"the bundle declares {declared!r} at the network's end, but its outputs are no probabilities",
                    subject=subject,
                    remedy='set activation = "none" under [output] in model.toml',
                )
            _check_head(declared, anatomy.outputs, bundle.output.multilabel, subject)
        return declared, ()
    if seen == "none":
        return seen, ()
    # Constant outputs may lie in [0, 1] by chance; `_check_head` would blame a sigmoid for them.
    if same_answers and seen == "sigmoid" and anatomy.outputs > 1 and not bundle.output.multilabel:
        raise BundleError(
            "the network gives the same answer whatever it is shown", subject=subject, remedy="check the weights"
        )
    _check_head(seen, anatomy.outputs, bundle.output.multilabel, subject)
    return seen, (f"The network's outputs look like those of a {seen}; they are taken as probabilities.",)


def check_deterministic(network: nn.Module, bundle: ModelBundle, subject: str) -> bool:
    """Check that the network always gives the same answer for the same input.

    Returns:
        Whether it also gave the same answer for two different inputs.

    Raises:
        BundleError: its answer for the same input changes.
    """
    noise = noise_for(bundle, 2) * torch.tensor([1.0, 10.0]).reshape(-1, 1, 1, 1)
    with torch.inference_mode():
        first, second = (flat_output(network(noise), 2, subject) for _ in range(2))
    # NaN is not equal to itself, but that is nothing random; `diagnose` reports it.
    if not torch.equal(torch.nan_to_num(first), torch.nan_to_num(second)):
        raise BundleError(
            "the network gives a different answer each time",
            subject=subject,
            remedy="remove what is random in evaluation mode, such as F.dropout without training=self.training",
        )
    return torch.allclose(first[0], first[1], rtol=SAME_TOLERANCE, atol=SAME_TOLERANCE)


def noise_for(bundle: ModelBundle, count: int) -> torch.Tensor:
    """Return (count, C, H, W) float32 standard normal noise on the CPU, always the same for one input size."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, bundle.input.channels, *bundle.input.size, generator=generator)


def _check_head(kind: str, outputs: int, multilabel: bool, subject: str) -> None:
    if kind == "softmax" and (outputs == 1 or multilabel):
        why = "one output unit" if outputs == 1 else "multilabel = true"
        raise BundleError(f"a softmax does not go with {why}", subject=subject, remedy="correct [output] in model.toml")
    if kind == "sigmoid" and outputs > 1 and not multilabel:
        raise BundleError(
            f"the network applies a sigmoid to each of its {outputs} outputs, so every class is judged on its own",
            subject=subject,
            remedy="set multilabel = true under [output] in model.toml",
        )


def _looks_like(network: nn.Module, bundle: ModelBundle) -> str:
    """Guess `softmax`, `sigmoid` or `none` from the outputs for noise of very different strengths."""
    noise = noise_for(bundle, 6)
    strengths = torch.tensor([0.0, 0.3, 1.0, 3.0, 30.0, 300.0]).reshape(-1, 1, 1, 1)
    with torch.inference_mode():
        output = flat_output(network(noise * strengths), 6, bundle.name)
    if bool((output < 0).any()) or bool((output > 1).any()) or not bool(torch.isfinite(output).all()):
        return "none"
    if output.shape[1] > 1 and torch.allclose(output.sum(dim=1), torch.ones(6), atol=1e-3):
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
