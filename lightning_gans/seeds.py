"""Random numbers by position: the same place gives the same draw, whatever was drawn before."""

from enum import IntEnum

import torch

__all__ = ["Stream", "mix", "seeded"]

_MASK = (1 << 64) - 1


class Stream(IntEnum):
    """What the numbers are for: equal places of different streams share nothing."""

    ORDER = 1
    FLIP = 2
    SPLIT = 3
    KEEP = 4
    DRAW = 5
    LATENTS = 6
    EVALUATION = 7
    NOISE = 8
    PROCESS = 9


def mix(*keys: int) -> int:
    """A 63-bit seed from whole numbers, by the finaliser of SplitMix64 (Steele et al., 2014).

    Args:
        keys: e.g. ``(stream, seed, rank, step)``; their order matters.
    """
    state = 0
    for key in keys:
        state = (state + key + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


def seeded(generator: torch.Generator, stream: Stream, *keys: int) -> torch.Generator:
    """``generator``, re-seeded by position; cheaper than making a new one each time."""
    return generator.manual_seed(mix(stream, *keys))
