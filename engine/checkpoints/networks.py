"""The networks in a checkpoint: a training program saves them among optimizers, counters and settings, often twice."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.checkpoints.matching import without_wrappers
from engine.errors import BundleError

_NO_NETWORK = re.compile(
    r"optim\w*|opt|\w*optimizer\w*|\w*sched\w*|amp|\w*scaler|rng\w*|\w*rng_state\w*|loops|callbacks|param_groups|criterion"
    r"|loss\w*|metrics?|history|results?|mixed_precision\w*",
    re.IGNORECASE,
)
"""What else a checkpoint holds that has tensors."""

ShapeOf = Callable[[object], tuple[int, ...] | None]
"""Returns the shape of a tensor, and None for what is none."""

_DEEPEST = 5
_MOST_ENTRIES = 100_000
_MOST_NETWORKS = 64
_MOST_PREFIXES = 200
_LONGEST_PREFIX = 1_000
_FEWEST, _ALIKE, _SHARE = 4, 0.8, 0.8
"""Prefixes in one state_dict are networks if each has at least four tensors, four fifths of them alike (the heads may
differ), and together they are most of it."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network in a checkpoint.

    Attributes:
        key: where it lies: names joined by dots, as `--key` takes them; empty for the whole file.
        tensors: its tensors by their names. Where `key` ends in a prefix of names, that prefix is taken off.
        averaged: whether its name says that its weights are an average over the training (EMA, SWA).
    """

    key: str
    tensors: Mapping[str, object]
    averaged: bool


def _is_averaged(key: str) -> bool:
    """Whether a network's name says that its weights are averages over the training: these are the ones to use."""
    parts = re.split(r"[._]", key.lower())
    return any(part in ("ema", "swa", "shadow") or part.startswith("averag") for part in parts)


def networks_in(tree: object, shape_of: ShapeOf) -> tuple[Network, ...]:
    """Return the networks in what a file holds, in the file's order. A state_dict counts as one (see `divided`).

    Args:
        tree: mappings, as they were read; attributes of records are in their `__dict__`.
        shape_of: tells what is a tensor.
    """
    found: list[Network] = []
    for key, tensors in _state_dicts(tree, shape_of):
        found.append(Network(key, tensors, _is_averaged(key)))
        if len(found) >= _MOST_NETWORKS:
            break
    largest = max((len(network.tensors) for network in found), default=0)
    # A few tensors beside a whole network are class weights and the like.
    return tuple(network for network in found if len(network.tensors) * 20 >= largest)


def divided(networks: Iterable[Network], shape_of: ShapeOf) -> tuple[Network, ...]:
    """Return networks with those apart that lie in one state_dict under several prefixes, as `student.`, `teacher.` do.

    They are known by the same names and shapes under each. A network of two like branches looks the same, so this is
    for a state_dict that as a whole is no network.
    """
    return tuple(part for network in networks for part in _split(network, shape_of))


def choose(networks: tuple[Network, ...], key: str | None, subject: object) -> tuple[Network, str]:
    """Return the network to take, and a sentence that says so where there was a choice.

    Without a key the only one is taken, or the only one whose name says that it is an average over the training.

    Raises:
        BundleError: there is none, none of that key, or several among which a person must choose.
    """
    if key is not None:
        chosen = [network for network in networks if network.key == key] or _under(networks, key)
        if not chosen:
            raise BundleError(f"it holds no network under {key!r}", subject=str(subject), remedy=_remedy(networks))
        return chosen[0], ""
    if not networks:
        raise BundleError(
            "it holds no network: no state_dict of tensors by their names was found in it",
            subject=str(subject),
            remedy="save the state_dict with torch.save(network.state_dict(), ...)",
        )
    if len(networks) == 1:
        return networks[0], ""
    averaged = [network for network in networks if network.averaged]
    if len(averaged) != 1:
        raise BundleError(
            f"it holds {len(networks)} networks: {_listed(networks)}", subject=str(subject), remedy=_remedy(networks)
        )
    others = " or ".join(f"--key {network.key!r}" for network in networks if network is not averaged[0])
    return averaged[0], (
        f"The file holds {len(networks)} networks: {_listed(networks)}. {averaged[0].key!r} was taken: its weights are "
        f"an average over the training. {others} takes another."
    )


def _under(networks: tuple[Network, ...], key: str) -> list[Network]:
    """Return the part of a network whose names begin with what is left of a key."""
    for network in networks:
        if network.key and not key.startswith(f"{network.key}."):
            continue
        prefix = (key[len(network.key) + 1 :] if network.key else key) + "."
        tensors = {
            name.removeprefix(prefix): value for name, value in network.tensors.items() if name.startswith(prefix)
        }
        if tensors:
            return [Network(key, tensors, _is_averaged(key))]
    return []


