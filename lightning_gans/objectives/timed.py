"""Weights in time: penalties made seldom or faded out, a divergence warmed up."""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from lightning_gans.objectives.penalties import Judged, Penalty, refuse_below_zero
from lightning_gans.types import InputError

__all__ = ["Annealed", "Lazy", "Warmup"]


@dataclass(frozen=True)
class Lazy(Penalty):
    """Lazy regularisation (StyleGAN2, Karras et al., 2020): every so often, and more of it.

    Args:
        penalty: What to do seldom; none with running averages, which must see every batch.
        every: The term counts on batches 0, every, 2 every ..., times ``every``.

    Raises:
        InputError: ``every`` is below 1, or the penalty has a state.
    """

    penalty: Penalty
    every: int = 16

    def __post_init__(self) -> None:
        """Refuse what cannot be done seldom."""
        if self.every < 1:
            raise InputError(f"Lazy.every is {self.every}; it must be at least 1")
        if isinstance(self.penalty, nn.Module):
            name = type(self.penalty).__name__
            raise InputError(f"Lazy.penalty is {name}, whose averages must see every batch")

    def due(self, batch: int) -> bool:
        """On batches 0, every, 2 every ... of those that the penalty is given."""
        return batch % self.every == 0 and self.penalty.due(batch // self.every)

    def __call__(self, judged: Judged) -> Tensor:
        """The penalty, times ``every``."""
        return self.every * self.penalty(judged)


@dataclass(frozen=True)
class Annealed(Penalty):
    """A penalty whose weight falls along a half cosine (R3GAN, Huang et al., 2024).

    The factor is f + (1 - f) (1 + cos(pi t)) / 2, with f = ``final`` and t going from 0 to 1
    within ``batches``. Around `Lazy` or inside it, the time is that of the discriminator.

    Args:
        penalty: What to fade; none with running averages.
        batches: Batches of the discriminator until the factor, 1 on its batch 0, is ``final``;
            there it stays.
        final: The last factor; above 1 the weight grows.

    Raises:
        InputError: ``batches`` is below 1, ``final`` below 0, or the penalty has a state.
    """

    penalty: Penalty
    batches: int
    final: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a time that never passes, a reward, and what a checkpoint would forget."""
        if self.batches < 1:
            raise InputError(f"Annealed.batches is {self.batches}; it must be at least 1")
        refuse_below_zero(self, "final")
        if isinstance(self.penalty, nn.Module):
            name = type(self.penalty).__name__
            raise InputError(f"Annealed.penalty is {name}, whose averages must be saved")

    def due(self, batch: int) -> bool:
        """When the penalty is."""
        return self.penalty.due(batch)

    def factor(self, batch: int) -> float:
        """What the penalty is multiplied with on the discriminator's ``batch``-th batch."""
        time = min(batch / self.batches, 1.0)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * time)) / 2

    def __call__(self, judged: Judged) -> Tensor:
        """The penalty, times the factor of this batch."""
        return self.factor(judged.batch) * self.penalty(judged)


@dataclass(frozen=True)
class Warmup:
    """A weight that grows from 0 (Bowman et al., 2016), so that latents are used before it counts.

    Args:
        samples: Samples seen at which the weight, growing linearly, is ``final``; there it stays.
        final: The weight then.

    Raises:
        InputError: ``samples`` is below 1, or ``final`` below 0.
    """

    samples: int
    final: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a time that has passed before it began, and a reward."""
        if self.samples < 1:
            raise InputError(f"Warmup.samples is {self.samples}; it must be at least 1")
        if not self.final >= 0:
            raise InputError(f"Warmup.final is {self.final}; it must be at least 0")

    def __call__(self, samples_seen: int) -> float:
        """The weight after ``samples_seen`` samples."""
        return self.final * min(samples_seen / self.samples, 1.0)
