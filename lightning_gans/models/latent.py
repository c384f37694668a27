"""Games whose generator makes events from latents: drawing, averaging, sampling."""

from copy import deepcopy

import torch
from torch import Tensor

from lightning_gans.models.ema import Average, ema_decay
from lightning_gans.models.game import Game
from lightning_gans.models.rules import Rules
from lightning_gans.seeds import Stream, seeded
from lightning_gans.types import Generator, InputError

__all__ = ["LatentGame"]

_SAMPLE_CHUNK = 256


class LatentGame(Game):
    """A game in which one network makes events from latents N(0, I).

    Args:
        rules: Of the game.
        generator: That network.
        ema_half_life: Half-life, in samples seen, of the average of its weights that is sampled
            from; None samples from the generator itself.

    Raises:
        InputError: ``ema_half_life`` is not positive.
    """

    def __init__(self, rules: Rules, generator: Generator, ema_half_life: float | None) -> None:
        super().__init__(rules)
        if ema_half_life is not None and not ema_half_life > 0:
            raise InputError(f"model.ema_half_life is {ema_half_life}; it must be above 0, or null")
        self.generator, self.event_shape = generator, generator.event_shape
        self.ema_half_life = ema_half_life
        self.generator_ema = None
        if ema_half_life is not None:
            self.generator_ema = deepcopy(generator).requires_grad_(False).eval()
        self._averaged_at = 0

    def on_fit_start(self) -> None:
        """Make the source of the training latents on its device, and find what is averaged."""
        super().on_fit_start()
        self._latent_source = torch.Generator(self.device)
        if self.generator_ema is not None:
            self._average_of_generator = Average(self.generator_ema, self.generator)

    def latents(self, n: int, batch: int) -> Tensor:
        """Latents N(0, I) (n, latent_dim) of a batch, by (seed, rank, batch)."""
        source = seeded(self._latent_source, Stream.LATENTS, self.seed, self.global_rank, batch, 0)
        return torch.randn(n, self.generator.latent_dim, device=self.device, generator=source)

    def average(self) -> None:
        """Let the average follow the generator, which has moved on this batch."""
        if self.generator_ema is not None:
            seen = self.samples_seen + self.rounds[-1].batch_size * self.trainer.world_size
            decay = ema_decay(seen - self._averaged_at, self.ema_half_life, seen)
            self._average_of_generator.update(decay)
            self._averaged_at = seen

    @property
    def sampled(self) -> Generator:
        """The network that is sampled from: the average, if there is one."""
        return self.generator if self.generator_ema is None else self.generator_ema

    def prior(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Latents (n, latent_dim) to sample from, drawn with ``generator`` on the CPU."""
        latents = torch.randn(n, self.sampled.latent_dim, generator=generator, dtype=torch.float32)
        return latents.to(next(self.sampled.parameters()))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """``n`` events (n, *event_shape) of the averaged generator, if there is one.

        Latents are drawn on the CPU, so a seed gives the same events on every device. Batch norm
        uses its running statistics.

        Args:
            n: Number of events.
            generator: Source of the latents, on the CPU; None draws from the global one.
        """
        network = self.sampled
        training = network.training
        network.eval()
        latents = self.prior(n, generator)
        events = [network.sample(part, generator) for part in latents.split(_SAMPLE_CHUNK)]
        network.train(training)
        return torch.cat(events)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Add when the average was last updated."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["clock"]["averaged_at"] = self._averaged_at

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Go on averaging from there."""
        super().on_load_checkpoint(checkpoint)
        self._averaged_at = checkpoint["clock"]["averaged_at"]
