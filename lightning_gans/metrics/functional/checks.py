"""What the functions on samples refuse."""

from jaxtyping import Float
from torch import Tensor

from lightning_gans.errors import InputError

__all__ = ["check_samples"]


def check_samples(samples: Float[Tensor, "n d"], least: int, kind: str) -> None:
    """Refuse too few samples, and samples that are not finite, which would spoil every sum.

    Args:
        samples: (n, d).
        least: How many there must be.
        kind: What they are called in the message.

    Raises:
        InputError: There are fewer, or a number among them is infinite or nan.
    """
    if len(samples) < least:
        raise InputError(f"there are {len(samples)} {kind} samples; at least {least} are needed")
    wrong = int((~samples.isfinite().all(1)).sum())
    if wrong:
        raise InputError(f"{wrong} of {len(samples)} {kind} samples are not finite; leave them out")
