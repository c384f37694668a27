"""Objectives: pure functions from logits to each player's loss per sample."""

from lightning_gans.objectives.adversarial import (
    hinge,
    hybrid,
    least_squares,
    minimax,
    non_saturating,
    relativistic_paired,
    wasserstein,
)

__all__ = [
    "hinge",
    "hybrid",
    "least_squares",
    "minimax",
    "non_saturating",
    "relativistic_paired",
    "wasserstein",
]
