"""The zoo: whatever checkpoint people have, imported by the command line's own function and held against its source.

`python -m tests.torture.zoo [--only NAME]... [--table FILE]` makes each source, imports it with `xaimed models import`,
compares the probabilities with those of the network it was made from (1e-4), looks at the CAMs' default layer, and
prints a table with counts and seconds. A source that must be refused counts when the refusal says the right cause.

To add a source, add a `Source` to `SOURCES` in one of the modules in `tests/torture/sources/`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engine.bundle.model_bundle import read_bundle
from engine.cli.main import run
from engine.errors import ExplanationError
from engine.images.image import MedicalImage
from engine.network.classifier import Classifier

TOLERANCE = 1e-4

Answer = Callable[[torch.Tensor], torch.Tensor]
"""What the source itself says: probabilities (1, K) for the network's input (1, C, H, W), of one output (1, 2)."""


@dataclass(frozen=True)
class Made:
    """A source that was made.

    Attributes:
        path: the file or folder to import.
        answer: what the source says; None for one that must be refused.
        options: further arguments of `models import`.
    """

    path: Path
    answer: Answer | None = None
    options: Sequence[str | Path] = ()


@dataclass(frozen=True)
class Source:
    """An entry of the zoo.

    Attributes:
        name: unique.
        kind: a heading of the table.
        make: makes it in an empty folder.
        layer: the CAMs' default layer that it must have; None for any.
        refused: what the refusal must say; empty if it must load.
        needs: packages without which it is left out.
        small: whether the test suite has it too.
    """

    name: str
    kind: str
    make: Callable[[Path], Made]
    layer: str | None = None
    refused: str = ""
    needs: tuple[str, ...] = ()
    small: bool = False


@dataclass
class Outcome:
    """What became of a source.

    Attributes:
        source: the entry.
        passed: whether it was imported and answers alike, or was refused for the right cause.
        words: the layer and the difference, the refusal, or what went wrong.
        seconds: of the import.
        difference: the largest of a probability from the source's own; None if it was not compared.
        said: what the import printed.
    """

    source: Source
    passed: bool
    words: str
    seconds: float = 0.0
    difference: float | None = None
    said: list[str] = field(default_factory=list)


