"""Image sets that fit in memory: held as one tensor of bytes, batched by index."""

import hashlib
import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from lightning_gans.data.batches import Batches, CountedBatches, TensorBatches
from lightning_gans.data.module import Data
from lightning_gans.seeds import Stream, seeded
from lightning_gans.types import InputError

__all__ = ["SPLITS", "Bytes", "Images", "Labels", "kept", "resize", "split_in_three", "split_off"]

Bytes = UInt8[Tensor, "n channels height width"]
Labels = Int64[Tensor, " n"]

SPLITS = ("train", "val", "test")
_CHUNK = 4096
# Larger sets stay in the machine's memory: the accelerator's belongs to the networks first.
_MOVED_BYTES = 2 << 30


def resize(images: Bytes, size: int) -> UInt8[Tensor, "n channels size size"]:
    """Bytes (n, channels, height, width) at ``size`` x ``size``, bilinear with antialiasing."""
    if images.shape[-2:] == (size, size):
        return images
    parts = [
        interpolate(part.float(), (size, size), mode="bilinear", antialias=True)
        .round_()
        .clamp_(0, 255)
        .byte()
        for part in images.split(_CHUNK)
    ]
    return torch.cat(parts)


def split_off(n: int, held_out: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices (n - held_out,) to keep and (held_out,) to hold out, each in rising order."""
    order = torch.randperm(n, generator=seeded(torch.Generator(), Stream.SPLIT, seed, n))
    return order[held_out:].sort().values, order[:held_out].sort().values


def split_in_three(n: int, held_out: int, seed: int) -> dict[str, Tensor]:
    """Indices of each split of ``n`` samples, ``held_out`` of them in each of val and test."""
    rest, test = split_off(n, held_out, seed)
    train, val = split_off(len(rest), held_out, seed)
    return {"train": rest[train], "val": rest[val], "test": test}


def kept(labels: Labels, names: Sequence[str], shares: dict[str, float], seed: int) -> Tensor:
    """Indices in rising order: all, but of each class in ``shares`` only that share, by ``seed``.

    The number kept of a class is its share of the class, rounded to the nearest whole image.
    """
    keep = torch.ones(len(labels), dtype=torch.bool)
    for name, share in shares.items():
        label = names.index(name)
        own = (labels == label).nonzero().flatten()
        order = torch.randperm(
            len(own), generator=seeded(torch.Generator(), Stream.KEEP, seed, label)
        )
        keep[own[order[int(share * len(own) + 0.5) :]]] = False
    return keep.nonzero().flatten()


class Images(Data):
    """Images in memory, float in [-1, 1] when batched, at image_size x image_size.

    A subclass names its channels and classes and reads its splits.

    Args:
        image_size: Height and width after resizing (bilinear, antialiased).
        batch_size: Images in a batch of one process.
        root: Folder that holds the set. None: the environment variable LIGHTNING_GANS_DATA,
            else ``data``.
        flip: Mirror training images left to right with probability 1/2.
        keep: Share of the training images to keep of each class named, 0 to 1, e.g. {"7": 0.1};
            the others stay whole.
        seed: Seed of the splits, the order of the batches, the flips and ``keep``.

    Raises:
        InputError: A size is below 1, a class is unknown, or a share is not between 0 and 1.
    """

    channels: int
    bin_width = 2 / 255

    def __init__(
        self,
        image_size: int = 32,
        batch_size: int = 64,
        root: str | None = None,
        flip: bool = False,
        keep: dict[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed)
        if image_size < 1:
            raise InputError(f"data.image_size is {image_size}; it must be at least 1")
        self.image_size, self.flip = image_size, flip
        self.root = Path(root or os.environ.get("LIGHTNING_GANS_DATA") or "data").expanduser()
        self.event_shape = (self.channels, image_size, image_size)
        # YAML reads an unquoted 7 as a number.
        self.keep = {str(name): share for name, share in (keep or {}).items()}
        for name, share in self.keep.items():
            if name not in self.class_names:
                known = ", ".join(self.class_names) or "none, as this set has no classes"
                raise InputError(f"data.keep names the class {name!r}; the classes are: {known}")
            if not 0 <= share <= 1:
                raise InputError(f"data.keep.{name} is {share}; it must be between 0 and 1")
        self._splits: dict[str, tuple[Tensor, Tensor]] = {}
        self._moved: dict[str, tuple[Tensor, Tensor]] = {}

    @property
    def protocol(self) -> str:
        """The set's name with its size, as metrics carry it, e.g. mnist28."""
        return f"{type(self).__name__.lower()}{self.image_size}"

    @abstractmethod
    def read(self, split: str) -> dict[str, tuple[Bytes, Labels]]:
        """``split`` and all that is read along with it: bytes at their own size, and labels."""

    def batches(self, split: str, order: CountedBatches) -> Batches:
        """Batches of ``split`` in ``order``, flipped only for training."""
        flip = self.flip and split == "train"
        return TensorBatches(*self._placed(split), order, flip, self.device)

    def count(self, split: str) -> int:
        """Number of images of ``split``."""
        return len(self.arrays(split)[0])

    def arrays(self, split: str) -> tuple[Bytes, Labels]:
        """Bytes (n, channels, image_size, image_size) and labels (n,), read once."""
        if split not in self._splits:
            for name, (images, labels) in self.read(split).items():
                if name == "train" and self.keep:
                    index = kept(labels, self.class_names, self.keep, self.seed)
                    images, labels = images[index], labels[index]
                self._splits[name] = resize(images, self.image_size), labels
        return self._splits[split]

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the bytes of ``split``, and of whether they are mirrored."""
        images, _ = self.arrays(split)
        mirrored = self.flip and split == "train"
        content = hashlib.sha256(repr((tuple(images.shape), mirrored)).encode())
        content.update(images.contiguous().numpy())
        return content.hexdigest()

    def teardown(self, stage: str) -> None:
        """Give the accelerator's memory back."""
        self._moved.clear()

    def _placed(self, split: str) -> tuple[Tensor, Tensor]:
        """The arrays of ``split`` where batches are best made: on the accelerator if they fit."""
        images, labels = self.arrays(split)
        if self.device.type == "cpu" or images.nbytes > _MOVED_BYTES:
            return images, labels
        if split not in self._moved:
            self._moved[split] = images.to(self.device), labels.to(self.device)
        return self._moved[split]
