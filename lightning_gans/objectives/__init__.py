"""Objectives: each player's loss per sample, what D is penalised for, how likely events are."""

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
from lightning_gans.objectives.observations import Bernoulli, DiscretisedLogistic, Gaussian
from lightning_gans.objectives.observations import Observation as Observation
from lightning_gans.objectives.penalties import DRAGAN, R1, R2, GradientPenalty
from lightning_gans.objectives.penalties import Judged as Judged
from lightning_gans.objectives.penalties import Penalty as Penalty
from lightning_gans.objectives.timed import Annealed, Lazy, Warmup

__all__ = [
    "DRAGAN",
    "R1",
    "R2",
    "Annealed",
    "Bernoulli",
    "DiscretisedLogistic",
    "Gaussian",
    "GradientPenalty",
    "Lazy",
    "LeCam",
    "LeastSquares",
    "Smoothed",
    "Warmup",
    "hinge",
    "hybrid",
    "least_squares",
    "minimax",
    "non_saturating",
    "relativistic_average",
    "relativistic_paired",
    "wasserstein",
]
