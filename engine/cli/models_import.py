"""`xaimed models import`: a complete model of a checkpoint, in one step."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bundle.model_bundle import subject_of
from engine.cli import trust
from engine.cli.arguments import check_working_directory
from engine.cli.console import ask, emit, print_failure, print_line, waiting
from engine.cli.streams import aside
from engine.errors import ApprovalError, LibraryError
from engine.library.changes import MOST_DESCRIPTION
from engine.storage.places import task_folders
from engine.storage.reading import UnusableFileError, read_limited

if TYPE_CHECKING:
    from engine.authoring.import_model import Imported, Preparation, Wanted
    from engine.trust.permission import Review

DESCRIPTION = (
    "Make a complete model from a file of weights: a state_dict or the checkpoint of a training program (torch.save, "
    "Lightning, safetensors). Its tensors are matched to a network of torchvision, timm or MONAI, which is recognised "
    "where it is not named, or to one that your own code builds. SOURCE may also be an ONNX or TorchScript file, or a "
    "folder of timm, transformers or MONAI, which bring their networks along. Settings are drafted, the network is "
    "loaded once to prove that it works, and the task is made too if it is new. Only code that you approve runs."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="a file of weights, an ONNX or TorchScript file, or a folder"
    )
    parser.add_argument("--task", required=True, metavar="T", help="the task; made if there is none of that name")
    parser.add_argument("--name", required=True, metavar="M", help="the model's name, as people see it")
    builder = parser.add_mutually_exclusive_group()
    builder.add_argument(
        "--network", metavar="N", help="torchvision:resnet18, timm:..., monai:... (default: recognised by the weights)"
    )
    builder.add_argument("--architecture", type=Path, metavar="F", help="Python file with build_model(); it is run")
    parser.add_argument("--key", metavar="K", help="which network of the file, such as state_dict_ema or model.student")
    parser.add_argument(
        "--classes",
        metavar="A,B,...|FILE",
        help="names in the order of the outputs, or a file with one per line (default: what the file says)",
    )
    parser.add_argument("--input-size", type=_size, metavar="H,W", help="height and width that the network is fed")
    parser.add_argument(
        "--preprocessing",
        default="source",
        metavar="source|imagenet|unit|FILE",
        help="mean and std: the network's own as its source states them, ImageNet's, none (unit), or keys of [input] "
        "in a TOML file (default: source)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask whether the code is trusted")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Import the model.

    Raises:
        XAIMedError: it could not be imported; nothing was added.
    """
    check_working_directory()
    with waiting(f"Reading {arguments.source.name}"), aside():
        from engine.authoring import import_model  # late: torch, which --help does without

        wanted = _wanted(arguments, import_model.Wanted)
    with with_its_table(), import_model.preparing(task_folders(arguments.tasks), wanted) as preparation:
        if preparation.review is not None:
            _ask_for_trust(preparation.review, wanted.architecture or wanted.source, yes=arguments.yes)
        imported = _finish(preparation, wanted)
    _say(imported)
    return 0


@contextmanager
def with_its_table() -> Iterator[None]:
    """Print what is left over on either side where weights do not fit a network, before the error's own line."""
    from engine.authoring.reading_checkpoint import MismatchError  # late: torch

    try:
        yield
    except MismatchError as error:
        for line in error.table:
            print_failure(line)
        raise


def _wanted(arguments: argparse.Namespace, make: type[Wanted]) -> Wanted:
    return make(
        source=arguments.source,
        task=arguments.task,
        model=arguments.name,
        network=arguments.network,
        architecture=arguments.architecture,
        key=arguments.key,
        classes=None if arguments.classes is None else class_names(arguments.classes),
        size=arguments.input_size,
        preprocessing=arguments.preprocessing,
    )


def _finish(preparation: Preparation, wanted: Wanted) -> Imported:
    with waiting(f"Trying {wanted.task} / {wanted.model}"), aside():
        return preparation.finish()


def _ask_for_trust(review: Review, given: Path, *, yes: bool) -> None:
    """Show the code and ask whether it may run.

    Raises:
        ApprovalError: it may not, or nobody could be asked.
    """
    if review.standing.allowed:
        return
    emit(trust.shown(review, given))
    subject = subject_of(review.bundle)
    if yes:
        return
    answer = ask(f"Trust {given}, so that its code runs?")
    if answer is None:
        raise ApprovalError(
            "nothing was imported, as there is no terminal to ask on whether its code may run",
            subject=subject,
            remedy="add --yes if you trust its maker",
        )
    if not answer:
        raise ApprovalError("nothing was imported, as its code is not trusted", subject=subject)


def _say(imported: Imported) -> None:
    bundle = imported.bundle
    print_line(f"Imported: {subject_of(bundle)} in {bundle.path}.")
    for note in imported.notes:
        print_line(f"  {note}")
    print_line("Its settings, in model.toml:")
    for line in imported.settings.splitlines():
        print_line(f"  {line}")
    for sentence in imported.assumed:
        print_line(f"  {sentence}")
    print_line(f"The CAMs look at {imported.layer}." if imported.layer else "The CAMs find no layer to look at.")
    print_line(f"Next: xaimed explain IMAGE --task {bundle.task!r} --model {bundle.name!r}")


def class_names(argument: str) -> tuple[str, ...]:
    """Return the names of classes that an argument lists, or a file that it names.

    Raises:
        LibraryError: the file cannot be read.
    """
    path = Path(argument)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # not a possible path: then these are the names
        is_file = False
    if not is_file:
        return tuple(name.strip() for name in argument.split(","))
    try:
        text = read_limited(path, MOST_DESCRIPTION).decode("utf-8-sig")
    except UnusableFileError as error:
        raise LibraryError(error.cause, subject=path, remedy=error.remedy) from error
    except UnicodeDecodeError as error:
        raise LibraryError("it is not UTF-8 text", subject=path, remedy="save it as UTF-8") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _size(text: str) -> tuple[int, int]:
    """Return height and width, written as `H,W` or as one number for both."""
    parts = text.replace("x", ",").split(",")
    if not all(part.strip().isdecimal() for part in parts) or len(parts) not in (1, 2):
        raise argparse.ArgumentTypeError("write height and width in pixels, such as 224,224")
    return int(parts[0]), int(parts[-1])
