"""Networks: generators from latents to events, discriminators from events to logits."""

from lightning_gans.networks.dcgan import (
    Conv28Discriminator,
    Conv28Generator,
    DCGANDiscriminator,
    DCGANGenerator,
)
from lightning_gans.networks.mlp import MLPDiscriminator, MLPGenerator

__all__ = [
    "Conv28Discriminator",
    "Conv28Generator",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "MLPDiscriminator",
    "MLPGenerator",
]
