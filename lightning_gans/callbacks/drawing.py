"""The samples of an evaluation: the same whoever draws them, for any number of processes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor, distributed
from torchmetrics.utilities.distributed import gather_all_tensors

from lightning_gans.callbacks.in_step import ALONE, Pause
from lightning_gans.metrics.features import Extractor, Features, features_of
from lightning_gans.seeds import Stream, mix
from lightning_gans.types import Events

__all__ = ["Draw", "drawn", "shared_features"]

Draw = Callable[[int, torch.Generator], Events]

_CHUNK = 100


def drawn(draw: Draw, n: int, seed: int, rank: int = 0, world: int = 1) -> Iterator[Events]:
    """The samples of an evaluation, in chunks, each with a source of latents of its own.

    Args:
        draw: From a number and a source of latents to samples.
        n: Samples.
        seed: Of them; each chunk is a function of (seed, chunk).
        rank: Every ``world``-th chunk from this one on.
        world: 1 gives all.
    """
    for chunk in range(rank, -(-n // _CHUNK), world):
        source = torch.Generator().manual_seed(mix(Stream.EVALUATION, seed, chunk))
        yield draw(min(_CHUNK, n - chunk * _CHUNK), source)


def shared_features(
    draw: Draw,
    extractor: Extractor,
    n: int,
    seed: int,
    rank: int,
    world: int,
    device: torch.device,
    work: AbstractContextManager[Pause] = ALONE,
) -> Features:
    """Features of n samples, the same ones for any number of processes, which share the work.

    Args:
        draw: From a number and a source of latents to samples.
        extractor: What sees them.
        n: Samples, all processes together.
        seed: Of the samples (`drawn`).
        rank: This process.
        world: Number of processes.
        device: Where they exchange tensors.
        work: Keeps them in step.
    """
    chunks = -(-n // _CHUNK)

    def batches(pause: Pause) -> Iterator[Events]:
        own = drawn(draw, n, seed, rank, world)
        for first in range(0, chunks, world):
            if first + rank < chunks:
                yield next(own)
            elif not first:  # more processes than chunks: as wide as the others', and empty
                yield draw(1, torch.Generator())[:0]
            pause()

    with work as pause:
        told = f"{extractor.name} features of samples"
        own = features_of(extractor, batches(pause), told, -(-n // world))
    if world == 1:
        return own
    return Features(*(_gathered(part, chunks, device) for part in own))


def _gathered(own: Tensor | None, chunks: int, device: torch.device) -> Tensor | None:
    """The rows of all processes on the CPU, in the order of their chunks; NCCL needs a device."""
    if own is None:
        return None
    parts = [part.cpu().split(_CHUNK) for part in gather_all_tensors(own.to(device))]
    world = distributed.get_world_size()
    return torch.cat([parts[chunk % world][chunk // world] for chunk in range(chunks)])
