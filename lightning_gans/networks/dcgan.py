"""The convolutional pairs: Radford et al. (2016) for 32, 64 and 128 pixels, and a pair for 28."""

import torch
from torch import nn

from lightning_gans.networks.layers import (
    NORMS,
    Norm,
    at_least,
    doubling,
    halving,
    keep_size,
    normalise_spectra,
)
from lightning_gans.networks.minibatch import Minibatch, with_minibatch
from lightning_gans.types import Discriminator, Events, Generator, InputError, Latents, Logits

__all__ = ["Conv28Discriminator", "Conv28Generator", "DCGANDiscriminator", "DCGANGenerator"]

_SIZES = (32, 64, 128)


def _widths(image_size: int, channels: int, base_channels: int) -> list[int]:
    """Channels of the hidden feature maps from image_size / 2 down to 4 x 4, doubling."""
    if image_size not in _SIZES:
        raise InputError(
            f"image_size is {image_size}; the DCGAN networks make "
            f"{', '.join(map(str, _SIZES))} pixels (Conv28Generator makes 28)"
        )
    at_least(1, channels=channels, base_channels=base_channels)
    return [base_channels * 2**i for i in range((image_size // 4).bit_length() - 1)]


def _initialise(network: nn.Module) -> None:
    """Weights N(0, 0.02), batch-norm scales N(1, 0.02), biases 0 (Radford et al., 2016)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    # A fifth faster on a CPU, and what tensor cores want on a GPU.
    network.to(memory_format=torch.channels_last)


class DCGANGenerator(Generator):
    """DCGAN generator (Radford et al., 2016): transposed convolutions, batch norm, ReLU, tanh.

    Args:
        image_size: 32, 64 or 128 pixels a side.
        channels: Channels of the image.
        latent_dim: Size of the latents.
        base_channels: Channels of the hidden map with the most pixels; each halving doubles them.
        norm: Of the hidden maps. Without it weights start so that maps keep their size (He et al.,
            2015): at N(0, 0.02) they would vanish.

    Raises:
        InputError: ``image_size`` is another, or another size below 1.
    """

    def __init__(
        self,
        image_size: int = 32,
        channels: int = 1,
        latent_dim: int = 100,
        base_channels: int = 64,
        norm: Norm = "batch",
    ) -> None:
        super().__init__(latent_dim)
        self.event_shape = (channels, image_size, image_size)
        widths = _widths(image_size, channels, base_channels)[::-1]
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(latent_dim, widths[0], 4, 1, 0, bias=norm == "none"),
            *NORMS[norm](widths[0]),
            nn.ReLU(),
            *doubling(widths, norm),
            nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1),
            nn.Tanh(),
        )
        _initialise(self)
        if norm == "none":
            keep_size(self)

    def forward(self, latents: Latents) -> Events:
        """Images (batch, channels, image_size, image_size) in [-1, 1]."""
        return self.layers(latents[:, :, None, None])


class DCGANDiscriminator(Discriminator):
    """DCGAN discriminator (Radford et al., 2016): strided convolutions, leaky ReLU.

    Args:
        image_size: 32, 64 or 128 pixels a side.
        channels: Channels of the image.
        base_channels: Channels of the hidden map with the most pixels; each halving doubles them.
        norm: Of the hidden maps but the first; WGAN-GP and R1, which ask for the gradient of each
            sample by itself, need none.
        spectral_norm: Divide every weight by its largest singular value (Miyato et al., 2018).
        minibatch: What the last layer sees of the other samples (`networks.minibatch`); then
            samples are not judged one by one.
        packing: Images judged at once (PacGAN, Lin et al., 2018), by all their channels.

    Raises:
        InputError: ``image_size`` is another, or another size below 1.
    """

    def __init__(
        self,
        image_size: int = 32,
        channels: int = 1,
        base_channels: int = 64,
        norm: Norm = "batch",
        spectral_norm: bool = False,
        minibatch: Minibatch = "none",
        packing: int = 1,
    ) -> None:
        super().__init__(packing)
        self.event_shape = (channels, image_size, image_size)
        widths = _widths(image_size, channels, base_channels)
        maps = halving((packing * channels, *widths), norm)
        beside, width = with_minibatch(minibatch, widths[-1], pixels=4 * 4)
        self.layers = nn.Sequential(*maps, *beside, nn.Conv2d(width, 1, 4, 1, 0))
        _initialise(self)
        if spectral_norm:
            normalise_spectra(self)

    def forward(self, events: Events) -> Logits:
        """Logits (batch / packing,)."""
        return self.layers(self.pack(events)).flatten()


class Conv28Generator(Generator):
    """Generator for 28 x 28 pixels: a dense layer to 7 x 7, then 5 x 5 transposed convolutions.

    Args:
        channels: Channels of the image.
        latent_dim: Size of the latents.

    Raises:
        InputError: A size is below 1.
    """

    def __init__(self, channels: int = 1, latent_dim: int = 100) -> None:
        super().__init__(latent_dim)
        at_least(1, channels=channels)
        self.event_shape = (channels, 28, 28)
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, 7 * 7 * 256),
            nn.LeakyReLU(0.2),
            nn.BatchNorm1d(7 * 7 * 256),
            nn.Unflatten(1, (256, 7, 7)),
            nn.ConvTranspose2d(256, 128, 5, 1, 2, bias=False),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(128, 128, 5, 2, 2, output_padding=1, bias=False),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(128, channels, 5, 2, 2, output_padding=1),
            nn.Tanh(),
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, latents: Latents) -> Events:
        """Images (batch, channels, 28, 28) in [-1, 1]."""
        return self.layers(latents)


class Conv28Discriminator(Discriminator):
    """Discriminator for 28 x 28 pixels: two strided 5 x 5 convolutions with dropout.

    Args:
        channels: Channels of the image.
        dropout: Share of the activations dropped after each convolution, 0 to 1.
        minibatch: What the last layer sees of the other samples (`networks.minibatch`); then
            samples are not judged one by one.
        packing: Images judged at once (PacGAN, Lin et al., 2018), by all their channels.

    Raises:
        InputError: ``channels`` or ``packing`` is below 1.
    """

    def __init__(
        self,
        channels: int = 1,
        dropout: float = 0.3,
        minibatch: Minibatch = "none",
        packing: int = 1,
    ) -> None:
        super().__init__(packing)
        at_least(1, channels=channels)
        self.event_shape = (channels, 28, 28)
        beside, width = with_minibatch(minibatch, 64 * 7 * 7)
        self.layers = nn.Sequential(
            nn.Conv2d(packing * channels, 64, 5, 2, 2),
            nn.LeakyReLU(0.2),
            nn.Dropout(dropout),
            nn.Conv2d(64, 64, 5, 2, 2),
            nn.LeakyReLU(0.2),
            nn.Dropout(dropout),
            nn.Flatten(),
            *beside,
            nn.Linear(width, 1),
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, events: Events) -> Logits:
        """Logits (batch / packing,)."""
        return self.layers(self.pack(events)).flatten()
