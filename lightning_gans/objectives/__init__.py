"""Objectives: each player's loss per sample, from logits; and what D may be penalised for."""

from lightning_gans.objectives.adversarial import Configured as Configured
from lightning_gans.objectives.adversarial import (
    LeastSquares,
    Smoothed,
    hinge,
    hybrid,
    least_squares,
    minimax,
    non_saturating,
    relativistic_average,
    relativistic_paired,
    wasserstein,
)
from lightning_gans.objectives.lecam import LeCam
from lightning_gans.objectives.penalties import DRAGAN, R1, R2, GradientPenalty
from lightning_gans.objectives.penalties import Judged as Judged
from lightning_gans.objectives.penalties import Penalty as Penalty
from lightning_gans.objectives.timed import Annealed, Lazy

__all__ = [
    "DRAGAN",
    "R1",
    "R2",
    "Annealed",
    "GradientPenalty",
    "Lazy",
    "LeCam",
    "LeastSquares",
    "Smoothed",
    "hinge",
    "hybrid",
    "least_squares",
    "minimax",
    "non_saturating",
    "relativistic_average",
    "relativistic_paired",
    "wasserstein",
]
