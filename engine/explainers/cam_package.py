"""Import the package that computes the CAMs, or say why it cannot be imported and what to do."""

from __future__ import annotations

import threading
from functools import cache
from types import ModuleType

from engine.errors import ExplanationError

_DEBIAN = (("libGL.so", "libgl1"), ("libgthread", "libglib2.0-0"), ("libglib", "libglib2.0-0"))
"""System libraries that OpenCV's usual wheel needs, and the Debian packages that contain them."""

# `cache` alone would let two threads import OpenCV at the same time.
_ONE_AT_A_TIME = threading.Lock()


def import_cam_package() -> ModuleType:
    """Return the module `pytorch_grad_cam`; the first import takes seconds.

    Raises:
        ExplanationError: it cannot be imported.
    """
    if (problem := opencv_problem()) is not None:
        raise ExplanationError(problem[0], remedy=problem[1])
    try:
        import pytorch_grad_cam
    except ImportError as error:
        raise ExplanationError(
            f"the CAMs' package cannot be loaded ({error})",
            remedy="install it again: pip install --force-reinstall grad-cam",
        ) from error
    module: ModuleType = pytorch_grad_cam
    return module


def opencv_problem() -> tuple[str, str] | None:
    """Return why OpenCV, which the CAMs' package imports, cannot be imported, and the remedy; None if it can be."""
    with _ONE_AT_A_TIME:
        return _opencv_problem()


@cache  # a second attempt to import OpenCV fails for another reason, and prints to standard output
def _opencv_problem() -> tuple[str, str] | None:
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        for library, package in _DEBIAN:
            if library in str(error):
                remedy = f"install the package {package} (Debian), or replace opencv-python by opencv-python-headless"
                break
        else:
            remedy = "install it again: pip install --force-reinstall opencv-python-headless"
        return f"OpenCV, which the CAMs need, cannot be loaded ({error})", remedy
    return None
