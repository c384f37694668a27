"""What a VAE keeps of an event: reconstructions, walks through its latents, how many it uses."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gans.callbacks.evaluations import Evaluations
from lightning_gans.callbacks.pictures import draw_grid, picture_of
from lightning_gans.errors import InputError
from lightning_gans.metrics import Measured
from lightning_gans.models.vae import VAE
from lightning_gans.objectives.likelihood import kl_to_prior
from lightning_gans.seeds import Stream
from lightning_gans.types import Events, Latents

__all__ = ["Reconstructions"]

_ACTIVE = 0.01
"""Variance of a latent's posterior mean above which it is active (Burda et al., 2016)."""
_FEW = 0.1
"""The share of active latents below which the posterior has collapsed."""
_ROWS, _STEPS, _FARTHEST = 8, 11, 3.0


class Reconstructions(Evaluations):
    """Shows what a VAE keeps of held-out events, and in how many of its latents.

    Of a VAE on images, in the run folder:

    * ``reconstructions/images_<samples seen>.png``: held-out images, each with its reconstruction
      to its right, the decoded mean of its posterior;
    * ``reconstructions/traversals.png``, at the end: a row for each of the latents with the
      largest divergence, which goes from -3 to 3 while the others stay at an image's mean;
    * ``reconstructions/interpolations.png``, at the end: from one image's mean to another's.

    Of any VAE, in metrics.csv and W&B, and in reconstructions.jsonl for every latent:

    * ``latents/active``: active units (Burda et al., 2016), the latents whose posterior mean has a
      variance over events above 0.01;
    * ``latents/kl``: the divergence of the posterior from N(0, I), in nats an event.

    A run warns once when the posterior has collapsed: no latent is active, or fewer than a tenth,
    in two evaluations on end or in the last.

    Args:
        every_n_epochs: Epochs between two evaluations; the last epoch always has one. 0 switches
            it off; None takes those of validation.
        n: Held-out events that are looked at.

    Raises:
        InputError: A number is out of range.
    """

    name = "reconstructions"

    def __init__(self, every_n_epochs: int | None = None, n: int = 5000) -> None:
        super().__init__(every_n_epochs)
        if n < 2:
            raise InputError(f"reconstructions.n is {n}; it must be at least 2")
        self.n = n
        self._is_vae = self._warned = False
        self._collapsed = 0

    @property
    def active(self) -> bool:
        """Whether the model has latents to look at."""
        return self._is_vae

    def state(self) -> dict[str, Any]:
        """With how often the posterior was collapsed, and whether that was told."""
        return super().state() | {"_collapsed": self._collapsed, "_warned": self._warned}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find out whether this is a VAE."""
        self._is_vae = isinstance(pl_module, VAE) and self.every_n_epochs != 0 and stage == "fit"

    @torch.no_grad()
    def evaluate(self, trainer: Trainer, pl_module: LightningModule, extra: bool) -> None:
        """Measure, draw and record."""
        if not trainer.is_global_zero:
            return
        with _in_eval(pl_module):
            events, mean, log_variance = self._encoded(trainer, pl_module)
            kl = kl_to_prior(mean, log_variance).mean(0)
            variance = mean.var(0)
            picture = None
            if picture_of(pl_module.event_shape) is draw_grid:
                picture = f"images_{pl_module.samples_seen:09d}.png"
                pairs = _ROWS * _ROWS // 2
                made = pl_module.sampled(mean[:pairs])
                rows = torch.stack((events[:pairs], made), 1).flatten(0, 1)
                draw_grid(rows, self._pictures / picture, _ROWS)
        active = int((variance > _ACTIVE).sum())
        measured = {
            "active": Measured(float(active), None, len(mean)),
            "kl": Measured(kl.sum().item(), None, len(mean)),
        }
        columns = {f"latents/{key}": value.value for key, value in measured.items()}
        told = {"kl_of_each": kl.tolist(), "variance_of_each": variance.tolist()}
        self.record(trainer, pl_module, measured, columns, extra, picture, **told)
        self.report = f"{active} of {len(kl)} latents active, {kl.sum().item():.4g} nats an event"
        self._collapsed = self._collapsed + 1 if active < max(1.0, _FEW * len(kl)) else 0
        if self._collapsed > 1:
            self._tell(pl_module)

    @torch.no_grad()
    def finish(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Walk through the latents; tell of a collapse that nothing can follow any more."""
        if self._collapsed:
            self._tell(pl_module)
        if not trainer.is_global_zero or picture_of(pl_module.event_shape) is not draw_grid:
            return
        with _in_eval(pl_module):
            _, mean, log_variance = self._encoded(trainer, pl_module)
            most = kl_to_prior(mean, log_variance).mean(0).argsort(descending=True)[:_ROWS]
            for name, walked in {
                "traversals": traversals(mean[0], most),
                "interpolations": interpolations(mean[: 2 * _ROWS]),
            }.items():
                draw_grid(pl_module.sampled(walked), self._pictures / f"{name}.png", _STEPS)

    def _encoded(self, trainer: Trainer, vae: VAE) -> tuple[Events, Latents, Latents]:
        """Up to n held-out events, with means and log variances of their posteriors."""
        parts, count = [], 0
        for i, (events, _) in enumerate(trainer.datamodule.val_dataloader()):
            seen = vae.continuous(events.to(vae.device), Stream.EVALUATION, i)
            parts.append((seen, *vae.posterior(seen)))
            count += len(seen)
            if count >= self.n:
                break
        events, mean, log_variance = (
            torch.cat(part)[: self.n] for part in zip(*parts, strict=True)
        )
        return events, mean, log_variance

    def _tell(self, vae: VAE) -> None:
        if self._warned:
            return
        self._warned = True
        warnings.warn(
            f"Posterior collapse: {self.report} after {vae.samples_seen:,} samples. The decoder "
            "hardly looks at the latents; a smaller model.beta, a Warmup of it, model.free_bits or "
            "a weaker decoder may help",
            stacklevel=2,
        )


@contextmanager
def _in_eval(module: LightningModule) -> Iterator[None]:
    """Inside, running statistics are used and not changed."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def traversals(latents: Tensor, which: Tensor) -> Tensor:
    """Rows (len(which) * 11, latent): ``latents``, but in each row one goes from -3 to 3."""
    rows = latents.repeat(len(which), _STEPS, 1)
    for row, latent in zip(rows, which.tolist(), strict=True):
        row[:, latent] = torch.linspace(-_FARTHEST, _FARTHEST, _STEPS)
    return rows.flatten(0, 1)


def interpolations(latents: Tensor) -> Tensor:
    """Rows (n / 2 * 11, latent) on the straight lines from each even row to the one after it."""
    start, end = latents[: len(latents) // 2 * 2].view(-1, 2, 1, latents.shape[1]).unbind(1)
    steps = torch.linspace(0, 1, _STEPS).to(latents)[None, :, None]
    return torch.lerp(start, end, steps).flatten(0, 1)
