"""What every model is: it knows its time, makes events, and says when it cannot go on."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lightning_gans.errors import Diverged
from lightning_gans.models.checks import check_shape
from lightning_gans.models.mover import Mover
from lightning_gans.models.timed import Timed
from lightning_gans.schedules import Window
from lightning_gans.types import Logits, Player

__all__ = ["Model"]


class Model(Timed, ABC):
    """A model of events, trained under manual optimisation; one batch counts as one step.

    Attributes:
        movers: Each player that moves along gradients; none where nobody does.
        window: That of the batch that is played.
        judged: Logits (packs,) of real and of generated events, where a discriminator judges.
    """

    event_shape: tuple[int, ...]
    """Shape of one sample."""

    plain = Timed.plain | {"window"}

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.movers: dict[Player, Mover] = {}
        self.window = Window()
        self.judged: tuple[Logits, Logits] | None = None

    def setup(self, stage: str) -> None:
        """Refuse data whose shape the model does not make."""
        check_shape(self.event_shape, self.trainer.datamodule)

    def on_validation_model_zero_grad(self) -> None:
        """Nothing: gradients that are gathered over a window must survive a validation in it."""

    @property
    def diverged(self) -> str | None:
        """Why training should stop, if it should."""
        return None

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop a model that cannot go on.

        Raises:
            Diverged: It says so.
        """
        if reason := self.diverged:
            raise Diverged(reason)

    def report(self, metrics: Mapping[str, float]) -> None:
        """Show ``metrics`` in the progress bar, and hand them to the loggers."""
        self.log_dict(dict(metrics), prog_bar=True, logger=False)
        # Written now, not after the batch, so that a checkpoint of this batch finds the row there.
        for logger in self.trainer.loggers:
            logger.log_metrics({**metrics, "epoch": self.current_epoch}, self.batches_seen - 1)

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``n`` events (n, *event_shape), drawn with ``generator``, leaving training untouched."""
