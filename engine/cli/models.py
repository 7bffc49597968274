"""`xaimed models`: add models to a task, show, remove and restore them, and help to make them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.authoring.check_report import model_lines
from engine.bundle.model_bundle import read_bundle, subject_of
from engine.cli import models_check, models_import
from engine.cli.arguments import check_working_directory
from engine.cli.console import ask, emit, print_failure, print_json, print_line, waiting
from engine.cli.streams import aside
from engine.cli.tasks import as_json, list_removed, say_removed
from engine.errors import LibraryError
from engine.library import add_model, changes
from engine.library.tasks import find_model, find_task_folder, read_entry
from engine.storage.places import task_folders
from engine.text import safe_text
from engine.trust import permission

if TYPE_CHECKING:
    import argparse

    from engine.bundle.model_bundle import ModelBundle

HELP = "add, check, show and remove models, and help to make them"
DESCRIPTION = (
    "Add models to a task, check, show and remove them. Removed models go to a trash folder beside the tasks until it "
    "is purged (xaimed tasks purge); models that come with XAIMed are hidden, not changed."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    verbs = parser.add_subparsers(metavar="VERB", title="verbs", required=True)

    def verb(name: str, text: str, description: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, description=description, allow_abbrev=False)

    adding = verb(
        "add",
        "add a model to a task",
        "Copy a model's files into a task and check what can be checked without running code. The model does not run "
        "until its code is approved: see xaimed trust --help",
    )
    adding.add_argument("task", metavar="TASK", help="an existing task")
    adding.add_argument("name", metavar="NAME", help="the model's name, as people see it")
    adding.add_argument(
        "--weights", required=True, type=Path, metavar="F", help="a state_dict, or any source that models import takes"
    )
    adding.add_argument("--key", metavar="K", help="which network of a checkpoint, such as state_dict_ema")
    builder = adding.add_mutually_exclusive_group()
    builder.add_argument(
        "--architecture",
        type=Path,
        metavar="F",
        help="Python file with build_model(); the files beside it that it imports are copied, too",
    )
    builder.add_argument(
        "--network", metavar="N", help="torchvision:resnet18, timm:..., monai:... (default: recognised by the weights)"
    )
    adding.add_argument("--description", metavar="FILE|TEXT", help="data, results, what it must not be used for")
    adding.add_argument("--picture", type=Path, metavar="F", help="any picture of its performance")
    adding.add_argument("--model-toml", type=Path, metavar="F", help="how to feed the network and how to read it")
    adding.set_defaults(run=_add, wrong_usage=adding.error)
    models_import.configure(verb("import", "make a complete model from a checkpoint", models_import.DESCRIPTION))
    drafting = verb(
        "init",
        "write a first model.toml",
        "Run an approved model to find out the input sizes it takes, its outputs and its layers, and write them into a "
        "commented model.toml. The model then has to be approved again.",
    )
    _choose(drafting)
    drafting.add_argument("--print", action="store_true", help="print it, and write nothing")
    drafting.set_defaults(run=_init)
    converting = verb(
        "convert",
        "turn a pickle into a safetensors file",
        "Load a file that holds more than a state_dict and write its weights as safetensors. LOADING A PICKLE RUNS "
        "WHATEVER CODE ITS MAKER PUT INTO IT, with your rights: do this only if you trust them. No code is run if the "
        "weights can be read without it.",
    )
    converting.add_argument("file", type=Path, metavar="FILE", help="what torch.save wrote")
    converting.add_argument(
        "--out", type=Path, metavar="F", help="what to write (default: FILE with the suffix .safetensors)"
    )
    converting.add_argument(
        "--architecture", type=Path, metavar="F", help="Python file with the classes that the pickle names; it is run"
    )
    converting.add_argument("--key", metavar="K", help="which network of the file, such as state_dict_ema")
    converting.add_argument("--yes", action="store_true", help="do not ask whether the pickle is trusted")
    converting.set_defaults(run=_convert)
    showing = verb("show", "show what is known about a model", "Show what is known about a model; no code is run.")
    _choose(showing)
    showing.add_argument("--json", action="store_true", help="print JSON")
    showing.set_defaults(run=_show)
    describing = verb(
        "describe",
        "print or replace a model's description",
        "Print the description of a model, or replace it. An approval covers the description too: the model then has "
        "to be approved again.",
    )
    describing.add_argument("task", metavar="TASK", help="the task")
    describing.add_argument("name", metavar="NAME", help="the model")
    describing.add_argument("--description", metavar="FILE|TEXT", help="the new description")
    describing.add_argument("--yes", action="store_true", help="approve an approved model again without asking")
    describing.set_defaults(run=_describe)
    models_check.configure(verb("check", "try a model as a physician would meet it", models_check.DESCRIPTION))
    removing = verb(
        "remove", "move a model into the trash", "Move a model into the trash, from which it can be restored."
    )
    removing.add_argument("task", metavar="TASK", help="the task")
    removing.add_argument("name", metavar="NAME", help="the model")
    removing.set_defaults(run=_remove)
    restoring = verb(
        "restore",
        "restore a model from the trash, or list what can be restored",
        "Restore the model of that name that was removed last. Without names, list what can be restored.",
    )
    restoring.add_argument("task", nargs="?", metavar="TASK", help="the task")
    restoring.add_argument("name", nargs="?", metavar="NAME", help="the model")
    restoring.add_argument("--json", action="store_true", help="without a name: print JSON")
    restoring.set_defaults(run=_restore)


def _choose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help="the task")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="the model; may be left out where the task has just one"
    )


# Adding and removing


def _add(arguments: argparse.Namespace) -> int:
    check_working_directory()
    description = None if arguments.description is None else changes.description_from(arguments.description)
    if arguments.architecture is None and arguments.model_toml is None:
        return _add_alone(arguments, description)
    if arguments.network is not None:
        arguments.wrong_usage("--network and --model-toml both say which network it is: give one of them")
    parts = add_model.Parts(
        weights=arguments.weights,
        architecture=arguments.architecture,
        description=description,
        picture=arguments.picture,
        settings=arguments.model_toml,
        key=arguments.key,
    )
    said: list[str] = []
    with waiting(f"Adding {arguments.name}"), aside():
        bundle = add_model.add_model(task_folders(arguments.tasks), arguments.task, arguments.name, parts, said.append)
    subject = subject_of(bundle)
    print_line(f"Added: {subject} in {bundle.path}.")
    for sentence in (*said, *bundle.assumed):
        print_line(f"  {sentence}")
    _say_what_it_takes(bundle)
    return 0


def _add_alone(arguments: argparse.Namespace, description: str | None) -> int:
    """Add a source that brings its network along, or whose network a package has."""
    folders = task_folders(arguments.tasks)
    find_task_folder(folders, arguments.task)
    with models_import.with_its_table(), waiting(f"Adding {arguments.name}"), aside():
        from engine.authoring import import_model  # late: torch, which the other verbs do without

        wanted = import_model.Wanted(
            source=arguments.weights,
            task=arguments.task,
            model=arguments.name,
            network=arguments.network,
            key=arguments.key,
            description=description or "",
            picture=arguments.picture,
        )
        with import_model.preparing(folders, wanted) as preparation:
            imported = preparation.finish() if preparation.review is None else None
            bundle = preparation.add() if imported is None else imported.bundle
    print_line(f"Added: {subject_of(bundle)} in {bundle.path}.")
    for sentence in bundle.assumed if imported is None else (*imported.notes, *imported.assumed):
        print_line(f"  {sentence}")
    _say_what_it_takes(bundle)
    return 0


def _say_what_it_takes(bundle: ModelBundle) -> None:
    """Say whether the model's code runs, or what it takes that it does."""
    if not bundle.runs_code:
        print_line(permission.no_code_words(bundle))
    elif permission.standing_of(bundle).allowed:
        print_line("A model with the same files was approved already, so it can be used.")
    else:
        print_line(f"It does not run until its code is approved: {permission.command_for(bundle)}")


