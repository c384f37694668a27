"""Schedules (who moves now), updates (how) and directions (which way)."""

from lightning_gans.schedules.directions import (
    ConjugateAdam,
    ConjugateDirection,
    OptimisticAdam,
    OptimisticSGD,
)
from lightning_gans.schedules.turns import (
    Accumulated,
    Alternating,
    BatchCount,
    Order,
    Phased,
    Schedule,
    Simultaneous,
    Stages,
    Window,
)
from lightning_gans.schedules.updates import (
    Consensus,
    Move,
    Unrolled,
    Update,
    UpdateRule,
    descend,
    extragradient,
)

__all__ = [
    "Accumulated",
    "Alternating",
    "BatchCount",
    "ConjugateAdam",
    "ConjugateDirection",
    "Consensus",
    "Move",
    "Order",
    "OptimisticAdam",
    "OptimisticSGD",
    "Phased",
    "Schedule",
    "Simultaneous",
    "Stages",
    "Unrolled",
    "Update",
    "UpdateRule",
    "Window",
    "descend",
    "extragradient",
]
