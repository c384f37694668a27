"""Sets of image files: decoded once into memory if they fit there, else streamed."""

import hashlib
import os
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from weakref import WeakSet

from lightning.fabric.utilities.data import suggested_max_num_workers

from lightning_gans.data.batches import Batches, CountedBatches
from lightning_gans.data.decode import decode_all, try_decode
from lightning_gans.data.images import SPLITS, Bytes, Images, Labels, kept
from lightning_gans.data.stream import StreamedBatches
from lightning_gans.types import InputError

__all__ = ["Files"]

_MOST_WORKERS = 8
_NAMED = 5


class Files(Images):
    """Images in files of their own; a subclass lists the files of each split.

    Args:
        image_size: Height and width; the centre square of each image is cut out and resized.
        batch_size: Images in a batch of one process.
        root: Folder that holds the set. None: the environment variable LIGHTNING_GANS_DATA,
            else ``data``.
        flip: Mirror training images left to right with probability 1/2.
        keep: Share of the training images to keep of each class named, 0 to 1.
        seed: Seed of the splits, the order of the batches, the flips and ``keep``.
        num_workers: Processes that decode when streaming. None: one less than there are cores,
            at least 1 and at most 8.
        in_memory_gib: Decode all images once into memory if they take at most so many GiB.

    Raises:
        InputError: ``num_workers`` or ``in_memory_gib`` is negative, or as for all images.
    """

    def __init__(
        self,
        image_size: int = 64,
        batch_size: int = 64,
        root: str | None = None,
        flip: bool = False,
        keep: dict[str, float] | None = None,
        seed: int = 0,
        num_workers: int | None = None,
        in_memory_gib: float = 1.0,
    ) -> None:
        super().__init__(image_size, batch_size, root, flip, keep, seed)
        for name, value in (("num_workers", num_workers), ("in_memory_gib", in_memory_gib)):
            if value is not None and value < 0:
                raise InputError(f"data.{name} is {value}; it must be at least 0")
        self.num_workers, self.in_memory_gib = num_workers, in_memory_gib
        self._kept: dict[str, tuple[list[str], Labels]] = {}
        # Weak, as a stream no longer used ends its workers at once when nothing else holds it.
        self._streams: WeakSet[StreamedBatches] = WeakSet()
        self._told = self._checked = False

    @abstractmethod
    def files(self, split: str) -> tuple[list[str], Labels]:
        """Paths of the images of ``split``, and labels (n,)."""

    @property
    def streamed(self) -> bool:
        """Whether the images, decoded, are too large for memory."""
        n = sum(len(self.files(split)[0]) for split in SPLITS)
        return n * self.channels * self.image_size**2 > self.in_memory_gib * (1 << 30)

    def batches(self, split: str, order: CountedBatches) -> Batches:
        """Batches of ``split`` in ``order``, from memory or streamed: they are the same."""
        if not self.streamed:
            return super().batches(split, order)
        paths, labels = self._streamed_files(split)
        workers = self.num_workers
        if workers is None:
            local = self.trainer.num_devices if self.trainer else 1
            workers = min(suggested_max_num_workers(local), _MOST_WORKERS)
        stream = StreamedBatches(
            paths,
            labels,
            order,
            self.image_size,
            self.channels,
            flip=self.flip and split == "train",
            device=self.device,
            num_workers=workers,
            on_broken=self._tell_replaced,
        )
        self._streams.add(stream)
        return stream

    def count(self, split: str) -> int:
        """Number of images of ``split``; those that cannot be read count only when streaming."""
        return len(self._streamed_files(split)[0]) if self.streamed else super().count(split)

    def fingerprint(self, split: str) -> str:
        """As for all images; of streamed ones their paths, sizes and times of change."""
        if not self.streamed:
            return super().fingerprint(split)
        paths, _ = self._streamed_files(split)
        told = [(path, _stamp(path)) for path in paths]
        mirrored = self.flip and split == "train"
        return hashlib.sha256(repr((self.event_shape, mirrored, told)).encode()).hexdigest()

    def read(self, split: str) -> dict[str, tuple[Bytes, Labels]]:
        """The decoded images of every split; of ``split`` alone where all are too many."""
        names = [split] if self.streamed else list(SPLITS)
        lists = [self.files(name) for name in names]
        paths = [path for part, _ in lists for path in part]
        images, readable = decode_all(paths, self.image_size, self.channels)
        broken = [path for path, good in zip(paths, readable.tolist(), strict=True) if not good]
        if len(broken) == len(paths):
            raise InputError(self._none_readable(broken))
        self._tell_skipped(broken)
        good = readable.split([len(part) for part, _ in lists])
        parts = images.split([int(own.sum()) for own in good])
        return {
            name: (part, labels[own])
            for name, part, (_, labels), own in zip(names, parts, lists, good, strict=True)
        }

    def teardown(self, stage: str) -> None:
        """End the workers, and give the accelerator's memory back."""
        super().teardown(stage)
        for stream in self._streams:
            stream.close()

    def ignored(self) -> list[str]:
        """Paths that are plainly no images, to be named with the broken ones."""
        return []

    def _streamed_files(self, split: str) -> tuple[list[str], Labels]:
        if not self._checked:
            paths = [path for name in SPLITS for path in self.files(name)[0]]
            if not any(self._readable(path) for path in paths):
                raise InputError(self._none_readable(paths))
            self._checked = True
        if split not in self._kept:
            paths, labels = self.files(split)
            if split == "train" and self.keep:
                index = kept(labels, self.class_names, self.keep, self.seed)
                paths, labels = [paths[i] for i in index.tolist()], labels[index]
            self._kept[split] = paths, labels
        return self._kept[split]

    def _readable(self, path: str) -> bool:
        return try_decode(path, self.image_size, self.channels) is not None

    def _none_readable(self, paths: Sequence[str]) -> str:
        return f"none of the {len(paths)} image files can be read: {self._names(paths)}"

    def _names(self, paths: Sequence[str]) -> str:
        """The first few of ``paths``, as seen from the root."""
        shown = [os.path.relpath(path, self.root) for path in paths[:_NAMED]]
        return ", ".join(shown) + (", ..." if len(paths) > _NAMED else "")

    def _tell_skipped(self, broken: Sequence[str]) -> None:
        skipped = [*broken, *self.ignored()]
        if skipped and not self._told:
            self._told = True
            warnings.warn(
                f"{self.root}: skipped {len(skipped)} of the files, broken or no images: "
                f"{self._names(skipped)}",
                stacklevel=2,
            )

    def _tell_replaced(self, broken: list[str]) -> None:
        if not self._told:
            self._told = True
            warnings.warn(
                f"{self.root}: {self._names(broken)} cannot be read; the next image takes the "
                "place of a broken one, here and from now on",
                stacklevel=2,
            )


def _stamp(path: str) -> tuple[int, int] | None:
    """Size and time of change; None of a file that is gone, which training replaces, too."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
