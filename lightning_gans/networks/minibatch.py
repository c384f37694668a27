"""Layers that let a discriminator see how diverse a batch is, against mode collapse.

With one of them a discriminator no longer judges samples one by one: a logit depends on the samples
beside it. So its slope by one sample counts what that sample does to the others' logits, which
WGAN-GP, R1 and their like do not mean; held-out batches that are smaller or sorted get other
logits; and ``model.accumulate`` shows it parts of a batch instead of the batch. Of a discriminator
of packs (``packing``) the samples are packs.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.networks.layers import at_least

__all__ = [
    "Minibatch",
    "MinibatchDiscrimination",
    "MinibatchStd",
    "looks_at_batches",
    "with_minibatch",
]

Minibatch = Literal["none", "std", "discrimination"]
"""Nothing, `MinibatchStd` or `MinibatchDiscrimination`, before the last layer."""

Features = Float[Tensor, "batch channels *pixels"]
MoreFeatures = Float[Tensor, "batch more *pixels"]


def _append(features: Features, values: Float[Tensor, "batch values"]) -> MoreFeatures:
    """``values`` as further channels, the same at all pixels."""
    pixels = features.shape[2:]
    spread = values.to(features.dtype).reshape(*values.shape, *[1] * len(pixels))
    return torch.cat([features, spread.expand(*values.shape, *pixels)], 1)


class MinibatchStd(nn.Module):
    """Minibatch standard deviation (Karras et al., 2018): a channel with the spread of a group.

    The spread is sqrt(variance + 1e-8) over the group at each feature, then the mean over all
    features. As in the authors' code, samples of one group are batch / group apart.

    Args:
        group_size: Samples in a group; the largest divisor of the batch that is no larger is
            taken. A sample alone has no spread.

    Attributes:
        extra: Channels that are appended.

    Raises:
        InputError: ``group_size`` is below 2.
    """

    extra = 1

    def __init__(self, group_size: int = 4) -> None:
        super().__init__()
        at_least(2, group_size=group_size)
        self.group_size = group_size

    def forward(self, features: Features) -> MoreFeatures:
        """The features and a channel more."""
        n = len(features)
        group = max(size for size in range(1, min(n, self.group_size) + 1) if n % size == 0)
        wide = features.float() if features.itemsize < 4 else features  # 1e-8 is 0 in 16 bits
        grouped = wide.reshape(group, n // group, -1)
        spread = (grouped.var(0, correction=0) + 1e-8).sqrt().mean(1)
        return _append(features, spread.repeat(group)[:, None])


class MinibatchDiscrimination(nn.Module):
    """Minibatch discrimination (Salimans et al., 2016): how many other samples are near.

    M = f T are ``kernels`` rows of each sample's features f; appended are
    o_b(i) = sum over j != i of exp(-||M_ib - M_jb||_1). They grow with the batch.

    Args:
        features: Size of f, over all pixels.
        kernels: Rows, and channels that are appended.
        dimensions: Length of a row.

    Attributes:
        extra: Channels that are appended.

    Raises:
        InputError: A size is below 1.
    """

    def __init__(self, features: int, kernels: int = 100, dimensions: int = 5) -> None:
        super().__init__()
        at_least(1, features=features, kernels=kernels, dimensions=dimensions)
        self.extra = kernels
        # A linear layer, so that spectral norm finds it; columns of length about 1, as the
        # authors normalise theirs.
        self.rows = nn.Linear(features, kernels * dimensions, bias=False)
        nn.init.normal_(self.rows.weight, 0.0, features**-0.5)

    def forward(self, features: Features) -> MoreFeatures:
        """The features and ``kernels`` channels more."""
        rows = self.rows(features.flatten(1)).unflatten(1, (self.extra, -1))
        rows = rows.float() if rows.itemsize < 4 else rows
        # Not cdist, which cannot be differentiated twice.
        near = (rows[:, None] - rows[None]).abs().sum(3).neg().exp()
        oneself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        return _append(features, near.masked_fill(oneself[:, :, None], 0).sum(1))


def looks_at_batches(network: nn.Module) -> bool:
    """Whether it has such a layer, so that what it says of a sample depends on those beside it."""
    kinds = MinibatchStd | MinibatchDiscrimination
    return any(isinstance(layer, kinds) for layer in network.modules())


_LAYERS = {
    "none": lambda features: [],
    "std": lambda features: [MinibatchStd()],
    "discrimination": lambda features: [MinibatchDiscrimination(features)],
}


def with_minibatch(
    minibatch: Minibatch, channels: int, pixels: int = 1
) -> tuple[list[nn.Module], int]:
    """The layers that a discriminator has before its last, and the channels that they leave.

    Args:
        minibatch: What is asked for.
        channels: Channels of the features.
        pixels: Pixels of a channel.
    """
    layers = _LAYERS[minibatch](channels * pixels)
    return layers, channels + sum(layer.extra for layer in layers)
