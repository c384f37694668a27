"""Schedules (who moves now) and updates (how the movers move)."""

from lightning_gans.schedules.turns import Alternating, Schedule
from lightning_gans.schedules.updates import Move, Update, descend

__all__ = ["Alternating", "Move", "Schedule", "Update", "descend"]
