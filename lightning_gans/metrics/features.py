"""Extractors: what turns events into the features by which two sets of them are compared."""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from lightning_gans.data.batches import normalise, to_bytes
from lightning_gans.metrics.oracles import Oracle
from lightning_gans.types import Events, InputError

__all__ = [
    "ClassifierFeatures",
    "Extractor",
    "Features",
    "Flat",
    "ImageNetwork",
    "features_of",
    "tell_time",
]

_AT_ONCE = 64
_MOST_NUMBERS = 4096
_TIMED = 8
_PATIENCE = 90.0


class Features(NamedTuple):
    """What an extractor says of events.

    Attributes:
        values: Features (n, d), in 32 bits.
        logits: Of the classes (n, c), None where it tells none.
    """

    values: Float[Tensor, "n d"]
    logits: Float[Tensor, "n c"] | None


class Extractor(ABC):
    """Turns events into features.

    Images are seen as a file holds them, rounded to bytes: the same samples have the same features
    in memory and in a folder. It is no module, so that a model which holds one neither trains nor
    saves it.

    Attributes:
        name: What its metrics are of, with the size it looks at, e.g. digits32.
        digest: SHA-256 of what it computes with, in hexadecimal; equal digests measure equally.
        resize: What is done to images before, e.g. bytes; none is done to points.
        num_features: d.
        tells_classes: Whether it gives logits.
    """

    name: str
    digest: str
    resize: str
    num_features: int
    tells_classes: bool = True

    @property
    @abstractmethod
    def metrics(self) -> dict[str, str]:
        """Names of its Frechet distance, kernel distance and classifier score."""

    @abstractmethod
    def __call__(self, events: Events) -> Features:
        """Features of events (n, *event_shape), on its own device."""

    @abstractmethod
    def to(self, device: torch.device | str) -> "Extractor":
        """The same on ``device``."""


def named_after(set_name: str) -> dict[str, str]:
    """Names for features that are not TF-Inception's: only those may be called FID, KID and IS."""
    return {"frechet": f"fd_{set_name}", "kernel": f"kd_{set_name}", "score": f"score_{set_name}"}


def _seen(images: Events) -> Events:
    """Images in [-1, 1] as a file holds them."""
    return normalise(to_bytes(images))


class Flat(Extractor):
    """The numbers of an event themselves, one after another.

    Args:
        event_shape: Of the events; images give pixels, rounded to bytes, others points.

    Raises:
        InputError: They have more than 4,096 numbers, too many for a covariance.
    """

    digest = "identity"
    tells_classes = False

    def __init__(self, event_shape: tuple[int, ...]) -> None:
        self._images = len(event_shape) == 3
        kind, self.resize = ("pixels", "bytes") if self._images else ("points", "none")
        self.num_features = torch.Size(event_shape).numel()
        if self.num_features > _MOST_NUMBERS:
            raise InputError(
                f"the extractor identity is for events of at most {_MOST_NUMBERS:,} numbers; those "
                f"of shape {event_shape} have {self.num_features:,}: choose smaller images or "
                "another extractor"
            )
        self.name = f"{kind}{self.num_features}"
        self._metrics = named_after(kind)

    @property
    def metrics(self) -> dict[str, str]:
        """fd_pixels or fd_points, and the like."""
        return self._metrics

    def __call__(self, events: Events) -> Features:
        """The events (n, d), and no logits."""
        events = _seen(events) if self._images else events.float()
        return Features(events.flatten(1), None)

    def to(self, device: torch.device | str) -> "Flat":
        """Itself: it computes where the events are."""
        return self


class ClassifierFeatures(Extractor):
    """The last hidden layer of the small classifier of a labelled set.

    Args:
        oracle: The classifier.
        set_name: What its metrics are named after, e.g. digits.
    """

    resize = "bytes"

    def __init__(self, oracle: Oracle, set_name: str) -> None:
        self.oracle, self.set_name = oracle, set_name
        self.name, self.digest = oracle.name, oracle.digest
        self.num_features = oracle.num_features

    @property
    def metrics(self) -> dict[str, str]:
        """fd_digits, kd_digits and the like."""
        return named_after(self.set_name)

    @torch.no_grad()
    def __call__(self, events: Events) -> Features:
        """Features (n, 84), at least 0, and logits of images in [-1, 1].

        Raises:
            InputError: They have another shape than those that the classifier was trained on.
        """
        network = self.oracle.network
        expected = (network.channels, network.image_size, network.image_size)
        if tuple(events.shape[1:]) != expected:
            raise InputError(
                f"{self.name} looks at images of shape {expected}, not {tuple(events.shape[1:])}"
            )
        values = self.oracle.features(_seen(events))
        return Features(values, network.head(values))

    def to(self, device: torch.device | str) -> "ClassifierFeatures":
        """The same on ``device``."""
        return ClassifierFeatures(self.oracle.to(device), self.set_name)


class ImageNetwork(Extractor, ABC):
    """A network that looks at images of 1 or 3 channels, grey ones repeated to three.

    A subclass sets ``name``, ``digest``, ``num_features`` and ``network``.
    """

    network: nn.Module
    device = torch.device("cpu")

    @abstractmethod
    def look(self, images: Events) -> tuple[Tensor, Tensor]:
        """Features (n, d) and logits (n, c) of images (n, 1 or 3, height, width) in [-1, 1]."""

    @torch.no_grad()
    def __call__(self, events: Events) -> Features:
        """Features and logits of images, a few at a time.

        Raises:
            InputError: They are no images of 1 or 3 channels.
        """
        if events.ndim != 4 or events.shape[1] not in (1, 3):
            raise InputError(
                f"{self.name} looks at images of 1 or 3 channels, not at events of shape "
                f"{tuple(events.shape[1:])}"
            )
        parts = [self.look(part.to(self.device)) for part in events.split(_AT_ONCE)]
        values, logits = (torch.cat(both) for both in zip(*parts, strict=True))
        return Features(values, logits)

    def to(self, device: torch.device | str) -> "ImageNetwork":
        """Itself, moved to ``device``."""
        self.device = torch.device(device)
        self.network.to(self.device)
        return self


def features_of(extractor: Extractor, batches: Iterator[Events], told: str, n: int) -> Features:
    """Features of all events, on the CPU, with progress that is seen where it takes long.

    Args:
        extractor: What sees them.
        batches: The events.
        told: What the progress is of.
        n: Number of events.
    """
    values, logits = [], []
    with tqdm(total=n, desc=told, unit="events", delay=5, leave=False) as bar:
        for events in batches:
            found = extractor(events)
            # Rounded to bytes, what is not finite would be black.
            broken = ~events.flatten(1).isfinite().all(1).to(found.values.device)
            values.append(found.values.masked_fill(broken[:, None], torch.nan).cpu())
            logits.append(None if found.logits is None else found.logits.cpu())
            bar.update(len(events))
    return Features(torch.cat(values), None if logits[0] is None else torch.cat(logits))


def tell_time(extractor: Extractor, shape: tuple[int, ...], n: int, told: str) -> None:
    """Say beforehand how long ``n`` events of a shape take, if that is more than a minute or so."""
    few = torch.zeros(_TIMED, *shape)
    extractor(few[:1])  # a network's first pass takes longer
    began = time.monotonic()
    extractor(few).values.cpu()
    seconds = (time.monotonic() - began) / _TIMED
    if n * seconds > _PATIENCE:
        tqdm.write(
            f"{told} takes {extractor.name} about {n * seconds / 60:.0f} minutes: {n:,} at "
            f"{1 / seconds:,.1f} a second",
            file=sys.stderr,
        )
