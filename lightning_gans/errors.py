"""What ends a command with one line and exit code 2 instead of a traceback."""

__all__ = ["Diverged", "InputError", "Interrupted"]


class InputError(ValueError):
    """What the user gave cannot be used; the message names the key or file and what is accepted."""


class Interrupted(Exception):
    """The user pressed Ctrl-C; the message says what is saved and how to go on."""


class Diverged(Interrupted):
    """Training has met nothing but infinities for too long; the message says whose and when."""
