"""The pair in which Lucic et al. (2018) compared GANs, after InfoGAN (Chen et al., 2016)."""

from torch import nn

from lightning_gans.networks.layers import ScaledSigmoid, at_least, start_narrow
from lightning_gans.networks.minibatch import Minibatch, with_minibatch
from lightning_gans.types import Discriminator, Events, Generator, InputError, Latents, Logits

__all__ = ["InfoGANDiscriminator", "InfoGANGenerator"]

_EPS = 1e-3
"""Added to batch norm's variance in the authors' code."""


def _quarter(image_size: int, channels: int) -> int:
    """A quarter of ``image_size``, the side of the smallest feature map."""
    if image_size < 4 or image_size % 4:
        raise InputError(f"image_size is {image_size}; it must be a multiple of 4, e.g. 28, 32, 64")
    at_least(1, channels=channels)
    return image_size // 4


class InfoGANGenerator(Generator):
    """InfoGAN generator (Chen et al., 2016) as in Lucic et al. (2018): leaky ReLU, sigmoid.

    Two dense layers and two transposed convolutions, each but the last with batch norm and so
    without a bias of its own, which it would cancel. The sigmoid is stretched to [-1, 1]. The
    authors draw latents from U(-1, 1) and let running statistics lag by 1000 batches, not by 10.

    Args:
        image_size: Pixels a side, a multiple of 4.
        channels: Channels of the image.
        latent_dim: Size of the latents.

    Raises:
        InputError: A size is another.
    """

    def __init__(self, image_size: int = 28, channels: int = 1, latent_dim: int = 64) -> None:
        super().__init__(latent_dim)
        self.event_shape = (channels, image_size, image_size)
        side = _quarter(image_size, channels)
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, 1024, bias=False),
            nn.BatchNorm1d(1024, _EPS),
            nn.LeakyReLU(0.2),
            nn.Linear(1024, 128 * side * side, bias=False),
            nn.BatchNorm1d(128 * side * side, _EPS),
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, (128, side, side)),
            nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False),
            nn.BatchNorm2d(64, _EPS),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(64, channels, 4, 2, 1),
            ScaledSigmoid(),
        )
        start_narrow(self)

    def forward(self, latents: Latents) -> Events:
        """Images (batch, channels, image_size, image_size) in [-1, 1]."""
        return self.layers(latents)


class InfoGANDiscriminator(Discriminator):
    """InfoGAN discriminator (Chen et al., 2016) as in Lucic et al. (2018): leaky ReLU.

    Args:
        image_size: Pixels a side, a multiple of 4.
        channels: Channels of the image.
        batch_norm: Normalise the two middle layers; WGAN-GP and R1 need it off.
        minibatch: What the last layer sees of the other samples (`networks.minibatch`); then
            samples are not judged one by one.
        packing: Images judged at once (PacGAN, Lin et al., 2018), by all their channels.

    Raises:
        InputError: A size is another.
    """

    def __init__(
        self,
        image_size: int = 28,
        channels: int = 1,
        batch_norm: bool = True,
        minibatch: Minibatch = "none",
        packing: int = 1,
    ) -> None:
        super().__init__(packing)
        self.event_shape = (channels, image_size, image_size)
        side = _quarter(image_size, channels)
        bias = not batch_norm
        beside, width = with_minibatch(minibatch, 1024)
        self.layers = nn.Sequential(
            nn.Conv2d(packing * channels, 64, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, 2, 1, bias=bias),
            nn.BatchNorm2d(128, _EPS) if batch_norm else nn.Identity(),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(128 * side * side, 1024, bias=bias),
            nn.BatchNorm1d(1024, _EPS) if batch_norm else nn.Identity(),
            nn.LeakyReLU(0.2),
            *beside,
            nn.Linear(width, 1),
        )
        start_narrow(self)

    def forward(self, events: Events) -> Logits:
        """Logits (batch / packing,)."""
        return self.layers(self.pack(events)).squeeze(1)
