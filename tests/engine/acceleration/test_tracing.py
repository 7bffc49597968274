"""A network becomes a graph without a trace in it, and without a trace in what other threads do."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from torch import fx, nn

from engine.acceleration.tracing import note_shapes, shape_of, trace


class Remembers(nn.Module):
    """A network that keeps what went through it, and does something else at every pass."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 2, 3), nn.ReLU()
        self.last: torch.Tensor | None = None
        self.total = torch.zeros(())
        self.meanwhile = meanwhile

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.meanwhile()
        self.last = self.relu(self.conv(x))
        self.total = self.total + self.last.sum()
        return self.last


@torch.inference_mode()
def test_networks_in_other_threads_go_on_as_ever() -> None:
    other, images, answers = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()).eval(), torch.rand(1, 3, 5, 5), []

    def in_another_thread() -> None:
        thread = threading.Thread(target=lambda: answers.append(other(images)))
        thread.start()
        thread.join()

    graph = trace(Remembers(in_another_thread).eval())
    assert len(answers) == 1
    torch.testing.assert_close(answers[0], other(images))
    assert [str(node.target) for node in graph.graph.nodes if node.op == "call_module"] == ["conv", "relu"]


def test_what_the_network_keeps_in_attributes_is_what_it_was() -> None:
    network = Remembers().eval()
    before, names = network.total, set(vars(network))
    graph = trace(network)
    assert network.last is None
    assert network.total is before
    assert set(vars(network)) == names
    images = torch.rand(1, 3, 5, 5)
    assert torch.equal(graph(images), network(images))
    assert isinstance(network.total, torch.Tensor)


@torch.inference_mode()
def test_shapes_are_noted_and_the_example_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    class Changes(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x.sub_(1.0).mean(3), x.flatten(1) @ torch.zeros(12, 2)

    graph, example = fx.symbolic_trace(Changes()), torch.ones(2, 3, 2, 2)
    note_shapes(graph, example)
    assert bool((example == 1.0).all())
    assert [shape_of(node) for node in graph.graph.nodes] == [
        (2, 3, 2, 2), (2, 3, 2, 2), (2, 3, 2), (2, 12), (12, 2), (2, 2), (),
    ]  # fmt: skip
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        note_shapes(graph, torch.ones(2, 3, 2, 3))
    assert capsys.readouterr() == ("", "")
