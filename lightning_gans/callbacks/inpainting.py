"""What a model makes of images with a part missing, as a picture."""

from typing import Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_gans.callbacks.logger import run_folder
from lightning_gans.callbacks.pictures import draw_grid, picture_of
from lightning_gans.errors import InputError

__all__ = ["Inpainting"]


@runtime_checkable
class _Inpainter(Protocol):
    """A model that fills gaps."""

    event_shape: tuple[int, ...]

    def inpaint(
        self, events: Tensor, missing: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """``events`` with their missing values by what is known of the others."""


class Inpainting(Callback):
    """Writes inpainted.png at the end of training: held-out images with a part missing.

    Each row is of one image: with the gap, filled with the mean of what it may be, filled with a
    draw, and as it is.

    Args:
        n: Images.
        share: Of the rows of each image that are missing, from the bottom.
        seed: Of the draws.

    Raises:
        InputError: A number is out of range, or the model cannot fill gaps.
    """

    def __init__(self, n: int = 8, share: float = 0.5, seed: int = 0) -> None:
        if n < 1:
            raise InputError(f"Inpainting.n is {n}; it must be at least 1")
        if not 0 < share <= 1:
            raise InputError(f"Inpainting.share is {share}; it must be above 0 and at most 1")
        self.n, self.share, self.seed = n, share, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a model that this picture cannot be made of."""
        if not isinstance(pl_module, _Inpainter) or (
            picture_of(pl_module.event_shape) is not draw_grid
        ):
            raise InputError(
                f"trainer.callbacks: {type(pl_module).__name__} fills no gaps in images; "
                "Inpainting is for mixtures of images"
            )

    @torch.no_grad()
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw."""
        if not trainer.is_global_zero:
            return
        events, _ = next(iter(trainer.datamodule.val_dataloader()))
        events = events[: self.n].to(pl_module.device)
        missing = torch.zeros(pl_module.event_shape, dtype=torch.bool)
        height = pl_module.event_shape[1]
        missing[:, height - max(1, round(self.share * height)) :] = True
        missing = missing.to(events.device)
        source = torch.Generator().manual_seed(self.seed)
        mean, drawn = pl_module.inpaint(events, missing), pl_module.inpaint(events, missing, source)
        rows = torch.stack([events.masked_fill(missing, 0), mean, drawn, events], 1)
        draw_grid(rows.flatten(0, 1), run_folder(trainer) / "inpainted.png", rows.shape[1])
