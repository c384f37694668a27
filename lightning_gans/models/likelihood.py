"""Models that say how likely events are."""

import math
from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gans.errors import Diverged
from lightning_gans.models.model import Model
from lightning_gans.seeds import Stream, seeded
from lightning_gans.types import Events

__all__ = ["Likelihood", "bits_per_dimension", "dequantised"]


def bits_per_dimension(nats: float, dimensions: int, bin_width: float) -> float:
    """Bits a dimension of values on a grid, from nats of their dequantised density.

    A value's probability is its bin's share of the density: at least exp(E[log density]) times
    the bin's width for each dimension (Theis et al., 2016), so this is an upper bound.

    Args:
        nats: Negative log-density of an event, with uniform noise of one bin added to each value.
        dimensions: Values in an event.
        bin_width: Distance of neighbouring values.
    """
    return (nats - dimensions * math.log(bin_width)) / (dimensions * math.log(2))


def dequantised(events: Events, bin_width: float, generator: torch.Generator) -> Events:
    """``events`` plus noise U(-bin_width / 2, bin_width / 2), drawn on ``generator``'s device."""
    noise = torch.rand(events.shape, generator=generator, device=generator.device)
    return events + bin_width * (noise - 0.5).to(events)


def told(log_prob: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """``log_prob``, which may be told if it is a number.

    Raises:
        Diverged: It is none for some events.
    """
    if wrong := int(log_prob.isnan().sum()):
        raise Diverged(
            f"the log-likelihood of {wrong} of {len(log_prob)} events is not a number: some of "
            "their values are none, or the model has none"
        )
    return log_prob


class Likelihood(Model):
    """A model that says how likely events are, in nats an event and bits a dimension."""

    discrete = False
    """Whether `log_prob` is of a probability, not of a density: then nothing is dequantised."""
    in_bits = True
    """Whether it can be told in bits a dimension: not if it is of no values of the data's."""

    @abstractmethod
    def log_prob(self, events: Events) -> Float[Tensor, " batch"]:
        """Log-density (batch,) of ``events``, in nats, or a lower bound of it."""

    @property
    def protocol(self) -> str:
        """What the reported likelihoods are of: scaling and noise are part of the number."""
        width = self.trainer.datamodule.bin_width
        if self.discrete:
            return "of the probability of the values on their grid"
        if width is None:
            return "of the density of the values as they are"
        half = width / 2
        return (
            f"of the density of values in [-1, 1], dequantised by noise U(-{half:.4f}, {half:.4f})"
        )

    def on_test_end(self) -> None:
        """Say what the numbers of the test are of."""
        if self.trainer.is_global_zero:
            print(f"nll: nats an event, {self.protocol}")

    def continuous(self, events: Events, stream: Stream, *keys: int) -> Events:
        """``events``, dequantised by (``stream``, ``keys``) where they are on a grid.

        A density of values on a grid can grow without end; with noise as wide as the grid it
        cannot, and bounds the probability of the values.
        """
        width = self.trainer.datamodule.bin_width
        if width is None or self.discrete:
            return events
        return dequantised(events, width, seeded(torch.Generator(), stream, *keys))

    def first_events(self, n: int) -> Events:
        """The first ``n`` training events (at most; n, *event_shape), as training sees them.

        For guessing parameters: all processes must then take those of the first.
        """
        gathered, count = [], 0
        for events, _ in self.trainer.datamodule.train_dataloader():
            gathered.append(events)
            count += len(events)
            if count >= n:
                break
        return self.continuous(torch.cat(gathered)[:n], Stream.NOISE, self.seed, 0).to(self.device)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Nats of held-out events, with noise that is the same every time."""
        self._evaluate(batch, batch_idx, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """As `validation_step`, on the test events; the mean nats ()."""
        return self._evaluate(batch, batch_idx, "test")

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Log-densities (batch,) of real events, and their labels (batch,)."""
        events, labels = batch
        events = self.continuous(events, Stream.EVALUATION, batch_idx)
        return {"log_prob": told(self.evaluate(events, "predict", batch_idx)), "labels": labels}

    def evaluate(self, events: Events, split: str, batch_idx: int) -> Float[Tensor, " batch"]:
        """The log-densities (batch,) that are reported of ``split``: val, test or predict."""
        return self.log_prob(events)

    def _evaluate(self, batch: tuple[Tensor, Tensor], batch_idx: int, split: str) -> Tensor:
        events, _ = batch
        if len(events) == 0:  # another process has the last few
            return torch.zeros((), device=self.device)
        seen = self.continuous(events, Stream.EVALUATION, batch_idx)
        nats = -self.evaluate(seen, split, batch_idx).mean()
        if not nats.isfinite():
            raise Diverged(
                f"the log-likelihood of the {split} events is {-nats.item()}: some are not finite, "
                "or impossible to the model"
            )
        self.log(f"{split}/nll", nats, batch_size=len(events), sync_dist=True)
        if self.in_bits and (width := self.trainer.datamodule.bin_width) is not None:
            values = int((~events.isnan()).sum())  # nan fills up what is shorter than others
            total, width = len(events) * nats.item(), 1.0 if self.discrete else width
            bits = bits_per_dimension(total, values, width)
            self.log(f"{split}/bits_per_dimension", bits, batch_size=values, sync_dist=True)
        return nats
