"""What a game refuses, or warns of, before its first batch."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence

import torch
from lightning import LightningDataModule
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lightning_gans.models.mover import Mover
from lightning_gans.models.rules import Clipping
from lightning_gans.objectives import Configured
from lightning_gans.schedules import Phased, Schedule, Update, descend, extragradient
from lightning_gans.types import InputError, Logits, Losses, Player

__all__ = [
    "Objective",
    "check_precision",
    "check_scheduler",
    "check_shape",
    "compares_logits",
    "warn_past_bound",
]


Objective = Callable[[Logits, Logits], Losses] | Configured

_PROBES = ((-4.0, 2.0), (-1.0, 5.0))


def compares_logits(objective: Objective) -> bool:
    """Whether the generator's loss depends on the logits of real samples, found by trying.

    Where it does not, the generator's turn needs no pass over the real batch.

    Raises:
        InputError: ``objective`` is no objective.
    """
    fake = torch.zeros(64)
    try:
        low, high = (objective(torch.linspace(*ends, 64), fake).generator for ends in _PROBES)
    except (TypeError, AttributeError) as error:
        name = getattr(objective, "__name__", type(objective).__name__)
        raise InputError(
            f"model.objective {name} is not an objective: it must take the logits of real and of "
            f"generated samples and return Losses(discriminator, generator); penalties go to "
            f"model.penalties ({error})"
        ) from error
    return not torch.equal(low, high)


def check_shape(event_shape: Sequence[int], data: LightningDataModule | None) -> None:
    """Refuse data whose shape the model does not make.

    Raises:
        InputError: The shapes differ.
    """
    if data is not None and tuple(data.event_shape) != tuple(event_shape):
        raise InputError(
            f"the data are {tuple(data.event_shape)} (data.image_size, channels), the model "
            f"makes {tuple(event_shape)}; choose the same shape for both"
        )


def check_precision(precision: str, clipping: Clipping, update: Update) -> None:
    """Refuse what reads or makes gradients while a scaler of 16-bit floats has them scaled.

    Raises:
        InputError: 16-mixed with clipping, or with an update of second derivatives.
    """
    if precision != "16-mixed":
        return
    others = "use bf16-mixed, 32-true or 64-true"
    if clipping != Clipping():
        raise InputError(
            f"model.clip_norm and model.clip_value cannot be used with --trainer.precision "
            f"16-mixed, which scales the gradients; {others}"
        )
    if update not in (descend, extragradient):
        raise InputError(
            f"model.update {type(update).__name__} cannot be used with --trainer.precision "
            f"16-mixed, which scales the losses; {others}"
        )


def check_scheduler(player: Player, scheduler: LRScheduler) -> None:
    """Refuse a scheduler that does not go by time alone.

    Raises:
        InputError: It wants a metric.
    """
    if isinstance(scheduler, ReduceLROnPlateau):
        raise InputError(
            f"model.{player}_scheduler ReduceLROnPlateau waits for a metric; choose one that goes "
            "by batches, e.g. torch.optim.lr_scheduler.CosineAnnealingLR"
        )


def warn_past_bound(
    schedule: Schedule, movers: Mapping[Player, Mover], batches_per_epoch: int
) -> None:
    """Warn of phases so long that a linear game would grow without bound in them."""
    if not isinstance(schedule, Phased):
        return
    rates = {
        player: max(group["lr"] for group in mover.optimizer.param_groups)
        for player, mover in movers.items()
    }
    gain = schedule.bilinear_gain(batches_per_epoch, rates["discriminator"], rates["generator"])
    if gain < 4:
        return
    shrink = math.sqrt(gain / 4)
    warnings.warn(
        f"The phases are past their stability bound: moves x learning rate of the discriminator "
        f"times that of the generator is {gain:.3g}, and must be below 4. Beyond it plain gradient "
        f"steps grow without bound around the equilibrium of a game of unit curvature; Adam and "
        f"curved games may still hold, but look at the losses. Shorter windows (model.schedule) or "
        f"learning rates smaller by {shrink:.2g} each keep the bound.",
        stacklevel=2,
    )
