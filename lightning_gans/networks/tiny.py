"""The small pair of PacGAN's stacked-MNIST experiment (Lin et al., 2018), after Metz et al. (2017).

As in the authors' code (unrolled_GAN_experiment): a discriminator far smaller than the generator,
so that a plain GAN drops modes. Every convolution is 3 x 3; all but the last of
the generator halve or double the pixels, 7 being half of 14 and twice 4 but one.
"""

from itertools import pairwise

from torch import nn

from lightning_gans.networks.layers import NORMS, Norm, at_least, start_narrow
from lightning_gans.types import Discriminator, Events, Generator, Latents, Logits

__all__ = ["TinyDiscriminator", "TinyGenerator"]


class TinyGenerator(Generator):
    """Generator for 28 x 28 pixels (Metz et al., 2017): 4 x 4 x 64, then maps of 32, 16, 8.

    Batch norm cancels the biases of all layers but the last, so they have none.

    Args:
        channels: Channels of the image.
        latent_dim: Size of the latents.

    Raises:
        InputError: A size is below 1.
    """

    def __init__(self, channels: int = 3, latent_dim: int = 256) -> None:
        super().__init__(latent_dim)
        at_least(1, channels=channels)
        self.event_shape = (channels, 28, 28)
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, 64 * 4 * 4, bias=False),
            nn.Unflatten(1, (64, 4, 4)),
            nn.BatchNorm2d(64),
            nn.ReLU(),
        ]
        # 4 to 7, 14 and 28 pixels: the first is twice as many but one.
        for (fan_in, fan_out), one_more in zip(pairwise((64, 32, 16, 8)), (0, 1, 1), strict=True):
            layers += [
                nn.ConvTranspose2d(fan_in, fan_out, 3, 2, 1, one_more, bias=False),
                nn.BatchNorm2d(fan_out),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8, channels, 3, 1, 1), nn.Tanh())
        start_narrow(self)

    def forward(self, latents: Latents) -> Events:
        """Images (batch, channels, 28, 28) in [-1, 1]."""
        return self.layers(latents)


class TinyDiscriminator(Discriminator):
    """Discriminator for 28 x 28 pixels (Metz et al., 2017): strided maps of w, 2 w and 4 w.

    Leaky ReLU of 0.3, and batch norm after each convolution, the first too, as in PacGAN's code.

    Args:
        channels: Channels of the image.
        width: w; 2 is the paper's quarter of the generator's size, 4 its half.
        norm: Of the maps; WGAN-GP and R1, which ask for the gradient of each sample by itself,
            need none.
        packing: Images judged at once (Lin et al., 2018), by all their channels.

    Raises:
        InputError: A size is below 1.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 2,
        norm: Norm = "batch",
        packing: int = 1,
    ) -> None:
        super().__init__(packing)
        at_least(1, channels=channels, width=width)
        self.event_shape = (channels, 28, 28)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise((packing * channels, width, 2 * width, 4 * width)):
            layers += [
                nn.Conv2d(fan_in, fan_out, 3, 2, 1, bias=norm == "none"),
                *NORMS[norm](fan_out),
                nn.LeakyReLU(0.3),
            ]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * width * 4 * 4, 1))
        start_narrow(self)

    def forward(self, events: Events) -> Logits:
        """Logits (batch / packing,)."""
        return self.layers(self.pack(events)).squeeze(1)
