"""The base of every data set: sizes, the order of batches, and the place to go on from."""

import hashlib
from abc import ABC, abstractmethod

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from lightning_gans.data.batches import Batches, CountedBatches
from lightning_gans.types import InputError

__all__ = ["Data"]

_HASHED_AT_ONCE = 4096


class Data(LightningDataModule, ABC):
    """Training, validation and test batches ``(samples, labels)`` of events in a fixed shape.

    Args:
        batch_size: Samples in a batch of one process.
        seed: Seed of the splits, the order of the batches and the flips.

    Raises:
        InputError: ``batch_size`` is below 1, or above the number of training samples.
    """

    event_shape: tuple[int, ...]
    """Shape of one sample, e.g. (channels, height, width)."""

    bin_width: float | None = None
    """Distance of neighbouring values where samples are on a grid, as images of bytes are."""

    drop_last = True
    """Whether a training epoch leaves out the samples that fill no batch; models may need them."""

    same_each_epoch = False
    """Whether all training epochs are the first one again: its order, its flips, its draws."""

    class_names: tuple[str, ...]
    """Name of each label; empty where labels mean nothing."""

    def __init__(self, batch_size: int, seed: int) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"data.batch_size is {batch_size}; it must be at least 1")
        self.batch_size, self.seed = batch_size, seed
        self._samples_into_epoch = 0
        self._shifted = (0, 0)

    @abstractmethod
    def batches(self, split: str, order: CountedBatches) -> Batches:
        """The loader of ``split`` (train, val or test) in ``order``."""

    @abstractmethod
    def count(self, split: str) -> int:
        """Number of samples of ``split`` that make an epoch."""

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the events of ``split`` in hexadecimal: equal ones have equal statistics."""
        content = hashlib.sha256(repr(self.event_shape).encode())
        order = CountedBatches(self.count(split), _HASHED_AT_ONCE, shuffle=False, drop_last=False)
        for events, _ in self.batches(split, order):
            content.update(events.cpu().contiguous().numpy())
        return content.hexdigest()

    def train_dataloader(self) -> Batches:
        """Batches in an order of each epoch's own, from where a resumed run stopped."""
        order = self._training_order()
        order.same_each_epoch = self.same_each_epoch
        if len(order) == 0:
            size = self.batch_size * order.world_size
            raise InputError(
                f"data.batch_size asks for {size} samples a batch, "
                f"but the training set has {order.n}; choose at most {order.n}"
            )
        order.skip, self._samples_into_epoch = self._samples_into_epoch, 0
        return self.batches("train", order)

    def batches_into_epoch(self) -> tuple[int, int]:
        """Batches, of the present size, that a resumed epoch has behind it, and in all.

        Under another number of processes than before they count from the epoch's end, so that it
        ends where its samples do.
        """
        order, samples = self._training_order(), self._samples_into_epoch
        return max(len(order) - order.after(samples), int(samples > 0)), len(order)

    def samples_at(self, batch: int, epoch: int) -> int:
        """Samples of ``epoch`` that lie before its ``batch``-th batch."""
        resumed, shift = self._shifted
        return batch * self._training_order().size + (shift if epoch == resumed else 0)

    def events_in(self, batch: int, epoch: int) -> int:
        """Events of all processes in the ``batch``-th training batch of ``epoch``."""
        order = self._training_order()
        return min(order.size, order.n - self.samples_at(batch, epoch))

    def val_dataloader(self) -> Batches:
        """Every validation sample once, always in the same order."""
        return self._held_out("val")

    def test_dataloader(self) -> Batches:
        """Every test sample once, always in the same order."""
        return self._held_out("test")

    def _held_out(self, split: str) -> Batches:
        order = self._order(split, shuffle=False, drop_last=False)
        # Lightning tells these of the epoch, too; events that are drawn would be others in each.
        order.same_each_epoch = True
        return self.batches(split, order)

    def predict_dataloader(self) -> Batches:
        """The test samples."""
        return self.test_dataloader()

    def transfer_batch_to_device(
        self, batch: tuple[Tensor, Tensor], device: torch.device, dataloader_idx: int
    ) -> tuple[Tensor, Tensor]:
        """The pair on ``device``; the same pair where it is there already."""
        samples, labels = batch
        if samples.device == device and labels.device == device:
            return batch
        return samples.to(device, non_blocking=True), labels.to(device, non_blocking=True)

    def state_dict(self) -> dict[str, int]:
        """The place in the epoch, in samples so that it holds for any number of processes."""
        each = max(1, int(self.trainer.num_training_batches))
        epoch, batch = divmod(self.trainer.global_step, each)
        return {"samples_into_epoch": self.samples_at(batch, epoch) if batch else 0, "epoch": epoch}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Start the next training epoch where ``state_dict`` was taken."""
        self._samples_into_epoch = samples = state_dict["samples_into_epoch"]
        batches, _ = self.batches_into_epoch()
        shift = samples - batches * self._training_order().size
        self._shifted = (state_dict.get("epoch", 0), shift)

    @property
    def device(self) -> torch.device:
        """Where the trainer computes; the CPU without a trainer."""
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _training_order(self) -> CountedBatches:
        return self._order("train", shuffle=True, drop_last=self.drop_last)

    def _order(self, split: str, shuffle: bool, drop_last: bool) -> CountedBatches:
        rank, world = (
            (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        )
        return CountedBatches(
            self.count(split), self.batch_size, self.seed, shuffle, drop_last, rank, world
        )
