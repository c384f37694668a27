"""Which samples make which batch: a counter-based order, and batches of tensors held in memory."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler

from lightning_gans.seeds import Stream, seeded

__all__ = [
    "Batches",
    "CountedBatches",
    "GeneratedBatches",
    "TensorBatches",
    "finish",
    "mirrored",
    "normalise",
    "to_bytes",
]

Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
_CPU = torch.device("cpu")


class CountedBatches(Sampler[Tensor]):
    """Batches of indices that are a function of (seed, epoch, batch) alone.

    The order of an epoch is a permutation seeded by (seed, epoch), so a run killed anywhere goes on
    after k samples by setting ``skip = k``, whatever the number of processes was, and every process
    of a group takes its own slice of each global batch.

    Args:
        n: Number of samples.
        batch_size: Samples in a batch of one process.
        seed: Seed of the order.
        shuffle: Permute each epoch anew; otherwise 0, 1, 2, ...
        drop_last: Drop the remainder that does not fill a batch of every process; otherwise it is
            shared out as evenly as whole samples allow.
        rank: This process, from 0.
        world_size: Number of processes.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.n, self.batch_size, self.seed = n, batch_size, seed
        self.shuffle, self.drop_last = shuffle, drop_last
        self.rank, self.world_size = rank, world_size
        self.epoch = self.skip = 0
        self.same_each_epoch = False
        # Lightning looks for set_epoch on `loader.sampler` and on `loader.batch_sampler.sampler`.
        self.sampler = self

    def __len__(self) -> int:
        """Batches of a whole epoch, whatever ``skip`` is."""
        return self.after(0)

    @property
    def size(self) -> int:
        """Samples in a batch of all processes."""
        return self.batch_size * self.world_size

    def after(self, samples: int) -> int:
        """Batches of an epoch that are left after its first ``samples``."""
        left = max(0, self.n - samples)
        return left // self.size if self.drop_last else -(-left // self.size)

    def set_epoch(self, epoch: int) -> None:
        """Take the order of ``epoch`` from the next pass on, the first's where all are the same."""
        self.epoch = 0 if self.same_each_epoch else epoch

    def starts(self) -> Iterator[int]:
        """Where this pass's batches begin, in samples from ``skip`` on; it holds for one pass."""
        skip, self.skip = self.skip, 0
        return iter(range(skip, skip + self.after(skip) * self.size, self.size))

    def __iter__(self) -> Iterator[Tensor]:
        """Index tensors (batch,)."""
        if self.shuffle:
            source = seeded(torch.Generator(), Stream.ORDER, self.seed, self.epoch)
            order = torch.randperm(self.n, generator=source)
        else:
            order = torch.arange(self.n)
        for start in self.starts():
            length = min(self.size, self.n - start)
            first, past = (length * rank // self.world_size for rank in (self.rank, self.rank + 1))
            yield order[start + first : start + past]


def normalise(images: Tensor) -> Tensor:
    """Images of bytes (0 to 255) as float in [-1, 1]."""
    return images.float().mul_(1 / 127.5).sub_(1)


def to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as bytes: rounded, and cut off at 0 and 255 instead of wrapped."""
    return images.float().add(1).mul_(127.5).round_().clamp_(0, 255).byte()


def mirrored(batches: CountedBatches) -> Tensor:
    """Which of the n samples are mirrored in this epoch (n,), each with probability 1/2."""
    source = seeded(torch.Generator(), Stream.FLIP, batches.seed, batches.epoch)
    return torch.rand(batches.n, generator=source) < 0.5


def finish(images: Tensor, mirror: Tensor | None) -> Tensor:
    """Bytes (batch, channels, height, width) in [-1, 1], left and right swapped in ``mirror``."""
    images = normalise(images)
    if mirror is None:
        return images
    mirror = mirror.to(images.device, non_blocking=True)
    return torch.where(mirror[:, None, None, None], images.flip(-1), images)


class Batches(ABC):
    """Batches ``(samples, labels)`` in a counted order; takes a DataLoader's place.

    The place in the order is kept by the data module, in samples. Lightning warns of a loader
    without a state of its own when a run goes on in mid-epoch; an empty one says that it can.
    """

    batch_sampler: CountedBatches

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.batch_sampler)

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of samples (batch, *event) and labels (batch,)."""

    def state_dict(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Nothing."""


class TensorBatches(Batches):
    """Batches ``(samples, labels)`` indexed from tensors in memory.

    One index, one cast and one flip a batch: nothing is done per sample. Order and flips are drawn
    on the CPU, so they do not depend on where the images are.

    Args:
        images: Bytes (n, channels, height, width), on any device.
        labels: Whole numbers (n,), on the same device.
        batches: The order.
        flip: Mirror each image left to right with probability 1/2, by (seed, epoch, index).
        device: Where the batches go; they are moved as bytes.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batches: CountedBatches,
        flip: bool = False,
        device: torch.device = _CPU,
    ) -> None:
        self.images, self.labels = images, labels
        self.flip, self.device = flip, device
        self.batch_sampler = batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of samples in [-1, 1] (batch, channels, height, width) and labels (batch,)."""
        mirror = mirrored(self.batch_sampler) if self.flip else None
        for index in self.batch_sampler:
            where = index.to(self.images.device, non_blocking=True)
            images = self.images.index_select(0, where).to(self.device, non_blocking=True)
            labels = self.labels.index_select(0, where).to(self.device, non_blocking=True)
            yield finish(images, None if mirror is None else mirror[index]), labels


class GeneratedBatches(Batches):
    """Batches drawn anew for ever, each a function of (seed, epoch, its place in samples) alone.

    Args:
        draw: From a number of samples and a seeded generator to (samples, labels).
        batches: Counts the batches; its indices are not used. All batches are whole.
    """

    def __init__(self, draw: Draw, batches: CountedBatches) -> None:
        self.draw = draw
        self.batch_sampler = batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of samples (batch, *event) and labels (batch,)."""
        batches, source = self.batch_sampler, torch.Generator()
        for start in batches.starts():
            place = start // batches.batch_size + batches.rank
            keys = (batches.seed, batches.epoch, place, 0)
            yield self.draw(batches.batch_size, seeded(source, Stream.DRAW, *keys))
