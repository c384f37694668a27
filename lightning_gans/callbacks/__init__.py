"""Callbacks: what is shown, saved and reported while a model trains."""

from lightning_gans.callbacks.checkpoint import Checkpoints, check_weights, read_checkpoint
from lightning_gans.callbacks.config import RunConfig
from lightning_gans.callbacks.gradients import Gradients
from lightning_gans.callbacks.inpainting import Inpainting
from lightning_gans.callbacks.lean import NoProfiler, Together
from lightning_gans.callbacks.logger import RunLogger, finish_wandb, wandb_logger
from lightning_gans.callbacks.modes import ModeDiagnostics
from lightning_gans.callbacks.pictures import draw_grid, picture_of
from lightning_gans.callbacks.predictions import Predictions
from lightning_gans.callbacks.progress import Progress
from lightning_gans.callbacks.quality import QualityMetrics
from lightning_gans.callbacks.samples import Samples

__all__ = [
    "Checkpoints",
    "Gradients",
    "Inpainting",
    "ModeDiagnostics",
    "NoProfiler",
    "Predictions",
    "Progress",
    "QualityMetrics",
    "RunConfig",
    "RunLogger",
    "Samples",
    "Together",
    "check_weights",
    "draw_grid",
    "finish_wandb",
    "picture_of",
    "read_checkpoint",
    "wandb_logger",
]
