"""What our metrics share: a clear word when nothing was seen, and samples kept until the end."""

import warnings
from abc import ABC
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from lightning_gans.errors import InputError
from lightning_gans.types import Events

__all__ = ["Keeping", "SampleMetric"]


class SampleMetric(Metric, ABC):
    """A metric whose ``compute()`` gives a name for each `Measured` number."""

    full_state_update = False

    def _wrap_compute(self, compute: Callable[[], Any]) -> Callable[[], Any]:
        """Without the warning that nothing was seen: `_refuse_none` says so, on all processes."""
        wrapped = super()._wrap_compute(compute)

        @wraps(compute)
        def quiet() -> Any:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The ``compute`` method of metric", UserWarning)
                return wrapped()

        return quiet

    def _refuse_none(self, n: int) -> int:
        if n == 0:
            name = type(self).__name__
            raise InputError(f"{name} has seen no samples; call update() before compute()")
        return n


class Keeping(SampleMetric, ABC):
    """Keeps all samples that are finite, and their classes."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("samples", default=[], dist_reduce_fx="cat")
        self.add_state("labels", default=[], dist_reduce_fx="cat")

    def update(self, samples: Events, labels: Int64[Tensor, " batch"] | None = None) -> None:
        """Take in samples.

        Args:
            samples: (n, d) features, or images; those that are not finite are left out.
            labels: Their classes (n,), from 0; None: all of one class.
        """
        if labels is None:
            labels = torch.zeros(len(samples), dtype=torch.int64, device=samples.device)
        finite = samples.flatten(1).isfinite().all(1)
        self.samples.append(samples.detach()[finite])
        self.labels.append(labels[finite])

    def _all(self) -> tuple[Tensor, Tensor]:
        """All samples and their classes, on the CPU."""
        # They are lists of batches here, tensors where they were gathered from other processes.
        self._refuse_none(sum(len(batch) for batch in self.samples))
        return dim_zero_cat(self.samples).cpu(), dim_zero_cat(self.labels).cpu()
