"""Mixtures of Gaussians in any dimension: given in full, or random by seed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_gans.data.gaussians import Gaussians, power_weights
from lightning_gans.data.synthetic import Synthetic, above_zero, spheres
from lightning_gans.errors import InputError

__all__ = ["Mixture", "RandomMixture"]


class Mixture(Synthetic):
    """Any mixture of Gaussians, in any dimension.

    Args:
        means: The centre of each mode.
        stds: Standard deviation along each axis: one number, or one for each mode.
        covariances: A matrix for each mode, instead of ``stds``.
        weights: Share of each mode, above 0, scaled to sum to 1; None makes them equal.
        name: As the names of metrics carry it.
        batch_size: Points in a batch of one process.
        batches_per_epoch: An epoch, for data without end.
        held_out: Points in the validation and in the test set.
        seed: Seed of every draw.

    Raises:
        InputError: There is no mode, the shapes disagree, or a number is out of range.
    """

    def __init__(
        self,
        means: Sequence[Sequence[float]],
        stds: float | Sequence[float] = 1.0,
        covariances: Sequence[Sequence[Sequence[float]]] | None = None,
        weights: Sequence[float] | None = None,
        name: str = "mixture",
        batch_size: int = 512,
        batches_per_epoch: int = 500,
        held_out: int = 4096,
        seed: int = 0,
    ) -> None:
        centres = _numbers("means", means, 2)
        modes, dimension = centres.shape
        if covariances is None:
            sizes = _numbers("stds", [stds] * modes if isinstance(stds, (int, float)) else stds, 1)
            if len(sizes) != modes or not bool((sizes > 0).all()):
                raise InputError(
                    f"data.stds is {stds}; it must be a number above 0, or {modes} of them, one "
                    f"for each of data.means"
                )
            spreads = sizes.square()[:, None, None] * torch.eye(dimension, dtype=torch.float64)
        elif stds != 1.0:
            raise InputError("data.stds and data.covariances say the same; give one of them")
        else:
            spreads = _numbers("covariances", covariances, 3)
        law = Gaussians(
            centres, spreads, None if weights is None else _numbers("weights", weights, 1)
        )
        protocol = f"{name}{modes}_{dimension}d"
        super().__init__(law, protocol, batch_size, batches_per_epoch, held_out, seed)


def _numbers(name: str, given: Sequence, ndim: int) -> Tensor:
    """Nested lists as a tensor of ``ndim`` dimensions in 64 bits."""
    try:
        numbers = torch.tensor(given, dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"data.{name} must be lists of numbers, all of a length") from error
    if numbers.ndim != ndim or numbers.numel() == 0 or not bool(numbers.isfinite().all()):
        what = {1: "a list", 2: "a list of points", 3: "a list of square matrices"}[ndim]
        raise InputError(f"data.{name} must be {what} of finite numbers, one for each mode")
    return numbers


class RandomMixture(Synthetic):
    """A mixture of equal spheres with centres drawn uniformly from a cube.

    Args:
        modes: Number of Gaussians.
        dimension: Of the points.
        spread: The cube is [-spread, spread]^dimension.
        std: Standard deviation of each Gaussian along each axis.
        power: Mode i has a weight proportional to (i + 1)^-power; 0 makes them equal.
        law_seed: Seed of the centres.
        batch_size: Points in a batch of one process.
        batches_per_epoch: An epoch, for data without end.
        held_out: Points in the validation and in the test set.
        seed: Seed of every draw of points.

    Raises:
        InputError: A size is not positive.
    """

    def __init__(
        self,
        modes: int = 50,
        dimension: int = 10,
        spread: float = 1.0,
        std: float = 0.05,
        power: float = 0.0,
        law_seed: int = 0,
        batch_size: int = 512,
        batches_per_epoch: int = 500,
        held_out: int = 4096,
        seed: int = 0,
    ) -> None:
        above_zero(modes=modes, dimension=dimension, spread=spread, std=std)
        source = torch.Generator().manual_seed(law_seed)
        uniform = torch.rand(modes, dimension, generator=source, dtype=torch.float64)
        law = Gaussians(
            spread * (2 * uniform - 1), spheres(std, modes, dimension), power_weights(modes, power)
        )
        protocol = f"random{modes}_{dimension}d_spread{spread:g}_std{std:g}_law{law_seed}"
        protocol += f"_power{power:g}" if power else ""
        super().__init__(law, protocol, batch_size, batches_per_epoch, held_out, seed)
