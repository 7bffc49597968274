"""Where OpenCV cannot be imported, as on a machine without a screen, the CAMs say what to install."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import make_image
from networks import classifier, small_cnn

from engine.errors import ExplanationError
from engine.explainers import cam_package
from engine.explainers.settings import Settings
from engine.explanation.explain import explain
from xaimed_tui.background.backend import Engine

GL = "libGL.so.1: cannot open shared object file: No such file or directory"

FAKE = """
import sys
if hasattr(sys, "fake_opencv_loader"):  # as the true one does at its second import
    print(sys.path)
    raise ImportError("ERROR: recursion is detected")
sys.fake_opencv_loader = True
raise ImportError({!r})
"""


class Break:
    """Makes `import cv2` fail."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch = folder, monkeypatch

    def __call__(self, reason: str) -> None:
        (self._folder / "cv2.py").write_text(FAKE.format(reason))
        self._patch.syspath_prepend(self._folder)
        for name in [name for name in sys.modules if name.split(".")[0] in ("cv2", "pytorch_grad_cam")]:
            self._patch.delitem(sys.modules, name)
        cam_package._opencv_problem.cache_clear()


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Break]:
    monkeypatch.setattr(sys, "fake_opencv_loader", True, raising=False)
    monkeypatch.delattr(sys, "fake_opencv_loader")
    yield Break(tmp_path, monkeypatch)
    sys.modules.pop("cv2", None)  # the fake, before the true one comes back
    cam_package._opencv_problem.cache_clear()


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        (GL, "install the package libgl1 (Debian), or replace opencv-python by opencv-python-headless"),
        (
            "libgthread-2.0.so.0: cannot open shared object file: No such file or directory",
            "install the package libglib2.0-0 (Debian), or replace opencv-python by opencv-python-headless",
        ),
        (
            "libglib-2.0.so.0: cannot open shared object file: No such file or directory",
            "install the package libglib2.0-0 (Debian), or replace opencv-python by opencv-python-headless",
        ),
        ("No module named 'cv2'", "install it again: pip install --force-reinstall opencv-python-headless"),
    ],
)
def test_a_library_that_opencv_lacks_is_named_with_its_package(
    broken: Break, reason: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broken(reason)
    for _ in range(2):
        with pytest.raises(ExplanationError) as caught:
            cam_package.import_cam_package()
        assert str(caught.value) == f"OpenCV, which the CAMs need, cannot be loaded ({reason}); {remedy}"
    assert capsys.readouterr().out == ""


def test_a_package_that_is_not_there_is_named(tmp_path: Path, broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    broken("unused")
    (tmp_path / "cv2.py").write_text("")
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(ExplanationError, match=r"the CAMs' package cannot be loaded .*--force-reinstall grad-cam"):
        cam_package.import_cam_package()


def test_the_cams_fail_with_the_reason_and_the_other_methods_go_on(broken: Break) -> None:
    broken(GL)
    Engine().warm_methods()
    settings = Settings(methods=("gradcam", "gradcam++", "rise"), samples={"rise": 16})
    explanation = explain(classifier(small_cnn(3)), make_image(height=24, width=24), settings)
    assert set(explanation.maps) == {"rise"}
    assert set(explanation.failures) == {"gradcam", "gradcam++"}
    for words in explanation.failures.values():
        assert "libGL.so.1" in words
        assert "libgl1" in words


def test_where_all_is_well_nothing_is_said() -> None:
    assert cam_package.opencv_problem() is None
    assert cam_package.import_cam_package() is sys.modules["pytorch_grad_cam"]
