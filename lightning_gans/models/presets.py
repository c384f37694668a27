"""Named algorithms: a GAN with other defaults, and nothing else."""

from collections.abc import Iterable, Sequence

import torch

from lightning_gans import objectives
from lightning_gans.models.checks import Objective
from lightning_gans.models.game import OptimizerFactory
from lightning_gans.models.gan import GAN
from lightning_gans.objectives import (
    R1,
    R2,
    GradientPenalty,
    LeastSquares,
    Penalty,
    hinge,
    relativistic_paired,
    wasserstein,
)
from lightning_gans.schedules import Accumulated, Alternating, BatchCount, Order, Schedule

__all__ = ["DRAGAN", "GEAN", "LSGAN", "R3GAN", "SNGAN", "WGAN", "WGANGP"]


class LSGAN(GAN):
    """LSGAN (Mao et al., 2017): a GAN by least squares, targets 0 for generated and 1 for real."""

    def __init__(self, *args, objective: Objective = LeastSquares(), **kwargs) -> None:
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


def wgangp_adam(parameters: Iterable) -> torch.optim.Optimizer:
    """Adam at 1e-4 with betas 0 and 0.9 (Gulrajani et al., 2017, algorithm 1)."""
    return torch.optim.Adam(parameters, lr=1e-4, betas=(0.0, 0.9))


class WGANGP(GAN):
    """WGAN-GP (Gulrajani et al., 2017): a linear critic of slope one; it takes no batch norm.

    Args:
        penalty: What keeps the slope at one.
        penalties: Further terms of the critic's loss.
    """

    def __init__(
        self,
        *args,
        objective: Objective = wasserstein,
        penalty: Penalty = GradientPenalty(weight=10.0),
        penalties: Sequence[Penalty] = (),
        schedule: Schedule = Alternating(ratio=5),
        generator_optimizer: OptimizerFactory = wgangp_adam,
        discriminator_optimizer: OptimizerFactory = wgangp_adam,
        **kwargs,
    ) -> None:
        super().__init__(
            *args,
            objective=objective,
            penalties=(penalty, *penalties),
            schedule=schedule,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            **kwargs,
        )


class DRAGAN(GAN):
    """DRAGAN (Kodali et al., 2017): a non-saturating GAN of slope one around the data.

    Args:
        penalty: What keeps the slope at one.
        penalties: Further terms of the discriminator's loss.
    """

    def __init__(
        self,
        *args,
        penalty: Penalty = objectives.DRAGAN(weight=10.0),
        penalties: Sequence[Penalty] = (),
        **kwargs,
    ) -> None:
        super().__init__(*args, penalties=(penalty, *penalties), **kwargs)


def sngan_adam(parameters: Iterable) -> torch.optim.Optimizer:
    """Adam at 2e-4 with betas 0 and 0.9 (Miyato et al., 2018, residual networks)."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.0, 0.9))


class SNGAN(GAN):
    """SNGAN (Miyato et al., 2018): hinge, five critic moves; spectral norm is its network's."""

    def __init__(
        self,
        *args,
        objective: Objective = hinge,
        schedule: Schedule = Alternating(ratio=5),
        generator_optimizer: OptimizerFactory = sngan_adam,
        discriminator_optimizer: OptimizerFactory = sngan_adam,
        **kwargs,
    ) -> None:
        super().__init__(
            *args,
            objective=objective,
            schedule=schedule,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            **kwargs,
        )


def r3gan_adam(parameters: Iterable) -> torch.optim.Optimizer:
    """Adam at 2e-4 with betas 0 and 0.99 (Huang et al., 2024)."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.0, 0.99))


class R3GAN(GAN):
    """R3GAN (Huang et al., 2024): relativistic pairs, R1 and R2; it takes no batch norm.

    Args:
        gamma: Weight of R1 and of R2; the right one grows with the resolution.
        penalties: Further terms of the discriminator's loss.
    """

    def __init__(
        self,
        *args,
        objective: Objective = relativistic_paired,
        gamma: float = 0.05,
        penalties: Sequence[Penalty] = (),
        generator_optimizer: OptimizerFactory = r3gan_adam,
        discriminator_optimizer: OptimizerFactory = r3gan_adam,
        **kwargs,
    ) -> None:
        super().__init__(
            *args,
            objective=objective,
            penalties=(R1(gamma), R2(gamma), *penalties),
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            **kwargs,
        )


class GEAN(GAN):
    """GEAN, accumulated: each player moves once a window, along its mean gradient over it.

    Its direction is the players' optimizers, e.g. `ConjugateDirection`; its phased reading is a
    GAN whose schedule is `Phased`.

    Args:
        window: Batches that a move averages, or ``epoch`` for all those of the epoch.
        order: ``sequential``: the generator's gradients are taken against the discriminator that
            has moved; ``simultaneous``: against the one before.
    """

    def __init__(
        self,
        *args,
        window: BatchCount = "epoch",
        order: Order = "sequential",
        **kwargs,
    ) -> None:
        super().__init__(*args, schedule=Accumulated(window, order), **kwargs)
