"""Who works on a sweep, and whether they are still alive."""

import ctypes
import fcntl
import os
import secrets
import signal
import socket
from pathlib import Path
from typing import IO

__all__ = ["Worker", "die_with_parent", "locked"]

_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def locked(path: Path, mode: str = "a") -> IO | None:
    """``path``, opened and locked until all who inherit it have closed it; None if others have it.

    Args:
        path: A file.
        mode: How it is opened.
    """
    file = path.open(mode)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


class Worker:
    """A process that runs trials; alive as long as it or a trial that it started is.

    It holds a lock on a file of its own, which its trials inherit; the kernel lets go of it when
    the last of them has ended, however that came.

    Args:
        folder: Where the workers' files are kept.

    Attributes:
        name: <host>:<folder>/<file>, which other workers know it by.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{os.getpid()}_{secrets.token_hex(3)}"
        self._home = f"{socket.gethostname()}:{folder.resolve()}"
        self.name = f"{self._home}/{name}"
        self._path = folder / name
        self._file = locked(self._path, "w")
        self.lock = self._file.fileno()

    def lives(self, other: str, all_here: bool) -> bool | None:
        """Whether the worker ``other`` or a trial of it lives; None if that cannot be told here.

        Args:
            other: Its name.
            all_here: Whether all workers have their files in this folder, on this machine, though
                its name may have changed since.
        """
        home, _, name = other.rpartition("/")
        if not all_here and home != self._home:
            return None
        if name == self._path.name:
            return True
        try:
            file = locked(self._folder / name, "r+")
        except FileNotFoundError:
            return False
        if file is None:
            return True
        file.close()
        return False

    def leave(self) -> None:
        """Nothing of this worker runs any more."""
        self._path.unlink(missing_ok=True)
        self._file.close()


def die_with_parent() -> None:
    """Be told to save and stop when the sweep is no more (Linux)."""
    ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGTERM)
