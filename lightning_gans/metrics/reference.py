"""What quality is measured against: features of real events, found once and kept on disk."""

import hashlib
import os
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from lightning_gans.data import Data
from lightning_gans.data.batches import CountedBatches
from lightning_gans.metrics.features import Extractor, Features
from lightning_gans.metrics.functional import Factored, factored
from lightning_gans.metrics.oracles import cache
from lightning_gans.seeds import Stream, mix
from lightning_gans.types import Events

__all__ = ["Reference", "events_of", "features_of", "reference"]

_MOST = 50_000
_AT_ONCE = 512
_KEPT = {"train", "held_out", "n", "mean", "factor"}
_VERSION = 1
"""Part of each key of the cache: to be raised whenever what is kept changes."""


class Reference(NamedTuple):
    """Real events, as an extractor sees them.

    Attributes:
        name: What they are, e.g. Digits.
        digest: Of the events, their splits and order, in hexadecimal.
        train: Features (n, d) of training events, in an order of no meaning.
        held_out: Features (m, d) of events that were held out, validation and test.
        held_out_logits: Their logits (m, c); None if the extractor tells no classes.
        law: The training features' mean and factored covariance.
    """

    name: str
    digest: str
    train: Float[Tensor, "n d"]
    held_out: Float[Tensor, "m d"]
    held_out_logits: Float[Tensor, "m c"] | None
    law: Factored


def events_of(data: Data, split: str, n: int) -> Iterator[Events]:
    """The first ``n`` events of ``split`` in batches, in an order of their own, by ``data.seed``.

    That of training is left alone.
    """
    n = min(n, data.count(split))
    seed = mix(Stream.EVALUATION, data.seed)
    order = CountedBatches(data.count(split), _AT_ONCE, seed, drop_last=False)
    for events, _ in data.batches(split, order):
        yield events[:n]
        if (n := n - len(events)) <= 0:
            return


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


def reference(data: Data, extractor: Extractor, most: int = _MOST) -> Reference:
    """The real events of ``data``: read from the cache, or found and kept there.

    They are kept in <cache>/features (`oracles.cache`), under a name that holds a digest of the
    events, of the extractor and of the numbers asked for. Runs side by side may write the same
    file: it is whole or absent. A damaged one is made anew.

    Args:
        data: The data set.
        extractor: What sees its events.
        most: Events of each split, at most.
    """
    splits = ("train", "val", "test")
    parts = [_VERSION, most, data.seed, *(data.fingerprint(split) for split in splits)]
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()
    both = f"{digest} {extractor.digest} {extractor.resize}"
    key = hashlib.sha256(both.encode()).hexdigest()[:16]
    path = cache() / "features" / f"{extractor.name}-{key}.npz"
    kept = _read(path)
    if kept is None:
        kept = _extract(data, extractor, most)
        _write(path, kept)
    tensors = {name: torch.from_numpy(array) for name, array in kept.items()}
    law = Factored(int(tensors["n"]), tensors["mean"], tensors["factor"])
    logits = tensors["logits"] if "logits" in tensors else None
    name = type(data).__name__
    return Reference(name, digest, tensors["train"], tensors["held_out"], logits, law)


def _extract(data: Data, extractor: Extractor, most: int) -> dict[str, np.ndarray]:
    found = [
        features_of(
            extractor,
            events_of(data, split, most),
            f"{extractor.name} features, {split}",
            min(most, data.count(split)),
        )
        for split in ("train", "val", "test")
    ]
    train, *held_out = found
    law = factored(train.values)
    kept = {
        "train": train.values,
        "held_out": torch.cat([part.values for part in held_out]),
        **{"n": torch.tensor(law.n), "mean": law.mean, "factor": law.factor},
    }
    if train.logits is not None:
        kept["logits"] = torch.cat([part.logits for part in held_out])
    return {name: tensor.numpy() for name, tensor in kept.items()}


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """What is kept in ``path``, None if nothing is that can be used."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
            if not arrays.keys() >= _KEPT:
                raise ValueError(f"it lacks {', '.join(_KEPT - arrays.keys())}")
            return arrays
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        warnings.warn(f"{path} is damaged ({type(error).__name__}); it is made anew", stacklevel=3)
        return None


def _write(path: Path, kept: dict[str, np.ndarray]) -> None:
    """Keep it whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as unfinished:
            np.savez(partial := Path(unfinished, path.name), **kept)
            os.replace(partial, path)
    except OSError as error:
        warnings.warn(
            f"features of real events cannot be kept in {path.parent} ({error.strerror}) and every "
            "run finds them anew; set LIGHTNING_GANS_CACHE to a folder that can be written",
            stacklevel=3,
        )
