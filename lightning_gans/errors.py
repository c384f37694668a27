"""What ends a command with one line and an exit code instead of a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["Diverged", "FailedElsewhere", "InputError", "Interrupted", "meant", "nearest"]


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most like what was typed, whatever the case; None if none is near.

    Args:
        name: What was typed.
        known: What could have been.
        cutoff: How alike they must be, 0 to 1.
    """
    lower = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), lower, 1, cutoff)
    return lower[near[0]] if near else None


def meant(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The end of a message: which name may have been meant (`nearest`); empty if none is near."""
    near = nearest(name, known, cutoff)
    return f"; did you mean {near!r}?" if near else ""


class InputError(ValueError):
    """What the user gave cannot be used; the message names the key or file and what is accepted."""


class FailedElsewhere(Exception):
    """Another process failed at its part of a common work, and says why."""


class Interrupted(BaseException):
    """The run cannot or shall not go on; the message says what is saved and how to go on.

    Like KeyboardInterrupt it is no Exception: what guards against failures must not stop it.

    Args:
        message: What is said.
        code: The exit code.
    """

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


class Diverged(Interrupted):
    """Training has met nothing but infinities for too long; the message says whose and when."""
