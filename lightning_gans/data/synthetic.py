"""Two-dimensional data whose law is known, drawn for ever by seed."""

import math

import torch
from torch import Tensor

from lightning_gans.data.batches import Batches, CountedBatches, GeneratedBatches
from lightning_gans.data.module import Data
from lightning_gans.types import InputError

__all__ = ["Ring"]

_SPLITS = {"train": 0, "val": 1, "test": 2}


class Ring(Data):
    """Equal Gaussians with distinct centres, evenly spaced on a circle; labels are the modes.

    Args:
        modes: Number of Gaussians; centre i lies at the angle 2 pi i / modes.
        radius: Of the circle.
        std: Standard deviation of each Gaussian along each axis.
        batch_size: Points in a batch of one process.
        batches_per_epoch: An epoch, for data without end.
        held_out: Points in the validation and in the test set.
        seed: Seed of every draw.

    Raises:
        InputError: A size is not positive.
    """

    event_shape = (2,)

    def __init__(
        self,
        modes: int = 8,
        radius: float = 1.0,
        std: float = 0.01,
        batch_size: int = 512,
        batches_per_epoch: int = 500,
        held_out: int = 4096,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed)
        given = {
            "modes": modes,
            "radius": radius,
            "std": std,
            "batches_per_epoch": batches_per_epoch,
            "held_out": held_out,
        }
        for name, value in given.items():
            if value <= 0:
                raise InputError(f"data.{name} is {value}; it must be above 0")
        self.std, self.held_out, self.batches_per_epoch = std, held_out, batches_per_epoch
        angles = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
        self.centres = radius * torch.stack([angles.cos(), angles.sin()], dim=1).float()
        self.class_names = tuple(f"mode {i}" for i in range(modes))

    def count(self, split: str) -> int:
        """Points that make an epoch of ``split``, all processes together."""
        if split != "train":
            return self.held_out
        world_size = self.trainer.world_size if self.trainer else 1
        return self.batches_per_epoch * self.batch_size * world_size

    def batches(self, split: str, order: CountedBatches) -> Batches:
        """Fresh points each epoch for training; the same ones each time for the other splits."""
        order.seed = self.seed * len(_SPLITS) + _SPLITS[split]
        return GeneratedBatches(self.draw, order)

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """``n`` points (n, 2) of the mixture and their modes (n,)."""
        labels = torch.randint(len(self.centres), (n,), generator=generator)
        noise = torch.randn(n, 2, generator=generator)
        return torch.add(self.centres[labels], noise, alpha=self.std), labels
