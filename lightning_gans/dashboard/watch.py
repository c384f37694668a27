"""All runs below a folder, read again only where a file has changed, told by what is new."""

import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import Any

from lightning_gans.dashboard.summary import summary, unreadable
from lightning_gans.runs import goal, to_json
from lightning_gans.runs.reading import Signature, find_runs, signature

__all__ = ["Watch"]

_SECONDS = 1.0


class Watch:
    """Knows every run below a folder; safe to ask from several threads.

    What all runs have in common is told once: ``base`` is the commonest value of each setting when
    the runs were first read, and of a run only what differs from it is told.

    Args:
        root: The folder, resolved.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[Signature, dict[str, Any], int]] = {}
        self._gone: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._base: dict[str, Any] | None = None
        self._id, self._now, self._at = secrets.token_hex(4), 0, 0.0

    @property
    def token(self) -> str:
        """Another one whenever anything is new."""
        return f"{self._id}-{self._now}"

    def look(self) -> None:
        """Read what has changed; within a second of the last time, nothing."""
        with self._lock:
            if time.monotonic() - self._at >= _SECONDS:
                self._scan()
                self._at = time.monotonic()

    def _scan(self) -> None:
        found = {
            run.relative_to(self.root).as_posix(): (run, sign)
            for run in find_runs(self.root)
            if (sign := signature(run))
        }
        new: dict[str, tuple[Signature, dict[str, Any]]] = {}
        for name, (run, sign) in found.items():
            before = self._seen.get(name)
            # A run that falls silent changes without a file being written.
            silent = before and time.time() > (before[1]["until"] or math.inf)
            if before is None or before[0] != sign or silent:
                new[name] = sign, _line_of(run, sign)
        gone = self._seen.keys() - found.keys()
        if not new and not gone:
            return
        if self._base is None:
            self._base = _commonest([line["config"] for _, line in new.values()])
        self._now += 1
        for name in gone:
            del self._seen[name]
            self._gone[name] = self._now
        for name, (sign, line) in new.items():
            self._seen[name] = sign, line, self._now
            self._gone.pop(name, None)
            for metric in line["metrics"]:
                self._names.setdefault(metric, len(self._names))

    def told(self, since: str | None = None) -> dict[str, Any]:
        """The runs that are new or changed since the token ``since``; all if it is not of ours."""
        with self._lock:
            own, _, number = (since or "").partition("-")
            after = int(number) if own == self._id and number.isdecimal() else 0
            base = self._base or {}
            return {
                "token": self.token,
                "whole": after == 0,
                "base": base if after == 0 else None,
                "metrics": [{"name": name, "goal": goal(name)} for name in self._names],
                "runs": [
                    _told(name, line, base, self._names)
                    for name, (_, line, changed) in sorted(self._seen.items())
                    if changed > after
                ],
                "gone": [name for name, when in self._gone.items() if when > after],
            }

    def told_of(self, runs: Collection[str]) -> dict[str, Any]:
        """What `told` says, as if there were no other runs than these."""
        with self._lock:
            lines = {name: self._seen[name][1] for name in sorted(runs)}
            base = _commonest([line["config"] for line in lines.values()])
            names: dict[str, int] = {}
            for metric in chain.from_iterable(line["metrics"] for line in lines.values()):
                names.setdefault(metric, len(names))
            return {
                "token": self.token,
                "whole": True,
                "base": base,
                "metrics": [{"name": name, "goal": goal(name)} for name in names],
                "runs": [_told(name, line, base, names) for name, line in lines.items()],
                "gone": [],
            }

    def run(self, name: str) -> Path | None:
        """The folder of a run that is known, None of any other name."""
        with self._lock:
            return self.root / name if name in self._seen else None

    def changed(self, name: str) -> str:
        """Another text whenever the run has changed."""
        with self._lock:
            return f"{self._id}-{self._seen[name][2]}" if name in self._seen else ""

    def newest(self) -> list[str]:
        """The names of all runs, those that began last first."""
        with self._lock:
            return sorted(self._seen, key=lambda name: -self._seen[name][1]["started"])


def _line_of(run: Path, sign: Signature) -> dict[str, Any]:
    """The run's `summary`; whatever is wrong with one run's files, the others are shown."""
    try:
        line = summary(run, sign)
        to_json(line)
    except Exception as error:
        return unreadable(run, sign, error)
    return line


def _told(
    name: str, line: dict[str, Any], base: dict[str, Any], names: dict[str, int]
) -> dict[str, Any]:
    config = line["config"]
    return {
        **{key: value for key, value in line.items() if key != "until"},
        "id": name,
        "config": {key: value for key, value in config.items() if base.get(key, ...) != value},
        "lacks": [key for key in base if key not in config],
        "metrics": {names[metric]: values for metric, values in line["metrics"].items()},
    }


def _commonest(configs: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each key the commonest value, where most have the key."""
    counts: dict[str, Counter] = {}
    for config in configs:
        for key, value in config.items():
            counts.setdefault(key, Counter())[value] += 1
    return {
        key: count.most_common(1)[0][0]
        for key, count in counts.items()
        if 2 * count.total() > len(configs)
    }
