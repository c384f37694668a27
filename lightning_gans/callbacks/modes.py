"""Mode collapse while it happens: which modes samples serve, in numbers, pictures and a film."""

import warnings
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from lightning_gans.callbacks.diversity import diversity_of
from lightning_gans.callbacks.evaluations import Evaluations
from lightning_gans.callbacks.in_step import in_step
from lightning_gans.callbacks.known import known_modes
from lightning_gans.callbacks.mode_pictures import discriminator_of, draw_film, draw_history
from lightning_gans.callbacks.tables import table
from lightning_gans.errors import InputError
from lightning_gans.metrics import Measured
from lightning_gans.seeds import Stream, mix
from lightning_gans.types import Events

__all__ = ["ModeDiagnostics"]

_CHUNK = 2560
_SHOWN = 2500


class ModeDiagnostics(Evaluations):
    """Counts the modes that the averaged generator serves, and shows them.

    Where the law of the data is known (rings, grids, mixtures, stacked digits), and for labelled
    images if asked, it writes into the run folder and to the loggers, beside what a perfect
    sampler would get:

    * ``modes/<data>_n<N>/<metric>`` in metrics.csv, N samples each: modes captured, high-quality
      share, divergences over the modes, the least and the most served mode; diversity if asked;
    * ``modes.jsonl``: the same with ideals and intervals, and the samples of each mode; only here
      is the last evaluation, marked ``extra``, if a run ends out of turn;
    * ``modes/*.png``: points with the discriminator's field, classes or triples; ``modes.gif``: all
      of these as a film; ``modes.png``: the curves.

    ``lightning test`` prints all of them as a table.

    It warns once when fewer modes are served than before by more than both intervals allow, twice
    on end or in the end: a young generator hops.

    Args:
        every_n_epochs: Epochs between two evaluations; the last epoch always has one. 0 switches
            it off.
        n: Samples of an evaluation; None takes 2,500, or 26 for each mode if there are many.
        labelled: Tell the classes of labelled images, too, by a small classifier, which is trained
            first if there is none in the cache.
        diversity: Measure, too, how different samples are from one another (`Diversity`): up to
            2,000 of the first process, beside as many training samples.
        seed: Of the samples; the same latents every time.

    Raises:
        InputError: A number is out of range, or the data have no classes, or no known modes.
    """

    name = "modes"

    def __init__(
        self,
        every_n_epochs: int = 1,
        n: int | None = None,
        labelled: bool = False,
        diversity: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(every_n_epochs)
        if n is not None and n < 1:
            raise InputError(f"modes.n is {n}; it must be at least 1, or null")
        self.n, self.labelled, self.seed = n, labelled, seed
        self.diversity = diversity
        self.known = self._diversity = None
        self._best: tuple[float, float] | None = None
        self._below, self._warned = 0, False

    @property
    def active(self) -> bool:
        """Whether modes of the data are known."""
        return self.known is not None

    def state(self) -> dict[str, Any]:
        """With the best coverage so far, and whether a loss was told."""
        return super().state() | {
            "_best": self._best,
            "_below": self._below,
            "_warned": self._warned,
        }

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find out what is known of the data, before training begins or in a test."""
        if self.every_n_epochs and stage in ("fit", "test") and self.known is None:
            device = trainer.strategy.root_device
            self.known = known_modes(trainer.datamodule, device, self.labelled)
            if self.diversity and trainer.is_global_zero:
                world = trainer.world_size
                self._diversity = diversity_of(trainer.datamodule, self.known, self.n, world)

    def finish(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell a loss that nothing can follow any more; draw the curves and the film."""
        if self._below == 1 and self._evaluated_at == pl_module.samples_seen:
            self._tell_loss(self._coverage, pl_module.samples_seen)
        if trainer.is_global_zero:
            rows = self._records.rows
            draw_history(rows, self.known.history, self._run / "modes.png")
            frames = [self._pictures / row["picture"] for row in rows if row["picture"]]
            draw_film(frames, self._run / "modes.gif")

    def evaluate(self, trainer: Trainer, pl_module: LightningModule, extra: bool) -> None:
        """Count, tell, draw and record."""
        known, n = self.known, self.n or self.known.n
        measured, shown = self._count(trainer, pl_module, n)
        self._watch(measured[known.coverage], pl_module, extra)
        self.report = known.in_words(measured)
        if not trainer.is_global_zero:
            return
        coverage, prefix = measured[known.coverage], f"modes/{known.protocol}_n"
        columns = {f"{prefix}{value.n}/{key}": value.value for key, value in measured.items()}
        columns[f"{prefix}{n}/{known.coverage}_low"] = coverage.low
        columns[f"{prefix}{n}/{known.coverage}_high"] = coverage.high
        told = {"protocol": known.protocol, "n": n, "oracle": known.told_by}
        counts = known.metric.counts.flatten().tolist()
        picture = None
        try:
            picture = self._draw(shown, pl_module)
        finally:  # what was counted is kept, whatever becomes of the picture
            self.record(
                trainer, pl_module, measured, columns, extra, picture, **told, counts=counts
            )

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print all numbers as a table."""
        if not self.active:
            return
        measured, _ = self._count(trainer, pl_module, self.n or self.known.n)
        if trainer.is_global_zero:
            print(table({f"{self.known.protocol}/{key}": each for key, each in measured.items()}))

    def _count(
        self, trainer: Trainer, pl_module: LightningModule, n: int
    ) -> tuple[dict[str, Measured], Events]:
        """What ``n`` samples are measured to be; and the first of this process."""
        known = self.known
        own = n // trainer.world_size + (trainer.global_rank < n % trainer.world_size)
        seed = mix(Stream.EVALUATION, self.seed, trainer.global_rank)
        source = torch.Generator().manual_seed(seed)
        known.metric.reset()
        shown = []
        with in_step(trainer) as pause:
            for start in range(0, -(-n // trainer.world_size), _CHUNK):
                if start < own:
                    events = pl_module.sample(min(_CHUNK, own - start), source)
                    known.update(events)
                    shown.append(events[: max(0, _SHOWN - start)])
                pause()
        measured, first = known.metric.compute(), torch.cat(shown)
        if self._diversity:
            measured |= self._diversity.measure(first)
        return measured, first

    def _draw(self, events: Events, pl_module: LightningModule) -> str:
        """Draw what was counted, some of it being ``events``; the picture's name."""
        report = self.report.replace(", reverse", "\nreverse")
        title = f"{self.known.protocol}, {pl_module.samples_seen:,} samples seen\n{report}"
        picture = f"samples_{pl_module.samples_seen:09d}.png"
        with discriminator_of(pl_module) as judge:
            self.known.draw(events, judge, title, self._pictures / picture)
        return picture

    def _watch(self, coverage: Measured, pl_module: LightningModule, extra: bool) -> None:
        """Compare with the best coverage before; warn if modes are lost twice on end, or last."""
        lost = self._best is not None and coverage.high < self._best[0]
        if extra:
            # A run that goes on must not know of it.
            if lost:
                self._tell_loss(coverage, pl_module.samples_seen)
            return
        self._coverage = coverage
        self._below = self._below + 1 if lost else 0
        if self._below >= 2:
            self._tell_loss(coverage, pl_module.samples_seen)
        if self._best is None or coverage.low > self._best[0]:
            self._best = (coverage.low, coverage.value)

    def _tell_loss(self, now: Measured, samples_seen: int) -> None:
        if self._warned:
            return
        self._warned = True
        if rank_zero_only.rank:  # all processes know, one tells
            return
        warnings.warn(
            f"Mode collapse: {now.value:.0f} of {len(self.known.names)} modes are served after "
            f"{samples_seen:,} samples (by chance {now.low:.0f} to {now.high:.0f}), where there "
            f"were {self._best[1]:.0f}. See modes/ in the run folder; R1 and R2, "
            f"relativistic_paired or packing may help",
            stacklevel=2,
        )
