"""Random changes to what the discriminator sees, real and generated alike, with gradients."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from lightning_gans.types import Augmentation, Events, InputError

__all__ = ["DiffAugment", "InstanceNoise"]

Images = Float[Tensor, "batch channels height width"]
Policy = Literal["color", "translation", "cutout"]


def color(images: Images) -> Images:
    """Brightness + U(-.5, .5), then saturation x U(0, 2), then contrast x U(.5, 1.5).

    Saturation is around each pixel's mean over its channels, so nothing where there is one;
    contrast is around each image's mean.
    """
    brightness, saturation, contrast = torch.rand(
        3, len(images), 1, 1, 1, dtype=images.dtype, device=images.device
    )
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = torch.lerp(grey, images, 2 * saturation)
    return torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast + 0.5)


def translation(images: Images) -> Images:
    """Moved by up to an eighth of either size, rounded, in whole pixels; zeros move in."""
    most = [int(size / 8 + 0.5) for size in images.shape[2:]]
    padded = pad(images, (most[1], most[1], most[0], most[0]))
    rows, columns = (
        torch.randint(2 * far + 1, (len(images), 1), device=images.device)
        + torch.arange(size, device=images.device)
        for far, size in zip(most, images.shape[2:], strict=True)
    )
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    return padded[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(images: Images) -> Images:
    """Zeros in a rectangle of half the height and width, centred anywhere in the image."""
    inside = []
    for size in images.shape[2:]:
        half = int(size / 2 + 0.5)
        # An even rectangle is centred between pixels, of which there is one more place.
        centre = torch.randint(size + 1 - half % 2, (len(images), 1), device=images.device)
        distance = torch.arange(size, device=images.device) - (centre - half // 2)
        inside.append((distance >= 0) & (distance < half))
    rows, columns = inside
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


_POLICIES = {"color": color, "translation": translation, "cutout": cutout}


class DiffAugment(Augmentation):
    """DiffAugment (Zhao et al., 2020): images changed at random, differentiably.

    Each image has random numbers of its own, from torch's global source on its device. Colours
    may leave [-1, 1], as in the paper. In evaluation mode images are changed too.

    Args:
        policy: What is done, in this order; nothing where it is empty.

    Raises:
        InputError: The policy has an unknown part.
    """

    def __init__(self, policy: Sequence[Policy] = ("color", "translation", "cutout")) -> None:
        super().__init__()
        for part in policy:
            if part not in _POLICIES:
                raise InputError(
                    f"DiffAugment.policy has {part!r}; it may have {', '.join(_POLICIES)}"
                )
        self.policy = tuple(policy)

    def forward(self, images: Images) -> Images:
        """Images of the same shape."""
        for part in self.policy:
            images = _POLICIES[part](images)
        return images


class InstanceNoise(Augmentation):
    """Instance noise (Sonderby et al., 2017): N(0, std^2) added to every coordinate.

    It is added in evaluation mode too.

    Args:
        std: Of the noise; images are in [-1, 1].

    Raises:
        InputError: ``std`` is below 0.
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        if not std >= 0:
            raise InputError(f"InstanceNoise.std is {std}; it must be at least 0")
        self.std = std

    def forward(self, events: Events) -> Events:
        """Events with noise."""
        return events + self.std * torch.randn_like(events)
