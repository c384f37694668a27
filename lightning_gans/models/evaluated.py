"""What a game of two is worth on events that were held out from training."""

import torch
from torch import Tensor

from lightning_gans.models.checks import Objective
from lightning_gans.models.latent import LatentGame
from lightning_gans.seeds import Stream, seeded
from lightning_gans.types import Discriminator, Events, Logits

__all__ = ["EvaluatedGame"]


class EvaluatedGame(LatentGame):
    """A game whose generator and discriminator are evaluated on held-out events.

    Batches are judged as they come, so a discriminator that compares the samples of a pack or of a
    batch sees neighbours in the data's order.
    """

    discriminator: Discriminator
    """From events to logits."""
    objective: Objective
    """Each player's losses."""

    def logits(self, events: Events) -> Logits:
        """Logits (batch / packing,), in 32 bits at least: losses are small differences of them."""
        logits = self.discriminator(events)
        return logits.float() if logits.itemsize < 4 else logits

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Both players' losses on held-out events, with latents that are the same every time."""
        self._evaluate(batch, batch_idx, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """As `validation_step`, on the test events."""
        self._evaluate(batch, batch_idx, "test")

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """The discriminator's logits (batch,) of real events, and their labels (batch,).

        Each event has its pack's; a last pack that is not full is filled up from the batch's start.
        """
        events, labels = batch
        n, packing = len(events), self.discriminator.packing
        whole = torch.arange(n + -n % packing, device=events.device) % n
        logits = self.logits(events if len(whole) == n else events[whole])
        return {"logits": logits.repeat_interleave(packing)[:n], "labels": labels}

    def _evaluate(self, batch: tuple[Tensor, Tensor], batch_idx: int, split: str) -> None:
        events, _ = batch
        n = len(events) - len(events) % self.discriminator.packing
        if n == 0:  # a remainder that fills no pack
            return
        source = seeded(torch.Generator(), Stream.EVALUATION, batch_idx)
        latents = torch.randn(n, self.generator.latent_dim, generator=source)
        fake = self.generator(latents.to(next(self.generator.parameters())))
        losses = self.objective(self.logits(events[:n]), self.logits(fake))
        for player, loss in losses._asdict().items():
            self.log(f"{split}/{player}_loss", loss.mean(), batch_size=n, sync_dist=True)
