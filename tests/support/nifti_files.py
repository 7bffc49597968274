"""NIfTI files for tests, made with nibabel."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

nibabel = pytest.importorskip("nibabel", reason="the extra nifti is not installed")

RAS = np.diag([2.0, 3.0, 4.0, 1.0])
"""Voxels of 2 x 3 x 4 mm, whose axes run to the right, to the front, and to the head."""


def write_nifti(
    path: Path,
    values: NDArray[np.generic],
    affine: NDArray[np.float64] | None = RAS,
    *,
    two: bool = False,
    **fields: object,
) -> Path:
    """Write a volume.

    Args:
        path: `.nii` or `.nii.gz`.
        values: as they are stored.
        affine: from voxels to millimetres; None for a file that does not say how it lies.
        two: as NIfTI-2.
        fields: of the header, which go before what is told by the rest.
    """
    made = (nibabel.Nifti2Image if two else nibabel.Nifti1Image)(values, affine, dtype=values.dtype)
    made.header.set_xyzt_units("mm")
    content = made.to_bytes()
    kind = nibabel.Nifti2Header if two else nibabel.Nifti1Header
    length = 540 if two else 348
    header = kind(content[:length], check=False)
    for name, value in fields.items():
        header[name] = value
    content = header.binaryblock + content[length:]
    if path.name.endswith(".gz"):
        content = gzip.compress(content, 1)
    path.write_bytes(content)
    return path
