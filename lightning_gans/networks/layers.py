"""What several networks share: runs of layers, a check of sizes, first weights, a sigmoid."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lightning_gans.types import InputError

__all__ = [
    "NORMS",
    "Norm",
    "ScaledSigmoid",
    "at_least",
    "doubling",
    "halving",
    "keep_size",
    "normalise_spectra",
    "start_narrow",
]

Norm = Literal["batch", "none"]
NORMS = {"batch": lambda width: [nn.BatchNorm2d(width)], "none": lambda width: []}


class ScaledSigmoid(nn.Module):
    """A sigmoid stretched from [0, 1] to the images' range [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """2 sigmoid(x) - 1, which is tanh(x / 2)."""
        return (x / 2).tanh()


def at_least(minimum: int, **sizes: int | Sequence[int]) -> None:
    """Refuse a size below ``minimum``.

    Args:
        minimum: The smallest size accepted.
        **sizes: Sizes, or sequences of them, by the name the user knows.

    Raises:
        InputError: One is smaller; the message names it.
    """
    for name, size in sizes.items():
        one = isinstance(size, int)
        if (size if one else min(size, default=minimum)) < minimum:
            subject = "it" if one else "each"
            raise InputError(f"{name} is {size}; {subject} must be at least {minimum}")


def halving(widths: Sequence[int], norm: Norm) -> list[nn.Module]:
    """Convolutions that halve a map's sides each, as DCGAN's discriminator (Radford et al., 2016).

    Args:
        widths: Channels of the image, and of the map after each convolution.
        norm: Of the maps but the first.
    """
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        own: Norm = norm if layers else "none"
        layers.append(nn.Conv2d(fan_in, fan_out, 4, 2, 1, bias=own == "none"))
        layers += [*NORMS[own](fan_out), nn.LeakyReLU(0.2)]
    return layers


def doubling(widths: Sequence[int], norm: Norm) -> list[nn.Module]:
    """Transposed convolutions that double its sides, as DCGAN's generator (Radford et al., 2016).

    Args:
        widths: Channels of the first map, and of the map after each convolution.
        norm: Of the latter.
    """
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers.append(nn.ConvTranspose2d(fan_in, fan_out, 4, 2, 1, bias=norm == "none"))
        layers += [*NORMS[norm](fan_out), nn.ReLU()]
    return layers


def keep_size(network: nn.Module) -> None:
    """Weights N(0, 2 / n) of convolutions whose outputs sum n (He et al., 2015).

    Args:
        network: All its convolutions are changed, transposed ones too.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            summed = module.weight[0].numel()
        elif isinstance(module, nn.ConvTranspose2d):
            # Of a kernel's places the stride leaves every second one, the first layer only one.
            places = (module.kernel_size[0] // module.stride[0]) ** 2
            summed = module.in_channels * (places if module.stride[0] > 1 else 1)
        else:
            continue
        nn.init.normal_(module.weight, 0.0, (2 / summed) ** 0.5)


def normalise_spectra(network: nn.Module) -> None:
    """Divide each weight by its largest singular value (Miyato et al., 2018).

    A convolution's weight counts as a matrix (out, in * kernel * kernel). Each pass in training
    mode improves the singular vectors, which are buffers, by one power iteration. Call it last:
    the first estimate is of the weights as they are then.

    Args:
        network: Its convolutions and linear layers are changed.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            spectral_norm(module)


def start_narrow(network: nn.Module) -> None:
    """Weights N(0, 0.02), cut at two deviations in convolutions; biases 0 (compare_gan, PacGAN).

    Args:
        network: The convolutions and linear layers of its ``layers`` are changed, but not what is
            inside others; it is channels-last afterwards.
    """
    for module in network.layers:
        if isinstance(module, nn.Conv2d):
            nn.init.trunc_normal_(module.weight, 0.0, 0.02, -0.04, 0.04)
        elif isinstance(module, nn.Linear | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    network.to(memory_format=torch.channels_last)