def _describe(arguments: argparse.Namespace) -> int:
    folders = task_folders(arguments.tasks)
    before = read_entry(folders, arguments.task, arguments.name)
    if arguments.description is None:
        emit(f"{safe_text(before.description.rstrip(), multiline=True)}\n")
        return 0
    text = changes.description_from(arguments.description)
    place = changes.describe(folders, arguments.task, text, arguments.name)
    print_line(f"The model {before.task}/{before.name} has a new description.")
    if before.bundle is not None and before.standing is not None and before.standing.allowed:
        now = read_bundle(place, task=before.task)
        models_check.approve_again(before.bundle, now, frozenset({"description.txt"}), yes=arguments.yes)
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    return say_removed(changes.remove(task_folders(arguments.tasks), arguments.task, arguments.name))


def _restore(arguments: argparse.Namespace) -> int:
    folders = task_folders(arguments.tasks)
    if arguments.name is None:
        removed = [gone for gone in changes.removed(folders) if gone.model is not None]
        return list_removed([gone for gone in removed if arguments.task in (None, gone.task)], as_json=arguments.json)
    gone = changes.restore(folders, arguments.task, arguments.name)
    print_line(f"Restored: {gone.name}.")
    return 0


# Showing


def _show(arguments: argparse.Namespace) -> int:
    entry = read_entry(task_folders(arguments.tasks), arguments.task, arguments.name)
    if arguments.json:
        content = as_json(entry)
        if entry.bundle is not None:
            content["files"] = {name: [file.size, file.sha256] for name, file in sorted(entry.bundle.files.items())}
            content["notes"] = dict(entry.bundle.notes)
        print_json({"task": entry.task, **content})
        return 0
    for line in model_lines(entry):
        print_line(line)
    return 0


