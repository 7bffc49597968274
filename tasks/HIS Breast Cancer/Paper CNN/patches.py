"""The data set of the training: 50x50 patches from a zip, and which patients are in which set."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import architecture
import numpy as np
from PIL import Image

FILE_NAME = re.compile(r"(?P<patient>\d+)_idx5_x\d+_y\d+_class(?P<label>[01])\.png")
DENSE = 200  # patients with at least so many patches are spread evenly over the sets: they hold half of all patches
FOLDS = 5


@dataclass(frozen=True)
class Patches:
    """The data set: rgb (N, 3, 50, 50) uint8, labels (N,) bool (True: IDC), patients (N,) int."""

    rgb: np.ndarray
    labels: np.ndarray
    patients: np.ndarray

    def images(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return these rows' patches as images (50, 50, 3) uint8."""
        return list(np.ascontiguousarray(self.rgb[rows].transpose(0, 2, 3, 1)))

    def dense(self) -> np.ndarray:
        """Return which patches (N,) are of a patient with `DENSE` patches or more."""
        _, rows, counts = np.unique(self.patients, return_inverse=True, return_counts=True)
        return counts[rows] >= DENSE


@dataclass(frozen=True)
class Sets:
    """Row numbers of the test set and of the development set, and the fold of every row of the development set."""

    test: np.ndarray
    development: np.ndarray
    folds: np.ndarray

    def fold(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows to train on and the rows held out of one fold."""
        return self.development[self.folds != number], self.development[self.folds == number]


def read_patches(path: Path) -> Patches:
    """Decode all patches of the zip, sorted by name, so that the order does not depend on how the zip was made."""
    with zipfile.ZipFile(path) as archive:
        matches = [(name, FILE_NAME.fullmatch(Path(name).name)) for name in sorted(archive.namelist())]
        found = [(name, match) for name, match in matches if match]
        if not found:
            raise SystemExit(f"{path}: no file in it is named like 10253_idx5_x1001_y751_class0.png")
        rgb = np.empty((len(found), 3, *architecture.INPUT_SIZE), np.uint8)
        for row, (name, _) in enumerate(found):
            with Image.open(io.BytesIO(archive.read(name))) as image:
                rgb[row] = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    labels = np.array([match["label"] == "1" for _, match in found])
    return Patches(rgb, labels, np.array([int(match["patient"]) for _, match in found]))


def patient_folds(patients: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold (N,) of every patch: a patient is in one fold, and dense patients are spread evenly."""
    names, rows, counts = np.unique(patients, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(counts[order] < DENSE, kind="stable")]
    fold = np.empty(len(names), int)
    fold[order] = np.arange(len(names)) % folds
    return fold[rows]


def split(patients: np.ndarray, seed: int) -> Sets:
    """Return a fifth of the patients as the test set and five folds of the others."""
    fold = patient_folds(patients, FOLDS, seed)
    development = np.flatnonzero(fold != 0)
    return Sets(np.flatnonzero(fold == 0), development, patient_folds(patients[development], FOLDS, seed + 1))
