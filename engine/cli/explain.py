"""`xaimed explain`: where a network looked, by several methods, saved as pictures, tables and JSON."""

from __future__ import annotations

import argparse
import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from engine.bundle.model_bundle import subject_of
from engine.cli import common, named_images
from engine.cli.arguments import fills_argument, folder_argument, methods_argument
from engine.cli.console import following, print_failure, print_json, print_line
from engine.cli.explained import print_explanation
from engine.cli.streams import aside
from engine.errors import ExplanationError, ExportError, XAIMedError
from engine.explainers import registry
from engine.explainers.registry import (
    Voters,
    left_out,
    method_keys,
    sampling,
    usual_samples,
)
from engine.export.dicom.plan import NewSeries, check_dicom_writable, plan_dicom
from engine.images.image import read_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.bundle.keys import Scalar
    from engine.bundle.model_bundle import ModelBundle
    from engine.explainers.settings import Settings
    from engine.explanation.explain import Explanation
    from engine.network.classifier import Classifier

HELP = "make saliency maps of images and write them to a folder"
DESCRIPTION = (
    "Explain the class of each image by saliency maps, and write the maps, their statistics and their agreement into a "
    "folder of its own below --out. Nothing is overwritten."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    built_in = [method.key for method in registry.BUILT_IN]
    named_images.configure(parser)
    common.configure(parser)
    parser.add_argument(
        "--out", required=True, type=folder_argument, metavar="DIR", help="folder for the results; created if needed"
    )
    parser.add_argument("--target", metavar="CLASS", help="class to explain (default: the predicted one)")
    parser.add_argument(
        "--methods",
        type=methods_argument,
        metavar="M,M",
        help=f"methods to run (default: all, which are {','.join(built_in)} and those of plug-ins)",
    )
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--samples",
        type=_samples,
        default={},
        metavar=",".join(f"{method.key}=N" for method in sampling()),
        help=f"number of masked images (default: the model's, else {_usual_samples()}); some plug-ins take it too",
    )
    effort.add_argument("--until", choices=("certain",), help="stop early once the three cells are certain")
    parser.add_argument(
        "--set",
        type=_parameter,
        action="append",
        default=[],
        dest="parameters",
        metavar="METHOD.NAME=VALUE",
        help=f"a parameter of a method, such as rise.grid=9; may be repeated. There are {_parameters()}, and those of "
        "plug-ins",
    )
    parser.add_argument(
        "--voters",
        choices=get_args(Voters),
        default="paper",
        help="methods counted in the agreement: the paper's four, or all that give a map (default: paper)",
    )
    parser.add_argument("--estimator", choices=("centred", "paper"), help="RISE's estimator (default: centred)")
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        help="for the passes over masked images (default: auto, which keeps every probability within 0.01)",
    )
    parser.add_argument(
        "--layer",
        metavar="NAME",
        help="layer at which the CAMs look, one of those that `xaimed models check --json` lists (default: the model's "
        "own, else the last one that everything that decides passes through)",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="for the random masks (default: derived from image, model and method)"
    )
    cells = parser.add_mutually_exclusive_group()
    cells.add_argument(
        "--fills",
        type=fills_argument,
        metavar="F,F",
        help="what hidden cells show for the exact cells, some of mean,blur,inpaint,noise (default: the model's, else "
        "mean,blur). Each costs 511 passes, about an eighth of what RISE's 4,000 masks cost in float32",
    )
    cells.add_argument(
        "--no-exact",
        action="store_true",
        help="leave out the exact cells, which judge the maps; they cost 1,023 passes with two fills",
    )
    parser.add_argument(
        "--evidence",
        action="store_true",
        help="ask of every map whether it is better than random maps, stable, and of this network; that takes at most "
        "as long as RISE for each map, or 5 s where RISE took less, and 10 s without RISE (default: only what costs "
        "no time)",
    )
    parser.add_argument(
        "--evidence-seconds",
        type=_seconds,
        metavar="S",
        help="the same, with so many seconds for each map; what is not answered by then stays not asked",
    )
    common.configure_device(parser)
    parser.add_argument(
        "--full-paths",
        action="store_true",
        help="write where each image lies into explanation.json (default: its file's name, since folders often carry "
        "patients' names)",
    )
    parser.add_argument(
        "--report",
        action="append",
        choices=("html", "pdf"),
        default=[],
        help="write a report on one page, too: report.html (one file, with its pictures) or report.pdf; may be given "
        "twice",
    )
    parser.add_argument(
        "--dicom",
        action="store_true",
        help="write DICOM objects, too, for images that came as DICOM: maps, overlays and a report, in new series of "
        "the image's study. They hold the patient's name and id, as the image does (needs the extra dicom)",
    )
    parser.add_argument("--json", action="store_true", help="print the list of the explanation.json files")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Explain the images in the order of the arguments; one that fails is reported and does not stop the others.

    Raises:
        TaskError, BundleError, DeviceError, ExplanationError, ExportError: nothing can be explained.
    """
    for line in left_out():
        print_failure(line)
    if arguments.dicom:
        check_dicom_writable()
    out: Path = arguments.out
    bundle = common.find_bundle(arguments)
    settings = _settings(arguments, bundle)
    _check_writable(out)
    given = named_images.named_images(arguments, bundle.input)
    images = [image.path for image in given if image.refusal is None]
    complete = not any(image.fails for image in given)
    written: list[object] = []
    if images:
        classifier = common.load(bundle, device=arguments.device, precision=arguments.precision)
        if settings.target is not None:
            classifier.class_index(settings.target)
        if settings.layer is not None:
            classifier.anatomy.check_layer(settings.layer)
        series = NewSeries()
        for path in images:
            found = common.attempt(path, partial(_explain, classifier, path, images, settings, arguments, series))
            if isinstance(found, XAIMedError):
                complete = False
                continue
            explanation, folder, not_written = found
            if not_written:
                print_failure(not_written)
                complete = False
            for method, reason in explanation.failures.items():
                print_failure(f"{path}: {method}: {reason}")
                complete = False
            if explanation.exact_failure:
                print_failure(f"{path}: exact cells: {explanation.exact_failure}")
                complete = False
            if arguments.json:
                written.append(json.loads((folder / "explanation.json").read_text(encoding="ascii")))
                continue
            if written:
                print_line()
            written.append(folder)
            print_explanation(explanation, folder)
        if written:
            common.say_what_was_assumed(classifier)
            from engine.explainers.settings import foreign_sections  # late: numpy

            for sentence in foreign_sections(bundle):
                print_failure(f"{subject_of(bundle)}: {sentence}")
    if arguments.json:
        print_json(written)
    return 0 if complete else 1


def _explain(
    classifier: Classifier,
    path: Path,
    images: Sequence[Path],
    settings: Settings,
    arguments: argparse.Namespace,
    series: NewSeries,
) -> tuple[Explanation, Path, str]:
    """Explain an image and save the answer; the text says why DICOM objects that were asked for are not written."""
    from engine.explanation.explain import explain  # late, like those below: torch and matplotlib
    from engine.export.folder import save_explanation

    image = read_image(path, bits=arguments.bits)
    with following(path.name, common.names_of_work()) as progress, aside():
        explanation = explain(classifier, image, settings, progress=progress)
        if arguments.evidence or arguments.evidence_seconds is not None:
            from engine.explanation.evidence import ask_evidence
            from engine.explanation.measuring import readable

            others = [each for each in images if each != path]
            explanation = ask_evidence(
                classifier,
                explanation,
                seconds=arguments.evidence_seconds,
                others=lambda: readable(others, arguments.bits),
                progress=progress,
            )
    reports = tuple(dict.fromkeys(arguments.report))
    dicom, not_written = None, ""
    if arguments.dicom:
        try:
            dicom = plan_dicom(explanation, series)
        except XAIMedError as error:
            not_written = error.message
    folder = save_explanation(explanation, arguments.out, full_paths=arguments.full_paths, reports=reports, dicom=dicom)
    if dicom is not None and dicom.no_map:
        print_failure(f"{path}: no Parametric Maps are written, only Secondary Captures and a report: {dicom.no_map}")
    return explanation, folder, not_written


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < 1e6:
        raise argparse.ArgumentTypeError("give a number of seconds above 0")
    return seconds


def _usual_samples() -> str:
    return ",".join(f"{method.key}={usual_samples(method)}" for method in sampling())


def _parameters() -> str:
    return ", ".join(f"{method.key}.{key.name}" for method in registry.BUILT_IN for key in method.parameters)


def _parameter(text: str) -> tuple[str, str, str]:
    """Split METHOD.NAME=VALUE. The value stays text, since the types of a plug-in's parameters are not known yet."""
    name, separator, value = text.partition("=")
    method, dot, name = name.strip().rpartition(".")
    if not (method and dot and name and separator and value.strip()):
        raise argparse.ArgumentTypeError("give a value such as rise.grid=9")
    return method, name, value.strip()


