"""Scores of a network on labelled images, by hand and as scikit-learn computes them; their intervals by patient."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from sklearn import metrics

from engine.evaluation.scores import Interval, answers, mean_by_patient, score, score_by_patient

RNG = np.random.default_rng(7)


def test_scores_of_four_images_are_those_worked_out_by_hand() -> None:
    scores = score(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.6, 0.9]))
    np.testing.assert_array_equal(scores.confusion, [[1, 1], [0, 2]])
    np.testing.assert_allclose(scores.recall, [1 / 2, 1])
    np.testing.assert_allclose(scores.precision, [1, 2 / 3])
    np.testing.assert_allclose(scores.f1, [2 / 3, 4 / 5])
    assert (scores.accuracy, scores.balanced_accuracy) == (0.75, 0.75)
    assert scores.auroc == (1 + 1 + 0.5 + 1) / 4, "the pair of equal probabilities counts as half"


def test_scores_are_those_of_scikit_learn() -> None:
    labels = RNG.integers(0, 3, 200)
    probabilities = RNG.dirichlet(np.ones(3), 200).round(2)  # rounded: ties
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    scores, named = score(labels, probabilities), probabilities.argmax(axis=1)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(labels, named)
    np.testing.assert_allclose(np.stack([scores.precision, scores.recall, scores.f1]), [precision, recall, f1])
    assert scores.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(labels, named))
    assert scores.auroc == pytest.approx(metrics.roc_auc_score(labels, probabilities, multi_class="ovr"))
    two = score(labels == 2, probabilities[:, 2])
    assert two.auroc == pytest.approx(metrics.roc_auc_score(labels == 2, probabilities[:, 2]))


def test_the_second_class_is_named_from_its_threshold_on() -> None:
    p = np.array([0.29, 0.3, 0.5, 0.7])
    assert answers(p, 0.3).tolist() == [0, 1, 1, 1]
    assert answers(p).tolist() == [0, 0, 1, 1]
    assert answers(np.stack([1 - p, p], axis=1), 0.6).tolist() == [0, 0, 0, 1]
    with pytest.raises(ValueError, match="two classes"):
        answers(np.ones((1, 3)) / 3, 0.5)


def test_the_interval_of_independent_images_is_the_binomial_one() -> None:
    labels = np.repeat([0, 1], 200)
    right = np.tile([True] * 4 + [False], 80)
    found = score_by_patient(labels, np.where(right, labels, 1 - labels).astype(float), np.arange(400))
    spread = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert found.accuracy.value == 0.8
    assert found.accuracy.low == pytest.approx(0.8 - spread, abs=0.006)
    assert found.accuracy.high == pytest.approx(0.8 + spread, abs=0.006)


def test_images_of_one_patient_count_as_one_and_few_patients_give_wide_intervals() -> None:
    """Ten patients are right in all of their 40 images or in none: the images tell no more than the patients."""
    labels = np.zeros(400, int)
    patients = np.repeat([f"patient {k}" for k in range(10)], 40)
    probabilities = np.where(np.isin(patients, ["patient 0", "patient 1"]), 0.9, 0.1)
    found = score_by_patient(labels, probabilities, patients)
    assert (found.patients, found.images) == (10, 400)
    recall = found.recall[0]
    assert recall.value == 0.8
    # A drawn recall is a tenth of a binomial number: .0064 of the draws have 4 right or fewer, .033 have 5 or fewer.
    # The limits are quantiles at the share of a normal distribution below -2.262 * sqrt(10 / 9), which is .0086.
    assert 0.4 <= recall.low <= 0.5
    assert recall.high == 1.0
    assert np.isnan([found.auroc.value, found.auroc.low, found.recall[1].value]).all(), "no image of the other class"
    again = score_by_patient(labels, probabilities, patients)
    assert again.recall[0] == recall
    one = score_by_patient(labels, probabilities, np.zeros(400))
    assert one.recall[0].value == 0.8
    assert np.isnan(one.recall[0].low), "one patient says nothing about others"


def test_the_drawn_areas_are_those_of_scikit_learn_for_weighted_images() -> None:
    labels, p = np.tile([0, 0, 1], 12), RNG.random(36).round(1)
    patients = np.repeat(np.arange(6), 6)
    found = score_by_patient(labels, p, patients, draws=40, seed=5)
    rng, areas = np.random.default_rng(5), []
    for _ in range(40):
        weight = np.bincount(rng.integers(6, size=6), minlength=6)[patients]
        kept = weight > 0
        areas.append(metrics.roc_auc_score(labels[kept], p[kept], sample_weight=weight[kept]))
    assert min(areas) <= found.auroc.low < found.auroc.value < found.auroc.high <= max(areas)
    assert found.auroc.low == pytest.approx(np.quantile(areas, 0.0024), abs=1e-3), "t of 5, 2.571 * sqrt(6 / 5) = 2.816"


def test_intervals_are_written_for_people_and_for_model_toml() -> None:
    interval = Interval(0.96551, 0.9144, 1.0)
    assert str(interval) == "0.966 (0.91 to 1.00)"
    assert interval.limits() == [0.91, 1.0]
    assert str(Interval(-0.001, -0.004, 0.002).limits()) == "[0.0, 0.0]", "not -0.0"
    lines = score_by_patient(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.6, 0.9]), np.arange(4)).lines(("no", "yes"))
    assert [line.split()[0] for line in lines] == ["class", "no", "yes", "balanced", "area"]
    assert lines[2].split()[1] == "0.667"


def test_the_performance_of_a_model_toml_can_be_read_back() -> None:
    found = score_by_patient(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.6, 0.9]), np.arange(4))
    read = tomllib.loads("\n".join(found.performance(("NO-IDC", 'a "b"'))))
    assert read["test_auroc"] == 0.875
    assert read["test_f1"] == {"NO-IDC": 0.667, 'a "b"': 0.8}
    assert read["test_recall_interval"]["NO-IDC"] == found.recall[0].limits()
    one = score_by_patient(np.array([0, 0]), np.array([0.1, 0.6]), np.array([1, 1]))
    read = tomllib.loads("\n".join(one.performance(("NO-IDC", "IDC"))))
    assert read["test_recall"] == {"NO-IDC": 0.5}, "there is no image of the other class"
    assert read["test_recall_interval"] == {}, "and no other patient"
    assert "test_auroc" not in read


def test_a_mean_over_images_has_an_interval_by_patient() -> None:
    hit, patients = np.array([True, True, False, True]), np.array(["a", "a", "b", "c"])
    found = mean_by_patient(hit, patients)
    assert (found.value, found.low, found.high) == (0.75, 0.0, 1.0)
    assert mean_by_patient(np.ones(4, bool), np.arange(4)).low == 1
