"""What quality is measured against: features of real events, found once and kept on disk."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gans.data import Data
from lightning_gans.data.batches import CountedBatches
from lightning_gans.data.images import Images
from lightning_gans.metrics.features import Extractor, features_of, tell_time
from lightning_gans.metrics.functional import (
    Factored,
    Kernels,
    factored,
    frechet_distance,
    kernels,
)
from lightning_gans.metrics.kept import Arrays, kept
from lightning_gans.seeds import Stream, mix, seeded
from lightning_gans.types import Events

__all__ = [
    "Reference",
    "events_of",
    "orientations",
    "reference",
    "reference_of",
    "training_of",
]

_MOST = 50_000
_MOST_KERNELS = 10_000
_AT_ONCE = 512
_HALVES_SEED = 0
_FLOORS = ("train_halves", "held_out")
_NEEDED = {"train", "held_out", "n", "mean", "factor", "kernels"}
_VERSION = 2
"""Part of each key of the cache: to be raised whenever what is kept, or its computing, changes."""


class Reference(NamedTuple):
    """Real events, as an extractor sees them.

    Attributes:
        name: What they are, e.g. Digits.
        digest: Of the events, their splits and order, in hexadecimal.
        train: Features (n, d) of training events, in an order of no meaning.
        held_out: Features (m, d) of events that were held out, validation and test.
        held_out_logits: Their logits (m, c); None if the extractor tells no classes.
        law: The training features' mean and factored covariance.
        kernels: Up to 10,000 training features with what the kernel distance needs of them.
        floors: Frechet distances: ``train_halves``, of half of the training events from the other
            half, and ``held_out``, of all held-out ones from all of training.
        orientations: 2 where the data mirror training images: ``train`` has each of them in one
            orientation, by chance, then all in the other one.
        key: What it is kept by on disk; None if it is not.
    """

    name: str
    digest: str
    train: Float[Tensor, "n d"]
    held_out: Float[Tensor, "m d"]
    held_out_logits: Float[Tensor, "m c"] | None
    law: Factored
    kernels: Kernels
    floors: dict[str, float]
    orientations: int = 1
    key: str | None = None

    @property
    def distinct(self) -> Float[Tensor, "n d"]:
        """Training features of one orientation of each image: independent draws."""
        return self.train[: len(self.train) // self.orientations]


def orientations(data: Data) -> int:
    """2 where training images are mirrored at random, else 1."""
    return 2 if isinstance(data, Images) and data.flip else 1


def events_of(data: Data, split: str, n: int, turned: bool = False) -> Iterator[Events]:
    """The first ``n`` events of ``split`` in batches, in an order of their own, by ``data.seed``.

    That of training is left alone. Where training images are mirrored at random, so are these, of
    whatever split: a law is compared with samples of it.

    Args:
        data: The data set.
        split: train, val or test.
        n: Events, at most.
        turned: Give each image in the other orientation.
    """
    n = min(n, data.count(split))
    seed = mix(Stream.EVALUATION, data.seed)
    order = CountedBatches(data.count(split), _AT_ONCE, seed, drop_last=False)
    coins = seeded(torch.Generator(), Stream.FLIP, seed)
    for events, _ in data.batches(split, order):
        events = events[:n]
        if orientations(data) == 2:
            mirror = (torch.rand(len(events), generator=coins) < 0.5) != turned
            mirror = mirror.to(events.device)[:, None, None, None]
            events = torch.where(mirror, events.flip(-1), events)
        yield events
        if (n := n - len(events)) <= 0:
            return


def training_of(data: Data, most: int = _MOST) -> Iterator[Events]:
    """Training events in batches; mirrored images once, and then all again the other way round."""
    for turned in range(ways := orientations(data)):
        yield from events_of(data, "train", most // ways, bool(turned))


def reference(data: Data, extractor: Extractor, most: int = _MOST) -> Reference:
    """The real events of ``data``: read from the cache, or found and kept there.

    They are kept in <cache>/features (`kept`), under a name that holds a digest of the events, of
    the extractor and of the numbers asked for.

    Args:
        data: The data set.
        extractor: What sees its events.
        most: Events of each split, at most; both orientations of an image are two.
    """
    splits = ("train", "val", "test")
    parts = [_VERSION, most, data.seed, *(data.fingerprint(split) for split in splits)]
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()
    both = f"{digest} {extractor.digest} {extractor.resize}"
    key = hashlib.sha256(both.encode()).hexdigest()[:16]
    place = f"features/{extractor.name}-{key}.npz"
    arrays = kept(place, lambda: _extract(data, extractor, most), _NEEDED)
    found = {name: torch.from_numpy(array) for name, array in arrays.items()}
    train, others, ways = found["train"], found["kernels"], orientations(data)
    return Reference(
        type(data).__name__,
        digest,
        train,
        found["held_out"],
        found.get("logits"),
        Factored(int(found["n"]), found["mean"], found["factor"]),
        Kernels(train[: len(others)], others),
        {name: found[f"floor_{name}"].item() for name in _FLOORS if f"floor_{name}" in found},
        ways,
        key,
    )


def reference_of(
    name: str,
    train: Float[Tensor, "n d"],
    held_out: Float[Tensor, "m d"],
    held_out_logits: Float[Tensor, "m c"] | None = None,
    orientations: int = 1,
) -> Reference:
    """Features of real events with what is found from them; the digest is of those of training.

    Raises:
        InputError: There are fewer than 2 training events, or features are not finite.
    """
    distinct, law, floors = train[: len(train) // orientations], factored(train), {}
    source = torch.Generator().manual_seed(_HALVES_SEED)
    mixed = distinct[torch.randperm(len(distinct), generator=source)]
    if (half := len(mixed) // 2) > 1:
        floors["train_halves"] = frechet_distance(mixed[:half], mixed[half : 2 * half])
    if len(held_out) > 1:
        floors["held_out"] = frechet_distance(law, held_out)
    digest = hashlib.sha256(train.contiguous().numpy()).hexdigest()
    own = kernels(distinct[:_MOST_KERNELS])
    told = (name, digest, train, held_out, held_out_logits)
    return Reference(*told, law, own, floors, orientations)


def _extract(data: Data, extractor: Extractor, most: int) -> Arrays:
    name, ways = type(data).__name__, orientations(data)
    counts = {split: min(most, data.count(split)) for split in ("val", "test")}
    n = ways * min(most // ways, data.count("train"))
    told = f"finding the features of {name}, once for all runs,"
    tell_time(extractor, data.event_shape, n + sum(counts.values()), told)
    train = features_of(extractor, training_of(data, most), f"{extractor.name} features, train", n)
    held_out = [
        features_of(
            extractor, events_of(data, split, most), f"{extractor.name} features, {split}", count
        )
        for split, count in counts.items()
    ]
    values = torch.cat([part.values for part in held_out])
    real = reference_of(name, train.values, values, orientations=ways)
    law = {"n": torch.tensor(real.law.n), "mean": real.law.mean, "factor": real.law.factor}
    found = {"train": real.train, "held_out": real.held_out, "kernels": real.kernels.others, **law}
    if train.logits is not None:
        found["logits"] = torch.cat([part.logits for part in held_out])
    arrays = {name: tensor.numpy() for name, tensor in found.items()}
    return arrays | {f"floor_{name}": np.array(value) for name, value in real.floors.items()}
