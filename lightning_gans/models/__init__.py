"""Models: LightningModules that play games in turns."""

from lightning_gans.models.emissions import Categorical
from lightning_gans.models.factor_analysers import MixtureOfFactorAnalysers
from lightning_gans.models.game import Game
from lightning_gans.models.gan import GAN
from lightning_gans.models.gaussian_emissions import DiagonalGaussian, FullGaussian
from lightning_gans.models.gaussians import GaussianMixture
from lightning_gans.models.hmm import HMM
from lightning_gans.models.mixture_game import GaussianMixtureByGradient
from lightning_gans.models.model import Model
from lightning_gans.models.presets import DRAGAN, GEAN, LSGAN, R3GAN, SNGAN, WGAN, WGANGP
from lightning_gans.models.two_stage import TwoStageVAE
from lightning_gans.models.vae import VAE

__all__ = [
    "DRAGAN",
    "GAN",
    "GEAN",
    "LSGAN",
    "R3GAN",
    "SNGAN",
    "Game",
    "GaussianMixture",
    "GaussianMixtureByGradient",
    "MixtureOfFactorAnalysers",
    "Model",
    "TwoStageVAE",
    "VAE",
    "WGAN",
    "WGANGP",
    "HMM",
    "Categorical",
    "DiagonalGaussian",
    "FullGaussian",
]
