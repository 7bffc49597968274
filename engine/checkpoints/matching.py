"""Match the tensors of a file with those of a network by name and shape: one unique assignment, or none at all.

Training programs put names in front (`module.`, `model.`, `_orig_mod.`), replace heads and save more than the network.
Nothing here guesses: where two tensors would fit alike, or one is left over that is not known to be of no use, the
outcome is a table of what is left over on either side.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

Shapes = Mapping[str, tuple[int, ...]]
"""The shapes of tensors by their names."""

WRAPPERS = frozenset(
    {"_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_module", "module"}
)
"""Names that torch.compile, Fabric, FSDP, checkpointing, Opacus and DataParallel put between those of the network."""

COUNTER = "num_batches_tracked"
"""How many batches a BatchNorm has seen: of use in training only. Networks saved before torch 0.4.1 have none."""

_COMPUTED = frozenset({"relative_position_index", "relative_coords_table", "attn_mask", "position_ids"})
"""Buffers that networks compute themselves from their settings."""

_PROFILED = frozenset({"total_ops", "total_params"})
"""What profilers leave behind."""

_BOOKKEEPING = frozenset({"n_averaged", "num_updates", "decay", "initted", "step"})
"""What averaged (EMA, SWA) networks count beside the weights."""

_TRAINING = re.compile(
    r"(train|val|valid|validation|test)?_?(metrics?|acc|accuracy|auroc|auc|f1|f1_?score|precision|recall|loss|losses"
    r"|loss_?(fn|func|fct|function)|criterion|criterions|confmat|confusion_?matrix|kappa|dice)(_?\d+)?",
    re.IGNORECASE,
)
_AUXILIARY = re.compile(r"aux|aux_?\d+|aux_?logits|aux_?(head|classifier|fc|out)\d*|auxiliary(_head)?", re.IGNORECASE)

_OLD_NAMES = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)(?=\.)")
"""How torchvision's DenseNets named their layers before version 0.3: `norm.1` is `norm1` now."""

_MOST_SHOWN = 8
_MOST_PARTS = 16
"""A prefix has at most so many parts; all those of one long name would take memory with the square of its length."""

_LEAST_SHARE = 0.5
"""A prefix is tried if at least this share of the network's tensors lies below it."""


