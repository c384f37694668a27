"""The two-player game of Goodfellow et al. (2014)."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from lightning_gans.models.ema import Average, ema_decay
from lightning_gans.models.game import Game, OptimizerFactory
from lightning_gans.objectives import non_saturating
from lightning_gans.schedules import Alternating, Schedule, Update, descend
from lightning_gans.seeds import Stream, seeded
from lightning_gans.types import (
    Discriminator,
    Events,
    Generator,
    InputError,
    Logits,
    Losses,
    Player,
    Turn,
)

__all__ = ["GAN", "Objective", "pairs_logits"]

Objective = Callable[[Logits, Logits], Losses]

_SAMPLE_CHUNK = 256
_PROBES = ((-4.0, 2.0), (-1.0, 5.0))


def pairs_logits(objective: Objective) -> bool:
    """Whether the generator's loss depends on the logits of real samples, found by trying.

    Where it does not, the generator's turn needs no pass over the real batch.
    """
    fake = torch.zeros(64)
    low, high = (objective(torch.linspace(*ends, 64), fake).generator for ends in _PROBES)
    return not torch.equal(low, high)


class GAN(Game):
    """Generative adversarial network (Goodfellow et al., 2014); every part is exchangeable.

    Args:
        generator: From latents N(0, I) to events.
        discriminator: From events to logits.
        objective: What each player minimises: a function of the logits.
        schedule: Who moves on which batch.
        update: How the movers of one turn move.
        generator_optimizer: In which direction the generator moves.
        discriminator_optimizer: In which direction the discriminator moves.
        ema_half_life: Half-life, in samples seen, of the averaged generator that is sampled from;
            None samples from the generator itself.
        clip_weights: Clamp the discriminator's weights to +-this after its moves; None does not.
        compile: Compile both networks with torch.compile; pays on a GPU, not on a CPU.

    Raises:
        InputError: The networks' event shapes differ, or a number is not positive.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        objective: Objective = non_saturating,
        schedule: Schedule = Alternating(),
        update: Update = descend,
        generator_optimizer: OptimizerFactory = torch.optim.Adam,
        discriminator_optimizer: OptimizerFactory = torch.optim.Adam,
        ema_half_life: float | None = 10_000.0,
        clip_weights: float | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__(schedule, update)
        if generator.event_shape != discriminator.event_shape:
            raise InputError(
                f"model.generator makes {generator.event_shape}, model.discriminator takes "
                f"{discriminator.event_shape}; they must be the same"
            )
        for name, value in {"ema_half_life": ema_half_life, "clip_weights": clip_weights}.items():
            if value is not None and value <= 0:
                raise InputError(f"model.{name} is {value}; it must be above 0, or null")
        self.generator, self.discriminator = generator, discriminator
        self.objective, self._paired = objective, pairs_logits(objective)
        self._factories = {
            "discriminator": discriminator_optimizer,
            "generator": generator_optimizer,
        }
        self.event_shape = generator.event_shape
        self.ema_half_life, self.clip_weights = ema_half_life, clip_weights
        self.generator_ema = None
        if ema_half_life is not None:
            self.generator_ema = deepcopy(generator).requires_grad_(False).eval()
        self._averaged_at = 0
        if compile:
            generator.compile()
            discriminator.compile()

    @property
    def players(self) -> dict[Player, nn.Module]:
        """The discriminator and the generator."""
        return {"discriminator": self.discriminator, "generator": self.generator}

    @property
    def optimizer_factories(self) -> dict[Player, OptimizerFactory]:
        """Each player's optimizer, given its parameters."""
        return self._factories

    def begin(self, events: Events, turns: Sequence[Turn]) -> None:
        """Real events; generated events are made when first needed."""
        self._real, self._fake, self._draws = events, None, 0
        self._generator_moves = any("generator" in turn for turn in turns)

    def fake(self) -> Events:
        """Generated events of this batch, made once for both players until the generator moves."""
        if self._fake is None:
            latents = self.latents(len(self._real), self._draws)
            self._draws += 1
            with torch.set_grad_enabled(self._generator_moves):
                self._fake = self.generator(latents)
        return self._fake

    def latents(self, n: int, draw: int = 0) -> Tensor:
        """Latents N(0, I) (n, latent_dim) of this batch, by (seed, rank, batch, draw)."""
        place = (self.seed, self.global_rank, self.batches_seen, draw)
        source = seeded(self._latent_source, Stream.LATENTS, *place)
        return torch.randn(n, self.generator.latent_dim, device=self.device, generator=source)

    def logits(self, events: Events) -> Logits:
        """Logits (batch,), in 32 bits at least: losses are small differences of them."""
        logits = self.discriminator(events)
        return logits.float() if logits.itemsize < 4 else logits

    def loss(self, player: Player) -> Tensor:
        """The mean loss () of ``player`` on this batch at the present weights."""
        if player == "discriminator":
            real, fake = self._real, self.fake().detach()
            losses = self.objective(self.logits(real), self.logits(fake))
            return losses.discriminator.mean()
        fake = self.logits(self.fake())
        # Unless the generator's loss compares the two, real logits would be a pass for nothing.
        real = self.logits(self._real) if self._paired else fake.detach()
        return self.objective(real, fake).generator.mean()

    @torch.no_grad()
    def moved(self, player: Player) -> None:
        """Forget what the generator made; average its weights; clamp the discriminator's."""
        if player == "generator":
            self._fake = None
            self._average()
        elif self.clip_weights is not None:
            torch._foreach_clamp_min_(self._parameters_of[player], -self.clip_weights)
            torch._foreach_clamp_max_(self._parameters_of[player], self.clip_weights)

    def _average(self) -> None:
        if self.generator_ema is None:
            return
        seen = self.samples_seen + len(self._real) * self.trainer.world_size
        decay = ema_decay(seen - self._averaged_at, self.ema_half_life, seen)
        self._average_of_generator.update(decay)
        self._averaged_at = seen

    def on_fit_start(self) -> None:
        """Make the source of the training latents on its device, and find what is averaged."""
        super().on_fit_start()
        self._latent_source = torch.Generator(self.device)
        if self.generator_ema is not None:
            self._average_of_generator = Average(self.generator_ema, self.generator)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``n`` events (n, *event_shape) of the averaged generator, if there is one.

        Latents are drawn on the CPU, so a seed gives the same events on every device. Batch norm
        uses its running statistics.

        Args:
            n: Number of events.
            generator: Source of the latents, on the CPU; None draws from the global one.
        """
        network = self.generator if self.generator_ema is None else self.generator_ema
        training = network.training
        network.eval()
        latents = torch.randn(n, network.latent_dim, generator=generator, dtype=torch.float32)
        latents = latents.to(next(network.parameters()))
        events = [network(part) for part in latents.split(_SAMPLE_CHUNK)]
        network.train(training)
        return torch.cat(events)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Both players' losses on held-out events, with latents that are the same every time."""
        self._evaluate(batch, batch_idx, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """As `validation_step`, on the test events."""
        self._evaluate(batch, batch_idx, "test")

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """The discriminator's logits (batch,) of real events, and their labels (batch,)."""
        events, labels = batch
        return {"logits": self.logits(events), "labels": labels}

    def _evaluate(self, batch: tuple[Tensor, Tensor], batch_idx: int, split: str) -> None:
        events, _ = batch
        source = seeded(torch.Generator(), Stream.EVALUATION, batch_idx)
        latents = torch.randn(len(events), self.generator.latent_dim, generator=source)
        fake = self.generator(latents.to(next(self.generator.parameters())))
        losses = self.objective(self.logits(events), self.logits(fake))
        for player, loss in losses._asdict().items():
            self.log(f"{split}/{player}_loss", loss.mean(), batch_size=len(events))

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Add when the average was last updated."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["clock"]["averaged_at"] = self._averaged_at

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Go on averaging from there."""
        super().on_load_checkpoint(checkpoint)
        self._averaged_at = checkpoint["clock"]["averaged_at"]
