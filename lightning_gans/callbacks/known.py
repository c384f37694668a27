"""What is known of the modes of a data set: how samples are told apart, counted and drawn."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import singledispatch
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lightning_gans.callbacks.mode_pictures import draw_histogram, draw_occupancy, draw_plane
from lightning_gans.data import Data
from lightning_gans.data.images import Images
from lightning_gans.data.stacked import Stacked
from lightning_gans.data.synthetic import Synthetic
from lightning_gans.errors import InputError
from lightning_gans.metrics import ClassModes, GaussianModes, Measured
from lightning_gans.metrics.oracles import Oracle, digit_classes, oracle
from lightning_gans.types import Events

__all__ = ["KnownModes", "known_modes"]

Looked = tuple[Float[Tensor, "n d"], Int64[Tensor, " n"]]

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
        told_by: The classifier's name, digest and accuracy, where one tells the modes.
    """

    protocol: str
    names: tuple[str, ...]
    coverage: str
    history: tuple[str, ...]
    metric: ClassModes | GaussianModes
    told_by: dict[str, str | float] | None = None

    @property
    def n(self) -> int:
        """2,500, or 26 for each of many modes as on stacked MNIST."""
        return max(_SAMPLES, _SAMPLES_A_MODE * len(self.names))

    @abstractmethod
    def update(self, events: Tensor) -> None:
        """Count generated events."""

    @abstractmethod
    def look(self, events: Events) -> Looked:
        """Features (n, d) of events, by which they differ, and their modes (n,), on the CPU."""

    @abstractmethod
    def draw(
        self, events: Tensor, judge: Callable[[Tensor], Tensor] | None, title: str, path: Path
    ) -> None:
        """Write a picture of the modes that were counted; ``events`` are some of them."""

    def in_words(self, measured: dict[str, Measured]) -> str:
        """What the metric has measured, in a line for people."""
        count, kl = measured[self.coverage], measured["reverse_kl"]
        words = (
            f"{count.value:.0f} of {len(self.names)} modes ({count.low:.0f} to {count.high:.0f})"
        )
        if quality := measured.get("high_quality_chi2"):
            words += f", high quality {quality.value:.1%} (ideal {quality.ideal:.1%})"
        return f"{words}, reverse KL {kl.value:.4f} (perfect {kl.ideal:.4f}), {count.n:,} samples"


class KnownLaw(KnownModes):
    """Modes of a mixture of Gaussians: a sample's is the likeliest.

    Args:
        data: Drawn from the mixture.
    """

    coverage = "captured_chi2"
    history = ("captured_chi2", "high_quality_chi2", "spread", "reverse_kl")
    n = _SAMPLES

    def __init__(self, data: Synthetic) -> None:
        self.law, self.protocol, self.names = data.law, data.protocol, data.class_names
        self.metric = GaussianModes(data.law)

    def update(self, events: Tensor) -> None:
        """Count points (n, d)."""
        self.metric.update(events.cpu())

    def look(self, events: Events) -> Looked:
        """The points themselves, and the likeliest modes."""
        points = events.cpu().float()
        return points, self.law.likeliest(points)[1]

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
        # Half an image more of each: a class that was left out is rare, and not impossible.
        counts = labels.bincount(minlength=len(self.names)).double() + 0.5
        law, self.told_by = counts / counts.sum(), _described(self.oracle)
        self.metric = ClassModes(law, self.oracle.confusion, law)

    def update(self, events: Tensor) -> None:
        """Count images (n, channels, height, width)."""
        self.metric.update(_finite(self.oracle.classify(events)[:, None].cpu(), events))

    def look(self, events: Events) -> Looked:
        """The classifier's features and classes."""
        return _looked(self.oracle, events)

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
        self.told_by = _described(self.oracle)
        # The papers compare with equal shares, though digits are not equally frequent.
        self.metric = ClassModes(data.shares(), self.oracle.confusion)

    def update(self, events: Tensor) -> None:
        """Count images (n, 3, height, width)."""
        self.metric.update(_finite(digit_classes(self.oracle, events).cpu(), events))

    def look(self, events: Events) -> Looked:
        """The classifier's features of the channels side by side, and the modes' numbers."""
        features, classes = _looked(self.oracle, events.flatten(0, 1)[:, None])
        first, second, third = classes.view(len(events), -1).unbind(1)
        modes = (first * len(self.parts) + second) * len(self.parts) + third
        return features.view(len(events), -1), modes

    def draw(
        self, events: Tensor, judge: Callable[[Tensor], Tensor] | None, title: str, path: Path
    ) -> None:
        """Every triple's number of images, as ten squares of ten by ten."""
        draw_occupancy(self.metric.counts, self.parts, title, path)


def _oracle(data: Images, device: torch.device) -> Oracle:
    return oracle(data).to(device)


def _described(oracle: Oracle) -> dict[str, str | float]:
    return {"name": oracle.name, "digest": oracle.digest, "accuracy": oracle.accuracy}


def _finite(classes: Tensor, events: Tensor) -> Tensor:
    """Classes (n, m), -1 for events that are not finite, of which a classifier knows nothing."""
    broken = ~events.flatten(1).isfinite().all(1)
    return classes.masked_fill(broken[:, None].cpu(), -1)


@torch.no_grad()
def _looked(oracle: Oracle, images: Events) -> Looked:
    """Features and classes, by one pass through the classifier's body."""
    features = oracle.features(images)
    return features.cpu(), oracle.network.head(features).argmax(1).cpu()


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
