"""Which class is the answer, and when it is undecided (design, section 4)."""

from __future__ import annotations

import pytest
from factories import make_diagnosis

THREE = ("meningioma", "glioma", "pituitary")


def one_logit(positive: float, threshold: float = 0.5) -> tuple[str, bool, str]:
    diagnosis = make_diagnosis((1 - positive, positive), ("NO-IDC", "IDC"), one_logit=True, threshold=threshold)
    return diagnosis.predicted, diagnosis.undecided, diagnosis.why_undecided


@pytest.mark.parametrize(
    ("positive", "threshold", "expected"),
    [
        (0.5, 0.5, ("IDC", True, "IDC is less than 0.01 from its threshold 0.5")),
        (0.4999, 0.5, ("NO-IDC", True, "IDC is less than 0.01 from its threshold 0.5")),
        (0.5499, 0.5, ("IDC", True, "IDC is 0.04 from its threshold 0.5")),
        (0.55, 0.5, ("IDC", False, "")),
        (0.45, 0.5, ("NO-IDC", False, "")),
        (0.3, 0.2, ("IDC", False, "")),
        (0.2, 0.2, ("IDC", True, "IDC is less than 0.01 from its threshold 0.2")),
        (0.17, 0.2, ("NO-IDC", True, "IDC is 0.03 from its threshold 0.2")),
        (0.6, 0.9, ("NO-IDC", False, "")),
    ],
)
def test_the_threshold_of_one_logit_decides(positive: float, threshold: float, expected: tuple[str, bool, str]) -> None:
    assert one_logit(positive, threshold) == expected


def test_the_confidence_is_that_of_the_predicted_class_even_where_the_other_is_more_probable() -> None:
    diagnosis = make_diagnosis((0.75, 0.25), one_logit=True, threshold=0.1)
    assert (diagnosis.predicted, diagnosis.standing) == ("malignant", "low")
    assert diagnosis.thresholds == (0.9, 0.1)


@pytest.mark.parametrize(
    ("probabilities", "undecided", "why"),
    [
        ((0.5, 0.4, 0.1), (), ""),
        ((0.5, 0.402, 0.098), ("meningioma", "glioma"), "the two highest are 0.09 apart"),
        ((0.06, 0.47, 0.47), ("glioma", "pituitary"), "the two highest are less than 0.01 apart"),
        ((1 / 3, 1 / 3, 1 / 3), ("meningioma", "glioma"), "the two highest are less than 0.01 apart"),
        ((0.9, 0.05, 0.05), (), ""),
    ],
)
def test_a_softmax_is_undecided_where_the_two_highest_are_close(
    probabilities: tuple[float, ...], undecided: tuple[str, ...], why: str
) -> None:
    diagnosis = make_diagnosis(probabilities, THREE)
    assert (diagnosis.undecided_classes, diagnosis.why_undecided) == (undecided, why)
    assert diagnosis.undecided is bool(undecided)
    assert diagnosis.thresholds == (None, None, None)
    assert diagnosis.standing.endswith(", undecided") is bool(undecided)


def test_two_softmax_classes_are_undecided_by_their_distance_not_by_one_half() -> None:
    assert make_diagnosis((0.46, 0.54)).undecided
    assert not make_diagnosis((0.45, 0.55)).undecided


def test_of_a_multilabel_network_the_classes_near_the_threshold_are_named() -> None:
    diagnosis = make_diagnosis((0.95, 0.66, 0.7), THREE, multilabel=True, threshold=0.7)
    assert diagnosis.undecided_classes == ("glioma", "pituitary")
    assert diagnosis.why_undecided == "glioma 0.66, pituitary 0.70 near the threshold 0.7"
    assert (diagnosis.predicted, diagnosis.standing) == ("meningioma", "high, undecided about glioma, pituitary")
    assert diagnosis.thresholds == (0.7, 0.7, 0.7)
    assert not make_diagnosis((0.95, 0.65, 0.75), THREE, multilabel=True, threshold=0.7).undecided


def test_of_hundreds_of_undecided_classes_a_few_are_named() -> None:
    diagnosis = make_diagnosis([0.5] * 300, tuple(f"c{i}" for i in range(300)), multilabel=True)
    assert len(diagnosis.undecided_classes) == 300
    assert diagnosis.standing == "medium, undecided about c0, c1, c2, c3, c4, 295 more"
