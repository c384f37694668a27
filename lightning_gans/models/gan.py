"""The two-player game of Goodfellow et al. (2014)."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from lightning_gans.models.checks import (
    Objective,
    check_augmentation,
    check_packing,
    check_term,
    compares_logits,
)
from lightning_gans.models.evaluated import EvaluatedGame
from lightning_gans.models.game import OptimizerFactory, SchedulerFactory
from lightning_gans.models.rounds import Round
from lightning_gans.models.rules import Clipping, Rules
from lightning_gans.objectives import Judged, Penalty, non_saturating
from lightning_gans.schedules import Alternating, Schedule, Update, descend
from lightning_gans.types import (
    Augmentation,
    Discriminator,
    Events,
    Generator,
    InputError,
    Logits,
    Player,
    Turn,
)

__all__ = ["GAN"]


class GAN(EvaluatedGame):
    """Generative adversarial network (Goodfellow et al., 2014); every part is exchangeable.

    Args:
        generator: From latents N(0, I) to events.
        discriminator: From events to logits; its ``packing`` is how many events have one logit.
        objective: What each player minimises: a function of the logits.
        penalties: Further terms of the discriminator's loss.
        augment: Changes real and generated events alike before the discriminator's training sees
            them; differentiable.
        schedule: Who moves on which batch.
        update: How the movers of one turn move.
        generator_optimizer: In which direction the generator moves.
        discriminator_optimizer: In which direction the discriminator moves.
        generator_scheduler: The generator's learning rate, stepped once a batch.
        discriminator_scheduler: The discriminator's learning rate, stepped once a batch.
        ema_half_life: Half-life, in samples seen, of the averaged generator that is sampled from;
            None samples from the generator itself.
        clip_weights: Clamp the discriminator's weights to +-this after its moves; None does not.
        clip_norm: Largest norm of each player's gradient; None clips nothing.
        clip_value: Largest size of each entry of the gradients; None clips nothing.
        accumulate: Parts a batch is split into, to need less memory; the gradient is that of the
            whole but for what compares the samples of a batch.
        max_skipped: Moves of a player on end that may be skipped because its loss or gradient is
            not finite, before the run stops.
        compile: Compile both networks; pays on a GPU. Passes differentiated twice stay eager.

    Attributes:
        judged: Logits (packs,) of real and of generated events when the discriminator first looked
            at this batch; None if it has not.

    Raises:
        InputError: The networks' event shapes differ, a number is out of range, or the objective
            is none.
    """

    plain = EvaluatedGame.plain | {"judged", "_discriminator_moves", "_fake", "_generator_moved"}
    plain |= {"_generator_moves", "_judged_batches"}

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        objective: Objective = non_saturating,
        penalties: Sequence[Penalty] = (),
        augment: Augmentation | None = None,
        schedule: Schedule = Alternating(),
        update: Update = descend,
        generator_optimizer: OptimizerFactory = torch.optim.Adam,
        discriminator_optimizer: OptimizerFactory = torch.optim.Adam,
        generator_scheduler: SchedulerFactory | None = None,
        discriminator_scheduler: SchedulerFactory | None = None,
        ema_half_life: float | None = 10_000.0,
        clip_weights: float | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        max_skipped: int = 20,
        compile: bool = False,
    ) -> None:
        clipping = Clipping(clip_norm, clip_value)
        rules = Rules(schedule, update, accumulate, clipping, max_skipped)
        super().__init__(rules, generator, ema_half_life)
        if generator.event_shape != discriminator.event_shape:
            raise InputError(
                f"model.generator makes {generator.event_shape}, model.discriminator takes "
                f"{discriminator.event_shape}; they must be the same"
            )
        if clip_weights is not None and not clip_weights > 0:
            raise InputError(f"model.clip_weights is {clip_weights}; it must be above 0, or null")
        self.discriminator, self.clip_weights = discriminator, clip_weights
        self.objective, self.compares = objective, compares_logits(objective)
        self.penalties, self.augment = list(penalties), augment
        check_augmentation(augment, generator.event_shape)
        # Running averages of penalties belong into checkpoints.
        self.averages = nn.ModuleList(p for p in penalties if isinstance(p, nn.Module))
        optimizers, schedulers = (
            (discriminator_optimizer, generator_optimizer),
            (discriminator_scheduler, generator_scheduler),
        )
        self._optimizers = dict(zip(self.players, optimizers, strict=True))
        self._schedulers = dict(zip(self.players, schedulers, strict=True))
        self._judged_batches = 0
        self.compiled = compile
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
        return self._optimizers

    @property
    def scheduler_factories(self) -> dict[Player, SchedulerFactory]:
        """The learning-rate schedulers that were asked for."""
        return {player: factory for player, factory in self._schedulers.items() if factory}

    def setup(self, stage: str) -> None:
        """Refuse batches that cannot be judged in packs, too."""
        super().setup(stage)
        if stage == "fit":
            packing, parts = self.discriminator.packing, self.rules.accumulate
            check_packing(packing, parts, self.trainer.datamodule)

    def begin(self, turns: Sequence[Turn]) -> None:
        """Generated events are made when first needed."""
        movers = {player for turn in turns for player in turn}
        self._fake = self.at_hand = self.judged = None
        self._generator_moves, self._generator_moved = "generator" in movers, False
        self._discriminator_moves = "discriminator" in movers

    def fake(self, played: Round) -> Events:
        """Generated events of a round, made once for both players until the generator moves."""
        if self._fake is None or self.at_hand is not played:
            latents = self.latents(played.batch_size, played.batch)
            if played.size < played.batch_size:
                latents = latents[played.part]
            with torch.set_grad_enabled(self._generator_moves):
                self._fake, self.at_hand = self.generator(latents), played
        return self._fake

    def judge(self, events: Events) -> Logits:
        """Logits (packs,) of events as training shows them to the discriminator."""
        return self.logits(events if self.augment is None else self.augment(events))

    def loss(self, player: Player, played: Round, attached: bool = False) -> Tensor:
        """The mean loss () of ``player`` on a round at the present weights."""
        with self._eager(attached):
            if player == "discriminator":
                return self._discriminator_loss(played, attached)
            fake = self.judge(self.fake(played))
            # Unless the loss compares the two, real logits would be a pass for nothing.
            real = self.judge(played.events) if self.compares else fake.detach()
            return self.objective(real, fake).generator.mean()

    def _discriminator_loss(self, played: Round, attached: bool) -> Tensor:
        due = [penalty for penalty in self.penalties if penalty.due(self._judged_batches)]
        real, fake = played.events, self.fake(played)
        if not attached:
            fake = fake.detach()
        if due:
            # Penalties take gradients by the events from the logits that the loss needs anyway.
            real = real.detach().requires_grad_()
            # A view, as weights that have answered in thought may depend on the events, too.
            fake = fake.view_as(fake) if fake.requires_grad else fake.detach().requires_grad_()
        with self._eager(bool(due)):
            logits = self.judge(real), self.judge(fake)
            judged = Judged(self.judge, real, fake, *logits, batch=self._judged_batches)
            if self.judged is None:
                self.judged = (judged.real_logits.detach(), judged.fake_logits.detach())
            loss = self.objective(judged.real_logits, judged.fake_logits).discriminator.mean()
            for penalty in due:
                loss = loss + check_term(penalty, judged)
        return loss

    def _eager(self, wanted: bool) -> AbstractContextManager:
        """Compiled code cannot be differentiated twice."""
        if self.compiled and wanted:
            return torch.compiler.set_stance("force_eager")
        return nullcontext()

    @torch.no_grad()
    def moved(self, player: Player) -> None:
        """Forget what the generator made; clamp the discriminator's weights."""
        self.forget(player)
        if player == "generator":
            self._generator_moved = True
        elif self.clip_weights is not None:
            weights = self.movers[player].parameters
            torch._foreach_clamp_min_(weights, -self.clip_weights)
            torch._foreach_clamp_max_(weights, self.clip_weights)

    def forget(self, player: Player) -> None:
        """What the generator made must not be used again."""
        if player == "generator":
            self._fake = None

    def end(self) -> None:
        """Average the generator's weights if it moved."""
        self._fake = self.at_hand = None
        self._judged_batches += self._discriminator_moves
        if self._generator_moved:
            self.average()

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Add the time that lazy penalties go by."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["clock"]["judged_batches"] = self._judged_batches

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Go on from there."""
        super().on_load_checkpoint(checkpoint)
        self._judged_batches = checkpoint["clock"]["judged_batches"]
