"""Data whose law is known, a mixture of Gaussians, drawn for ever by seed."""

import math
import warnings

import torch
from torch import Tensor

from lightning_gans.data.batches import Batches, CountedBatches, GeneratedBatches
from lightning_gans.data.gaussians import Gaussians, overlapping, power_weights
from lightning_gans.data.module import Data
from lightning_gans.errors import InputError

__all__ = ["Grid", "Ring", "Synthetic", "above_zero", "spheres"]

_SPLITS = {"train": 0, "val": 1, "test": 2}


def above_zero(**given: int | float) -> None:
    """Refuse a size, by the name the user knows, that is not above 0."""
    for name, value in given.items():
        if not value > 0:
            raise InputError(f"data.{name} is {value}; it must be above 0")


def spheres(std: float, modes: int, dimension: int) -> Tensor:
    """Equal spherical covariances (modes, dimension, dimension)."""
    return (std**2 * torch.eye(dimension, dtype=torch.float64)).expand(modes, -1, -1)


class Synthetic(Data):
    """Points of a known law, fresh ones in every epoch; labels are the modes.

    Args:
        law: What points are drawn from.
        protocol: The law's name with its numbers, as metrics carry it, e.g. ring8_r1_std0.01.
        batch_size: Points in a batch of one process.
        batches_per_epoch: An epoch, for data without end.
        held_out: Points in the validation and in the test set.
        seed: Seed of every draw.

    Raises:
        InputError: A size is not positive.
    """

    def __init__(
        self,
        law: Gaussians,
        protocol: str,
        batch_size: int = 512,
        batches_per_epoch: int = 500,
        held_out: int = 4096,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed)
        above_zero(batches_per_epoch=batches_per_epoch, held_out=held_out)
        self.law, self.protocol = law, protocol
        self.held_out, self.batches_per_epoch = held_out, batches_per_epoch
        modes, dimension = law.means.shape
        self.event_shape = (dimension,)
        self.class_names = tuple(f"mode {i}" for i in range(modes))
        if pairs := overlapping(law):
            (i, j), more = pairs[0], f" and {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
            warnings.warn(
                f"modes {i} and {j}{more} of the data overlap: within 3 standard deviations of one "
                f"centre lie points of another, so samples cannot be told apart by mode and counts "
                f"of modes mean less; a smaller std or centres farther apart avoid it",
                stacklevel=2,
            )

    def count(self, split: str) -> int:
        """Points that make an epoch of ``split``, all processes together."""
        if split != "train":
            return self.held_out
        world_size = self.trainer.world_size if self.trainer else 1
        return self.batches_per_epoch * self.batch_size * world_size

    def batches(self, split: str, order: CountedBatches) -> Batches:
        """Fresh points each epoch for training; the same ones each time for the other splits."""
        order.seed = self.seed * len(_SPLITS) + _SPLITS[split]
        return GeneratedBatches(self.law.sample, order)


class Ring(Synthetic):
    """Gaussians with distinct centres, evenly spaced on a circle (after Metz et al., 2017).

    Args:
        modes: Number of Gaussians; centre i lies at the angle 2 pi i / modes.
        radius: Of the circle.
        std: Standard deviation of each Gaussian along each axis.
        power: Mode i has a weight proportional to (i + 1)^-power; 0 makes them equal.
        batch_size: Points in a batch of one process.
        batches_per_epoch: An epoch, for data without end.
        held_out: Points in the validation and in the test set.
        seed: Seed of every draw.

    Raises:
        InputError: A size is not positive.
    """

    def __init__(
        self,
        modes: int = 8,
        radius: float = 1.0,
        std: float = 0.01,
        power: float = 0.0,
        batch_size: int = 512,
        batches_per_epoch: int = 500,
        held_out: int = 4096,
        seed: int = 0,
    ) -> None:
        above_zero(modes=modes, radius=radius, std=std)
        angles = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
        centres = radius * torch.stack([angles.cos(), angles.sin()], dim=1)
        law = Gaussians(centres, spheres(std, modes, 2), power_weights(modes, power))
        protocol = f"ring{modes}_r{radius:g}_std{std:g}" + (f"_power{power:g}" if power else "")
        super().__init__(law, protocol, batch_size, batches_per_epoch, held_out, seed)


class Grid(Synthetic):
    """Gaussians on a square grid around the origin (after VEEGAN, Srivastava et al., 2017).

    Args:
        side: Gaussians a side; there are side^2 of them, row by row.
        spacing: Between neighbouring centres.
        std: Standard deviation of each Gaussian along each axis.
        power: Mode i has a weight proportional to (i + 1)^-power; 0 makes them equal.
        batch_size: Points in a batch of one process.
        batches_per_epoch: An epoch, for data without end.
        held_out: Points in the validation and in the test set.
        seed: Seed of every draw.

    Raises:
        InputError: A size is not positive.
    """

    def __init__(
        self,
        side: int = 5,
        spacing: float = 2.0,
        std: float = 0.05,
        power: float = 0.0,
        batch_size: int = 512,
        batches_per_epoch: int = 500,
        held_out: int = 4096,
        seed: int = 0,
    ) -> None:
        above_zero(side=side, spacing=spacing, std=std)
        axis = spacing * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
        centres = torch.cartesian_prod(axis, axis)
        law = Gaussians(centres, spheres(std, side**2, 2), power_weights(side**2, power))
        protocol = f"grid{side**2}_d{spacing:g}_std{std:g}" + (f"_power{power:g}" if power else "")
        super().__init__(law, protocol, batch_size, batches_per_epoch, held_out, seed)
