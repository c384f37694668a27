"""Callbacks: what is shown, saved and reported while a model trains."""

from lightning_gans.callbacks.account import Account
from lightning_gans.callbacks.checkpoint import Checkpoints
from lightning_gans.callbacks.config import RunConfig
from lightning_gans.callbacks.gradients import Gradients
from lightning_gans.callbacks.inpainting import Inpainting
from lightning_gans.callbacks.lean import NoProfiler, Together, look_for_gpus_once
from lightning_gans.callbacks.logger import RunLogger, run_folder
from lightning_gans.callbacks.modes import ModeDiagnostics
from lightning_gans.callbacks.origin import differences
from lightning_gans.callbacks.pictures import draw_grid, picture_of
from lightning_gans.callbacks.predictions import Predictions
from lightning_gans.callbacks.progress import Progress
from lightning_gans.callbacks.quality import QualityMetrics
from lightning_gans.callbacks.reconstructions import Reconstructions
from lightning_gans.callbacks.resumed import Resumed
from lightning_gans.callbacks.samples import Samples
from lightning_gans.callbacks.saved import check_weights, ended, newest_whole, read_checkpoint
from lightning_gans.callbacks.tracking import finish_wandb, wandb_logger

EVALUATING = {
    "modes": ModeDiagnostics,
    "quality": QualityMetrics,
    "reconstructions": Reconstructions,
}
"""What measures a model while it trains, by its part of a config."""

TESTED = ("modes", "quality")
"""Those that ``lightning test`` prints the numbers of."""

# Checkpoints after what reports, so that they find the rows of their batch there.
REPORTING = {"samples": Samples, **EVALUATING, "gradients": Gradients}
"""Those that only tell of training: it goes on where one fails."""

SETTABLE = {**REPORTING, "checkpoints": Checkpoints}
"""All that a config may set."""

__all__ = [
    "EVALUATING",
    "REPORTING",
    "SETTABLE",
    "TESTED",
    "Account",
    "Checkpoints",
    "Gradients",
    "Inpainting",
    "ModeDiagnostics",
    "NoProfiler",
    "Predictions",
    "Progress",
    "QualityMetrics",
    "Reconstructions",
    "Resumed",
    "RunConfig",
    "RunLogger",
    "Samples",
    "Together",
    "check_weights",
    "differences",
    "draw_grid",
    "finish_wandb",
    "look_for_gpus_once",
    "ended",
    "newest_whole",
    "picture_of",
    "read_checkpoint",
    "run_folder",
    "wandb_logger",
]
