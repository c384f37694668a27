"""Oracles: small classifiers of a data set, trained once, that tell classes and give features."""

import copy
import hashlib
import io
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, distributed
from tqdm import tqdm

from lightning_gans.data.images import Images, resize
from lightning_gans.models.classifier import Confusion, Labelled, accuracy, train_classifier
from lightning_gans.networks import LeNet
from lightning_gans.types import Events, InputError

__all__ = ["Oracle", "cache", "digit_classes", "oracle"]

_RECIPE = 1
"""Part of each key of the cache: to be raised whenever the training changes."""

_TOLD_AT_ONCE = 512
_TRUSTED = 0.95


@dataclass(frozen=True, eq=False)
class Oracle:
    """A trained classifier of one data set, to measure with; it is never trained on.

    It is no module, so that a model which holds one neither trains nor saves it.

    Attributes:
        name: The set and its image size, e.g. ``mnist28``.
        digest: SHA-256 of its weights, in hexadecimal: equal digests measure equally.
        confusion: Counts (classes, classes) of the held-out images (validation and test) by true
            class (row) and class told (column).
        network: The classifier, in evaluation mode.
    """

    name: str
    digest: str
    confusion: Confusion
    network: LeNet

    @property
    def accuracy(self) -> float:
        """Share of the held-out images told rightly, 0 to 1."""
        return accuracy(self.confusion)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.network.classes

    @property
    def num_features(self) -> int:
        """Size of the features of an image."""
        return self.network.num_features

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.network.head.weight.device

    def to(self, device: torch.device | str) -> "Oracle":
        """The same oracle on ``device``; this one stays where it is."""
        return replace(self, network=copy.deepcopy(self.network).to(device))

    def classify(self, images: Events) -> Int64[Tensor, " batch"]:
        """Class of each of ``images`` (n, channels, size, size) in [-1, 1], on its own device."""
        return self._batched(lambda part: self.network(part).argmax(1), images)

    __call__ = classify

    def features(self, images: Events) -> Float[Tensor, "batch num_features"]:
        """Features (n, num_features), at least 0, of ``images`` in [-1, 1], on its own device."""
        return self._batched(self.network.features, images)

    @torch.no_grad()
    def _batched(self, function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        parts = images.split(_TOLD_AT_ONCE)
        return torch.cat([function(part.to(self.device, torch.float32)) for part in parts])


def cache() -> Path:
    """Where what was found once is kept: LIGHTNING_GANS_CACHE, else ~/.cache/lightning_gans."""
    return Path(os.environ.get("LIGHTNING_GANS_CACHE") or "~/.cache/lightning_gans").expanduser()


def digit_classes(
    oracle: Oracle, images: Float[Tensor, "n stacked size size"]
) -> Int64[Tensor, "n stacked"]:
    """Class (n, stacked) of each channel of stacked grey images, such as Stacked MNIST's."""
    n, stacked = images.shape[:2]
    return oracle.classify(images.reshape(n * stacked, 1, *images.shape[2:])).view(n, stacked)


def oracle(data: Images) -> Oracle:
    """The classifier of ``data`` at its image size, on the CPU: trained once, then read from disk.

    It learns the whole training set, whatever ``data.keep`` leaves out. It is kept in
    ``<cache>/oracles``; <cache> is the environment variable LIGHTNING_GANS_CACHE, else
    ``~/.cache/lightning_gans``. Even a set that is otherwise streamed is read into memory. In a
    group of processes the first one trains and gives it to the others. No random number generator
    is touched. It warns where the accuracy is below 0.95 and where it cannot be kept.

    Args:
        data: A set with labels.

    Raises:
        InputError: The set has fewer than two classes, or images below 8 pixels.
    """
    if len(data.class_names) < 2:
        raise InputError(
            f"labels missing: {type(data).__name__} has {len(data.class_names)} classes, but its "
            "images are told apart by a classifier of at least 2; a Folder needs a folder for "
            "each class, Arrays an array named labels"
        )
    if not distributed.is_available() or not distributed.is_initialized():
        found = _read_or_train(data)
    else:
        box = [_read_or_train(data) if distributed.get_rank() == 0 else None]
        distributed.broadcast_object_list(box)
        (found,) = box
    if found.accuracy < _TRUSTED:
        warnings.warn(
            f"the classifier of {_described(data)} tells only {found.accuracy:.4f} of held-out "
            f"images rightly; below {_TRUSTED} counts of modes get wider intervals, and features "
            "tell classes, and so good samples from bad ones, less well",
            stacklevel=2,
        )
    return found


def _described(data: Images) -> str:
    return f"{type(data).__name__} ({data.image_size} x {data.image_size})"


def _whole(data: Images, split: str) -> Labelled:
    """Images and labels of ``split``, none of them left out by ``data.keep``."""
    if split != "train" or not data.keep:
        return data.arrays(split)
    images, labels = data.read(split)[split]
    return resize(images, data.image_size), labels


def _key(parts: list[Labelled], classes: int) -> str:
    """What the training depends on, in sixteen digits."""
    content = hashlib.sha256(repr((_RECIPE, classes)).encode())
    for tensor in (tensor for pair in parts for tensor in pair):
        content.update(repr(tuple(tensor.shape)).encode())
        content.update(tensor.contiguous().numpy())
    return content.hexdigest()[:16]


def _digest(network: LeNet) -> str:
    """SHA-256 of the names, shapes and values of the weights."""
    content = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        content.update(repr((name, tuple(tensor.shape), tensor.dtype)).encode())
        content.update(tensor.contiguous().numpy())
    return content.hexdigest()


def _read_or_train(data: Images) -> Oracle:
    train, *held_out = (_whole(data, split) for split in ("train", "val", "test"))
    name = data.protocol
    key = _key([train, *held_out], len(data.class_names))
    path = cache() / "oracles" / f"{name}-{key}.pt"
    try:
        return _read(path)
    except OSError:  # there is none, or none that may be read
        pass
    # Damaged bytes can make the reader stumble over anything.
    except Exception as error:
        warnings.warn(
            f"{path} is damaged ({type(error).__name__}); it is trained anew", stacklevel=3
        )
    began = time.monotonic()
    made = train_classifier(train, held_out, len(data.class_names), _described(data))
    trained = Oracle(name, _digest(made.network), made.confusion, made.network)
    tqdm.write(
        f"trained the classifier of {_described(data)}: accuracy {trained.accuracy:.4f} on "
        f"{int(trained.confusion.sum()):,} held-out images, {time.monotonic() - began:.0f} s; "
        + (f"kept in {path}" if _write(path, trained) else "not kept"),
        file=sys.stderr,
    )
    return trained


def _read(path: Path) -> Oracle:
    """The oracle kept in ``path``; ValueError if its weights are not those that were written."""
    record = torch.load(path, map_location="cpu", weights_only=True)
    # Without weights of its own it draws no random numbers.
    with torch.device("meta"):
        network = LeNet(**record["network"])
    network.load_state_dict(record["weights"], assign=True)
    if _digest(network) != record["digest"]:
        raise ValueError("its weights do not match their digest")
    network.eval().requires_grad_(False)
    return Oracle(record["name"], record["digest"], record["confusion"], network)


def _write(path: Path, oracle: Oracle) -> bool:
    """Keep ``oracle`` in ``path``, whole or not at all; whether that was possible."""
    network = oracle.network
    record = {
        "name": oracle.name,
        "digest": oracle.digest,
        "confusion": oracle.confusion,
        "network": {key: getattr(network, key) for key in ("image_size", "channels", "classes")},
        "weights": network.state_dict(),
    }
    torch.save(record, content := io.BytesIO())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as unfinished:
            (partial := Path(unfinished, path.name)).write_bytes(content.getvalue())
            os.replace(partial, path)
    except OSError as error:
        warnings.warn(
            f"the classifier cannot be kept in {path.parent} ({error.strerror}) and every run "
            "trains it anew; set LIGHTNING_GANS_CACHE to a folder that can be written",
            stacklevel=4,
        )
        return False
    return True
