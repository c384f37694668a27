"""Models: LightningModules that play games in turns."""

from lightning_gans.models.game import Game
from lightning_gans.models.gan import GAN
from lightning_gans.models.presets import LSGAN, WGAN

__all__ = ["GAN", "LSGAN", "WGAN", "Game"]
