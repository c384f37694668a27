"""Signals that end a run: Ctrl-C, what queues send before they kill, and how each is answered."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from lightning_gans.errors import Interrupted

__all__ = ["Signals"]

# A wrapper may hand on the same Ctrl-C twice, and people press twice out of habit.
_SECONDS_OF_PATIENCE = 2.0


class Signals:
    """Remembers the first signal that asks a run to end; a later one ends it at once.

    Signals are SIGINT (Ctrl-C), SIGTERM, and under SLURM also SIGUSR1, which its ``--signal``
    option sends some time before a job's end.

    Args:
        answer: Called when the first comes.
    """

    def __init__(self, answer: Callable[[], None]) -> None:
        self._answer = answer
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def listen(self) -> None:
        """From here, signals come here."""
        if threading.current_thread() is not threading.main_thread():
            return
        wanted = [signal.SIGINT, signal.SIGTERM]
        if "SLURM_JOB_ID" in os.environ:
            wanted.append(signal.SIGUSR1)
        for each in wanted:
            before = signal.signal(each, self._on_signal)
            self._before.setdefault(each, before)

    def stop_listening(self) -> None:
        """Give signals back to whoever had them."""
        if threading.current_thread() is threading.main_thread():
            for each, handler in self._before.items():
                signal.signal(each, handler)
        self._before = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._at = signal.Signals(number), now
            self._answer()
        elif now - self._at > _SECONDS_OF_PATIENCE:
            raise Interrupted("stopped at once, in the middle of a batch; nothing new was saved")
