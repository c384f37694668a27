"""Who works on a sweep, and whether they are still alive."""

import fcntl
import os
import secrets
import socket
from pathlib import Path

__all__ = ["Worker"]


class Worker:
    """A process that runs trials; alive as long as it or a trial that it started is.

    It holds a lock on a file of its own, which its trials inherit; the kernel lets go of it when
    the last of them has ended, however that came.

    Args:
        folder: Where the workers' files are kept.

    Attributes:
        name: <host>/<file>, which other workers know it by.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{os.getpid()}_{secrets.token_hex(3)}"
        self.name = f"{socket.gethostname()}/{name}"
        self._path = folder / name
        self._file = self._path.open("w")
        self.lock = self._file.fileno()
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def knows_dead(self, other: str) -> bool:
        """Whether ``other`` is of this machine and no more; of others nothing is known."""
        host, _, name = other.rpartition("/")
        if host != socket.gethostname() or name == self._path.name:
            return False
        try:
            with (self._folder / name).open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        return True

    def leave(self) -> None:
        """Nothing of this worker runs any more."""
        self._path.unlink(missing_ok=True)
        self._file.close()
