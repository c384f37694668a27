"""Training on several processes that hold the same weights."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, distributed

from lightning_gans.errors import FailedElsewhere, InputError, Interrupted

__all__ = ["Replicas", "check_strategy", "know_rank", "while_all_live"]

_TIMEOUT = timedelta(minutes=30)
_STARTER = "LIGHTNING_GANS_STARTER"
"""Tells processes that Lightning starts the number of the one that starts them."""
_BETWEEN_LOOKS = 0.5


def _sum_of_bits(tensor: Tensor) -> Tensor:
    """The sum () of a tensor's bits, taken as whole numbers of its elements' size."""
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.detach().contiguous().view(whole[tensor.element_size()]).sum(dtype=torch.int64)


@contextmanager
def _among_the_living() -> Iterator[None]:
    """Inside, a message that cannot be exchanged ends the run: some process is no more.

    Raises:
        Interrupted: So it is.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # torch.distributed's, whatever carries the message
        raise _gone(error) from error


def _gone(error: RuntimeError) -> Interrupted:
    reason = str(error).split(". ")[0].rsplit("] ", 1)[-1]  # not where in torch's source
    return Interrupted(
        f"another process has ended, or cannot be reached any more ({reason}). The last "
        "checkpoint is whole: go on with --resume auto"
    )


@contextmanager
def while_all_live() -> Iterator[None]:
    """The same for what Lightning exchanges by itself: only torch.distributed's errors are told.

    Raises:
        Interrupted: Another process is no more.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo/" in str(error):
            raise _gone(error) from error
        raise


@contextmanager
def _unless_orphaned() -> Iterator[None]:
    """Inside, this process ends if the one that has started it does, which it waits to meet.

    torch would wait for half an hour. Whoever was started otherwise is ended by who did that:
    torchrun, or SLURM by ``--kill-on-bad-exit``.
    """
    starter, met = os.environ.get(_STARTER, ""), threading.Event()

    def watch() -> None:
        while not met.wait(_BETWEEN_LOOKS):
            if str(os.getppid()) != starter:
                print(
                    "error: the first process has ended before all had met; go on with "
                    "--resume auto",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(2)  # the main thread is inside torch and hears nothing

    elsewhere = sys.platform == "win32" or "TORCHELASTIC_RUN_ID" in os.environ
    if starter not in ("", str(os.getpid())) and not elsewhere:
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except RuntimeError as error:
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        reason = str(error).splitlines()[0]
        raise InputError(f"the processes cannot meet at {place}: {reason}") from error
    finally:
        met.set()
        os.environ.pop(_STARTER, None)  # programs that this one may start are none of it


class Replicas(DDPStrategy):
    """Processes with the same weights: one all-reduce of the mover's gradients a move.

    Lightning's own DDP wraps the whole module, and its reducer then waits in every backward pass
    for gradients of every player, or sends them all. Here nothing is wrapped: processes begin with
    the first one's weights, and whoever moves averages its gradients (`average`), as StyleGAN does
    it. So weights stay identical to the bit. Manual optimisation only.

    Args:
        kwargs: As of Lightning's DDPStrategy.

    Attributes:
        bytes_averaged: Sent by `average` so far.
        asked: Gives the signal that asks this process to stop, or 0.
        stop: What all processes do where one of them was asked, given the signal.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(timeout=kwargs.pop("timeout", _TIMEOUT), **kwargs)
        if "LOCAL_RANK" not in os.environ:  # else another one has started this one
            os.environ[_STARTER] = str(os.getpid())
        self.bytes_averaged = 0
        self.asked: Callable[[], int] = lambda: 0
        self.stop: Callable[[int], None] = lambda signal: None

    def setup_distributed(self) -> None:
        """Let the processes meet."""
        with _unless_orphaned():
            super().setup_distributed()
        # What they agree on beside the numbers must not wait for a GPU.
        self._talk = distributed.new_group(backend="gloo", timeout=_TIMEOUT)

    def configure_ddp(self) -> None:
        """Give every process the first one's weights and buffers."""
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            distributed.broadcast(tensor.data, 0)

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each of ``tensors`` by its mean over the processes, by one all-reduce a type."""
        for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
            own = [tensor for tensor in tensors if tensor.dtype == kind]
            flat = torch.cat([tensor.reshape(-1) for tensor in own])
            with _among_the_living():
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
        largest = self._largest(torch.cat([sums, -sums]))
        greatest, least = largest.chunk(2)
        for name, same in zip(state, (greatest == -least).tolist(), strict=True):
            if not same:
                raise Interrupted(
                    f"the processes no longer hold the same {name}, so their gradients do not "
                    "belong together. Different hardware or library versions, or code that goes by "
                    "the rank, may be why; nothing was saved, the last checkpoint is still good"
                )

    def largest(self, numbers: Sequence[int]) -> list[int]:
        """The largest of each of the processes' ``numbers``."""
        return self._largest(torch.tensor(numbers)).tolist()

    def _largest(self, numbers: Tensor) -> Tensor:
        with _among_the_living():
            distributed.all_reduce(numbers, distributed.ReduceOp.MAX, group=self._talk)
        return numbers

    def gathered(self, state: Any) -> list[Any]:
        """Every process's ``state``, in the order of their ranks."""
        states = [None] * self.world_size
        with _among_the_living():
            distributed.all_gather_object(states, state, group=self._talk)
        return states

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        """Wait for all processes."""
        with _among_the_living():
            super().barrier(*args, **kwargs)

    @contextmanager
    def in_step(self) -> Iterator[Callable[[], None]]:
        """Inside, each process does its part of one work, and where one fails all do.

        Yields:
            A pause, for all processes equally often: there they stop if one of them was asked.

        Raises:
            FailedElsewhere: Another one has failed.
        """
        try:
            yield self.pause
        except FailedElsewhere:
            raise
        except Exception:
            self.pause(failed=True)
            raise
        self.pause()

    def pause(self, failed: bool = False) -> None:
        """Meet the other processes; stop if one was asked, fail if another one has.

        Raises:
            FailedElsewhere: It has.
        """
        asked, failures = self.largest([self.asked(), int(failed)])
        if failures and not failed:
            raise FailedElsewhere("in another process, which says why")
        if asked and not failures:
            self.stop(asked)


def know_rank() -> None:
    """Tell the first process of a further machine that it is not the first of all.

    Lightning finds out when the processes meet; the run folder is chosen before.
    """
    if not rank_zero_only.rank:
        rank_zero_only.rank = int(os.environ.get("NODE_RANK") or 0)


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