def _samples(text: str) -> dict[str, int]:
    samples: dict[str, int] = {}
    for part in text.split(","):
        method, separator, number = part.strip().partition("=")
        if not (method and separator and number.isascii() and number.isdigit() and len(number) <= 12):
            raise argparse.ArgumentTypeError(f"give numbers such as {_usual_samples()}")
        if method in samples:
            raise argparse.ArgumentTypeError(f"{method} is given twice")
        samples[method] = int(number)
    return samples


def _settings(arguments: argparse.Namespace, bundle: ModelBundle) -> Settings:
    """Turn the arguments into settings, checked as far as possible without the network.

    Raises:
        ExplanationError: an unknown method, parameter or class, or a value out of range.
    """
    from engine.explainers.settings import Settings, check_settings, read_parameter  # late: numpy

    parameters: dict[str, dict[str, Scalar]] = {}
    for method, name, text in arguments.parameters:
        values = parameters.setdefault(method, {})
        if name in values:
            raise ExplanationError(f"{method}.{name} is given twice", remedy="give it once")
        values[name] = read_parameter(method, name, text)
    settings = Settings(
        methods=arguments.methods or method_keys(),
        target=arguments.target,
        samples=arguments.samples,
        until=arguments.until or "samples",
        estimator=arguments.estimator,
        layer=arguments.layer,
        seed=arguments.seed,
        parameters=parameters,
        voters=arguments.voters,
        exact_fills=() if arguments.no_exact else arguments.fills,
    )
    check_settings(settings)
    classes = bundle.output.classes
    if settings.target is not None and classes is not None and settings.target not in classes:
        raise ExplanationError(
            f"{subject_of(bundle)} has no class '{settings.target}'",
            remedy=f"choose one of {', '.join(classes)}",
        )
    return settings


def _check_writable(out: Path) -> None:
    """Check that results can be written, without creating anything yet.

    Raises:
        ExportError: `out` is not a folder, or it or the folder in which it would be created is not writable.
    """
    try:
        place = out.absolute()
        while not os.path.lexists(place):
            place = place.parent
        is_folder = place.is_dir()
    except (OSError, ValueError) as error:
        raise ExportError("this is not a usable folder name", subject=out, remedy="choose another folder") from error
    if not is_folder:
        raise ExportError("this is not a folder", subject=place, remedy="choose another folder for --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ExportError("this folder is not writable", subject=place, remedy="choose another folder for --out")
