"""What a run tells of itself beside its numbers: how it was started and ended, and its times."""

import json
import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Sittings", "Times", "is_secret", "masked"]

_SECRET = re.compile(r"(^|[_.-])(key|token|password|passwd|secret|credentials?)s?$", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(\w+://[^/\s:@]*:)[^/\s@]+@")
_MASK = "***"


def is_secret(name: str) -> bool:
    """Whether a setting of this name is not to be shown: key, api_key, token, password and such."""
    return bool(_SECRET.search(name))


def masked(value: Any, name: str = "") -> Any:
    """A copy of settings or of a command line without secrets.

    Hidden are values of such names (`is_secret`), in mappings and after ``--name``, and passwords
    within addresses.

    Args:
        value: Mappings, lists, texts and numbers.
        name: Its own name.
    """
    if value is not None and value != "" and is_secret(name):
        return _MASK
    if isinstance(value, dict):
        return {key: masked(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        before = ["", *value]
        return [
            masked(item, option[2:] if _is_option(option) else "")
            for item, option in zip(value, before, strict=False)
        ]
    if not isinstance(value, str):
        return value
    option, equals, _ = value.partition("=")
    if equals and option.startswith("--") and is_secret(option[2:]):
        return f"{option}={_MASK}"
    return _IN_ADDRESS.sub(rf"\1{_MASK}@", value)


def _is_option(item: Any) -> bool:
    return isinstance(item, str) and item.startswith("--") and "=" not in item


class Sittings:
    """run.json: each time that the run was started or gone on with.

    Args:
        path: The file; an existing one is read and added to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.all: list[dict[str, Any]] = []
        if path.exists():
            self.all = json.loads(path.read_text())["sittings"]

    def begin(self, command: Sequence[str], **more: Any) -> None:
        """Note that a sitting has begun, without the command's secrets.

        Args:
            command: The command line.
            more: What else is worth knowing.
        """
        self.all.append({"command": masked(list(command)), "started": _now(), **more})
        self._write()

    def end(self, outcome: str, message: str = "") -> None:
        """Note how the last one ended: ``finished``, ``stopped`` or ``failed``, and why."""
        self.all[-1] |= {"ended": _now(), "outcome": outcome, "message": message}
        self._write()

    def _write(self) -> None:
        partial = self.path.with_suffix(".tmp")
        partial.write_text(json.dumps({"sittings": self.all}, indent=1) + "\n")
        os.replace(partial, self.path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Times:
    """times.tsv: seconds of training up to each report, in all sittings together.

    Args:
        path: The file; an existing one is read and appended to.
    """

    header = "step\tsamples_seen\tseconds\n"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[tuple[int, int, float]] = []
        self._before, self._begun = 0.0, time.monotonic()
        if path.exists():
            # A line that a crash cut short has no end: it never was.
            for line in path.read_text().split("\n")[1:-1]:
                step, seen, seconds = line.split("\t")
                self.rows.append((int(step), int(seen), float(seconds)))

    def begin(self, step: int) -> None:
        """Start the clock; rows after ``step`` are dropped, as a resumed run writes them again."""
        self.rows = [row for row in self.rows if row[0] < step]
        self._before, self._begun = (self.rows[-1][2] if self.rows else 0.0), time.monotonic()
        self.path.write_text(self.header + "".join(map(self._line, self.rows)))

    def mark(self, step: int, samples_seen: int) -> None:
        """Add a row, unless this step has one."""
        if self.rows and self.rows[-1][0] >= step:
            return
        self.rows.append((step, samples_seen, self._before + time.monotonic() - self._begun))
        with self.path.open("a") as file:
            file.write(self._line(self.rows[-1]))

    @staticmethod
    def _line(row: tuple[int, int, float]) -> str:
        return f"{row[0]}\t{row[1]}\t{row[2]:.3f}\n"
