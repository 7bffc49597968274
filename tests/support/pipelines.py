"""The values of DICOM frames and NIfTI slices as pydicom and nibabel themselves give them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")

from pydicom import uid  # noqa: E402
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut  # noqa: E402

NORMALS = {"sagittal": 0, "coronal": 1, "axial": 2}
"""The axis across which a slice lies in a volume whose axes run to right, front and head."""


def pydicoms(path: Path) -> tuple[NDArray[np.generic], pydicom.Dataset]:
    """The frames as pydicom's own pipeline gives them, (N, H, W[, C]), and the dataset."""
    read = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in read.file_meta:
        implicit, little = read.original_encoding
        explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        read.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
    array = read.pixel_array
    if int(read.get("NumberOfFrames") or 1) == 1:
        array = array[None]
    if read.PhotometricInterpretation == "PALETTE COLOR":
        return np.stack([apply_color_lut(one, read) for one in array]), read
    if "DoseGridScaling" in read:
        return array * float(read.DoseGridScaling), read
    return np.stack([apply_modality_lut(one, read) for one in array]), read


def nibabels(path: Path) -> NDArray[np.float64]:
    """The volumes as nibabel gives them, turned to the closest axes of the body: (X, Y, Z, N)."""
    import nibabel

    values = nibabel.as_closest_canonical(nibabel.load(path)).get_fdata()
    return np.asarray(values if values.ndim == 4 else values[..., None])


def slice_of(values: NDArray[np.generic], plane: str, index: int) -> NDArray[np.float32]:
    """A slice of (X, Y, Z) values whose axes run to right, front and head, from the right and the front or the head."""
    cut = np.take(values, index - 1, axis=NORMALS[plane])
    return cut[::-1, ::-1].swapaxes(0, 1).astype(np.float32)