def _listed(networks: tuple[Network, ...]) -> str:
    shown = [f"{network.key or '(the file itself)'} ({len(network.tensors):,} tensors)" for network in networks[:8]]
    return ", ".join(shown) + (f" and {len(networks) - 8} more" if len(networks) > 8 else "")


def _remedy(networks: tuple[Network, ...]) -> str:
    if not networks:
        return "save the state_dict with torch.save(network.state_dict(), ...)"
    return "choose with --key " + " or ".join(repr(network.key) for network in networks[:8])


def _state_dicts(tree: object, shape_of: ShapeOf) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield every mapping of names to tensors, and every whole network, with the place where it lies."""
    entries = 0
    waiting: list[tuple[tuple[str, ...], object]] = [((), tree)]
    seen: set[int] = set()
    while waiting:
        path, node = waiting.pop(0)
        if id(node) in seen or len(path) > _DEEPEST:
            continue
        seen.add(id(node))
        if is_whole_network(node):
            yield ".".join(path), dict(_whole_network(node, shape_of))
            continue
        if not isinstance(node, Mapping):
            continue
        tensors = {name: value for name, value in node.items() if isinstance(name, str) and shape_of(value) is not None}
        layers = any(len(shape_of(value) or ()) > 1 for value in tensors.values())
        if tensors and (len(tensors) == len(node) or (layers and len(tensors) * 2 > len(node))):
            yield ".".join(path), tensors
            continue
        for name, value in node.items():
            entries += 1
            if entries > _MOST_ENTRIES:
                return
            if isinstance(name, str) and not _NO_NETWORK.fullmatch(name):
                waiting.append(((*path, name), value))


def is_whole_network(node: object) -> bool:
    """Whether an object that was read is a whole network rather than its state_dict: it has parts, by name."""
    parts = vars(node) if hasattr(node, "__dict__") else {}
    return isinstance(parts.get("_parameters"), Mapping) and isinstance(parts.get("_modules"), Mapping)


def _whole_network(network: object, shape_of: ShapeOf) -> Iterator[tuple[str, object]]:
    """Yield the tensors of a whole network that was pickled, by the names that its state_dict would have."""
    waiting = [("", network)]
    entries = 0
    while waiting:
        prefix, node = waiting.pop()
        parts = vars(node) if hasattr(node, "__dict__") else {}
        passing = parts.get("_non_persistent_buffers_set")
        for kind in ("_parameters", "_buffers"):
            held = parts.get(kind)
            for name, value in held.items() if isinstance(held, Mapping) else ():
                entries += 1
                if shape_of(value) is not None and not (isinstance(passing, set) and name in passing):
                    yield f"{prefix}{name}", value
        modules = parts.get("_modules")
        inner = tuple(modules.items()) if isinstance(modules, Mapping) and len(prefix) < _LONGEST_PREFIX else ()
        # A part that holds another twice, which holds another twice, ... is a small file and a network without end.
        entries += len(inner)
        if entries > _MOST_ENTRIES:
            return
        waiting += [(f"{prefix}{name}.", value) for name, value in reversed(inner)]


def _split(network: Network, shape_of: ShapeOf) -> list[Network]:
    """Return the networks in one state_dict: more than one if it holds the same tensors under several prefixes."""
    tensors = network.tensors
    for depth in (1, 2):
        parts: defaultdict[str, dict[str, object]] = defaultdict(dict)
        for name, value in tensors.items():
            pieces = name.split(".")
            if len(pieces) > depth:
                parts[".".join(pieces[:depth])][".".join(pieces[depth:])] = value
        inside = {
            prefix: Counter((without_wrappers(name), shape_of(value)) for name, value in held.items())
            for prefix, held in parts.items()
            if len(held) >= _FEWEST
        }
        if len(inside) > _MOST_PREFIXES:  # each is compared with each
            continue
        twins = [
            prefix
            for prefix, own in inside.items()
            if any(
                (own & other).total() >= _ALIKE * max(own.total(), other.total())
                for another, other in inside.items()
                if another != prefix
            )
        ]
        if len(twins) >= 2 and sum(len(parts[prefix]) for prefix in twins) >= _SHARE * len(tensors) and _named(twins):
            dotted = f"{network.key}." if network.key else ""
            return [
                Network(f"{dotted}{prefix}", parts[prefix], network.averaged or _is_averaged(prefix))
                for prefix in twins
            ]
    return [network]


def _named(prefixes: Sequence[str]) -> bool:
    """Whether prefixes are names of networks, rather than numbered parts of one."""
    stems = {re.sub(r"\d+$", "", prefix.rpartition(".")[2]) for prefix in prefixes}
    return len(stems) == len(prefixes)
