"""Measure *of this network* for every bundled model and built-in method, for `engine/evidence/bundled_figures.json`.

    python -m engine.explanation.bundled_figures [--data FOLDER] [--model NAME]

After a change to a bundled model, or to what a method does, run it again; a test says when that is due. FOLDER holds
`idc/patches.zip` and `brain_mri/slices.zip`, which the models' `train.py` read: those models bring no images of their
own. Figures of models that are not measured, for want of images or by `--model`, stay where they are not stale. The
file is written after each model.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bundle.model_bundle import read_bundle
from engine.evidence.figures import BUNDLED, bundled_figures, figures_as_json, figures_digest, figures_key
from engine.evidence.of_this_network import IMAGES, Figures, judge_figures
from engine.explainers.registry import METHODS
from engine.explainers.settings import Settings
from engine.explanation.measuring import begin, compliant_images, fewer_samples
from engine.explanation.request import NEVER_STOP
from engine.images.listing import SUFFIXES
from engine.network.classifier import Classifier
from engine.storage import places

if TYPE_CHECKING:
    from engine.bundle.model_bundle import ModelBundle
    from engine.images.image import MedicalImage

ARCHIVES = {"HIS Breast Cancer": "idc/patches.zip", "Brain Tumour MRI": "brain_mri/slices.zip"}
"""Where a bundled task's images lie below FOLDER."""

_TRIED = 10
"""Images tried at each of four places of an archive: not every one has the size that the model takes."""


def main(arguments: Sequence[str]) -> int:
    """Measure all bundled models, print what was found, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where the models' training images lie")
    parser.add_argument("--model", metavar="NAME", help="measure only the model of this name")
    given = parser.parse_args(arguments)
    bundles = [read_bundle(weights.parent) for weights in sorted(places.bundled_tasks().glob("*/*/weights.pt"))]
    keys = {figures_digest(bundle): _keys(bundle) for bundle in bundles}
    known = bundled_figures()
    found: dict[str, dict[str, Figures]] = {
        digest: {key: known[digest][key] for key in own.values() if key in known[digest]}
        for digest, own in keys.items()
        if digest in known
    }
    for bundle in bundles:
        digest = figures_digest(bundle)
        if given.model in (None, bundle.name) and (measured := _measured(bundle, keys[digest], given.data)):
            found[digest] = measured
            BUNDLED.write_text(figures_as_json(found), encoding="ascii")
    return 0


def _keys(bundle: ModelBundle) -> dict[str, str]:
    """Return what each method's figures are kept by."""
    return {method: figures_key(bundle, method, Settings()) for method in METHODS}


def _measured(bundle: ModelBundle, keys: Mapping[str, str], data: Path | None) -> dict[str, Figures]:
    """Return the figures of a model by key, and print them."""
    classifier = Classifier.load(bundle, device="cpu", precision="fp32")
    images = list(_images(classifier, bundle.samples, data, bundle.task))
    if not images:
        print(f"{bundle.name}: there are no images to measure it with")
        return {}
    found = {}
    for method, key in keys.items():
        explain = fewer_samples(classifier, method, Settings())
        found[key] = begin(classifier, method, images).run(explain, stop=NEVER_STOP)
        answer = judge_figures(found[key])
        numbers = ", ".join(f"{depth} {value:.2f}" for depth, value in answer.correlations.items())
        print(f"{bundle.name}: {method}: {answer.verdict} ({answer.why}): {numbers}", flush=True)
    return found


def _images(classifier: Classifier, samples: Path | None, data: Path | None, task: str) -> Iterator[MedicalImage]:
    """Yield images that the model takes: its samples, or four of its training images, evenly spread over them."""
    if samples is not None:
        yield from compliant_images(classifier, samples)
        return
    archive = None if data is None or task not in ARCHIVES else data / ARCHIVES[task]
    if archive is None or not archive.is_file():
        return
    with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(archive) as file:
        pictures = sorted(name for name in file.namelist() if name.lower().endswith(SUFFIXES) and "mask" not in name)
        for number in range(IMAGES):
            start = number * len(pictures) // IMAGES
            for tried, name in enumerate(pictures[start : start + _TRIED]):
                folder = Path(place, f"{number}-{tried}")
                folder.mkdir()
                (folder / Path(name).name).write_bytes(file.read(name))
                if found := compliant_images(classifier, folder):
                    yield from found
                    break


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
