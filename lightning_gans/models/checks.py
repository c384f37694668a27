"""What a game refuses before its first batch."""

import traceback
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lightning_gans.models.rules import Clipping, Rules
from lightning_gans.objectives import Configured, Judged, Penalty
from lightning_gans.schedules import Schedule, descend, extragradient
from lightning_gans.types import Augmentation, Clock, InputError, Logits, Losses, Player

__all__ = [
    "Objective",
    "check_augmentation",
    "check_packing",
    "check_precision",
    "check_shape",
    "check_term",
    "check_turns",
    "compares_logits",
    "make_scheduler",
]

Objective = Callable[[Logits, Logits], Losses] | Configured


def _probe(objective: Objective, real: Logits, fake: Logits) -> Logits:
    """The generator's losses of ``objective``, or a clear refusal of what is none."""
    name = getattr(objective, "__name__", type(objective).__name__)
    try:
        losses = objective(real, fake)
    except Exception as error:  # whatever a function of the user's own may raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"model.objective {name} failed on {len(real)} logits: {type(error).__name__}: {error} "
            f"({Path(frame.filename).name}, line {frame.lineno}); an objective takes the logits of "
            "real and of generated samples and returns Losses; penalties go to model.penalties"
        ) from error
    for player in Losses._fields:
        loss = getattr(losses, player, None)
        if not isinstance(loss, torch.Tensor) or loss.shape != real.shape:
            raise InputError(
                f"model.objective {name} is not an objective: it must return "
                "Losses(discriminator, generator), each with a loss for every sample"
            )
    return losses.generator


def compares_logits(objective: Objective) -> bool:
    """Whether the generator's loss depends on the logits of real samples, found by trying.

    Where it does not, the generator's turn needs no pass over the real batch. Tried are random
    logits of every size from a tenth to a thousand; a dependence shows in the loss, or in its
    gradient if the loss hides it.

    Raises:
        InputError: ``objective`` is no objective.
    """
    if isinstance(objective, Penalty):
        name = type(objective).__name__
        raise InputError(f"model.objective {name} is a penalty; give it to model.penalties, a list")
    source = torch.Generator().manual_seed(0)
    for size in (0.1, 1.0, 10.0, 100.0, 1000.0):
        real, other, fake = (size * torch.randn(64, generator=source) for _ in range(3))
        real.requires_grad_()
        loss = _probe(objective, real, fake)
        if not torch.equal(loss, _probe(objective, other, fake)):
            return True
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(loss.sum(), real, allow_unused=True)
            if gradient is not None and gradient.any():
                return True
    return False


def check_augmentation(augment: Augmentation | None, event_shape: Sequence[int]) -> None:
    """Refuse an augmentation that cannot take the events.

    Raises:
        InputError: It fails on two of them, or changes their shape.
    """
    if augment is None:
        return
    events = torch.zeros(2, *event_shape)
    with torch.random.fork_rng(devices=[]):
        try:
            made = tuple(augment(events).shape[1:])
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"model.augment {type(augment).__name__} cannot take events {tuple(event_shape)}: "
                f"{reason}"
            ) from error
    if made != tuple(event_shape):
        raise InputError(
            f"model.augment {type(augment).__name__} makes {made} of events {tuple(event_shape)}; "
            "it must keep their shape (DiffAugment is for images)"
        )


def check_term(penalty: Penalty, judged: Judged) -> Tensor:
    """The term () of ``penalty``, or a clear refusal of one that is written wrongly.

    Raises:
        InputError: It stumbles over its own code, or gives anything but one number.
    """
    name = type(penalty).__name__
    try:
        term = penalty(judged)
    except (AttributeError, NameError, TypeError, LookupError) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"the penalty {name} failed: {error} ({Path(frame.filename).name}, line {frame.lineno})"
        ) from error
    if not isinstance(term, Tensor) or term.ndim:
        raise InputError(f"the penalty {name} must return one number, the mean over the samples")
    return term


def check_turns(schedule: Schedule, players: Collection[Player], clocks: Iterable[Clock]) -> bool:
    """Whether anybody moves at ``clocks``.

    Raises:
        InputError: ``schedule`` gives what are not turns of these players.
    """
    moved = False
    for clock in clocks:
        turns = schedule(clock)
        for turn in turns:
            if not isinstance(turn, tuple) or not set(turn) <= set(players):
                raise InputError(
                    f"model.schedule {type(schedule).__name__} gives the turns {turns!r}; it must "
                    f'give tuples of players, e.g. (("discriminator",), ("generator",)); the '
                    f"players are {', '.join(players)}"
                )
        window = schedule.window_at(clock)
        moved = moved or bool(turns) and window.filled == window.batches
    return moved


def check_shape(event_shape: Sequence[int], data: LightningDataModule | None) -> None:
    """Refuse data whose shape the model does not make.

    Raises:
        InputError: The shapes differ.
    """
    if data is not None and tuple(data.event_shape) != tuple(event_shape):
        raise InputError(
            f"the data are {tuple(data.event_shape)}, the model makes {tuple(event_shape)}; choose "
            "the same for both (what data makes, or model.event_shape, image_size and channels)"
        )


def check_packing(packing: int, parts: int, data: LightningDataModule | None) -> None:
    """Refuse batches, or ``parts`` of them, that are not whole packs.

    Raises:
        InputError: A pack would lack samples.
    """
    if data is None or packing == 1 or data.batch_size % (packing * parts) == 0:
        return
    accumulated = f" times model.accumulate {parts}" if parts > 1 else ""
    raise InputError(
        f"data.batch_size is {data.batch_size}; it must be a multiple of "
        f"model.discriminator.packing {packing}{accumulated}"
    )


def check_precision(precision: str, rules: Rules) -> None:
    """Refuse what reads or makes gradients while a scaler of 16-bit floats has them scaled.

    Raises:
        InputError: 16-mixed with clipping, with an update of second derivatives, or with turns of
            several players, whose first would change the scale of the others.
    """
    if precision != "16-mixed":
        return
    update = getattr(rules.update, "__name__", type(rules.update).__name__)
    refused = {
        "model.clip_norm and model.clip_value": rules.clipping != Clipping(),
        f"model.update {update}": rules.update not in (descend, extragradient),
        f"model.schedule {type(rules.schedule).__name__} with both players in one turn": any(
            len(turn) > 1 for turn in rules.schedule(Clock())
        ),
    }
    for what, given in refused.items():
        if given:
            raise InputError(
                f"{what} cannot be used with --trainer.precision 16-mixed, which scales losses and "
                "gradients; use bf16-mixed, 32-true or 64-true"
            )


def make_scheduler(
    player: Player, factory: Callable[[Optimizer], LRScheduler], optimizer: Optimizer
) -> LRScheduler:
    """The scheduler that ``factory`` makes for ``player``'s optimizer.

    Raises:
        InputError: It refuses its settings, or does not go by time alone.
    """
    try:
        scheduler = factory(optimizer)
    except (TypeError, ValueError) as error:
        raise InputError(f"model.{player}_scheduler: {error}") from error
    if isinstance(scheduler, ReduceLROnPlateau):
        raise InputError(
            f"model.{player}_scheduler ReduceLROnPlateau waits for a metric; choose one that goes "
            "by batches, e.g. torch.optim.lr_scheduler.CosineAnnealingLR"
        )
    return scheduler
