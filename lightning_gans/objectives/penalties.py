"""Penalties: terms of the discriminator's loss that look at more than its logits.

Each is a scalar (), a mean over the logits of its batch; gradients are with respect to events, and
their norms are per logit, over all dimensions of an event, or of the events of a pack. They are
those of a discriminator that judges events, or packs, one by one: with batch norm or a layer that
compares a batch's samples, a logit's gradient by the others is counted with theirs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu

from lightning_gans.types import Events, InputError, Logits

__all__ = ["DRAGAN", "R1", "R2", "GradientPenalty", "Judged", "Penalty"]


class Judged(NamedTuple):
    """What a penalty may look at, of one discriminator's turn.

    Attributes:
        discriminator: The one that is penalised, with its augmentation if it has any.
        real: Real events, which require grad: ``real_logits`` were computed from them.
        fake: As many generated events, which require grad; they lead to the generator where an
            update differentiates through the discriminator's loss, and to nothing else elsewhere.
        real_logits: The discriminator's logits of ``real``.
        fake_logits: The discriminator's logits of ``fake``.
        batch: The number of the discriminator's batch; the same for all passes over it.
    """

    discriminator: Callable[[Events], Logits]
    real: Events
    fake: Events
    real_logits: Logits
    fake_logits: Logits
    batch: int = 0


class Penalty(ABC):
    """A term of the discriminator's loss."""

    def due(self, batch: int) -> bool:
        """Whether it counts on the discriminator's ``batch``-th batch, the first being 0."""
        return True

    @abstractmethod
    def __call__(self, judged: Judged) -> Tensor:
        """The term (), to be added to the discriminator's mean loss."""


def refuse_below_zero(penalty: Penalty, *names: str) -> None:
    """Refuse what would reward instead."""
    for name in names:
        if not (value := getattr(penalty, name)) >= 0:
            raise InputError(f"{type(penalty).__name__}.{name} is {value}; it must be at least 0")


def _squared_norms(logits: Logits, events: Events) -> Logits:
    """Each ||grad_x D(x)||^2, in 32 bits at least, x being the events of one logit.

    The graph is kept: a penalty is there to be differentiated again.
    """
    (gradients,) = torch.autograd.grad(logits.sum(), events, create_graph=True)
    gradients = gradients.reshape(len(logits), -1)
    return (gradients.float() if gradients.itemsize < 4 else gradients).square().sum(1)


def _slopes(judged: Judged, points: Events) -> Logits:
    """Each ||grad_x D(x)|| at ``points``, by a pass; where it is 0, so are all its derivatives."""
    # Not detached: an update may ask how the penalty depends on what the generator made.
    squares = _squared_norms(judged.discriminator(points), points)
    flat = squares == 0
    return squares.masked_fill(flat, 1).sqrt().masked_fill(flat, 0)


def _uniform(judged: Judged) -> Tensor:
    """One number of U[0, 1) per logit (batch, 1 ...), to be spread over its events."""
    real, packs = judged.real, len(judged.real_logits)
    drawn = torch.rand(packs, *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device)
    return drawn.repeat_interleave(len(real) // packs, 0)


@dataclass(frozen=True)
class R1(Penalty):
    """Zero-centred gradient penalty on real events (Mescheder et al., 2018): no further pass.

    Args:
        gamma: The term is gamma/2 E ||grad_x D(x)||^2; at least 0. GAN_stability's training code
            leaves out the 1/2, so its 10 is 20 here.
    """

    gamma: float = 10.0

    def __post_init__(self) -> None:
        """Refuse a reward for steepness."""
        refuse_below_zero(self, "gamma")

    def __call__(self, judged: Judged) -> Tensor:
        """gamma/2 E ||grad_x D(x)||^2 over real x."""
        return self.gamma / 2 * _squared_norms(judged.real_logits, judged.real).mean()


@dataclass(frozen=True)
class R2(Penalty):
    """Zero-centred gradient penalty on generated events (Mescheder et al., 2018).

    Args:
        gamma: The term is gamma/2 E ||grad_x D(x)||^2, as in `R1`; at least 0.
    """

    gamma: float = 10.0

    def __post_init__(self) -> None:
        """Refuse a reward for steepness."""
        refuse_below_zero(self, "gamma")

    def __call__(self, judged: Judged) -> Tensor:
        """gamma/2 E ||grad_x D(x)||^2 over generated x."""
        return self.gamma / 2 * _squared_norms(judged.fake_logits, judged.fake).mean()


@dataclass(frozen=True)
class GradientPenalty(Penalty):
    """WGAN-GP (Gulrajani et al., 2017): slopes of ``target`` between real and generated events.

    Points are e x + (1 - e) G(z) with one e ~ U[0, 1) per sample; one further pass. Of a
    discriminator of packs, x and G(z) are packs, so a pack has one e: its point is on the segment
    between the two. The discriminator should treat samples one by one, so no batch norm.

    Args:
        weight: The term is weight E (||grad_x D(x)|| - target)^2, without a 1/2.
        target: Of the slope.
        one_sided: Leave slopes below the target alone.

    Raises:
        InputError: A number is below 0.
    """

    weight: float = 10.0
    target: float = 1.0
    one_sided: bool = False

    def __post_init__(self) -> None:
        """Refuse a reward for steepness, and a target that no slope can meet."""
        refuse_below_zero(self, "weight", "target")

    def __call__(self, judged: Judged) -> Tensor:
        """Weight E (||grad_x D(x)|| - target)^2 over the points between."""
        points = torch.lerp(judged.fake, judged.real, _uniform(judged))
        excess = _slopes(judged, points) - self.target
        return self.weight * (relu(excess) if self.one_sided else excess).square().mean()


@dataclass(frozen=True)
class DRAGAN(Penalty):
    """Slopes of ``target`` around the data (Kodali et al., 2017); one further pass.

    Points are as in the authors' code: x + e noise s u with one e ~ U[0, 1) per sample, one
    u ~ U[0, 1) per coordinate, and s the standard deviation of all coordinates of the batch.
    The paper writes N(0, c) for what is added. The events of a pack share one e.

    Args:
        weight: The term is weight E (||grad_x D(x)|| - target)^2, without a 1/2.
        noise: Size of the perturbation, in standard deviations of the batch.
        target: Of the slope.

    Raises:
        InputError: A number is below 0.
    """

    weight: float = 10.0
    noise: float = 0.5
    target: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a reward for steepness, and a target that no slope can meet."""
        refuse_below_zero(self, "weight", "noise", "target")

    def __call__(self, judged: Judged) -> Tensor:
        """Weight E (||grad_x D(x)|| - target)^2 over the points around real events."""
        real = judged.real
        size = self.noise * real.std(correction=0) * _uniform(judged)
        slopes = _slopes(judged, real + size * torch.rand_like(real))
        return self.weight * (slopes - self.target).square().mean()
