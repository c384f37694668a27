"""Networks: generators and decoders from latents, discriminators and encoders from events."""

from lightning_gans.networks.augment import DiffAugment, InstanceNoise
from lightning_gans.networks.autoencoder import (
    DCGANDecoder,
    DCGANEncoder,
    MLPDecoder,
    MLPEncoder,
)
from lightning_gans.networks.dcgan import (
    Conv28Discriminator,
    Conv28Generator,
    DCGANDiscriminator,
    DCGANGenerator,
)
from lightning_gans.networks.infogan import InfoGANDiscriminator, InfoGANGenerator
from lightning_gans.networks.lenet import LeNet
from lightning_gans.networks.minibatch import MinibatchDiscrimination, MinibatchStd
from lightning_gans.networks.mlp import MLPDiscriminator, MLPGenerator
from lightning_gans.networks.pacgan import PacGANDiscriminator, PacGANGenerator
from lightning_gans.networks.resnet import ResNetDiscriminator, ResNetGenerator
from lightning_gans.networks.tiny import TinyDiscriminator, TinyGenerator

__all__ = [
    "Conv28Discriminator",
    "Conv28Generator",
    "DCGANDecoder",
    "DCGANDiscriminator",
    "DCGANEncoder",
    "DCGANGenerator",
    "DiffAugment",
    "InfoGANDiscriminator",
    "InfoGANGenerator",
    "InstanceNoise",
    "LeNet",
    "MLPDecoder",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPGenerator",
    "MinibatchDiscrimination",
    "MinibatchStd",
    "PacGANDiscriminator",
    "PacGANGenerator",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "TinyDiscriminator",
    "TinyGenerator",
]
