"""What a run tells of itself beside its numbers: how it was started and ended, and its times."""

import json
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightning_gans.runs.files import read_lines, set_aside, to_json, write_whole
from lightning_gans.runs.masking import masked

__all__ = ["Sittings", "Times"]


class Sittings:
    """run.json: each time that the run was started or gone on with.

    Args:
        path: The file; an existing one is read and added to, a damaged one is set aside.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.all: list[dict[str, Any]] = []
        if path.exists():
            try:
                content = json.loads(path.read_text())
                self.all = [dict(sitting) for sitting in content["sittings"]]
            except (ValueError, TypeError, KeyError):
                set_aside(path)

    def begin(self, command: Sequence[str], **more: Any) -> None:
        """Note that a sitting has begun, without the command's secrets.

        Args:
            command: The command line.
            more: What else is worth knowing.
        """
        self.all.append({"command": masked(list(command)), "started": _now(), **more})
        self._write()

    def end(self, outcome: str, message: str = "") -> None:
        """Note how the last one ended, ``finished``, ``stopped`` or ``failed``, and why.

        The message is kept without secrets, as the command is.
        """
        self.all[-1] |= {"ended": _now(), "outcome": outcome, "message": masked(message)}
        self._write()

    def _write(self) -> None:
        write_whole(self.path, to_json({"sittings": self.all}, indent=1) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Times:
    """times.tsv: seconds of training up to each report, in all sittings together.

    Args:
        path: The file; an existing one is read and appended to, damaged lines are left out.
    """

    header = "step\tsamples_seen\tseconds\n"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = read_lines(path, self._row, self.header)
        self._before, self._begun = 0.0, time.monotonic()

    def begin(self, step: int) -> None:
        """Start the clock; rows after ``step`` are dropped, as a resumed run writes them again."""
        self.rows = [row for row in self.rows if row[0] < step]
        self._before, self._begun = (self.rows[-1][2] if self.rows else 0.0), time.monotonic()
        write_whole(self.path, self.header + "".join(map(self._line, self.rows)))

    def mark(self, step: int, samples_seen: int) -> None:
        """Add a row, unless this step has one."""
        if self.rows and self.rows[-1][0] >= step:
            return
        self.rows.append((step, samples_seen, self._before + time.monotonic() - self._begun))
        with self.path.open("a") as file:
            file.write(self._line(self.rows[-1]))

    @staticmethod
    def _row(line: str) -> tuple[int, int, float]:
        step, seen, seconds = line.split("\t")
        if not math.isfinite(float(seconds)):
            raise ValueError("no time")
        return int(step), int(seen), float(seconds)

    @staticmethod
    def _line(row: tuple[int, int, float]) -> str:
        return f"{row[0]}\t{row[1]}\t{row[2]:.3f}\n"
