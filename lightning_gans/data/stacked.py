"""Three digits as the channels of one image: a thousand known modes (Metz et al., 2017)."""

import hashlib
from collections.abc import Iterator
from itertools import product

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from lightning_gans.data.batches import Batches, CountedBatches, GeneratedBatches, normalise
from lightning_gans.data.digits import Digits
from lightning_gans.data.images import SPLITS, Images
from lightning_gans.data.mnist import MNIST
from lightning_gans.data.module import Data
from lightning_gans.errors import InputError
from lightning_gans.seeds import Stream, seeded

__all__ = ["Stacked", "StackedDigits", "StackedMNIST"]

_STACKED = 3


def stack(
    images: UInt8[Tensor, "set 1 size size"],
    labels: Int64[Tensor, " set"],
    chosen: Int64[Tensor, "n 3"],
    classes: int,
) -> tuple[Float[Tensor, "n 3 size size"], Int64[Tensor, " n"]]:
    """Images in [-1, 1] of which each channel is one of a set, and their modes from 0.

    The mode of the classes a, b, c is (a classes + b) classes + c.
    """
    chosen = chosen.to(images.device)
    pixels = images[chosen.flatten(), 0].unflatten(0, (-1, _STACKED))
    first, second, third = labels[chosen].unbind(1)
    return normalise(pixels), (first * classes + second) * classes + third


class _ChosenBatches(Batches):
    """Batches of triples that were chosen before, in a counted order."""

    def __init__(
        self, images: Tensor, labels: Tensor, chosen: Tensor, classes: int, order: CountedBatches
    ) -> None:
        self.images, self.labels, self.chosen, self.classes = images, labels, chosen, classes
        self.batch_sampler = order

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of samples in [-1, 1] (batch, 3, size, size) and modes (batch,)."""
        for index in self.batch_sampler:
            yield stack(self.images, self.labels, self.chosen[index], self.classes)


class Stacked(Data):
    """Images whose three channels are drawn independently from one grey set.

    Args:
        parts: The grey set; each split is stacked from its own images.
        triples: Images that make a training epoch.
        fixed: Choose the training triples once, by seed; otherwise every epoch has fresh ones.
        held_out: Images in the validation and in the test set.

    Raises:
        InputError: A size is not positive.
    """

    def __init__(self, parts: Images, triples: int, fixed: bool, held_out: int) -> None:
        super().__init__(parts.batch_size, parts.seed)
        for name, value in {"triples": triples, "held_out": held_out}.items():
            if value < 1:
                raise InputError(f"data.{name} is {value}; it must be at least 1")
        self.parts, self.triples, self.fixed, self.held_out = parts, triples, fixed, held_out
        self.bin_width = parts.bin_width
        self.event_shape = (_STACKED, parts.image_size, parts.image_size)
        names = product(parts.class_names, repeat=_STACKED)
        self.class_names = tuple("".join(three) for three in names)
        self.protocol = f"stacked_{parts.protocol}"

    def count(self, split: str) -> int:
        """Images that make an epoch of ``split``, all processes together."""
        return self.triples if split == "train" else self.held_out

    def batches(self, split: str, order: CountedBatches) -> Batches:
        """Fresh triples for training unless they are fixed; the same each time for the others."""
        images, labels = (part.to(self.device) for part in self.parts.arrays(split))
        classes = len(self.parts.class_names)

        def draw(n: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
            chosen = torch.randint(len(images), (n, _STACKED), generator=source)
            return stack(images, labels, chosen, classes)

        if split == "train" and not self.fixed:
            return GeneratedBatches(draw, order)
        source = seeded(torch.Generator(), Stream.SPLIT, self.seed, SPLITS.index(split))
        chosen = torch.randint(len(images), (self.count(split), _STACKED), generator=source)
        return _ChosenBatches(images, labels, chosen, classes, order)

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the split that is stacked, and of how."""
        how = (split, self.triples, self.fixed, self.held_out, self.seed)
        return hashlib.sha256(repr((self.parts.fingerprint(split), how)).encode()).hexdigest()

    def shares(self) -> Float[Tensor, "classes classes classes"]:
        """Share of each mode that is expected in training, in 64 bits, summing to 1."""
        _, labels = self.parts.arrays("train")
        one = labels.bincount(minlength=len(self.parts.class_names)).double() / len(labels)
        return torch.einsum("a,b,c->abc", one, one, one)


class StackedMNIST(Stacked):
    """Stacked MNIST (Metz et al., 2017): a thousand modes.

    Args:
        image_size: Height and width after resizing (bilinear, antialiased); 28 leaves them alone.
        batch_size: Images in a batch of one process.
        root: Folder that holds MNIST. None: the environment variable LIGHTNING_GANS_DATA,
            else ``data``.
        triples: Images that make a training epoch.
        fixed: Choose the training triples once, by seed; otherwise every epoch has fresh ones.
        held_out: Images in the validation and in the test set.
        seed: Seed of the splits and of every draw.

    Raises:
        InputError: A size is not positive.
    """

    def __init__(
        self,
        image_size: int = 28,
        batch_size: int = 64,
        root: str | None = None,
        triples: int = 128_000,
        fixed: bool = False,
        held_out: int = 2560,
        seed: int = 0,
    ) -> None:
        super().__init__(MNIST(image_size, batch_size, root, seed=seed), triples, fixed, held_out)


class StackedDigits(Stacked):
    """Stacked handwritten digits of scikit-learn: a thousand modes without a download.

    Args:
        image_size: Height and width after resizing from 8 x 8 (bilinear, antialiased).
        batch_size: Images in a batch of one process.
        triples: Images that make a training epoch.
        fixed: Choose the training triples once, by seed; otherwise every epoch has fresh ones.
        held_out: Images in the validation and in the test set.
        seed: Seed of the splits and of every draw.

    Raises:
        InputError: A size is not positive.
    """

    def __init__(
        self,
        image_size: int = 32,
        batch_size: int = 64,
        triples: int = 128_000,
        fixed: bool = False,
        held_out: int = 2560,
        seed: int = 0,
    ) -> None:
        super().__init__(Digits(image_size, batch_size, seed=seed), triples, fixed, held_out)
