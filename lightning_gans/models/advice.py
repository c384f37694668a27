"""What a game warns of, rules that are allowed and seldom meant, and why it stops."""

import math
import warnings
from collections.abc import Iterator, Mapping

from lightning_gans.models.checks import check_turns
from lightning_gans.models.mover import Mover
from lightning_gans.models.rules import Rules
from lightning_gans.schedules import Consensus, Phased, extragradient
from lightning_gans.types import Clock, Player

__all__ = ["reason_to_stop", "warn_of_rules"]


def warn_of_rules(
    rules: Rules, movers: Mapping[Player, Mover], batches_per_epoch: int, batches_planned: float
) -> None:
    """Warn of phases past their bound, windows that never fill, and players who look ahead alone.

    Args:
        rules: Of the game.
        movers: Its players, with their optimizers.
        batches_per_epoch: Of the data.
        batches_planned: Batches at which training ends.
    """
    schedule = rules.schedule
    if isinstance(schedule, Phased) and "discriminator" in movers:  # who share a loss do not circle
        _warn_past_bound(schedule, movers, batches_per_epoch)
    start = Clock(batches_per_epoch=batches_per_epoch)
    window = schedule.window_at(start).batches
    if window > batches_planned:
        warnings.warn(
            f"Nobody will move: the window of {window} batches is longer than the run of "
            f"{batches_planned:g}. Choose a smaller window or a longer run.",
            stacklevel=2,
        )
    elif not check_turns(schedule, movers, _first(batches_per_epoch, batches_planned)):
        warnings.warn(
            f"Nobody moves in the first batches by model.schedule {type(schedule).__name__}.",
            stacklevel=2,
        )
    together = any(len(turn) > 1 for turn in schedule(start))
    if not together and (rules.update is extragradient or isinstance(rules.update, Consensus)):
        name = getattr(rules.update, "__name__", type(rules.update).__name__)
        warnings.warn(
            f"model.update {name} concerns the players of one turn, and with model.schedule "
            f"{type(schedule).__name__} each has a turn alone. It is meant for Simultaneous.",
            stacklevel=2,
        )


def reason_to_stop(movers: Mapping[Player, Mover], most: int, batch: int) -> str | None:
    """Why training should not go on after ``most`` moves on end that were not finite, if so."""
    for player, mover in movers.items():
        if mover.skipped_on_end >= most:
            return (
                f"the {player}'s loss or gradient was not finite in its last "
                f"{mover.skipped_on_end} moves, up to batch {batch}; those moves were skipped, so "
                "the weights are the last good ones. A lower learning rate, model.clip_norm or a "
                "penalty may help"
            )
    return None


def _first(batches_per_epoch: int, batches_planned: float) -> Iterator[Clock]:
    """The time of the first batches: an epoch, or a thousand batches if that is more."""
    for batch in range(int(min(max(batches_per_epoch, 1000), batches_planned))):
        epoch, place = divmod(batch, batches_per_epoch)
        yield Clock(batch, epoch, place, batches_per_epoch)


def _warn_past_bound(
    schedule: Phased, movers: Mapping[Player, Mover], batches_per_epoch: int
) -> None:
    rates = {
        # A scheduler may begin far below the rate it is given.
        player: max(g.get("initial_lr", g["lr"]) for g in mover.optimizer.param_groups)
        for player, mover in movers.items()
    }
    gain = schedule.bilinear_gain(batches_per_epoch, rates["discriminator"], rates["generator"])
    if gain < 4:
        return
    warnings.warn(
        f"The phases are past their stability bound: moves x learning rate of the discriminator "
        f"times that of the generator is {gain:.3g}, and must be below 4. Beyond it plain gradient "
        f"steps grow without bound around the equilibrium of a game of unit curvature; Adam and "
        f"curved games may still hold, but look at the losses. Shorter windows (model.schedule) or "
        f"learning rates smaller by {math.sqrt(gain / 4):.2g} each keep the bound.",
        stacklevel=2,
    )
