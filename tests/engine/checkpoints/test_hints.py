"""Names of classes and sizes of images are taken from a checkpoint only where they are certain."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import pytest
import torch

from engine.checkpoints.hints import hints_in
from engine.network.weights import read_tree


@pytest.mark.parametrize(
    "settings",
    [
        {"class_names": ["benign", "malignant"]},
        {"hyper_parameters": {"classes": ("benign", "malignant")}},
        {"class_to_idx": {"malignant": 1, "benign": 0}},
        {"config": {"id2label": {"0": "benign", "1": "malignant"}}},
        {"idx_to_class": {1: "malignant", 0: "benign"}},
        {"hyper_parameters": argparse.Namespace(labels=["benign", "malignant"])},
    ],
)
def test_classes_are_found_under_usual_names(settings: object) -> None:
    file = io.BytesIO()
    torch.save({"state_dict": {"a.weight": torch.ones(2, 2)}, "x": settings}, file)
    hints = hints_in(read_tree(file.getvalue(), Path("w.ckpt")))
    for outputs in (1, 2):
        found = hints.classes_for(outputs)
        assert found is not None
        assert found[0] == ("benign", "malignant")
    assert hints.classes_for(3) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"classes": ["a", "a"]},
        {"classes": ["a", 3]},
        {"class_to_idx": {"a": 1, "b": 2}},
        {"classes": 2},
        {"classes": ["one"]},
        {"classes": {"1" * 5_000: "a", "0": "b"}},
        {"classes": ["a", "b"], "labels": ["b", "a"]},
    ],
)
def test_what_is_not_certain_is_not_taken(settings: object) -> None:
    assert hints_in(settings).classes_for(2) is None


@pytest.mark.parametrize(
    ("value", "size"),
    [(64, (64, 64)), ([48, 64], (48, 64)), ((3, 48, 64), (48, 64)), (True, None), ("64", None), (4, None), ([9], None)],
)
def test_the_size_of_images_is_found(value: object, size: tuple[int, int] | None) -> None:
    found = hints_in({"hyper_parameters": {"img_size": value}}).sizes
    assert found == (() if size is None else ((size, "hyper_parameters.img_size"),))
