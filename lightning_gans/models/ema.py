"""The running average of a network's weights, in samples seen."""

import torch
from torch import nn

__all__ = ["Average", "ema_decay"]


def ema_decay(samples: int, half_life: float, samples_seen: int, ramp: float = 0.05) -> float:
    """Weight the average keeps after ``samples`` more (StyleGAN2, Karras et al., 2020).

    Args:
        samples: Samples seen since the last update.
        half_life: Samples after which a weight counts half.
        samples_seen: Samples seen in all; early on the half-life is ``ramp`` times this.
        ramp: Largest half-life as a share of the samples seen.

    Returns:
        A number in [0, 1); 0 forgets the average so far.
    """
    half_life = min(half_life, ramp * samples_seen)
    return 0.5 ** (samples / half_life) if half_life > 0 else 0.0


class Average:
    """A running average of a network, kept in another of the same shape.

    Running statistics of batch norm are averaged like weights, since they belong to them; whole
    numbers are copied.

    Args:
        average: The network that holds the average.
        network: The network that is averaged.
    """

    def __init__(self, average: nn.Module, network: nn.Module) -> None:
        pairs = list(
            zip(
                (*average.parameters(), *average.buffers()),
                (*network.parameters(), *network.buffers()),
                strict=True,
            )
        )
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]
        averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        self._ours, self._theirs = (list(part) for part in zip(*averaged, strict=True))

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Average <- decay average + (1 - decay) network."""
        torch._foreach_lerp_(self._ours, self._theirs, 1 - decay)
        for ours, theirs in self._copied:
            ours.copy_(theirs)