# Making them


def _init(arguments: argparse.Namespace) -> int:
    check_working_directory()
    bundle = find_model(task_folders(arguments.tasks), arguments.task, arguments.name)
    permission.check_approved(bundle)
    with waiting(f"Looking at {bundle.name}") as say, aside():
        from engine.authoring import draft  # late: torch, which the other verbs do without

        made = draft.draft(bundle, say) if arguments.print else draft.draft_into_place(bundle, say)
    if isinstance(made, str):
        emit(made)  # the draft is already safe
        return 0
    print_line(f"Written: {made.path / 'model.toml'}")
    print_line("Look at the lines marked CHECK: only whoever trained the model knows what belongs there.")
    if not made.runs_code:
        print_line(permission.no_code_words(made))
        return 0
    print_line("An approval covers every byte of a model, so the previous one no longer holds.")
    print_line(f"Once the file is right, approve the model again: {permission.command_for(made)}")
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    check_working_directory()
    source: Path = arguments.file
    target: Path = arguments.out or source.with_suffix(".safetensors")
    with waiting(f"Reading {source.name}"), aside():
        from engine.authoring import convert  # late: torch, which the other verbs do without

        converted = convert.read_safely(source, arguments.key)
    if converted is None:
        print_failure(
            f"{source}: this is a pickle. Loading it runs whatever code its maker put into it, with your rights: it "
            "can read, change and send whatever you can. Go on only if you trust its maker and the way it came to you"
        )
        if not arguments.yes:
            answer = ask(f"Load {source} anyway?")
            if answer is None:
                raise LibraryError(
                    "it was not loaded, as there is no terminal to ask on",
                    subject=source,
                    remedy="add --yes if you trust its maker",
                )
            if not answer:
                print_line("It was not loaded.")
                return 1
        with aside():
            converted = convert.read_trusting(source, arguments.architecture, arguments.key)
    convert.write_safetensors(converted, target)
    for note in converted.notes:
        print_line(note)
    size = sum(tensor.numel() * tensor.element_size() for tensor in converted.tensors.values())
    print_line(f"Written: {target}, {len(converted.tensors):,} tensors, {size:,} bytes. It holds no code.")
    if (source.parent / "architecture.py").exists() and target.parent == source.parent:
        print_line(
            f"A model has one file of weights: remove {source.name} from the folder, and approve the model again."
        )
    return 0
