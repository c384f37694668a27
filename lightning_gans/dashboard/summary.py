"""What the page shows of one run: a line of the table, its curves, its pictures, its details."""

import bisect
import hashlib
import re
import shlex
import time
from pathlib import Path
from typing import Any

import yaml

from lightning_gans.dashboard.evaluated import EVALUATIONS, ideals, numbers
from lightning_gans.dashboard.thinning import thin
from lightning_gans.runs import goal, masked, to_json
from lightning_gans.runs.files import inside
from lightning_gans.runs.reading import (
    Series,
    Signature,
    longest_gap,
    read_records,
    read_seconds,
    read_series,
    read_sittings,
    seconds_of,
    status_of,
)
from lightning_gans.runs.settings import read_config, read_settings

__all__ = ["POINTS", "curves", "details", "summary", "unreadable"]

POINTS = 1000
"""Most values of a curve."""

_REASON = 300
_SEEN = re.compile(r"(?:^|_)samples_(\d+)\.png$")


def summary(run: Path, sign: Signature) -> dict[str, Any]:
    """One line of the table.

    Args:
        run: The run folder.
        sign: Its signature.

    Returns:
        Its status and times; ``config`` by the names of the command line; ``metrics`` by column,
        each with its last and its best value and the samples seen at the latter (None where it is
        not known which values are good); ``group``, the same for runs that differ in seeds alone.
    """
    series, seconds, sittings = read_series(run), read_seconds(run), read_sittings(run)
    status = status_of(sign, sittings, time.time(), longest_gap(seconds))
    written = sign.get("config.yaml", (0, 0))[0] / 1e9
    noted = seconds_of(sittings[0].get("started")) if sittings else 0.0
    config = read_settings(run)
    return {
        "status": status.name,
        "why": status.why,
        "until": status.until,
        "started": noted or written or status.touched,
        "touched": status.touched,
        "seconds": max(seconds.values(), default=None),
        "samples": series.samples[-1] if series.samples else 0,
        "batches": series.steps[-1] + 1 if series.steps else 0,
        "warnings": len(read_records(run, "warnings.jsonl")),
        "config": config,
        "group": _group(run, config),
        "metrics": {
            name: _last_and_best(name, series) for name in series.columns if name != "epoch"
        },
    }


def unreadable(run: Path, sign: Signature, why: Exception) -> dict[str, Any]:
    """The same of a run of which nothing can be told, but why that is."""
    touched = max((when for when, _ in sign.values()), default=0) / 1e9
    return {
        "status": "unreadable",
        "why": masked(f"{type(why).__name__}: {why}".split("\n")[0])[:_REASON],
        "until": None,
        "started": touched,
        "touched": touched,
        "seconds": None,
        "samples": 0,
        "batches": 0,
        "warnings": 0,
        "config": {},
        "group": _group(run, {}),
        "metrics": {},
    }


def _group(run: Path, config: dict[str, Any]) -> str:
    """The same for runs whose settings differ in nothing but seeds and where they are kept.

    A run without settings is a group of its own.
    """
    own = {
        key: value
        for key, value in config.items()
        if key.rsplit(".", 1)[-1] not in ("seed", "seed_everything", "ckpt_path")
        and not key.startswith("run.")
    }
    text = to_json(own, sort_keys=True) if own else str(run)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _last_and_best(name: str, series: Series) -> tuple[float | None, float | None, int | None]:
    rows, values = series.columns[name]
    aim, last = goal(name), None if name in series.broken else values[-1]
    if aim is None:
        return last, None, None
    if isinstance(aim, str):
        best = min(values) if aim == "minimize" else max(values)
    else:
        best = min(values, key=lambda value: abs(value - aim))
    return last, best, series.samples[rows[values.index(best)]]


def curves(run: Path, points: int = POINTS) -> dict[str, Any]:
    """All columns of metrics.csv; of long ones the extremes and the mean of each stretch.

    Args:
        run: The run folder.
        points: Most values of a column.

    Returns:
        ``samples`` and ``seconds`` of each row that is used, and ``columns``: of each the rows
        ``at`` which it has the values ``y``, and maybe their ``means``, see `thin`.
    """
    series, by_step = read_series(run), read_seconds(run)
    thinned = {
        name: thin(rows, values, points)
        for name, (rows, values) in series.columns.items()
        if name != "epoch"
    }
    parts = [*thinned.values(), *(each["means"] for each in thinned.values() if "means" in each)]
    used = sorted({row for part in parts for row in part["at"]})
    place = {row: i for i, row in enumerate(used)}
    for part in parts:
        part["at"] = [place[row] for row in part["at"]]
    return {
        "samples": [series.samples[row] for row in used],
        "seconds": [by_step.get(series.steps[row]) for row in used],
        "columns": thinned,
        "ideals": ideals(run, series.columns),
    }


def details(run: Path, name: str) -> dict[str, Any]:
    """All else there is to say of a run, without secrets.

    Args:
        run: The run folder.
        name: The run, as it is called on the page.
    """
    # As typed beside the folder of all runs: where that lies is nobody's business.
    root = run.parents[name.count("/")].name
    folder = shlex.quote(f"{root}/{name}")
    return {
        "config": yaml.safe_dump(read_config(run), sort_keys=False, allow_unicode=True),
        "sittings": [
            {**sitting, "command": shlex.join(map(str, sitting.get("command", [])))}
            for sitting in read_sittings(run)
        ],
        "again": f"lightning fit --config {folder}/config.yaml",
        "sample": f"lightning sample --ckpt_path {folder}/checkpoints/final.ckpt -n 64 --out x.png",
        "warnings": read_records(run, "warnings.jsonl"),
        "numbers": numbers(run),
        "pictures": _pictures(run, name),
        "files": [
            f"{name}/{file}"
            for file in ("metrics.csv", *(f"{kind}.jsonl" for kind in EVALUATIONS))
            if inside(run, file)
        ],
    }


def _pictures(run: Path, name: str) -> dict[str, list[dict[str, Any]]]:
    """Pictures by kind, in the order of training; those of no moment have ``samples`` None."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for path in sorted([*run.glob("*.png"), *run.glob("*.gif"), *run.glob("*/*.png")]):
        if path.is_symlink() or not path.is_file():
            continue
        seen = _SEEN.search(path.name)
        kind = path.parent.name if path.parent != run else "whole run"
        picture = {
            "file": f"{name}/{path.relative_to(run).as_posix()}",
            "name": path.stem,
            "samples": int(seen[1]) if seen else None,
        }
        bisect.insort(kinds.setdefault(kind, []), picture, key=lambda p: p["samples"] or -1)
    return kinds
