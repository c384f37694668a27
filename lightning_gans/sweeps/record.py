"""sweep.json: what a sweep is and how its trials stand, for people and programs to read."""

import os
import secrets
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from lightning_gans.runs import to_json
from lightning_gans.sweeps.queue import counts, deciding
from lightning_gans.sweeps.schema import Sweep

__all__ = ["ranked", "views", "write_record"]

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def views(attempts: list[FrozenTrial], goal: str, which: str) -> list[dict[str, Any]]:
    """Each trial as in sweep.json, in the order of their numbers.

    Args:
        attempts: All at all trials.
        goal: minimize or maximize.
        which: best or last: what counts while a trial runs.
    """
    best = min if goal == "minimize" else max
    shown = []
    for index, attempt in deciding(attempts).items():
        kept = attempt.user_attrs
        so_far = list(attempt.intermediate_values.values())
        value = kept.get("value")
        if value is None and so_far:
            value = best(so_far) if which == "best" else so_far[-1]
        shown.append(
            {
                "number": index,
                "state": _STATES[attempt.state] if counts(attempt) else "waiting",
                "parameters": kept.get("parameters", {}),
                "value": value,
                "values": kept.get("values", []),
                "spread": kept.get("spread"),
                "low": kept.get("low"),
                "high": kept.get("high"),
                "samples_seen": kept.get("samples_seen"),
                "runs": kept.get("runs", []),
                "started": _iso(attempt.datetime_start),
                "ended": _iso(attempt.datetime_complete),
                "message": kept.get("message"),
            }
        )
    return shown


def ranked(trials: list[dict[str, Any]], goal: str) -> list[dict[str, Any]]:
    """The complete trials, the best first."""
    sign = 1 if goal == "minimize" else -1
    complete = [trial for trial in trials if trial["state"] == "complete"]
    return sorted(complete, key=lambda trial: sign * trial["value"])


def write_record(folder: Path, sweep: Sweep, trials: list[dict[str, Any]]) -> None:
    """Write ``folder``/sweep.json, at once or not at all."""
    content = {
        "name": folder.name,
        "method": sweep.method,
        "metric": {"name": sweep.metric, "goal": sweep.goal},
        "parameters": sweep.parameters,
        "command": sweep.command,
        "trials": trials,
    }
    # Several workers write it, perhaps on several machines.
    partial = folder / f".sweep.json.{secrets.token_hex(4)}"
    partial.write_text(to_json(content, indent=1) + "\n")
    os.replace(partial, folder / "sweep.json")


def _iso(time: Any) -> str | None:
    return None if time is None else time.astimezone().isoformat(timespec="seconds")
