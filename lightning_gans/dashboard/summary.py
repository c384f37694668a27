"""What the page shows of one run: a line of the table, its curves, its pictures, its details."""

import bisect
import hashlib
import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

import yaml

from lightning_gans.dashboard.thinning import thin
from lightning_gans.runs import goal
from lightning_gans.runs.reading import (
    Signature,
    read_json,
    read_records,
    read_seconds,
    read_series,
    seconds_of,
    status_of,
)
from lightning_gans.runs.settings import read_config, read_settings

__all__ = ["curves", "details", "summary"]

_POINTS = 1000
_EVALUATIONS = ("modes", "quality", "reconstructions")
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
    series, seconds = read_series(run), read_seconds(run)
    sittings = read_json(run / "run.json").get("sittings", [])
    times = list(seconds.values())
    gap = max((b - a for a, b in zip(times, times[1:], strict=False)), default=0.0)
    status = status_of(sign, sittings, time.time(), gap)
    written = sign.get("config.yaml", (0, 0))[0] / 1e9
    started = seconds_of(sittings[0]["started"]) if sittings else written or status.touched
    config = read_settings(run)
    return {
        "status": status.name,
        "why": status.why,
        "started": started,
        "touched": status.touched,
        "seconds": times[-1] if times else None,
        "samples": series.samples[-1] if series.samples else 0,
        "batches": series.steps[-1] + 1 if series.steps else 0,
        "warnings": len(read_records(run / "warnings.jsonl")),
        "config": config,
        "group": _group(config),
        "metrics": {
            name: _last_and_best(name, values, rows, series.samples)
            for name, (rows, values) in series.columns.items()
            if name != "epoch"
        },
    }


def _group(config: dict[str, Any]) -> str:
    """The same for runs whose settings differ in nothing but seeds and where they are kept."""
    own = {
        key: value
        for key, value in config.items()
        if key.rsplit(".", 1)[-1] not in ("seed", "seed_everything", "ckpt_path")
        and not key.startswith("run.")
    }
    text = json.dumps(own, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _last_and_best(
    name: str, values: list[float], rows: list[int], samples: list[int]
) -> tuple[float, float | None, int | None]:
    aim = goal(name)
    if aim is None:
        return values[-1], None, None
    if isinstance(aim, str):
        best = min(values) if aim == "minimize" else max(values)
    else:
        best = min(values, key=lambda value: abs(value - aim))
    return values[-1], best, samples[rows[values.index(best)]]


def curves(run: Path, points: int = _POINTS) -> dict[str, Any]:
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
        "ideals": _ideals(run, series.columns),
    }


def _ideals(run: Path, columns: dict[str, Any]) -> dict[str, float]:
    """What a perfect sampler gets, by the column of metrics.csv, from the last evaluations."""
    found = {}
    for kind in _EVALUATIONS:
        for record in read_records(run / f"{kind}.jsonl")[-1:]:
            for name, measured in record.get("metrics", {}).items():
                extractor, _, short = name.rpartition("/")
                for column in columns:
                    own = column.startswith(f"{kind}/{extractor}") and column.endswith(f"/{short}")
                    if own and isinstance(measured.get("ideal"), int | float):
                        found[column] = measured["ideal"]
    return found


def details(run: Path, name: str) -> dict[str, Any]:
    """All else there is to say of a run, without secrets.

    Args:
        run: The run folder.
        name: The run, as it is called on the page.
    """
    sittings = read_json(run / "run.json").get("sittings", [])
    # As typed beside the folder of all runs: where that lies is nobody's business.
    root = run.parents[name.count("/")].name
    folder = shlex.quote(f"{root}/{name}")
    return {
        "config": yaml.safe_dump(read_config(run), sort_keys=False, allow_unicode=True),
        "sittings": [
            {**sitting, "command": shlex.join(map(str, sitting.get("command", [])))}
            for sitting in sittings
        ],
        "again": f"lightning fit --config {folder}/config.yaml",
        "sample": f"lightning sample --ckpt_path {folder}/checkpoints/final.ckpt -n 64 --out x.png",
        "warnings": read_records(run / "warnings.jsonl"),
        "numbers": [row for kind in _EVALUATIONS for row in _numbers(run, kind)],
        "pictures": _pictures(run, name),
        "files": [
            f"{name}/{file}"
            for file in ("metrics.csv", *(f"{kind}.jsonl" for kind in _EVALUATIONS))
            if (run / file).is_file()
        ],
    }


def _numbers(run: Path, kind: str) -> list[dict[str, Any]]:
    """The last evaluation: each number with its ideal, interval and N."""
    return [
        {
            "kind": kind,
            "name": name,
            "samples": record.get("samples_seen"),
            "protocol": record.get("protocol") or "",
            **{key: measured.get(key) for key in ("value", "ideal", "low", "high", "n")},
        }
        for record in read_records(run / f"{kind}.jsonl")[-1:]
        for name, measured in record.get("metrics", {}).items()
    ]


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
