"""Named algorithms: a GAN with other defaults, and nothing else."""

from collections.abc import Iterable

import torch

from lightning_gans.models.game import OptimizerFactory
from lightning_gans.models.gan import GAN, Objective
from lightning_gans.objectives import least_squares, wasserstein
from lightning_gans.schedules import Alternating, Schedule

__all__ = ["LSGAN", "WGAN", "wgan_rmsprop"]


class LSGAN(GAN):
    """LSGAN (Mao et al., 2017): a GAN by least squares, targets 0 for generated and 1 for real."""

    def __init__(self, *args, objective: Objective = least_squares, **kwargs) -> None:
        super().__init__(*args, objective=objective, **kwargs)


def wgan_rmsprop(parameters: Iterable) -> torch.optim.Optimizer:
    """RMSprop at 5e-5 (Arjovsky et al., 2017, algorithm 1)."""
    return torch.optim.RMSprop(parameters, lr=5e-5)


class WGAN(GAN):
    """WGAN (Arjovsky et al., 2017): a linear critic, five moves each, weights clamped to +-0.01."""

    def __init__(
        self,
        *args,
        objective: Objective = wasserstein,
        schedule: Schedule = Alternating(ratio=5),
        generator_optimizer: OptimizerFactory = wgan_rmsprop,
        discriminator_optimizer: OptimizerFactory = wgan_rmsprop,
        clip_weights: float | None = 0.01,
        **kwargs,
    ) -> None:
        super().__init__(
            *args,
            objective=objective,
            schedule=schedule,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            clip_weights=clip_weights,
            **kwargs,
        )
