"""Models: LightningModules that play games in turns."""

from lightning_gans.models.emissions import Categorical
from lightning_gans.models.game import Game
from lightning_gans.models.gan import GAN
from lightning_gans.models.gaussian_emissions import DiagonalGaussian, FullGaussian
from lightning_gans.models.hmm import HMM
from lightning_gans.models.model import Model
from lightning_gans.models.presets import DRAGAN, GEAN, LSGAN, R3GAN, SNGAN, WGAN, WGANGP

__all__ = [
    "DRAGAN",
    "GAN",
    "GEAN",
    "HMM",
    "LSGAN",
    "R3GAN",
    "SNGAN",
    "WGAN",
    "WGANGP",
    "Categorical",
    "DiagonalGaussian",
    "FullGaussian",
    "Game",
    "Model",
]
