"""The variational autoencoder of Kingma and Welling (2014): an encoder and a decoder, one loss."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.models.game import OptimizerFactory, SchedulerFactory
from lightning_gans.models.latent import LatentGame
from lightning_gans.models.likelihood import Likelihood
from lightning_gans.models.observed import Observed, drawn, wide
from lightning_gans.models.rounds import Round
from lightning_gans.models.rules import Clipping, Rules
from lightning_gans.objectives import Observation, Warmup
from lightning_gans.objectives.likelihood import (
    LogProbs,
    free_bits,
    importance_weighted,
    kl_to_prior,
    latent_log_ratio,
)
from lightning_gans.schedules import Schedule, Simultaneous, Update, descend
from lightning_gans.seeds import Stream, seeded
from lightning_gans.types import Decoder, Encoder, Events, InputError, Latents, Player, Turn

__all__ = ["VAE"]

_ROWS = 512
"""Latents that are decoded at once."""


class VAE(Likelihood, LatentGame):
    """Variational autoencoder (Kingma and Welling, 2014); every part is exchangeable.

    Both players minimise -E_q log p(x | z) + beta KL(q(z | x) || N(0, I)), with one sample of q for
    each event; by default both move at once. With beta above 1 it is the beta-VAE (Higgins et al.,
    2017).

    Args:
        encoder: From events to posteriors q(z | x).
        decoder: From latents to what the likelihood needs to know.
        likelihood: The law p(x | z).
        beta: Weight of the divergence, or how it grows.
        free_bits: Nats that each latent may take, in the mean over a batch, uncharged (Kingma et
            al., 2016).
        schedule: Who moves on which batch: `Simultaneous` both, `Alternating` first the encoder and
            then the decoder, `Phased` one after the other for windows; ``discriminator`` there
            stands for the first, the encoder.
        update: How the movers of one turn move.
        encoder_optimizer: In which direction the encoder moves.
        decoder_optimizer: In which direction the decoder moves, and the likelihood with it.
        encoder_scheduler: The encoder's learning rate, stepped once a batch.
        decoder_scheduler: The decoder's learning rate, stepped once a batch.
        ema_half_life: Half-life, in samples seen, of the averaged decoder that is sampled from and
            evaluated; None has none.
        clip_norm: Largest norm of each player's gradient; None clips nothing.
        clip_value: Largest size of each entry of the gradients; None clips nothing.
        accumulate: Parts a batch is split into, to need less memory; free bits are then those of a
            part.
        max_skipped: Moves of a player on end that may be skipped because its loss or gradient is
            not finite, before the run stops.
        test_samples: Samples of q for each event of the importance-weighted bound in a test.
        noise_in_samples: Whether samples are drawn from p(x | z), or are expected events.
        compile: Compile both networks; pays on a GPU.

    Raises:
        InputError: The parts do not fit together, or a number is out of range.
    """

    plain = LatentGame.plain | {"_beta", "_decoder_moved", "_told"}
    shared = (("encoder", "decoder"),)
    compares = True

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        likelihood: Observation,
        beta: float | Warmup = 1.0,
        free_bits: float = 0.0,
        schedule: Schedule = Simultaneous(),
        update: Update = descend,
        encoder_optimizer: OptimizerFactory = torch.optim.Adam,
        decoder_optimizer: OptimizerFactory = torch.optim.Adam,
        encoder_scheduler: SchedulerFactory | None = None,
        decoder_scheduler: SchedulerFactory | None = None,
        ema_half_life: float | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        max_skipped: int = 20,
        test_samples: int = 200,
        noise_in_samples: bool = False,
        compile: bool = False,
    ) -> None:
        schedule = schedule.between("encoder", "decoder")
        rules = Rules(schedule, update, accumulate, Clipping(clip_norm, clip_value), max_skipped)
        super().__init__(rules, Observed(decoder, likelihood, noise_in_samples), ema_half_life)
        for name in ("event_shape", "latent_dim"):
            e, d = getattr(encoder, name), getattr(decoder, name)
            if e != d:
                raise InputError(f"model.encoder has the {name} {e}, model.decoder {d}; choose one")
        for name, value in {"beta": beta, "free_bits": free_bits}.items():
            if not isinstance(value, Warmup) and not value >= 0:
                raise InputError(f"model.{name} is {value}; it must be at least 0")
        if test_samples < 1:
            raise InputError(f"model.test_samples is {test_samples}; it must be at least 1")
        self.encoder, self.discrete, self.in_bits = encoder, likelihood.discrete, likelihood.in_bits
        self.beta, self.free_bits, self.test_samples = beta, free_bits, test_samples
        self._optimizers = {"encoder": encoder_optimizer, "decoder": decoder_optimizer}
        self._schedulers = {"encoder": encoder_scheduler, "decoder": decoder_scheduler}
        self._told: list[Tensor] = []
        if compile:
            encoder.compile()
            decoder.compile()

    @property
    def players(self) -> dict[Player, nn.Module]:
        """The encoder, and the decoder with its likelihood."""
        return {"encoder": self.encoder, "decoder": self.generator}

    @property
    def optimizer_factories(self) -> dict[Player, OptimizerFactory]:
        """Each player's optimizer, given its parameters."""
        return self._optimizers

    @property
    def scheduler_factories(self) -> dict[Player, SchedulerFactory]:
        """The learning-rate schedulers that were asked for."""
        return {player: factory for player, factory in self._schedulers.items() if factory}

    def setup(self, stage: str) -> None:
        """Refuse data whose values the likelihood does not know, too."""
        super().setup(stage)
        self.generator.law.check(self.trainer.datamodule.bin_width)

    @property
    def protocol(self) -> str:
        """With what was binarised, and how tight the bound is."""
        law = self.generator.law
        told = (law.of or super().protocol, law.treatment, f"by {self.test_samples} samples of q")
        return ", ".join(part for part in told if part)

    def continuous(self, events: Events, stream: Stream, *keys: int) -> Events:
        """``events`` as the likelihood sees them: with noise, binarised, or as they are."""
        events = super().continuous(events, stream, *keys)
        return self.generator.law.observe(events, seeded(torch.Generator(), stream, *keys))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Play this batch, as the likelihood sees it."""
        events, labels = batch
        keys = (self.seed, self.global_rank, self.batches_seen)
        super().training_step((self.continuous(events, Stream.NOISE, *keys), labels), batch_idx)

    def begin(self, turns: Sequence[Turn]) -> None:
        """Settle the weight of the divergence."""
        beta = self.beta
        self._beta = beta(self.samples_seen) if isinstance(beta, Warmup) else beta
        self._decoder_moved = False

    def posterior(self, events: Events) -> tuple[Latents, Latents]:
        """Mean and logarithm of the variance of q(z | x), both (batch, latent_dim)."""
        mean, log_variance = self.encoder(events)
        return wide(mean), wide(log_variance)

    def loss(self, player: Player, played: Round, attached: bool = False) -> Tensor:
        """The mean loss () of both players on a round at the present weights."""
        noise = self.latents(played.batch_size, played.batch)[played.part]
        given, kl = self._terms(played.events, noise, self.generator)
        missed = -given.mean()
        self._told.append(torch.stack((missed, kl.sum(1).mean())).detach())
        return missed + self._beta * free_bits(kl, self.free_bits)

    def _terms(self, events: Events, noise: Tensor, law: Observed) -> tuple[LogProbs, Latents]:
        """Log p(x | z) (batch,) at one z of each posterior, and its divergence (batch, latent)."""
        mean, log_variance = self.posterior(events)
        given = law.log_prob(events, drawn(mean, log_variance, noise))
        return given, kl_to_prior(mean, log_variance)

    def told(self) -> dict[str, float]:
        """The negative evidence lower bound and its divergence, of the batches with finite ones."""
        told, self._told = [part for part in self._told if part.isfinite().all()], []
        if not told:
            return {}
        missed, kl = torch.stack(told).mean(0).tolist()
        return {"train/nll": missed + kl, "train/kl": kl}

    def moved(self, player: Player) -> None:
        """Take notice of a decoder that has moved."""
        self._decoder_moved |= player == "decoder"

    def forget(self, player: Player) -> None:
        """Nothing: every loss encodes and decodes anew."""

    def end(self) -> None:
        """Average the decoder's weights if it moved."""
        if self._decoder_moved:
            self.average()

    def log_prob(
        self, events: Events, samples: int = 1, source: torch.Generator | None = None
    ) -> LogProbs:
        """A lower bound (batch,) of log p(x), importance-weighted (Burda et al., 2016).

        Args:
            events: As the likelihood sees them (`continuous`).
            samples: Of q for each event; the bound grows with them towards log p(x).
            source: Of the samples, on the CPU; None draws from the global one.
        """
        mean, log_variance = self.posterior(events)
        at_once = max(1, _ROWS // len(events))
        weights = []
        for start in range(0, samples, at_once):
            k = min(at_once, samples - start)
            noise = torch.randn(k, *mean.shape, generator=source).to(mean)
            latents = drawn(mean, log_variance, noise)
            ratio = latent_log_ratio(latents, noise, log_variance)
            repeated = events.repeat(k, *[1] * (events.ndim - 1))
            given = self.sampled.log_prob(repeated, latents.flatten(0, 1))
            weights.append(given.view(k, -1) + ratio)
        return importance_weighted(torch.cat(weights))

    def elbo(self, events: Events, source: torch.Generator | None = None) -> LogProbs:
        """The evidence lower bound (batch,), by one sample of q and the exact divergence."""
        noise = torch.randn(len(events), self.encoder.latent_dim, generator=source).to(events)
        given, kl = self._terms(events, noise, self.sampled)
        return given - kl.sum(1)

    def evaluate(self, events: Events, split: str, batch_idx: int) -> LogProbs:
        """The evidence lower bound while training; a tighter one in tests and predictions."""
        source = seeded(torch.Generator(), Stream.EVALUATION, batch_idx, 0)
        if split == "val":
            return self.elbo(events, source)
        return self.log_prob(events, self.test_samples, source)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is to be logged with the losses."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["told"] = self.gathered(list(self._told))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there."""
        super().on_load_checkpoint(checkpoint)
        self._told = self.own(checkpoint["told"])

    def restore(self) -> None:
        """Move what was told before to the device, too."""
        super().restore()
        self._told = [told.to(self.device) for told in self._told]
