"""What is known of the modes of a data set: how samples are told apart, counted and drawn."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import singledispatch
from pathlib import Path

import torch
from torch import Tensor

from lightning_gans.callbacks.mode_pictures import draw_histogram, draw_occupancy, draw_plane
from lightning_gans.data import Data
from lightning_gans.data.images import Images
from lightning_gans.data.stacked import Stacked
from lightning_gans.data.synthetic import Synthetic
from lightning_gans.errors import InputError
from lightning_gans.metrics import ClassModes, GaussianModes
from lightning_gans.metrics.oracles import Oracle, digit_classes, oracle

__all__ = ["KnownModes", "known_modes"]

_SAMPLES, _SAMPLES_A_MODE = 2500, 26
_SEED = 1


class KnownModes(ABC):
    """The modes of one data set.

    Attributes:
        protocol: The data's name with its numbers, e.g. ring8_r1_std0.01.
        names: Of the modes.
        n: Samples that an evaluation takes unless told otherwise: those of the papers.
        metric: Counts modes.
        coverage: The name of the metric that says how many modes are served, with an interval.
        history: The metrics worth a curve.
    """

    protocol: str
    names: tuple[str, ...]
    coverage: str
    history: tuple[str, ...]
    metric: ClassModes | GaussianModes

    @property
    def n(self) -> int:
        """2,500 as in the plane, and 26 for each of many modes as on stacked MNIST."""
        return max(_SAMPLES, _SAMPLES_A_MODE * len(self.names))

    @abstractmethod
    def update(self, events: Tensor) -> None:
        """Count generated events."""

    @abstractmethod
    def draw(
        self, events: Tensor, judge: Callable[[Tensor], Tensor] | None, title: str, path: Path
    ) -> None:
        """Write a picture of the modes that were counted; ``events`` are some of them."""


class KnownLaw(KnownModes):
    """Modes of a mixture of Gaussians: a sample's is the nearest.

    Args:
        data: Drawn from the mixture.
    """

    coverage = "captured_chi2"
    history = ("captured_chi2", "high_quality_chi2", "reverse_kl")

    def __init__(self, data: Synthetic) -> None:
        self.law, self.protocol, self.names = data.law, data.protocol, data.class_names
        self.metric = GaussianModes(data.law)

    def update(self, events: Tensor) -> None:
        """Count points (n, d)."""
        self.metric.update(events.cpu())

    def draw(
        self, events: Tensor, judge: Callable[[Tensor], Tensor] | None, title: str, path: Path
    ) -> None:
        """In the plane the points themselves, else how many each mode has."""
        if self.law.means.shape[1] == 2:
            real, _ = self.law.sample(len(events), torch.Generator().manual_seed(_SEED))
            draw_plane(self.law, real, events.cpu(), judge, title, path)
        else:
            draw_histogram(self.metric.counts, self.law.weights, self.names, title, path)


class KnownClasses(KnownModes):
    """Modes that are the classes of images: a classifier tells them.

    Args:
        data: Images with labels.
        device: Where the classifier computes.
    """

    coverage = "corrected"
    history = ("corrected", "reverse_kl", "total_variation")

    def __init__(self, data: Images, device: torch.device) -> None:
        self.protocol, self.names = data.protocol, data.class_names
        self.oracle = _oracle(data, device)
        _, labels = data.arrays("train")
        law = labels.bincount(minlength=len(self.names)).double() / len(labels)
        self.metric = ClassModes(law, self.oracle.confusion, law)

    def update(self, events: Tensor) -> None:
        """Count images (n, channels, height, width)."""
        self.metric.update(self.oracle.classify(events)[:, None].cpu())

    def draw(
        self, events: Tensor, judge: Callable[[Tensor], Tensor] | None, title: str, path: Path
    ) -> None:
        """How many images each class has."""
        draw_histogram(self.metric.counts, self.metric.law, self.names, title, path)


class KnownTriples(KnownModes):
    """Modes that are triples of classes: a classifier tells each channel's.

    Args:
        data: Stacked images.
        device: Where the classifier computes.
    """

    coverage = "corrected"
    history = ("captured", "corrected", "reverse_kl")

    def __init__(self, data: Stacked, device: torch.device) -> None:
        self.protocol, self.names = data.protocol, data.class_names
        self.parts = data.parts.class_names
        self.oracle = _oracle(data.parts, device)
        # The papers compare with equal shares, though digits are not equally frequent.
        self.metric = ClassModes(data.shares(), self.oracle.confusion)

    def update(self, events: Tensor) -> None:
        """Count images (n, 3, height, width)."""
        self.metric.update(digit_classes(self.oracle, events).cpu())

    def draw(
        self, events: Tensor, judge: Callable[[Tensor], Tensor] | None, title: str, path: Path
    ) -> None:
        """Every triple's number of images, as ten squares of ten by ten."""
        draw_occupancy(self.metric.counts, self.parts, title, path)


def _oracle(data: Images, device: torch.device) -> Oracle:
    return oracle(data).to(device)


@singledispatch
def known_modes(data: Data, device: torch.device, labelled: bool) -> KnownModes | None:
    """What is known of the modes of ``data``; None if nothing is, or nothing is asked.

    Args:
        data: The data set.
        device: Where classifiers compute.
        labelled: Whether the classes of labelled images are asked for as modes.

    Raises:
        InputError: They are, and there are none.
    """
    if labelled:
        raise InputError(
            f"modes.labelled needs images with classes, held in memory; {type(data).__name__} has "
            "none: leave it false"
        )
    return None


@known_modes.register
def _(data: Synthetic, device: torch.device, labelled: bool) -> KnownModes | None:
    return KnownLaw(data)


@known_modes.register
def _(data: Images, device: torch.device, labelled: bool) -> KnownModes | None:
    return KnownClasses(data, device) if labelled else None


@known_modes.register
def _(data: Stacked, device: torch.device, labelled: bool) -> KnownModes | None:
    return KnownTriples(data, device)
