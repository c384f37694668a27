"""Mixtures: a component is drawn, and an event from it."""

import math
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_gans.models.likelihood import Likelihood, told
from lightning_gans.objectives.clustering import kmeans
from lightning_gans.objectives.mixtures import (
    aic,
    bic,
    draw_components,
    heirs,
    posterior,
    rows_at_once,
)
from lightning_gans.seeds import Stream
from lightning_gans.types import Events, InputError

__all__ = ["Mixture", "Points"]

Points = Float[Tensor, "n d"]

_CONSTANT = 1e-12


class Mixture(Likelihood):
    """A model whose density is a weighted sum of its components' densities.

    Attributes:
        event_shape: Of one event; its values are taken as one vector of d numbers.
        components: Their number, K.
        log_weights: Logarithms of their weights (K,).
        shift: A middle of the data (d,), about which all is computed, so that it costs no digits.
        restarts: Beginnings of the k-means that guesses the centres.
    """

    components: int
    log_weights: Tensor
    shift: Tensor
    restarts: int

    def _describe(self, event_shape: Sequence[int], components: int, restarts: int) -> None:
        """Take what all mixtures are told.

        Raises:
            InputError: A number is below 1.
        """
        given = {
            "components": components,
            "restarts": restarts,
            "event_shape": min(event_shape, default=0),
        }
        for name, value in given.items():
            if value < 1:
                raise InputError(f"model.{name} is {value}; it must be at least 1")
        self.event_shape, self.components = tuple(event_shape), components
        self.dimension, self.restarts = math.prod(event_shape), restarts
        self.register_buffer("shift", torch.zeros(self.dimension, dtype=torch.float64))
        self._tested = torch.zeros(2, dtype=torch.float64)
        self._told_of_the_dead = False

    @abstractmethod
    def joint(self, points: Points) -> Float[Tensor, "n K"]:
        """Joint log-densities log pi_k + log p_k(x) of 64-bit ``points`` about ``shift``."""

    @property
    @abstractmethod
    def free(self) -> int:
        """How many numbers are fitted."""

    @abstractmethod
    def drawn(self, components: Tensor, generator: torch.Generator | None) -> Points:
        """An event about ``shift`` (n, d) from each of ``components`` (n,), on the CPU."""

    @abstractmethod
    def completed(
        self, points: Points, missing: Bool[Tensor, " d"], generator: torch.Generator | None
    ) -> Points:
        """`inpaint` for points about ``shift``."""

    def points(self, events: Events) -> Points:
        """``events`` as vectors (n, d) about ``shift``, in 64 bits."""
        return events.flatten(1).double() - self.shift

    def blocks(self, events: Events, width: int) -> Iterator[Points]:
        """`points` of some events at a time, each of which becomes ``width`` numbers."""
        return map(self.points, events.split(rows_at_once(width)))

    def log_prob(self, events: Events) -> Float[Tensor, " batch"]:
        """Log-density (batch,) of ``events``, in nats."""
        return self.joint(self.points(events)).logsumexp(1)

    def responsibilities(self, events: Events) -> Float[Tensor, "batch K"]:
        """How likely each event comes from each component."""
        return posterior(self.joint(self.points(events)))[1]

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``n`` events (n, *event_shape), drawn on the CPU: every device gives the same.

        Args:
            n: Number of events.
            generator: On the CPU; None draws from the global one.
        """
        components = draw_components(self.log_weights, n, generator)
        points = self.drawn(components, generator) + self.shift.cpu()
        return points.view(n, *self.event_shape).float().to(self.device)

    @torch.no_grad()
    def inpaint(
        self, events: Events, missing: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """``events`` with their missing values by what is known of the others.

        Args:
            events: (n, *event_shape); what stands in the place of missing values does not matter.
            missing: Which values are, the same in all events: (*event_shape), true or false.
            generator: Draws them from their conditional law, on the CPU; None takes its mean,
                which is the least wrong on average.

        Raises:
            InputError: ``missing`` has another shape, or is no mask.
        """
        if missing.dtype != torch.bool or tuple(missing.shape) != self.event_shape:
            raise InputError(
                f"missing has the shape {tuple(missing.shape)} and {missing.dtype}; it must have "
                f"{self.event_shape} and torch.bool"
            )
        mask = missing.flatten().to(events.device)
        points = self.points(events).masked_fill(mask, 0)
        if mask.any():
            points = self.completed(points, mask, generator)
        if wrong := int((~points.isfinite()).any(1).sum()):
            raise InputError(f"{wrong} of {len(points)} events have values that are no numbers")
        made = (points + self.shift).view(events.shape).to(events)
        return torch.where(mask.view(self.event_shape), made, events)

    def centres(self, events: Events) -> tuple[Points, Tensor]:
        """Take the middle of ``events`` as ``shift``; they about it (n, d), and centres (K, d).

        Raises:
            InputError: There are fewer events than components, or some are not finite.
        """
        if len(events) < self.components:
            raise InputError(
                f"model.components is {self.components}, but there are {len(events)} events to "
                f"begin with (the data, model.initial_events); choose at most {len(events)}"
            )
        points = events.flatten(1).double()
        if wrong := int((~points.isfinite().all(1)).sum()):
            raise InputError(
                f"{wrong} of the first {len(points)} events are not finite; leave them out of the "
                "data (sequences of several lengths, nan after their ends, are for an HMM)"
            )
        if constant := int((points.var(0, unbiased=False) <= _CONSTANT).sum()):
            warnings.warn(
                f"{constant} of {points.shape[1]} values are the same in all events: their density "
                "is as high as the floor of the variances lets it be, and so is the likelihood; "
                "leave them out",
                stacklevel=2,
            )
        self.shift.copy_(points.mean(0))
        points = points - self.shift
        found = kmeans(points.cpu(), self.components, self.seed, restarts=self.restarts)
        return points, found.to(points)

    def revived(self, counts: Tensor) -> list[tuple[int, int]]:
        """Dead components and those to split for them, told of once."""
        pairs = heirs(counts)
        if pairs and not self._told_of_the_dead:
            self._told_of_the_dead = True
            dead, heavy = pairs[0]
            warnings.warn(
                f"component {dead} of the mixture has died (no event comes from it) at batch "
                f"{self.batches_seen}: component {heavy}, the heaviest, is split in halves for it, "
                "and so for others to come; with fewer model.components none may die",
                stacklevel=2,
            )
        return pairs

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Log-densities (batch,), labels (batch,) and responsibilities (batch, K)."""
        events, labels = batch
        events = self.continuous(events, Stream.EVALUATION, batch_idx)
        log_prob, shares = posterior(self.joint(self.points(events)))
        return {"log_prob": told(log_prob), "labels": labels, "responsibilities": shares}

    def on_test_epoch_start(self) -> None:
        """Nothing is tested yet."""
        self._tested.zero_()

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """As a likelihood's; what the criteria need is added up."""
        nats = super().test_step(batch, batch_idx)
        self._tested += torch.tensor([len(batch[0]), -nats * len(batch[0])], dtype=torch.float64)

    def on_test_epoch_end(self) -> None:
        """BIC and AIC of the test events, as if the model had been fitted to them."""
        total = self.trainer.strategy.reduce(self._tested.to(self.device), reduce_op="sum")
        n, log_likelihood = total.tolist()
        self.log("test/bic", bic(log_likelihood, self.free, int(n)))
        self.log("test/aic", aic(log_likelihood, self.free))
