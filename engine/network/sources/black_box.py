"""Networks that are only asked and never looked into: no layers, no gradients, nothing to make faster."""

from __future__ import annotations

from torch import nn

from engine.errors import DeviceError
from engine.network.device import choose_device

BLACK_BOX = "black-box"
"""Code of the errors of methods that would look into one."""


class BlackBox(nn.Module):
    """A network that gives answers and nothing else.

    LIME and RISE, which only hide parts of the image, work on it; methods that look at layers or gradients do not.

    Attributes:
        why: why it is one, as a sentence's subject and verb: `the operator LSTM cannot be converted`.
        only_on_cpu: whether it runs on the CPU only.
    """

    def __init__(self, why: str, *, only_on_cpu: bool = False) -> None:
        super().__init__()
        self.why = why
        self.only_on_cpu = only_on_cpu


def device_for(network: nn.Module, name: str) -> str:
    """Return the device on which a network runs: the one that was asked for, or the CPU where it knows no other.

    Raises:
        DeviceError: this machine has no such device, or the network does not run on it.
    """
    device = choose_device(name)
    if device == "cpu" or not isinstance(network, BlackBox) or not network.only_on_cpu:
        return device
    if name != "auto":
        raise DeviceError(f"{network.why}, on the CPU only", subject=f"device {name}", remedy="use --device cpu")
    return "cpu"


def why_black_box(network: nn.Module) -> str:
    """Return why a network is a black box, as a clause; empty if it is none."""
    return network.why if isinstance(network, BlackBox) else ""