@dataclass(frozen=True, slots=True)
class Match:
    """How a file's tensors fill a network.

    Attributes:
        names: the file's name of each of the network's tensors, by the network's name; without those in `filled`.
        filled: tensors that the file lacks and that keep their starting values (batch counters, computed buffers).
        left_out: names of the file's tensors that are not used.
        notes: a sentence for each thing that was done.
    """

    names: Mapping[str, str]
    filled: tuple[str, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What is left over on either side where a file's tensors do not fit a network.

    Attributes:
        cause: why there is no assignment, as a clause.
        missing: the network's tensors without a counterpart, with their shapes.
        surplus: the file's tensors without one.
        found: how many of the network's tensors have a counterpart.
        wanted: how many tensors the network has.
    """

    cause: str
    missing: Shapes
    surplus: Shapes
    found: int
    wanted: int

    def table(self) -> tuple[str, ...]:
        """Return lines for people: the leftovers of the network, and those of the file, side by side."""
        left = [f"{name}  {_shape(shape)}" for name, shape in self.missing.items()] or ["(none)"]
        right = [f"{name}  {_shape(shape)}" for name, shape in self.surplus.items()] or ["(none)"]
        for rows in (left, right):
            if len(rows) > _MOST_SHOWN:
                rows[_MOST_SHOWN:] = [f"and {len(rows) - _MOST_SHOWN:,} more"]
        left.insert(0, f"the network lacks ({len(self.missing):,})")
        right.insert(0, f"the file has besides ({len(self.surplus):,})")
        width = max(map(len, left))
        return tuple(f"  {a:<{width}}   {b}".rstrip() for a, b in zip_longest(left, right, fillvalue=""))


def match(expected: Shapes, given: Shapes) -> Match | Mismatch:
    """Assign the tensors of a file to those of a network.

    Names are compared after wrappers (`_orig_mod.`, `module.`, ...) are taken out. Then one prefix of the file's names
    may be exchanged for one of the network's, if exactly one such exchange fits. What is still left is assigned where
    name endings and shapes leave a single way. A file's tensors may be left over only if they are batch counters,
    buffers that networks compute, or parts of training (losses, metrics, auxiliary heads).

    Args:
        expected: of the network, as `state_dict()` names them.
        given: of the file.
    """
    counters = {name for name in expected if _last(name) == COUNTER}
    needed = {name: shape for name, shape in expected.items() if name not in counters and not _is_computed(name, given)}
    if all(given.get(name) == shape for name, shape in needed.items()):
        names = {name: name for name in expected if name in given and given[name] == expected[name]}
        return _finish(expected, given, names, ())
    plain = _unwrapped(given, expected)
    found = _by_prefix(needed, plain)
    if isinstance(found, str):
        return _mismatch(found, needed, given, {})
    old, new, names = found
    rest = {name: shape for name, shape in needed.items() if name not in names}
    used = set(names.values())
    free = {name: shape for name, shape in plain.items() if name not in used}
    endings = _by_ending(rest, free)
    if len(endings) < len(rest):
        return _mismatch(
            "no assignment of its tensors to the network's is certain",
            needed,
            given,
            _originals(names | endings, given, expected),
        )
    names |= endings
    for counter in counters:  # beside the mean that it counts for
        mean = counter.removesuffix(COUNTER) + "running_mean"
        beside = names[mean].removesuffix("running_mean") + COUNTER if mean in names else counter
        if plain.get(beside) == expected[counter]:
            names[counter] = beside
    notes = list(_prefix_notes(old, new, given, expected))
    for name, other in list(endings.items())[:_MOST_SHOWN]:
        if name != other:
            notes.append(f"{other} became {name}: no other tensor has this shape and a name that ends alike.")
    if len(endings) > _MOST_SHOWN:
        notes.append(f"So did {len(endings) - _MOST_SHOWN:,} more.")
    return _finish(expected, given, _originals(names, given, expected), tuple(notes))


def _finish(expected: Shapes, given: Shapes, names: Mapping[str, str], notes: Sequence[str]) -> Match | Mismatch:
    """Account for what is left over on either side."""
    used = set(names.values())
    said = list(notes)
    filled = tuple(name for name in expected if name not in names)
    left = [name for name in given if name not in used]
    kinds = {name: _use_of(name) for name in left}
    unknown = {name: given[name] for name in left if not kinds[name]}
    if unknown:
        cause = f"it has {_some(list(unknown))} that the network does not have"
        return Mismatch(cause, {}, unknown, len(expected), len(expected))
    counters = [name for name in filled if _last(name) == COUNTER]
    if counters:
        said.append(f"{_counted(len(counters), 'batch counter')} ({COUNTER}) that the file lacks became 0.")
    if len(counters) < len(filled):
        said.append(
            f"{_some([name for name in filled if name not in counters])}: the network computed what the file lacks."
        )
    by_kind: defaultdict[str, list[str]] = defaultdict(list)
    for name in left:
        by_kind[kinds[name]].append(name)
    said += [
        f"{_some(found)} {'was' if len(found) == 1 else 'were'} left out: {kind}." for kind, found in by_kind.items()
    ]
    return Match(dict(names), filled, tuple(left), tuple(said))


def _is_computed(name: str, given: Shapes) -> bool:
    """Whether the network computes a tensor itself, and the file has none of the kind."""
    return _last(name) in _COMPUTED and not any(_last(other) == _last(name) for other in given)


def _use_of(name: str) -> str:
    """Say what a tensor is that a network does not need; empty if that is not known."""
    parts = name.split(".")
    if parts[-1] == COUNTER:
        return "batch counters, of use in training only"
    if parts[-1] in _COMPUTED:
        return "networks compute these themselves"
    if parts[-1] in _PROFILED:
        return "a profiler left them behind"
    if parts[-1] in _BOOKKEEPING and len(parts) <= 2:
        return "what the average over training counts, no weights"
    if any(_AUXILIARY.fullmatch(part) for part in parts[:-1]):
        return "auxiliary heads, of use in training only"
    if any(_TRAINING.fullmatch(part) for part in parts):
        return "losses and metrics of the training"
    return ""


# Wrappers and prefixes


def _unwrapped(given: Shapes, expected: Shapes) -> dict[str, tuple[int, ...]]:
    """Return the file's tensors by their names without wrappers; by their own where two would get the same."""
    kept = {part for name in expected for part in name.split(".")}
    out = {without_wrappers(name, kept): shape for name, shape in given.items()}
    return out if len(out) == len(given) else dict(given)


def without_wrappers(name: str, kept: Iterable[str] = ()) -> str:
    """Return a tensor's name without the names that wrappers put in, except those in `kept`, and with today's names."""
    plain = ".".join(part for part in name.split(".") if part not in WRAPPERS or part in kept)
    return _OLD_NAMES.sub(r"\1\2", plain)


def _originals(names: Mapping[str, str], given: Shapes, expected: Shapes) -> dict[str, str]:
    """Return the assignment with the names that the tensors have in the file."""
    kept = {part for name in expected for part in name.split(".")}
    plain = {without_wrappers(name, kept): name for name in given}
    if len(plain) < len(given):
        return dict(names)
    return {name: plain[other] for name, other in names.items()}


def _by_prefix(needed: Shapes, given: Shapes) -> tuple[str, str, dict[str, str]] | str:
    """Find the one exchange of prefixes under which most names fit; return why if two fit as many in different ways."""
    best: list[tuple[str, str, dict[str, str]]] = []
    most = 0
    tried = {"", *_common_prefixes(given, len(needed))}
    wanted = {"", *_common_prefixes(needed, len(needed))}
    for old in sorted(tried):
        for new in sorted(wanted):
            names = {
                name: old + name.removeprefix(new)
                for name, shape in needed.items()
                if name.startswith(new) and given.get(old + name.removeprefix(new)) == shape
            }
            if len(names) > most:
                best, most = [], len(names)
            if len(names) == most and all(names != others for _, _, others in best):
                best.append((old, new, names))
    if not most:
        return "", "", {}
    if len(best) > 1:
        listed = " and ".join(repr(old.rstrip(".")) for old, _, _ in best[:3])
        return f"its tensors under {listed} fit the network alike; choose those to take with --key"
    return best[0]


def _common_prefixes(names: Iterable[str], wanted: int) -> list[str]:
    """Return the prefixes, with their dots, that at least half as many names begin with as are wanted."""
    counts: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        counts.update(".".join(parts[:end]) + "." for end in range(1, min(len(parts), _MOST_PARTS + 1)))
    return [prefix for prefix, count in counts.items() if count >= max(1, _LEAST_SHARE * wanted)]


def _by_ending(needed: Shapes, given: Shapes) -> dict[str, str]:
    """Assign what prefixes left over, where the longest common ending and the shape leave one way for both sides."""
    names: dict[str, str] = {}
    rest, free = dict(needed), dict(given)
    longest = max((name.count(".") + 1 for name in rest), default=0)
    for length in range(longest, 0, -1):
        theirs: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
        ours: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
        for pool, sorted_in in ((rest, ours), (free, theirs)):
            for name, shape in pool.items():
                sorted_in[(*name.split(".")[-length:], shape)].append(name)
        for key, wanting in ours.items():
            if len(wanting) == len(theirs[key]) == 1:
                names[wanting[0]] = theirs[key][0]
        rest = {name: shape for name, shape in rest.items() if name not in names}
        used = set(names.values())
        free = {name: shape for name, shape in free.items() if name not in used}
    # A layer's weight and bias must come from one layer.
    layers: defaultdict[str, set[str]] = defaultdict(set)
    for name, other in names.items():
        layers[name.rpartition(".")[0]].add(other.rpartition(".")[0])
    return {name: other for name, other in names.items() if len(layers[name.rpartition(".")[0]]) == 1}


def _prefix_notes(old: str, new: str, given: Shapes, expected: Shapes) -> Iterable[str]:
    kept = {part for name in expected for part in name.split(".")}
    wrappers = sorted(
        {part for name in given for part in name.split(".") if part in WRAPPERS and part not in kept},
        key=lambda part: next(i for i, name in enumerate(given) if part in name.split(".")),
    )
    if wrappers:
        listed = " and ".join(f"'{part}.'" for part in wrappers)
        yield f"{listed} in the names of the file's tensors {'was' if len(wrappers) == 1 else 'were'} taken out."
    if old or new:
        done = f"'{old}' before the names was {f'replaced by {new!r}' if new else 'removed'}."
        yield done if old else f"'{new}' was put before the names."


def _mismatch(cause: str, needed: Shapes, given: Shapes, names: Mapping[str, str]) -> Mismatch:
    used = set(names.values())
    return Mismatch(
        cause,
        {name: shape for name, shape in needed.items() if name not in names},
        {name: shape for name, shape in given.items() if name not in used and _last(name) != COUNTER},
        len(names),
        len(needed),
    )


# Words


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3:,} more"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
