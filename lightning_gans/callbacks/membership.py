"""What a discriminator knows of its training events."""

import math

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gans.data import Data
from lightning_gans.errors import InputError
from lightning_gans.metrics import Measured
from lightning_gans.metrics.functional import membership_auc
from lightning_gans.metrics.reference import events_of
from lightning_gans.models.evaluated import EvaluatedGame
from lightning_gans.networks import MinibatchDiscrimination, MinibatchStd

__all__ = ["membership"]

_JUDGED = 2000


@torch.no_grad()
def membership(data: Data, model: LightningModule) -> dict[str, Measured]:
    """How well a discriminator's logits tell training events from held-out ones.

    Of up to 2,000 training events and as many of each held-out split; 0.5 says that they tell
    nothing. Discriminators that look at several samples at once judge none by itself, and get no
    number.
    """
    if not isinstance(model, EvaluatedGame) or model.discriminator.packing > 1:
        return {}
    beside = (MinibatchStd, MinibatchDiscrimination)
    if any(isinstance(layer, beside) for layer in model.discriminator.modules()):
        return {}

    def logits(*splits: str) -> Tensor:
        batches = (events for split in splits for events in events_of(data, split, _JUDGED))
        return torch.cat([model.logits(events.to(model.device)).cpu() for events in batches])

    training = model.discriminator.training
    model.discriminator.eval()  # batch norm would take note of what it is shown
    try:
        return {"membership_auc": membership_auc(logits("train"), logits("val", "test"))}
    except InputError:  # logits that are no numbers
        return {"membership_auc": Measured(math.nan, 0.5, 0)}
    finally:
        model.discriminator.train(training)
