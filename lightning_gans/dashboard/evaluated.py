"""What the last evaluations of a run told: numbers, and what a perfect sampler gets."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lightning_gans.runs.reading import read_records

__all__ = ["EVALUATIONS", "ideals", "numbers"]

EVALUATIONS = ("modes", "quality", "reconstructions")
"""Their files' names in the run folder."""


def numbers(run: Path) -> list[dict[str, Any]]:
    """The numbers of the last evaluations, each with its ideal, interval and N."""
    return [
        {
            "kind": kind,
            "name": name,
            "samples": record.get("samples_seen"),
            "protocol": record.get("protocol") or "",
            **{key: measured.get(key) for key in ("value", "ideal", "low", "high", "n")},
        }
        for kind, record, name, measured in _last(run)
    ]


def ideals(run: Path, columns: Iterable[str]) -> dict[str, float]:
    """What a perfect sampler gets, by the column of metrics.csv, from the last evaluations."""
    found = {}
    for kind, record, name, measured in _last(run):
        if isinstance(measured.get("ideal"), int | float):
            own = re.compile(_column(kind, record, name, measured))
            found |= {column: measured["ideal"] for column in columns if own.fullmatch(column)}
    return found


def _column(kind: str, record: dict[str, Any], name: str, measured: dict[str, Any]) -> str:
    """The column of a number, as a pattern: what it holds for is part of its name."""
    extractor, _, short = name.rpartition("/")
    if not extractor:
        held = re.escape(f"{record.get('protocol')}_n{measured.get('n')}")
    else:
        told = record.get("protocols", {}).get(extractor, {})
        both = f"x{told['orientations']}" if told.get("orientations", 1) > 1 else ""
        numbers = f"_train{told.get('n_real')}{both}_n{told.get('n')}"
        held = f"{re.escape(extractor)}-[0-9a-f]{{8}}{numbers}"
    return f"{kind}/{held}/{re.escape(short)}"


def _last(run: Path) -> Iterator[tuple[str, dict[str, Any], str, dict[str, Any]]]:
    """Of the last evaluations: the kind, the record, and each number's name and content."""
    for kind in EVALUATIONS:
        for record in read_records(run, f"{kind}.jsonl")[-1:]:
            for name, measured in record.get("metrics", {}).items():
                if isinstance(measured, dict):
                    yield kind, record, name, measured
