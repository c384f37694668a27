"""Networks: generators from latents to events, discriminators from events to logits."""

from lightning_gans.networks.augment import DiffAugment, InstanceNoise
from lightning_gans.networks.dcgan import (
    Conv28Discriminator,
    Conv28Generator,
    DCGANDiscriminator,
    DCGANGenerator,
)
from lightning_gans.networks.infogan import InfoGANDiscriminator, InfoGANGenerator
from lightning_gans.networks.mlp import MLPDiscriminator, MLPGenerator
from lightning_gans.networks.pacgan import PacGANDiscriminator, PacGANGenerator
from lightning_gans.networks.resnet import ResNetDiscriminator, ResNetGenerator

__all__ = [
    "Conv28Discriminator",
    "Conv28Generator",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DiffAugment",
    "InfoGANDiscriminator",
    "InfoGANGenerator",
    "InstanceNoise",
    "MLPDiscriminator",
    "MLPGenerator",
    "PacGANDiscriminator",
    "PacGANGenerator",
    "ResNetDiscriminator",
    "ResNetGenerator",
]
