"""Loads models and prints what they answer, for tests that compare this between processes.

`answers.py alone MODEL...` answers with each model in a process of its own, `answers.py together MODEL...` with all of
them in one process, in turns and in both orders. Each line is a model's folder name and a digest.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from factories import approve, make_image

from engine.bundle.model_bundle import read_bundle
from engine.errors import XAIMedError
from engine.explainers.cam_package import import_cam_package
from engine.explainers.settings import Settings
from engine.explanation.explain import explain_method
from engine.network.classifier import Classifier
from engine.threads import settle_threads


def answer(classifier: Classifier) -> str:
    """A digest of a model's probabilities, its Grad-CAM and a small RISE map for one image."""
    image = make_image(height=9, width=9)
    digest = hashlib.sha256(classifier.diagnose(image).probabilities.tobytes())
    for method in ("gradcam", "rise"):
        try:
            made = explain_method(classifier, image, method, Settings(samples={"rise": 120}, seed=3))
        except XAIMedError as error:
            digest.update(error.message.encode())
        else:
            digest.update(made.values.tobytes())
    return digest.hexdigest()[:16]


def load(folder: Path) -> Classifier | str:
    """The model, or why it cannot be loaded."""
    try:
        return Classifier.load(read_bundle(folder), device="cpu", precision="fp32")
    except XAIMedError as error:
        return f"{error.code}: {error.cause}"


def say(folder: Path, model: Classifier | str) -> None:
    """Print a model's line."""
    print(folder.name, model if isinstance(model, str) else answer(model), flush=True)


def main(how: str, folders: list[Path]) -> None:
    """Answer with each model alone, or with all together."""
    approve(*folders)
    import_cam_package()  # once, not in every child
    if how == "alone":
        for folder in folders:
            # Torch is imported, but has computed nothing yet: the child is as good as a new process.
            if (child := os.fork()) == 0:
                status = 1
                try:
                    say(folder, load(folder))
                    status = 0
                finally:
                    os._exit(status)  # what is to be done at exit is the parent's
            if os.waitpid(child, 0)[1]:
                sys.exit(f"{folder.name} failed")
        return
    models = [(folder, load(folder)) for folder in folders]
    models += [(folder, load(folder)) for folder in reversed(folders)]
    for folder, model in models + models[::-1]:
        say(folder, model)


if __name__ == "__main__":
    settle_threads()
    main(sys.argv[1], [Path(folder) for folder in sys.argv[2:]])
