"""A sweep in the terminal: one table, drawn anew while it runs; in a log a line a trial."""

import shutil
import sys
import time
from datetime import datetime
from io import TextIOBase
from typing import Any

from lightning_gans.sweeps.record import ranked
from lightning_gans.sweeps.schema import Sweep

__all__ = ["Display", "table"]

_ENDED = ("complete", "pruned", "failed")
_SECONDS = 1.0


def table(trials: list[dict[str, Any]], sweep: Sweep) -> list[str]:
    """A row a trial: the complete ones from the best, then what runs, was pruned, failed, waits."""
    best = ranked(trials, sweep.goal)
    order = ("running", "pruned", "failed", "waiting")
    rest = [trial for state in order for trial in trials if trial["state"] == state]
    names = [name for name, given in sweep.parameters.items() if "value" not in given]
    rows = [("", "trial", "state", sweep.metric.rsplit("/", 1)[-1], "", "samples", "time")]
    rows = [(*rows[0], *_short(names))]
    for rank, trial in enumerate(best + rest, 1):
        rows.append(
            (
                str(rank) if rank <= len(best) else "",
                str(trial["number"]),
                trial["state"],
                _number(trial["value"]),
                _doubt(trial),
                "" if trial["samples_seen"] is None else f"{trial['samples_seen']:,}",
                _clock(_seconds(trial)),
                *(_text(trial["parameters"].get(name, "")) for name in names),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    failed = [trial for trial in trials if trial["state"] == "failed"]
    return [line.rstrip() for line in lines] + [
        f"trial {trial['number']} failed: {trial['message']}" for trial in failed
    ]


class Display:
    """Shows how a sweep goes.

    Args:
        sweep: What it is.
        jobs: Trials at a time here.
        out: Where, None: stderr; where it is no terminal, one line is written for each trial that
            has ended.
    """

    things = "trials"

    def __init__(self, sweep: Sweep, jobs: int, out: TextIOBase | None = None) -> None:
        self._sweep, self._jobs, self._out = sweep, jobs, out or sys.stderr
        self._drawn, self._at = 0, -float("inf")
        self._told: set[int] | None = None

    def show(self, trials: list[dict[str, Any]], now: bool = False) -> None:
        """Draw the table anew, at most once a second, or tell of trials that have ended."""
        if not self._out.isatty():
            self._tell(trials)
        elif now or time.monotonic() - self._at > _SECONDS:
            self._at = time.monotonic()
            width, height = shutil.get_terminal_size()
            lines = [self.progress(trials), *self.rows(trials)][: height - 1]
            up = f"\033[{self._drawn}A" if self._drawn else ""
            text = "".join(f"\033[K{line[: width - 1]}\n" for line in lines)
            self._out.write(f"{up}{text}\033[J")
            self._out.flush()
            self._drawn = len(lines)

    def clear(self) -> None:
        """Take the table away."""
        if self._drawn:
            self._out.write(f"\033[{self._drawn}A\033[J")
            self._out.flush()
            self._drawn = 0

    def rows(self, trials: list[dict[str, Any]]) -> list[str]:
        """The table."""
        return table(trials, self._sweep)

    def line(self, trial: dict[str, Any]) -> str:
        """What became of a trial that has ended."""
        short = _short(list(trial["parameters"]))
        chosen = " ".join(
            f"{name}={_text(value)}"
            for name, value in zip(short, trial["parameters"].values(), strict=True)
        )
        what = trial["message"] or f"{_number(trial['value'])} {_doubt(trial)}".strip()
        return f"trial {trial['number']} {trial['state']}: {what} ({chosen})"

    def progress(self, trials: list[dict[str, Any]]) -> str:
        """How many have ended, how long the rest may take, and the best so far."""
        ended = [trial for trial in trials if trial["state"] in _ENDED]
        parts = [f"{len(ended)} of {len(trials)} {self.things}"]
        times = [_seconds(trial) for trial in ended]
        if times and len(ended) < len(trials):
            mean = sum(times) / len(times)
            running = [trial for trial in trials if trial["state"] == "running"]
            left = mean * (len(trials) - len(ended)) - sum(min(_seconds(t), mean) for t in running)
            at_once = max(self._jobs, len(running))
            parts.append(f"about {_clock(left / at_once)} to go")
        if best := self.best(trials):
            parts.append(best)
        return ", ".join(parts)

    def best(self, trials: list[dict[str, Any]]) -> str:
        """The best so far."""
        if not (best := ranked(trials, self._sweep.goal)):
            return ""
        told = f"{_number(best[0]['value'])} {_doubt(best[0])}".strip()
        return f"best trial {best[0]['number']}: {told}"

    def _tell(self, trials: list[dict[str, Any]]) -> None:
        ended = {trial["number"]: trial for trial in trials if trial["state"] in _ENDED}
        if self._told is None:  # what had ended before this process began
            self._told = set(ended)
        for number in sorted(ended.keys() - self._told):
            self._told.add(number)
            line = f"{self.line(ended[number])}; {self.progress(trials)}"
            print(line, file=self._out, flush=True)


def _short(names: list[str]) -> list[str]:
    """Each name's last parts, as many as tell it from the others."""
    short = []
    for name in names:
        parts = [part for part in name.split(".") if part != "init_args"]
        n = 1
        while n < len(parts) and _ending(names, parts[-n:]) > 1:
            n += 1
        short.append(".".join(parts[-n:]))
    return short


def _ending(names: list[str], end: list[str]) -> int:
    return sum(
        [part for part in name.split(".") if part != "init_args"][-len(end) :] == end
        for name in names
    )


def _text(value: Any) -> str:
    """A parameter's value; of a class or function its last name."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value.rsplit(".", 1)[-1] if isinstance(value, str) else str(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _doubt(trial: dict[str, Any]) -> str:
    """The interval of its value, with the spread over seeds if there are several."""
    spread = "" if trial["spread"] is None else f"± {trial['spread']:.2g} "
    if trial["low"] is None:
        return spread.strip()
    return f"{spread}({_number(trial['low'])} to {_number(trial['high'])})"


def _seconds(trial: dict[str, Any]) -> float:
    if trial["started"] is None:
        return 0.0
    ended = trial["ended"] or datetime.now().astimezone().isoformat()
    lasted = datetime.fromisoformat(ended) - datetime.fromisoformat(trial["started"])
    return lasted.total_seconds()


def _clock(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02d} h"
    return f"{whole // 60}:{whole % 60:02d}"
