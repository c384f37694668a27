"""Training on several processes that hold the same weights."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry
from torch import Tensor, distributed

from lightning_gans.errors import InputError, Interrupted

__all__ = ["Replicas", "check_strategy"]

_TIMEOUT = timedelta(minutes=30)


def _sum_of_bits(tensor: Tensor) -> Tensor:
    """The sum () of a tensor's bits, taken as whole numbers of its elements' size."""
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.detach().contiguous().view(whole[tensor.element_size()]).sum(dtype=torch.int64)


class Replicas(DDPStrategy):
    """Processes with the same weights: one all-reduce of the mover's gradients a move.

    Lightning's own DDP wraps the whole module, and its reducer then waits in every backward pass
    for gradients of every player, or sends them all. Here nothing is wrapped: processes begin with
    the first one's weights, and whoever moves averages its gradients (`average`), as StyleGAN does
    it. So weights stay identical to the bit. Manual optimisation only.

    Args:
        kwargs: As of Lightning's DDPStrategy.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(timeout=kwargs.pop("timeout", _TIMEOUT), **kwargs)
        self.bytes_averaged = 0

    def configure_ddp(self) -> None:
        """Give every process the first one's weights and buffers."""
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            distributed.broadcast(tensor.data, 0)
        # What processes agree on beside the numbers must not wait for a GPU.
        self._talk = distributed.new_group(backend="gloo", timeout=_TIMEOUT)

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each of ``tensors`` by its mean over the processes, by one all-reduce a type."""
        for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
            own = [tensor for tensor in tensors if tensor.dtype == kind]
            flat = torch.cat([tensor.reshape(-1) for tensor in own])
            distributed.all_reduce(flat)
            flat /= self.world_size
            self.bytes_averaged += flat.nbytes
            parts = flat.split([tensor.numel() for tensor in own])
            torch._foreach_copy_(own, [p.view_as(t) for p, t in zip(parts, own, strict=True)])

    def check_alike(self, state: Mapping[str, Tensor]) -> None:
        """Refuse to go on where processes no longer hold the same to the bit.

        Raises:
            Interrupted: They do not; the message names the first tensor that differs.
        """
        # Sums of the bits as whole numbers: one flipped bit changes them.
        sums = torch.stack([_sum_of_bits(tensor).cpu() for tensor in state.values()])
        told = torch.cat([sums, -sums])
        distributed.all_reduce(told, distributed.ReduceOp.MAX, group=self._talk)
        greatest, least = told.chunk(2)
        for name, same in zip(state, (greatest == -least).tolist(), strict=True):
            if not same:
                raise Interrupted(
                    f"the processes no longer hold the same {name}, so their gradients do not "
                    "belong together. Different hardware or library versions, or code that goes by "
                    "the rank, may be why; nothing was saved, the last checkpoint is still good"
                )

    def largest(self, numbers: Sequence[int]) -> list[int]:
        """The largest of each of the processes' ``numbers``."""
        told = torch.tensor(numbers)
        distributed.all_reduce(told, distributed.ReduceOp.MAX, group=self._talk)
        return told.tolist()

    def gathered(self, state: Any) -> list[Any]:
        """Every process's ``state``, in the order of their ranks."""
        states = [None] * self.world_size
        distributed.all_gather_object(states, state, group=self._talk)
        return states


def check_strategy(trainer: Trainer) -> None:
    """Refuse several processes that would not agree.

    Raises:
        InputError: There are several, under another strategy.
    """
    strategy = type(trainer.strategy)
    if trainer.world_size > 1 and strategy is not Replicas:
        raise InputError(
            f"several devices need --trainer.strategy ddp or auto, not {strategy.__name__}"
        )


# Whoever asks for ddp, or for several devices, means this.
StrategyRegistry.register("ddp", Replicas, override=True, description="one all-reduce a move")
