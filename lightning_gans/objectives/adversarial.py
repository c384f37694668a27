"""What each player minimises, as pure functions of the discriminator's logits.

Every function takes logits of real and of generated samples, both (batch,) and higher for real,
and returns one loss per sample for each player. All are computed from logits with softplus, so
they are finite wherever the logits are. Those with settings are `Configured`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import sigmoid
from torch.nn.functional import relu, softplus

from lightning_gans.types import InputError, Logits, Losses

__all__ = [
    "Configured",
    "LeastSquares",
    "Smoothed",
    "hinge",
    "hybrid",
    "least_squares",
    "minimax",
    "non_saturating",
    "relativistic_average",
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


def relativistic_average(real: Logits, fake: Logits) -> Losses:
    """RaGAN (Jolicoeur-Martineau, 2019): each logit against the mean of the other side's.

    Term i of each loss is of real i and fake i; their mean is the paper's loss.
    """
    real_over, fake_over = real - fake.mean(), fake - real.mean()
    return Losses(
        discriminator=softplus(-real_over) + softplus(fake_over),
        generator=softplus(-fake_over) + softplus(real_over),
    )


def hybrid(real: Logits, fake: Logits) -> Losses:
    """Cross-entropy for D (Goodfellow et al., 2014), squared error of D's probability for G.

    The generator minimises (1 - sigmoid(fake))^2.
    """
    return Losses(
        discriminator=softplus(-real) + softplus(fake),
        generator=sigmoid(-fake).square(),
    )


class Configured(ABC):
    """An objective with settings, called like the functions."""

    @abstractmethod
    def __call__(self, real: Logits, fake: Logits) -> Losses:
        """Each player's loss, one per sample."""


@dataclass(frozen=True)
class LeastSquares(Configured):
    """LSGAN (Mao et al., 2017) with other targets, e.g. -1, 1, 0 for Pearson's chi-squared.

    Args:
        a: The discriminator's target for generated samples.
        b: The discriminator's target for real samples.
        c: The generator's target for generated samples.
    """

    a: float = 0.0
    b: float = 1.0
    c: float = 1.0

    def __call__(self, real: Logits, fake: Logits) -> Losses:
        """`least_squares` with these targets."""
        return least_squares(real, fake, self.a, self.b, self.c)


@dataclass(frozen=True)
class Smoothed(Configured):
    """One-sided label smoothing (Salimans et al., 2016), generator as in `non_saturating`.

    Args:
        real: The discriminator's target probability for real samples.
        fake: That for generated samples; above 0 it smooths both sides, which they advise against.

    Raises:
        InputError: A target is not in [0, 1].
    """

    real: float = 0.9
    fake: float = 0.0

    def __post_init__(self) -> None:
        """Refuse targets that are not probabilities."""
        for name, value in {"real": self.real, "fake": self.fake}.items():
            if not 0 <= value <= 1:
                raise InputError(f"Smoothed.{name} is {value}; it must be in [0, 1]")

    def __call__(self, real: Logits, fake: Logits) -> Losses:
        """Cross-entropy to the targets for the discriminator, -log D(G(z)) for the generator."""
        return Losses(
            discriminator=_cross_entropy(real, self.real) + _cross_entropy(fake, self.fake),
            generator=softplus(-fake),
        )


def _cross_entropy(logits: Logits, target: float) -> Logits:
    """-t log sigmoid(x) - (1 - t) log(1 - sigmoid(x))."""
    return target * softplus(-logits) + (1 - target) * softplus(logits)
