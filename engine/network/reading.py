"""Read a network's output: which of the things it gives are the scores, and in what shape they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import nn

from engine.bundle.specs import OutputSpec
from engine.errors import BundleError
from engine.results.caution import Caution

_MOST_TENSORS, _DEEPEST = 64, 4
"""Of what a network gives, this many tensors are looked at, so deep in lists and dictionaries."""

_MOST_SHOWN = 12
_LOGITS = "logits"
_CLOSE = 1e-5


def flat_output(output: object, batch: int, subject: str, path: str = "") -> torch.Tensor:
    """Return a network's scores as (B, K), in float32 if they were less precise.

    (B,) and (B, K, 1, 1) are accepted, too. A single image's (K,) or () gets back the dimension that the network has
    squeezed away.

    Args:
        output: what the network gave.
        batch: B.
        subject: the model's name, for errors.
        path: which of several outputs to take (see `choose_output`); empty if it gives one tensor.

    Raises:
        BundleError: there is no such output, it has another shape, or it holds no scores.
    """
    value = tensors_in(output).get(path) if path else output
    if isinstance(value, torch.Tensor) and value.numel() > 0:
        if not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            such = "" if value.is_complex() else ", such as the number of the most probable class"
            raise BundleError(
                f"the network gives {kind} numbers{such}, not a score a class",
                subject=subject,
                remedy="make it return the scores before argmax or a comparison",
            )
        scores = value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
        if batch == 1 and value.ndim < 2:
            return scores.reshape(1, -1)
        flat = scores.reshape(batch, -1) if value.shape[:1] == (batch,) else None
        if flat is not None and (value.ndim <= 2 or flat.shape[1] == value.shape[1]):
            return flat
    if isinstance(output, torch.Tensor):
        raise BundleError(
            f"the network gives {tuple(output.shape)} for {batch} image(s), not one number a class",
            subject=subject,
            remedy="make its forward return a (batch, classes) tensor",
        )
    raise _not_there(output, subject, path)


def choose_output(
    output: object, declared: OutputSpec, batch: int, subject: str, again: Callable[[], object]
) -> tuple[str, tuple[Caution, ...]]:
    """Return which of the things that a network gives are the scores, and what is said about that choice.

    What the bundle names is taken. Otherwise what alone has the shape of scores; then what alone has as many numbers
    as the bundle has classes; then what is called `logits`; then the logits beside their own probabilities.

    Args:
        output: what the network gave for a batch.
        declared: `[output]` of the bundle.
        batch: the number of images.
        subject: the model's name, for errors.
        again: returns what the network gives for noise, to compare several outputs with each other.

    Returns:
        The path of the tensor in the output, such as `logits` or `0`, and a caution if it was not declared. The path is
        empty if the output is a tensor itself.

    Raises:
        BundleError: there is no such output, or it cannot be told which one it is; the outputs are listed.
    """
    if isinstance(output, torch.Tensor):
        if declared.select is not None:
            raise BundleError(
                f"the network gives one tensor, and the bundle selects {declared.select!r} of several",
                subject=subject,
                remedy="remove select under [output] in model.toml",
            )
        return "", ()
    found = tensors_in(output)
    if declared.select is not None:
        if declared.select not in found:
            raise _not_there(output, subject, declared.select)
        return declared.select, ()
    plausible = [path for path, value in found.items() if may_be_scores(value, batch)]
    path, why = _told_apart(found, plausible, declared, again)
    if not path:
        raise _undecided(found, plausible, output, subject)
    sentence = f"The network gives several outputs ({_listed(found)}); {path} is taken as the scores, {why}."
    if len(found) == 1:
        sentence = f"The network gives a {type(output).__name__} with one tensor, {path}, which is taken as the scores."
    return path, (Caution("several-outputs", sentence),)


def tensors_in(output: object) -> dict[str, torch.Tensor]:
    """Return the tensors in tuples, lists, dictionaries and objects by their paths, such as `logits` or `0.features`.

    Of a tensor itself the path is empty.
    """
    found: dict[str, torch.Tensor] = {}

    def walk(value: object, path: str, depth: int) -> None:
        if isinstance(value, torch.Tensor):
            if len(found) < _MOST_TENSORS:
                found[path] = value
        elif depth < _DEEPEST:
            for name, part in _parts(value):
                walk(part, f"{path}.{name}" if path else name, depth + 1)

    walk(output, "", 0)
    return found


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """Yield what a container or an object holds, each with its name or place."""
    if isinstance(value, Mapping):
        yield from ((str(key), part) for key, part in value.items())
    elif isinstance(value, tuple) and (names := getattr(type(value), "__match_args__", ())):
        yield from zip(names, value, strict=False)  # a named tuple
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        yield from ((str(place), part) for place, part in enumerate(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((field.name, getattr(value, field.name, None)) for field in dataclasses.fields(value))
    elif hasattr(value, "__dict__") and not isinstance(value, type | nn.Module):
        yield from ((name, part) for name, part in vars(value).items() if not name.startswith("_"))


def may_be_scores(value: torch.Tensor, batch: int) -> bool:
    """Whether a tensor has the shape of one score a class for each of so many images."""
    if not value.is_floating_point() or not value.numel():
        return False
    if batch == 1 and value.ndim == 1:
        return True
    return value.ndim in (2, 4) and value.shape[0] == batch and value.numel() == batch * value.shape[1]


def _width(value: torch.Tensor) -> int:
    return value.shape[-1] if value.ndim < 2 else value.shape[1]


def _told_apart(
    found: Mapping[str, torch.Tensor], plausible: list[str], declared: OutputSpec, again: Callable[[], object]
) -> tuple[str, str]:
    """Return the path of the scores, and why it is that one; two empty texts if it cannot be told."""
    if len(plausible) == 1:
        return plausible[0], "as nothing else has their shape"
    if declared.classes is not None:
        count = len(declared.classes)
        for width in (count, 1) if count == 2 else (count,):
            fitting = [path for path in plausible if _width(found[path]) == width]
            if len(fitting) == 1:
                return fitting[0], f"as nothing else fits {count} classes"
            if fitting:
                plausible = fitting
                break
    named = [path for path in plausible if path.rpartition(".")[2] == _LOGITS]
    if len(named) == 1:
        return named[0], "by its name"
    if len({found[path].shape for path in plausible}) == 1:
        values = tensors_in(again())  # for zeros, outputs that have nothing to do with each other may be equal
        for path in plausible:
            others = [values[other] for other in plausible if other != path and other in values]
            if path in values and others and all(_says_the_same(values[path], other) for other in others):
                return path, "as the others say the same"
    return "", ""


def _says_the_same(logits: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether a tensor holds the same logits, or their softmax, log-softmax or sigmoid."""
    if logits.shape != other.shape:
        return False
    made = [logits, torch.sigmoid(logits)]
    if _width(logits) > 1:
        made += [torch.softmax(logits, -1), torch.log_softmax(logits, -1)] if logits.ndim < 3 else []
    return any(torch.allclose(each.float(), other.float(), rtol=_CLOSE, atol=_CLOSE) for each in made)


