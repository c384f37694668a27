"""What each player minimises, as pure functions of the discriminator's logits.

Every function takes logits of real and of generated samples, both (batch,) and higher for real,
and returns one loss per sample for each player. All are computed from logits with softplus, so
they are finite wherever the logits are.
"""

from torch import sigmoid
from torch.nn.functional import relu, softplus

from lightning_gans.types import Logits, Losses

__all__ = [
    "hinge",
    "hybrid",
    "least_squares",
    "minimax",
    "non_saturating",
    "relativistic_paired",
    "wasserstein",
]


def minimax(real: Logits, fake: Logits) -> Losses:
    """The zero-sum game of Goodfellow et al. (2014), whose generator saturates."""
    return Losses(
        discriminator=softplus(-real) + softplus(fake),
        generator=-softplus(fake),
    )


def non_saturating(real: Logits, fake: Logits) -> Losses:
    """The generator maximises log D(G(z)) instead (Goodfellow et al., 2014, section 3)."""
    return Losses(
        discriminator=softplus(-real) + softplus(fake),
        generator=softplus(-fake),
    )


def least_squares(
    real: Logits, fake: Logits, a: float = 0.0, b: float = 1.0, c: float = 1.0
) -> Losses:
    """LSGAN (Mao et al., 2017): targets a for generated, b for real, c for the generator."""
    return Losses(
        discriminator=0.5 * (real - b).square() + 0.5 * (fake - a).square(),
        generator=0.5 * (fake - c).square(),
    )


def wasserstein(real: Logits, fake: Logits) -> Losses:
    """The linear critic of WGAN (Arjovsky et al., 2017); the critic needs a Lipschitz bound."""
    return Losses(discriminator=fake - real, generator=-fake)


def hinge(real: Logits, fake: Logits) -> Losses:
    """Geometric GAN (Lim and Ye, 2017), as used by SNGAN (Miyato et al., 2018)."""
    return Losses(discriminator=relu(1 - real) + relu(1 + fake), generator=-fake)


def relativistic_paired(real: Logits, fake: Logits) -> Losses:
    """RpGAN (Jolicoeur-Martineau, 2019; R3GAN, Huang et al., 2024): real i against fake i."""
    return Losses(discriminator=softplus(fake - real), generator=softplus(real - fake))


def hybrid(real: Logits, fake: Logits) -> Losses:
    """Cross-entropy for D (Goodfellow et al., 2014), squared error of D's probability for G.

    The generator minimises (1 - sigmoid(fake))^2.
    """
    return Losses(
        discriminator=softplus(-real) + softplus(fake),
        generator=sigmoid(-fake).square(),
    )