def probabilities_of(network: nn.Module, activation: Callable[[torch.Tensor], torch.Tensor] | None = None) -> Answer:
    """Return what a network of torch says: softmax of its logits, or both classes of its one logit."""

    def answer(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            given = network.eval()(images)
        if activation is not None:
            return activation(given)
        if given.shape[1] == 1:
            positive = given.double().sigmoid()
            return torch.cat([1 - positive, positive], 1)
        return given.double().softmax(1)

    return answer


def visit(source: Source, folder: Path) -> Outcome:
    """Make, import and try a source in a folder of its own."""
    made = source.make(folder)
    started = time.perf_counter()
    out, err = io.StringIO(), io.StringIO()
    command = ["--tasks", folder / "tasks", "models", "import", made.path, "--task", "Zoo", "--name", "Animal"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run([str(word) for word in (*command, *made.options)], open_app=lambda _: 99)
    seconds = time.perf_counter() - started
    said = out.getvalue().splitlines()
    refusal = (err.getvalue().strip().splitlines() or [""])[-1].removeprefix("xaimed: ")
    if source.refused:
        right = status == 1 and source.refused in err.getvalue() and not (folder / "tasks" / "Zoo").exists()
        return Outcome(source, right, refusal or "it was imported", seconds, said=said)
    if status or made.answer is None:
        return Outcome(source, False, refusal, seconds, said=said)
    classifier = Classifier.load(read_bundle(folder / "tasks" / "Zoo" / "Animal"), device="cpu")
    worst = max(_difference(classifier, made.answer, seed) for seed in range(3))
    try:
        layer = classifier.default_layer
    except ExplanationError:
        layer = "none"
    passed = worst <= TOLERANCE and source.layer in (None, layer)
    expected = "" if passed or worst > TOLERANCE else f", expected {source.layer}"
    return Outcome(source, passed, f"{layer}{expected}; differs by {worst:.0e}", seconds, worst, said)


def _difference(classifier: Classifier, answer: Answer, seed: int) -> float:
    """Return by how much the probabilities for one image differ from the source's own."""
    spec = classifier.bundle.input
    values = np.random.default_rng(seed).integers(0, 256, (*spec.size, spec.channels)).astype(np.float32)
    image = MedicalImage(
        pixels=values,
        bit_depth=8,
        colour="grey" if spec.channels == 1 else "rgb",
        path=Path("noise.png"),
        sha256=f"{seed:064x}",
        metadata={},
    )
    theirs = answer(classifier.tensor(image).contiguous()).double().numpy()[0]
    if not 1e-3 < float(theirs.max()) < 1 - 1e-3:
        raise ValueError("the source is too sure for its answers to be compared")
    ours = np.asarray(classifier.diagnose(image).probabilities)
    return float(np.abs(ours - theirs).max()) if ours.shape == theirs.shape else float("inf")


def missing(source: Source) -> str:
    """Return the first package that a source needs and that is not installed; empty if none is missing."""
    import importlib.util

    return next((name for name in source.needs if importlib.util.find_spec(name) is None), "")


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the lines of a Markdown table, and of the counts below it."""
    lines = ["| source | what came of it | seconds |", "|---|---|---:|"]
    for outcome in outcomes:
        mark = "" if outcome.passed else "**fails** "
        words = outcome.words.replace("|", "\\|")
        lines.append(f"| {outcome.source.kind}: {outcome.source.name} | {mark}{words[:160]} | {outcome.seconds:.1f} |")
    lines += ["", *by_kind(outcomes)]
    loading = [outcome for outcome in outcomes if not outcome.source.refused]
    refused = [outcome for outcome in outcomes if outcome.source.refused]
    lines.append("")
    lines.append(
        f"{sum(outcome.passed for outcome in loading)} of {len(loading)} load without an architecture.py by hand; "
        f"{sum(outcome.passed for outcome in refused)} of {len(refused)} are refused with the right cause."
    )
    return lines


def by_kind(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the lines of a Markdown table with a row for each kind of source."""
    lines = ["| kind | sources | right | largest difference |", "|---|---|---:|---:|"]
    for kind in dict.fromkeys(outcome.source.kind for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.source.kind == kind]
        differences = [outcome.difference for outcome in own if outcome.difference is not None]
        names = "; ".join(outcome.source.name for outcome in own)
        largest = f"{max(differences):.0e}" if differences else ""
        lines.append(f"| {kind} | {names} | {sum(outcome.passed for outcome in own)} of {len(own)} | {largest} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Visit the zoo; exit with 1 if a source fails."""
    from tests.torture.sources import SOURCES

    parser = argparse.ArgumentParser(prog="python -m tests.torture.zoo", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="only sources whose kind or name contains it")
    parser.add_argument("--table", type=Path, metavar="FILE", help="also write the table there")
    chosen = parser.parse_args(arguments)
    outcomes: list[Outcome] = []
    for source in SOURCES:
        if chosen.only and not any(word in f"{source.kind}: {source.name}" for word in chosen.only):
            continue
        if absent := missing(source):
            print(f"left out: {source.name} (needs {absent})", flush=True)
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome = visit(source, Path(folder))
            except Exception as error:  # one animal that bites must not close the zoo
                outcome = Outcome(source, False, f"{type(error).__name__}: {error}")
        outcomes.append(outcome)
        print(
            f"{'ok  ' if outcome.passed else 'FAIL'} {outcome.seconds:5.1f} s  {source.kind}: {source.name}: "
            f"{outcome.words}",
            flush=True,
        )
    lines = table(outcomes)
    print("\n".join(lines))
    if chosen.table:
        chosen.table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