def _listed(found: Mapping[str, torch.Tensor]) -> str:
    shown = [f"{path} {tuple(value.shape)}" for path, value in list(found.items())[:_MOST_SHOWN]]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _not_there(output: object, subject: str, path: str) -> BundleError:
    found = tensors_in(output)
    if not found:
        return BundleError(
            f"the network gives a {type(output).__name__} without any tensor, not one number a class",
            subject=subject,
            remedy="make its forward return a (batch, classes) tensor",
        )
    if path in found:
        return BundleError(
            f"the network gives {path} as {tuple(found[path].shape)}, not one number a class and image",
            subject=subject,
            remedy=f"set select under [output] in model.toml to another of {_listed(found)}",
        )
    return BundleError(
        f"the network has no output {path!r}, only {_listed(found)}",
        subject=subject,
        remedy="correct select under [output] in model.toml",
    )


def _undecided(
    found: Mapping[str, torch.Tensor], plausible: Sequence[str], output: object, subject: str
) -> BundleError:
    if not found:
        return _not_there(output, subject, "")
    if not plausible:
        return BundleError(
            f"the network gives several outputs, and none has one number a class: {_listed(found)}",
            subject=subject,
            remedy="make its forward return a (batch, classes) tensor",
        )
    return BundleError(
        f"the network gives several outputs, and which of them are the scores of the classes is not said: "
        f"{_listed(found)}",
        subject=subject,
        remedy=f'name one of them under [output] in model.toml, such as select = "{plausible[0]}"',
        code="several-outputs",
    )
