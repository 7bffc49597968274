"""`xaimed models check --labelled`: which reading of its images fits a network, by images whose classes are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bundle.model_bundle import FIT, SETTINGS, subject_of
from engine.cli.console import measuring, print_failure, print_line
from engine.cli.streams import aside
from engine.errors import BundleError, ImageError, NotCompliantError

if TYPE_CHECKING:
    from engine.authoring.labelled import Labelled
    from engine.authoring.readings import Verdict
    from engine.bundle.model_bundle import ModelBundle
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier


@dataclass(frozen=True)
class Tried:
    """What `--labelled` found.

    Attributes:
        labelled: the images.
        verdict: the readings, the best first.
    """

    labelled: Labelled
    verdict: Verdict

    def as_json(self, bundle: ModelBundle) -> dict[str, object]:
        """Return it for `--json`."""
        from engine.authoring.readings_report import verdict_json  # late: torch, which --help does without

        return verdict_json(self.labelled, self.verdict, bundle.input)

    def show(self, bundle: ModelBundle) -> None:
        """Print it for people, with the lines of `model.toml` to change."""
        from engine.authoring.readings_report import toml_changes, toml_lines, verdict_lines

        for line in verdict_lines(self.labelled, self.verdict):
            print_line(line)
        if self.verdict.contradicts and (changes := toml_changes(bundle.input, self.verdict.best.reading)):
            print_line(f"To read images in that way, set in {SETTINGS}:")
            for line in toml_lines(changes):
                print_line(f"  {line}")
        if self.labelled.classes:
            names = ", ".join(f'"{name}"' for name in self.labelled.classes)
            print_line(f"If the outputs are these classes, set under [output]: classes = [{names}]")


def try_readings(classifier: Classifier, place: Path, *, each: float, seconds: float) -> Tried:
    """Try the plausible readings on labelled images.

    Args:
        classifier: the model.
        place: the folder or the CSV file.
        each: seconds that an answer takes.
        seconds: about the longest that this may take; fewer images are taken on a slow network.

    Raises:
        BundleError: the labels do not go with the model, or too few images can be used.
        ImageError: the folder cannot be read.
    """
    from engine.authoring import labelled as reading_labels  # late: torch, which --help does without
    from engine.authoring.readings import judge, plausible_readings

    bundle = classifier.bundle
    if bundle.output.multilabel:
        raise BundleError(
            "it judges each class on its own, and the labels give one class an image",
            subject=subject_of(bundle),
            remedy="leave out --labelled",
        )
    found = reading_labels.read_labelled(place, classifier.classes, named=bundle.output.classes is not None)
    images, labels = _readable(classifier, found)
    reading_labels.check_enough(labels, place)
    readings = plausible_readings(bundle.input, images)
    kept = reading_labels.thinned(labels, int(seconds / max(each * len(readings), 1e-9)))
    if len(kept) < len(images):
        print_failure(f"only {len(kept)} of {len(images)} images are taken, to end in time")
    images, labels = [images[row] for row in kept], [labels[row] for row in kept]
    with measuring("Trying readings") as advanced, aside():
        return Tried(found, judge(classifier, readings, images, labels, advanced=advanced))


def _readable(classifier: Classifier, found: Labelled) -> tuple[list[MedicalImage], list[int]]:
    """Return the images that the model takes, with their labels; say how many it does not take."""
    from engine.images.compliance import check_compliance
    from engine.images.image import read_image

    images, labels, skipped = [], [], []
    for path, label in zip(found.images, found.labels, strict=True):
        try:
            image = read_image(path)
            check_compliance(image, classifier.bundle.input)
        except (ImageError, NotCompliantError) as error:
            skipped.append(error.message)
            continue
        images.append(image)
        labels.append(label)
    if skipped:
        print_failure(f"{len(skipped):,} images were skipped; the first: {skipped[0]}")
    return images, labels


def write(bundle: ModelBundle, tried: Tried) -> ModelBundle:
    """Write the best reading into `model.toml`, if it is told from all others; return the model as it is now.

    Raises:
        LibraryError, BundleError: it could not be written.
    """
    from engine.authoring.readings_report import toml_changes
    from engine.authoring.settings_file import write_input

    best = tried.verdict.best.reading
    changes = toml_changes(bundle.input, best)
    if best.declared or not changes:
        print_failure(f"{subject_of(bundle)}: nothing was written, as its model.toml says so already")
        return bundle
    if not tried.verdict.told:
        print_failure(f"{subject_of(bundle)}: nothing was written, as it cannot be told for certain")
        return bundle
    now = write_input(bundle, changes)
    print_failure(f"written: {', '.join(changes)} under [input] in {now.path / SETTINGS}")
    if FIT in bundle.files or bundle.selftest is not None:
        print_failure(f"{FIT} and the self-test were made for the reading before: make them again")
    return now
