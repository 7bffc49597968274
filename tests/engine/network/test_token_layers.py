"""Tokens and channels-last tensors are recognised by what goes through, and the CAMs take them as maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import classifier, request
from torch import nn
from torch.nn import functional

from engine.explainers.gradcam import GradCam
from engine.network.classifier import Classifier
from engine.network.layers.info import MapAxes

WIDE = 8


class Attention(nn.Module):
    """Attention spelled out in matrix products, with two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDE, 3 * WIDE), nn.Linear(WIDE, WIDE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        images, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(images, tokens, 3, 2, WIDE // 2).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * 0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(images, tokens, WIDE))


class Fused(Attention):
    """The same by torch's own function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        images, tokens, _ = x.shape
        q, k, v = self.qkv(x).view(images, tokens, 3, 2, WIDE // 2).transpose(1, 3).unbind(2)
        return self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """A pre-norm block."""

    def __init__(self, attention: type[nn.Module]) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(WIDE), attention()
        self.norm2, self.mlp = nn.LayerNorm(WIDE), nn.Sequential(nn.Linear(WIDE, 16), nn.GELU(), nn.Linear(16, WIDE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    """A vision transformer; the patches are embedded by a convolution."""

    def __init__(self, *, prefix: int = 1, depth: int = 2, attention: type[nn.Module] = Attention) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, WIDE, 4, 4)
        self.prefix = nn.Parameter(torch.randn(1, prefix, WIDE))
        self.position = nn.Parameter(torch.randn(1, prefix + 12, WIDE))
        self.blocks = nn.Sequential(*(Layer(attention) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(WIDE), nn.Linear(WIDE, 2)
        nn.init.constant_(self.head.bias, 3.0)  # so that no output looks like a probability

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        return self.embed(x).flatten(2).transpose(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.tokens(x)
        x = torch.cat([self.prefix.expand(len(x), -1, -1), x], dim=1) + self.position
        return self.read(self.norm(self.blocks(x)))

    def read(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x[:, 0])


class Averaged(Vit):
    """Reads the mean of the patches' tokens."""

    def read(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x[:, self.prefix.shape[1] :].mean(1))


class ByLinear(Vit):
    """The patches are cut out and embedded by a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(48, WIDE)

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        images, channels, height, width = x.shape
        x = x.reshape(images, channels, height // 4, 4, width // 4, 4).permute(0, 2, 4, 3, 5, 1)
        return self.embed(x.reshape(images, height * width // 16, 48))


class ByUnfolding(ByLinear):
    """The same by `unfold`."""

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        return self.embed(functional.unfold(x, 4, stride=4).transpose(1, 2))


class Recurrent(nn.Module):
    """torch's own encoder, which takes its tokens first."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, WIDE, 4, 4)
        one = nn.TransformerEncoderLayer(WIDE, 2, 16, batch_first=False)
        self.encoder, self.head = nn.TransformerEncoder(one, 2, enable_nested_tensor=False), nn.Linear(WIDE, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embed(x).flatten(2).permute(2, 0, 1)).mean(0))


class Windows(nn.Module):
    """As a Swin block, channels last: attention inside windows of 2x2."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attn = nn.LayerNorm(WIDE), Attention()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        images, height, width, channels = x.shape
        y = self.norm(x).view(images, height // 2, 2, width // 2, 2, channels).transpose(2, 3)
        y = self.attn(y.reshape(-1, 4, channels)).view(images, height // 2, width // 2, 2, 2, channels)
        return x + y.transpose(2, 3).reshape(images, height, width, channels)


class Merging(nn.Module):
    """Four neighbours become one place."""

    def __init__(self) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * WIDE, WIDE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [x[:, row::2, column::2, :] for row in (0, 1) for column in (0, 1)]
        return self.reduction(torch.cat(parts, -1))


class Swin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, WIDE, 2, 2)
        self.stage1, self.merge, self.stage2 = Windows(), Merging(), nn.Sequential(Windows(), Windows())
        self.norm, self.head = nn.LayerNorm(WIDE), nn.Linear(WIDE, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stage2(self.merge(self.stage1(self.embed(x).permute(0, 2, 3, 1))))
        return self.head(self.norm(x).permute(0, 3, 1, 2).mean((2, 3)))


class AttentionPool(nn.Module):
    """As CLIP's ResNet: the last stage's maps become tokens with their mean before them, which attention reads."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Sequential(nn.Conv2d(3, WIDE, 4, 4), nn.ReLU())
        self.position = nn.Parameter(torch.randn(13, 1, WIDE))
        self.attn, self.head = nn.MultiheadAttention(WIDE, 2), nn.Linear(WIDE, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stage(x).flatten(2).permute(2, 0, 1)
        x = torch.cat([x.mean(0, keepdim=True), x]) + self.position
        return self.head(self.attn(x[:1], x, x, need_weights=False)[0].squeeze(0))


class Mixer(nn.Module):
    """Places are mixed by a dense layer over the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, WIDE, 4, 4)
        self.mix, self.head = nn.Linear(12, 12), nn.Linear(WIDE, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + functional.gelu(self.mix(x.transpose(1, 2))).transpose(1, 2)
        return self.head(x.mean(1))


class MeanMixed(Vit):
    """The class token reads the mean of the tokens, which is no attention; the last read is before the last block."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.prefix.expand(len(x), -1, -1), self.tokens(x)], dim=1)
        x = self.norm(x + x.mean(1, keepdim=True))
        return self.read(x + self.blocks[0].mlp(x))


def seeded(network: type[nn.Module], **options: object) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return classifier(network(**options).eval(), size=(12, 16))


GRID = (3, 4)


@pytest.mark.parametrize(
    ("model", "layer", "axes", "size"),
    [
        (lambda: seeded(Vit), "blocks.0", MapAxes(2, (1,), *GRID, before=1), GRID),
        (lambda: seeded(Vit, attention=Fused), "blocks.0", MapAxes(2, (1,), *GRID, before=1), GRID),
        (lambda: seeded(Vit, prefix=2, depth=3), "blocks.1", MapAxes(2, (1,), *GRID, before=2), GRID),
        (lambda: seeded(Averaged), "blocks.0", MapAxes(2, (1,), *GRID, before=1), GRID),
        (lambda: seeded(Vit, depth=1), "embed", None, GRID),
        (lambda: seeded(ByLinear), "blocks.0", MapAxes(2, (1,), *GRID, before=1), GRID),
        (lambda: seeded(ByUnfolding), "blocks.0", MapAxes(2, (1,), *GRID, before=1), GRID),
        (lambda: seeded(Recurrent), "encoder.layers.0", MapAxes(2, (0,), *GRID, images=1), GRID),
        (lambda: seeded(AttentionPool), "stage", None, GRID),
        (lambda: seeded(Mixer), ":add", MapAxes(2, (1,), *GRID), GRID),
        (lambda: seeded(MeanMixed), ":cat", MapAxes(2, (1,), *GRID, before=1), GRID),
    ],
)
def test_tokens_are_recognised_and_the_default_is_before_the_last_attention(
    model: object, layer: str, axes: MapAxes | None, size: tuple[int, int]
) -> None:
    made: Classifier = model()  # type: ignore[operator]
    found = made.anatomy.check_layer(made.default_layer)
    assert (found.name, found.axes, (found.height, found.width), found.branch) == (layer, axes, size, False)
    saliency = GradCam().explain(request(made))
    assert saliency.values.shape == (12, 16)
    assert saliency.raw_max > 0 or saliency.constant


def test_channels_last_is_never_read_as_channels_first() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        made = classifier(Swin().eval(), size=(16, 16))
    found = made.anatomy.check_layer(made.default_layer)
    assert (found.name, found.channels, found.height, found.width) == ("stage2.0", WIDE, 4, 4)
    assert found.axes == MapAxes(3, (1, 2), 4, 4)
    assert all(layer.channels >= WIDE and layer.height == layer.width for layer in made.layers)
    windows = [layer.name for layer in made.layers if ".attn" in layer.name]
    assert not windows  # the tokens of a window are no map


def test_a_map_of_tokens_is_the_one_worked_out_by_hand() -> None:
    made = seeded(Averaged)
    asked = request(made, target=1)
    network = made.network
    tokens = network.blocks[0](torch.cat([network.prefix, network.tokens(asked.tensor)], 1) + network.position)
    tokens = tokens.detach().requires_grad_(True)
    network.read(network.norm(network.blocks[1](tokens)))[0, 1].backward()
    assert tokens.grad is not None
    weights = tokens.grad[0, 1:].mean(0)
    expected = functional.relu((tokens[0, 1:] @ weights).reshape(GRID)).detach()
    saliency = GradCam().explain(asked)
    assert saliency.raw_max == pytest.approx(float(expected.max()), rel=1e-3)
    if expected.max() > 0:
        cells = np.array(saliency.values)[2::4, 2::4]
        assert np.unravel_index(cells.argmax(), GRID) == np.unravel_index(int(expected.argmax()), GRID)
