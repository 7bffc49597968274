"""The package that computes the CAMs, and what to say and do where it cannot be imported."""

from __future__ import annotations

import threading
from functools import cache
from types import ModuleType

from engine.errors import ExplanationError

_DEBIAN = (("libGL.so", "libgl1"), ("libgthread", "libglib2.0-0"), ("libglib", "libglib2.0-0"))
"""Libraries that OpenCV's usual wheel expects of the system, and the packages that bring them."""

_ONE_AT_A_TIME = threading.Lock()


def import_cam_package() -> ModuleType:
    """The module `pytorch_grad_cam`; seconds of import the first time.

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
    """Why OpenCV, which the CAMs' package imports, cannot be imported, and what to do; None if it can."""
    with _ONE_AT_A_TIME:
        return _opencv_problem()


@cache  # a second try gives another reason, and prints to standard output
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
