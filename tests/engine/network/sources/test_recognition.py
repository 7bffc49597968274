"""A named network is recognised by names and shapes of tensors, with the arguments that they tell."""

from __future__ import annotations

import pytest
import torch

from engine.checkpoints.matching import Mismatch
from engine.errors import BundleError
from engine.network.sources.recognition import Fitted, fit_named, recognise_network

Shapes = dict[str, tuple[int, ...]]


def shapes(name: str, **arguments: object) -> Shapes:
    from torchvision.models import get_model

    with torch.device("meta"):
        network = get_model(name, weights=None, **arguments)
    return {f"model.{key}": tuple(value.shape) for key, value in network.state_dict().items()}


def test_a_network_is_told_from_its_family_with_its_number_of_classes() -> None:
    (found,) = recognise_network(shapes("shufflenet_v2_x1_0", num_classes=7), "w.pt")
    assert (found.spec.source, dict(found.spec.arguments)) == ("torchvision:shufflenet_v2_x1_0", {"num_classes": 7})
    assert (found.outputs, found.channels, found.size) == (7, 3, None)


def test_a_table_of_positions_tells_the_size_of_the_images() -> None:
    found = fit_named("torchvision:vit_b_32", shapes("vit_b_32", num_classes=2, image_size=96), "w.pt")
    assert isinstance(found, Fitted)
    assert dict(found.spec.arguments) == {"num_classes": 2, "image_size": 96}
    assert found.size == (96, 96)


def test_what_fits_no_network_is_not_recognised() -> None:
    given = shapes("shufflenet_v2_x0_5", num_classes=2)
    assert recognise_network({"a.weight": (3, 3)}, "w.pt") == ()
    assert recognise_network(given | {"model.stage9.weight": (4, 4)}, "w.pt") == ()
    assert isinstance(fit_named("torchvision:shufflenet_v2_x1_0", given, "w.pt"), Mismatch)
    with pytest.raises(BundleError, match="must be one of"):
        fit_named("resnet18", given, "w.pt")
