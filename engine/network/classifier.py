"""A loaded network that diagnoses images: what its bundle makes of its input and its output."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Unpack

import numpy as np
import torch
from torch import nn

from engine.bundle.declared import UNNAMED
from engine.bundle.fit_npz import Fit, signature
from engine.bundle.model_bundle import FIT, InputSpec, ModelBundle
from engine.errors import ExplanationError, NotFiniteError
from engine.images.image import MedicalImage
from engine.images.preprocessing import unit_from_input
from engine.network.device import choose_device
from engine.network.familiarity import goes_with, why_unlike
from engine.network.feeding import DeclaredFeeding, Feeding
from engine.network.layers.info import LayerInfo
from engine.network.loading import build_network_and_fit
from engine.network.outputs import SAME_TOLERANCE, check_threshold, noise_for, settle_classes
from engine.network.passes import NetworkOnDevice, Precision, activations_of
from engine.network.settled_input import with_input_found
from engine.network.torch_state import StateWatch
from engine.results.caution import Caution
from engine.results.diagnosis import THRESHOLD, Diagnosis

if TYPE_CHECKING:
    from engine.network.in_memory import Declarations

__all__ = ["Classifier", "Precision"]

_NEARLY_ONE = 1.0 - 2.0**-24
"""The largest float32 below 1. A network that rounds its own probability to 1 has lost the logit behind it."""


class Classifier(NetworkOnDevice):
    """A network on a device, with everything its bundle says about its input and output.

    A classifier runs one job at a time: `diagnose` and the explanation methods take `lock`.

    Attributes, besides those of `NetworkOnDevice`:
        classes: K class names; for a one-logit network (negative, positive).
        layers: layers that the CAMs can look at, in order of execution.
        default_layer: name of the CAMs' target layer unless another is chosen.
        assumed: the bundle's assumptions, and those that had to wait for the loaded network.
        fit: what the images look like that it was fitted with, or None if the bundle does not say.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        network: nn.Module,
        *,
        device: str = "cpu",
        precision: Precision = "auto",
        watch: StateWatch | None = None,
        fit: Fit | None = None,
        feeding: Callable[[InputSpec], Feeding] | None = None,
    ) -> None:
        """Wrap a network that is already built; usually call `Classifier.load` instead.

        Args:
            bundle: what its model folder declares.
            network: the network, on the CPU.
            device: as for `load`.
            precision: as for `load`.
            watch: what has watched over the network's code since it was loaded.
            fit: from the bundle's `fit.npz`. One that was made for other weights is not used, and `assumed` says so.
            feeding: makes of the settled input how images are fed; None for what the bundle declares.

        Raises:
            BundleError: the network does not fit the bundle's declarations.
            DeviceError: no such device or precision.
        """
        watch = watch or StateWatch()
        bundle = with_input_found(bundle, network, watch)
        super().__init__(bundle, network, device=device, precision=precision, watch=watch)
        self.classes, more = settle_classes(bundle, self.anatomy.outputs, self._subject)
        check_threshold(bundle, self.anatomy.outputs, self._subject)
        # The classes have names now: `more` says which.
        declared = (sentence for sentence in bundle.assumed if sentence != UNNAMED)
        self.assumed: tuple[str, ...] = (*declared, *self.anatomy.notes, *self._doubts, *more)
        self._feeding = None if feeding is None else feeding(self.bundle.input)
        if self.black_box:
            self.assumed += (f"No layers and no gradients are known: {self.black_box}.",)
        self.fit: Fit | None = fit
        if fit is not None and not (
            fit.made_for == signature(bundle)
            and fit.layer in ("", self.anatomy.classifying)
            and goes_with(fit, bundle.input.channels)
        ):
            self.fit = None
            self.assumed += (
                f"{FIT} was made for other weights, code or input, so images are not compared with those that the "
                "network was fitted with; `xaimed models check --fit-images` makes it again.",
            )

    @classmethod
    def load(cls, bundle: ModelBundle, *, device: str = "auto", precision: Precision = "auto") -> Classifier:
        """Build the bundle's network and put it on a device.

        Args:
            bundle: the model folder.
            device: `auto` (CUDA if there is one), `cpu`, `cuda` or `cuda:<n>`.
            precision: for the many passes of LIME and RISE; diagnoses and CAMs always use float32.

        Raises:
            BundleError: the bundle's code, weights or declarations do not fit together.
            DeviceError: no such device or precision, or there is not enough memory.
        """
        choose_device(device)  # fail on a wrong device before the slow part
        watch = StateWatch()
        built = build_network_and_fit(bundle, watch)
        classifier = cls(bundle, built.network, device=device, precision=precision, watch=watch, fit=built.fit)
        classifier.assumed += built.notes
        return classifier

    @classmethod
    def from_module(
        cls,
        network: nn.Module,
        *,
        size: tuple[int, int] | int | None = None,
        preprocessing: Callable[[MedicalImage], object] | None = None,
        name: str | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        **declared: Unpack[Declarations],
    ) -> Classifier:
        """Make a classifier of a network in memory; nothing of it is stored, and nothing has to be approved.

        The network is copied, as float32 and in evaluation mode. So the caller's stays as it is (modes, gradients,
        device, types, hooks), and later changes to it do not reach the classifier. Its hooks are copied with it, since
        they may be part of what it computes; one that records sees the passes of the classifier.

        Without a model folder, `bundle.digest` is the hash of the network's state and of the classes of its modules.
        It tells nothing of their code, so networks that differ only there have the same.

        Args:
            network: the network, on any device.
            size: (height, width) of its input, or the side of a square; None for what its weights ask for, else 224.
            preprocessing: takes a `MedicalImage` and returns the network's input: a (C, H, W) float tensor or array,
                the same for the same image. Transforms of torchvision take `PIL.Image.fromarray(image.array)`.
                Nobody but this function then knows which part of the image the network sees: the maps lie on a picture
                of what it returns, and every answer has a warning (code `preprocessing`). `mean` and `std` then say how
                it normalises, for that picture; without them its values are spread from black to white.
            name: what to call the network; by default its class.
            device, precision: as for `load`.
            declared: what else `model.toml` could declare under `[input]`, `[output]` and `[explain]`, by the same
                names: `mean`, `std`, `classes`, `target_layer`, ...; `rise` and `lime` are mappings of parameters.
                `assumed` says what was assumed for the rest; classes without names are numbered.

        Raises:
            BundleError: the network cannot be copied, or does not fit what is declared.
            DeviceError: no such device or precision, or there is not enough memory.
        """
        from engine.network.in_memory import in_terms_of_the_call, prepare

        chosen = choose_device(device)
        watch = StateWatch()
        with in_terms_of_the_call():
            given = prepare(
                network, {**declared, **({} if size is None else {"size": size})}, preprocessing, name, watch
            )
            return cls(
                given.bundle, given.network, device=chosen, precision=precision, watch=watch, feeding=given.feeding
            )

    @property
    def feeding(self) -> Feeding:
        """How images are fed to it, and what is shown beside its maps."""
        return DeclaredFeeding(self.bundle.input) if self._feeding is None else self._feeding

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The layers that the CAMs can look at, in order of execution; see `Layers.listed`.

        The layer that the bundle names is always among them if it gives a map.
        """
        named = self.bundle.explain.target_layer
        if self.black_box:
            return ()
        return self.anatomy.maps.listed if named is None else self.anatomy.layers_with(named)

    @property
    def default_layer(self) -> str:
        """The bundle's target layer, else the last maps through which all that decides passes.

        `engine.network.layers.choice` says more.

        Raises:
            ExplanationError: no layer gives a map, the network is a black box, or it lacks the layer that the bundle
                names.
        """
        self.require_layers(self._subject)
        named = self.bundle.explain.target_layer
        if named is not None:
            self.anatomy.check_layer(named)
            return named
        if not self.anatomy.maps.default:
            raise ExplanationError(
                "no layer gives a map of the image's places, so the CAMs have nothing to look at",
                subject=self._subject,
                remedy="use LIME or RISE, which look at no layer",
            )
        return self.anatomy.maps.default

    @property
    def threshold(self) -> float:
        """The threshold of a single logit or of each class of a multilabel network; a softmax network uses none."""
        declared = self.bundle.output.threshold
        return THRESHOLD if declared is None else declared

    def class_index(self, name: str) -> int:
        """Return the index of a class.

        Raises:
            ExplanationError: the model has no such class; the message lists its classes.
        """
        try:
            return self.classes.index(name)
        except ValueError:
            raise ExplanationError(
                f"{self._subject} has no class {name!r}", remedy=f"choose one of {', '.join(self.classes)}"
            ) from None

    def tensor(self, image: MedicalImage) -> torch.Tensor:
        """Return the image as the network's input: (1, C, H, W) float32 on the device.

        Raises:
            NotCompliantError: the image cannot be fed to this model.
        """
        array = self.feeding.fed(image)
        return torch.from_numpy(np.array(array[None], dtype=np.float32)).to(
            self.device, memory_format=self.memory_format
        )

    def diagnose(self, image: MedicalImage) -> Diagnosis:
        """Diagnose an image, in float32.

        Raises:
            NotCompliantError: the image cannot be fed to this model.
            ExplanationError: the network gave NaN or infinity, or the same answer for any input.
            DeviceError: there is not enough memory on the device, nor on the CPU.
        """
        with self.lock:
            return self.with_memory(lambda: self._diagnose(image))

    def _diagnose(self, image: MedicalImage) -> Diagnosis:
        tensor = self.tensor(image)
        with self.exact():
            started = time.perf_counter()
            with torch.inference_mode(), self.penultimate() as taken:
                logits = self.logits(tensor)
            seconds = time.perf_counter() - started
        scores = logits[0].double().cpu()
        if not bool(torch.isfinite(scores).all()):
            raise NotFiniteError(
                "no valid result: the network gave NaN or infinity",
                subject=image.path,
                remedy="check the model with another image",
            )
        # The second check costs a pass, so it is only for networks that gave the same answer for noise.
        if self._conduct.same_answers and self._ignores(tensor):
            raise ExplanationError(
                "no valid result: the network gives the same answer whatever the image shows",
                subject=image.path,
                remedy="check the model's weights",
            )
        probabilities = self.probabilities(scores[None])[0].numpy()
        if self.one_logit:
            scores = torch.stack([-scores[0], scores[0]])
        values = scores.numpy()
        for array in (values, probabilities):
            array.setflags(write=False)
        warnings: tuple[str, ...] = self.feeding.warnings(image)
        warnings += self._unlike(tensor, taken)
        # A wrong guess of the activation makes every probability wrong.
        warnings += (*self.cautions, *self.state_cautions, *self._doubts)
        if self._own_activation() and float(probabilities.max()) >= _NEARLY_ONE:
            sentence = "The network itself rounds its highest probability to 1, so the exact value is lost."
            warnings += (Caution("rounded", sentence),)
        return Diagnosis(
            self.classes,
            probabilities,
            values,
            multilabel=self.bundle.output.multilabel,
            seconds=seconds,
            warnings=warnings,
            one_logit=self.one_logit,
            threshold=self.threshold,
        )

    def _unlike(self, tensor: torch.Tensor, taken: list[torch.Tensor]) -> tuple[str, ...]:
        """Return a warning if the image of this (1, C, H, W) input is unlike those of the fit."""
        if self.fit is None:
            return ()
        features = activations_of(taken, 1)
        same = features.shape[1] == self.fit.centre.size
        unit = unit_from_input(tensor.cpu().numpy(), self.bundle.input)[0]
        found = why_unlike(self.fit, unit, features[0] if same else None)
        return () if found is None else (found,)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the (B, K) float64 class probabilities of (B, outputs) logits, divided by the model's temperature.

        Maps are made of small differences between probabilities. Close to 1, float32 has too few digits for them.
        """
        # Exact where the temperature is 1: x / 1.0 is x in every bit.
        scores = logits.double() / self.bundle.output.temperature
        if self.one_logit:
            return torch.sigmoid(torch.cat([-scores, scores], dim=1))
        return torch.sigmoid(scores) if self.bundle.output.multilabel else torch.softmax(scores, dim=1)

    def target_logit(self, logits: torch.Tensor, target: int) -> torch.Tensor:
        """Return the score whose gradient explains class `target`.

        The negative class of a one-logit network has the negated logit.

        Args:
            logits: (outputs,) or (B, outputs).
            target: class index.
        """
        if self.one_logit:
            return logits[..., 0] if target == 1 else -logits[..., 0]
        return logits[..., target]

    def _ignores(self, tensor: torch.Tensor) -> bool:
        """Whether the logits are the same for an image, its mirror image, its negative, two blanks and noise."""
        noise = noise_for(self.bundle, 1).to(tensor)
        others = [tensor.flip(-1), -tensor, torch.zeros_like(tensor), torch.ones_like(tensor), noise, 30.0 * noise]
        with self.exact(), torch.inference_mode():
            logits = self.logits(torch.cat([tensor, *others])).double()
        if not bool(torch.isfinite(logits).all()):
            return False  # the image itself has finite logits, so the others are not the same
        spread = float((logits.amax(0) - logits.amin(0)).max())
        return not spread > SAME_TOLERANCE * max(float(logits.abs().max()), 1.0)

    def _own_activation(self) -> bool:
        return self.anatomy.head is None and self.activation in ("sigmoid", "softmax")
