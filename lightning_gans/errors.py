"""What ends a command with one line and an exit code instead of a traceback."""

__all__ = ["Diverged", "FailedElsewhere", "InputError", "Interrupted"]


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
