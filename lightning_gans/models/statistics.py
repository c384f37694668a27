"""The running statistics of a model, kept from what is not finite."""

import torch
from torch import nn

__all__ = ["Statistics"]


class Statistics:
    """The floating-point buffers of a module: batch norm's averages and the like.

    They change in every pass, before anyone can see that its loss is not finite.

    Args:
        module: Whose buffers.

    Attributes:
        buffers: Those.
        good: What they were when they were last kept.
    """

    def __init__(self, module: nn.Module) -> None:
        self.buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
        self.good = [buffer.clone() for buffer in self.buffers]

    @torch.no_grad()
    def keep(self) -> None:
        """Remember them as they are, all finite."""
        if self.buffers:
            torch._foreach_copy_(self.good, self.buffers)

    @torch.no_grad()
    def mend(self) -> None:
        """Bring those back that are not finite now."""
        for buffer, good in zip(self.buffers, self.good, strict=True):
            if not buffer.isfinite().all():
                buffer.copy_(good)
