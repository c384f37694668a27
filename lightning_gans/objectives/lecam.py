"""LeCam: a penalty that remembers, unlike those of ``penalties``."""

import torch
from torch import Tensor, nn

from lightning_gans.objectives.penalties import Judged, Penalty, refuse_below_zero
from lightning_gans.types import InputError

__all__ = ["LeCam"]


class LeCam(nn.Module, Penalty):
    """Logits near the running average of the other side's (Tseng et al., 2021).

    The averages start at the first batch and take in each batch once, in the first pass over it,
    before it is judged; logits that are not finite they leave out. The squares are the paper's;
    the authors' code squares relu(D(x) - a_fake) and relu(a_real - D(G(z))).

    Args:
        weight: The term is weight (E (D(x) - a_fake)^2 + E (D(G(z)) - a_real)^2); 0.3 is the
            authors' for CIFAR-10.
        decay: Of the running averages, per batch of the discriminator.

    Raises:
        InputError: ``weight`` is below 0, or ``decay`` not in [0, 1).
    """

    def __init__(self, weight: float = 0.3, decay: float = 0.99) -> None:
        super().__init__()
        self.weight, self.decay = weight, decay
        refuse_below_zero(self, "weight")
        if not 0 <= decay < 1:
            raise InputError(f"LeCam.decay is {decay}; it must be at least 0 and below 1")
        self.register_buffer("averages", torch.zeros(2))
        self.register_buffer("last_batch", torch.tensor(-1))

    def forward(self, judged: Judged) -> Tensor:
        """Weight (E (D(x) - a_fake)^2 + E (D(G(z)) - a_real)^2), after averaging."""
        logits = torch.stack([judged.real_logits.mean(), judged.fake_logits.mean()]).detach()
        self._take_in(logits.to(self.averages), judged.batch)
        real, fake = self.averages
        near = (judged.real_logits - fake).square().mean()
        return self.weight * (near + (judged.fake_logits - real).square().mean())

    def _take_in(self, logits: Tensor, batch: int) -> None:
        new = (self.last_batch != batch) & logits.isfinite().all()
        share = torch.where(self.last_batch < 0, 1.0, 1 - self.decay).to(logits)
        self.averages.copy_(torch.where(new, self.averages.lerp(logits, share), self.averages))
        self.last_batch.copy_(torch.where(new, batch, self.last_batch))
