"""Batches decoded from files as they are asked for, by worker processes."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_gans.data.batches import Batches, CountedBatches, finish, mirrored
from lightning_gans.data.decode import try_decode
from lightning_gans.types import InputError

__all__ = ["StreamedBatches"]

_CPU = torch.device("cpu")


class _Files(Dataset):
    """Whole batches by index: bytes, and the indices of the files they were read from.

    Args:
        paths: Of the images.
        size: Height and width.
        channels: 1 or 3.
    """

    def __init__(self, paths: Sequence[str], size: int, channels: int) -> None:
        self.paths, self.size, self.channels = paths, size, channels

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Bytes (batch, channels, size, size), the index, and the index read in its place."""
        images = torch.empty(len(index), self.channels, self.size, self.size, dtype=torch.uint8)
        read = index.clone()
        for row, wanted in enumerate(index.tolist()):
            images[row], read[row] = self._nearest(wanted)
        return images, index, read

    def _nearest(self, wanted: int) -> tuple[Tensor, int]:
        """The image ``wanted`` or, where that is broken, the next that is not."""
        for step in range(len(self.paths)):
            i = (wanted + step) % len(self.paths)
            image = try_decode(self.paths[i], self.size, self.channels)
            if image is not None:
                return image, i
        raise InputError("none of the image files can be read any more")


class StreamedBatches(Batches):
    """Batches ``(samples, labels)`` of image files, the same as if all were in memory.

    Workers decode; order and flips are drawn here, so their number makes no difference. A broken
    file is replaced by the next one that can be read.

    Args:
        paths: Of the images.
        labels: Whole numbers (n,).
        batches: The order.
        size: Height and width.
        channels: 1 or 3.
        flip: Mirror each image left to right with probability 1/2, by (seed, epoch, index).
        device: Where the batches go; they are moved as bytes.
        num_workers: Worker processes; 0 decodes in this process.
        on_broken: Told the paths that could not be read.
    """

    def __init__(
        self,
        paths: Sequence[str],
        labels: Tensor,
        batches: CountedBatches,
        size: int,
        channels: int,
        flip: bool = False,
        device: torch.device = _CPU,
        num_workers: int = 0,
        on_broken: Callable[[list[str]], None] = lambda paths: None,
    ) -> None:
        self.paths, self.labels, self.batch_sampler = paths, labels, batches
        self.flip, self.device, self.on_broken = flip, device, on_broken
        # Lightning must not see a DataLoader here, or it would put its own sampler into it. The
        # loader's generator keeps the global one as it is.
        self._loader = DataLoader(
            _Files(paths, size, channels),
            batch_size=None,
            sampler=batches,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),
        )

    def close(self) -> None:
        """End the workers now; left to the garbage collector, each takes five seconds to end."""
        # DataLoader has no public way to say so.
        if self._loader.num_workers and self._loader._iterator is not None:
            self._loader._iterator._shutdown_workers()
            self._loader._iterator = None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of samples in [-1, 1] (batch, channels, size, size) and labels (batch,)."""
        mirror = mirrored(self.batch_sampler) if self.flip else None
        for images, index, read in self._loader:
            if not torch.equal(index, read):
                self.on_broken([self.paths[i] for i in index[index != read].tolist()])
            images = images.to(self.device, non_blocking=True)
            labels = self.labels[read].to(self.device, non_blocking=True)
            yield finish(images, None if mirror is None else mirror[index]), labels
