"""What ``lightning predict`` found, as arrays that any language reads."""

from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

__all__ = ["Predictions"]


class Predictions(Callback):
    """Writes an .npz with one array for each name that the model's ``predict_step`` returns.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Join the batches and write them."""
        batches = trainer.predict_loop.predictions
        if not batches:
            return
        arrays = {
            name: torch.cat([batch[name] for batch in batches]).float().cpu().numpy()
            for name in batches[0]
        }
        np.savez_compressed(self.path, **arrays)
        n = len(next(iter(arrays.values())))
        print(f"{' and '.join(arrays)} of {n} samples in {self.path}")
