"""The health of each player's gradient: reported in numbers, named once when it fails."""

import math
import statistics
import warnings
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_gans.models.mover import Mover, total_norm
from lightning_gans.types import InputError, Player

__all__ = ["Gradients"]

_SATURATED = math.acosh(49.0)
"""4.585, the logit beyond which the sigmoid's slope 1 / (2 + 2 cosh) is below 1 %."""
_VANISHING = 1e-8
_COMPARED, _KEPT = 5, 200


class Gradients(Callback):
    """Reports each player's gradient and what it does, and warns when it fails.

    On every n-th batch, for a player that does not move on it on its next move, are written to
    every logger, of one batch each:

    * ``gradients/<player>_norm``: norm of the gradient, before clipping;
    * ``gradients/<player>_update_ratio``: |change of the weights| / |weights|;
    * ``gradients/<player>_skipped``: moves so far that were skipped, not being finite;
    * ``gradients/saturated_real``, ``gradients/saturated_fake``: the share of the discriminator's
      logits beyond +-4.585, where the sigmoid's slope is below 1 %.

    A run warns once of each player's gradient that vanishes (its entries' root mean square is
    below 1e-8, where Adam's default eps outweighs them) or explodes, in what is reported, and of
    its first skipped move on whichever batch.

    Args:
        every_n_batches: Batches between two reports; None is the trainer's log_every_n_steps, 0
            reports nothing.
        exploding: Warn of a norm that is this many times the median of those the player has
            reported before, at least 5 and at most the last 200.

    Raises:
        InputError: A number is out of range.
    """

    def __init__(self, every_n_batches: int | None = None, exploding: float = 1000.0) -> None:
        if every_n_batches is not None and every_n_batches < 0:
            raise InputError(
                f"gradients.every_n_batches is {every_n_batches}; it must be at least 0, or null"
            )
        if not exploding > 1:
            raise InputError(f"gradients.exploding is {exploding}; it must be above 1")
        self.every_n_batches, self.exploding = every_n_batches, exploding
        self._norms: dict[Player, list[float]] = {}
        self._skipped: dict[Player, int] = {}
        self._due: set[Player] = set()
        self._warned: set[tuple[str, Player]] = set()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn who plays."""
        every = self.every_n_batches
        self._every = trainer.log_every_n_steps if every is None else every
        self._player_of = {mover.optimizer: player for player, mover in pl_module.movers.items()}
        self._before: dict[Player, list[Tensor]] = {}

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Keep the weights of a player that moves and is to be reported."""
        on_time = self._on_time(pl_module.batches_seen + 1)
        if not on_time and not self._due:
            return
        player = self._player_of[optimizer]
        # An update that looks ahead steps twice a batch; the batch began before the first.
        if (on_time or player in self._due) and player not in self._before:
            self._before[player] = [p.detach().clone() for p in pl_module.movers[player].parameters]

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Report when it is time; notice a skipped move at once."""
        movers, seen = pl_module.movers, pl_module.batches_seen
        for player, mover in movers.items():
            if mover.skipped != self._skipped.get(player, 0):
                self._skipped[player] = mover.skipped
                self._before.pop(player, None)  # nothing moved; its next move is reported
                self._warn_of_skipping(player, seen)
        metrics: dict[str, float] = {}
        if self._on_time(seen):
            self._due |= movers.keys()
            for player, mover in movers.items():
                metrics[f"gradients/{player}_skipped"] = float(mover.skipped)
        for player, before in self._before.items():
            metrics |= self._measure(player, movers[player], before)
            self._judge(player, movers[player], seen)
        if judged := "discriminator" in self._before and pl_module.judged:
            for name, logits in zip(("real", "fake"), judged, strict=True):
                share = (logits.abs() > _SATURATED).double().mean().item()
                metrics[f"gradients/saturated_{name}"] = share
        self._due -= self._before.keys()
        self._before.clear()
        if metrics:
            for logger in trainer.loggers:
                logger.log_metrics({**metrics, "epoch": trainer.current_epoch}, seen - 1)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what later reports and warnings depend on."""
        # Not a state_dict: Lightning would miss this callback when a checkpoint is tested.
        checkpoint["gradients"] = {
            "norms": {player: list(norms) for player, norms in self._norms.items()},
            "skipped": dict(self._skipped),
            "due": sorted(self._due),
            "warned": [list(warned) for warned in sorted(self._warned)],
        }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from there, or afresh where the checkpoint has none."""
        if state := checkpoint.get("gradients"):
            self._norms = {player: list(norms) for player, norms in state["norms"].items()}
            self._skipped, self._due = dict(state["skipped"]), set(state["due"])
            self._warned = {(kind, player) for kind, player in state["warned"]}

    def _on_time(self, seen: int) -> bool:
        return self._every > 0 and seen % self._every == 0

    @torch.no_grad()
    def _measure(self, player: Player, mover: Mover, before: list[Tensor]) -> dict[str, float]:
        size = total_norm(before)
        torch._foreach_sub_(before, mover.parameters)
        ratio = total_norm(before) / size if size else math.inf
        measured = {f"gradients/{player}_norm": mover.norm}
        if math.isfinite(ratio):  # of weights that are all 0 it says nothing
            measured[f"gradients/{player}_update_ratio"] = ratio
        return measured

    def _judge(self, player: Player, mover: Mover, batch: int) -> None:
        """Warn if the gradient has vanished or exploded."""
        norms = self._norms.setdefault(player, [])
        usual = statistics.median(norms) if len(norms) >= _COMPARED else 0.0
        rms = mover.norm / math.sqrt(sum(p.numel() for p in mover.parameters))
        if rms < _VANISHING:
            self._warn(
                "vanishing",
                player,
                f"The {player}'s gradient has vanished on batch {batch}: the root mean square of "
                f"its entries is {rms:.1e}, and below 1e-8 even Adam stands still. A "
                f"discriminator that is too sure does this (near 1 in gradients/saturated_*; under "
                f"the hinge it may pass): a lower learning rate for it, a penalty or "
                f"another objective may help",
            )
        if mover.norm > self.exploding * usual > 0:
            self._warn(
                "exploding",
                player,
                f"The {player}'s gradient has exploded on batch {batch}: its norm {mover.norm:.2g} "
                f"is {mover.norm / usual:.2g} times the median of those reported before. A lower "
                f"learning rate, model.clip_norm or a penalty may help",
            )
        norms.append(mover.norm)
        del norms[:-_KEPT]

    def _warn_of_skipping(self, player: Player, batch: int) -> None:
        self._warn(
            "non-finite",
            player,
            f"The {player}'s loss or gradient is not finite on batch {batch}: this move is "
            f"skipped, and its weights stay as they were; model.max_skipped of them on end stop "
            f"the run. A lower learning rate, model.clip_norm, a penalty or a look at the data "
            f"may help",
        )

    def _warn(self, kind: str, player: Player, message: str) -> None:
        if (kind, player) not in self._warned:
            self._warned.add((kind, player))
            warnings.warn(message, stacklevel=2)
