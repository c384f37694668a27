"""How the files of a run are opened, written and mended: whole, as strict JSON, and by no link."""

import json
import math
import os
import stat
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["finite", "inside", "read_inside", "read_lines", "set_aside", "to_json", "write_whole"]

_Row = TypeVar("_Row")


def inside(folder: Path, name: str) -> Path | None:
    """The regular file ``name`` if it lies below ``folder`` once links are followed, else None.

    Args:
        folder: Whose files may be read.
        name: Relative to it.
    """
    try:
        path = (folder / name).resolve(strict=True)
        there = path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, RuntimeError, ValueError):  # missing, too long, links in a circle, a zero
        return None
    return path if there else None


def read_inside(folder: Path, name: str) -> str:
    """The text of a regular file in ``folder`` itself, not of what a link there leads to.

    Raises:
        OSError: It is missing, a link, or something else: a pipe would never end.
        ValueError: It is no text.
    """
    with open(folder / name, encoding="utf-8", opener=_by_no_link) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FileNotFoundError(name)
        return file.read()


def _by_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def write_whole(path: Path, text: str) -> None:
    """Write a file at once or not at all, even if the power fails."""
    partial = path.with_name(f".{path.name}.tmp")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def set_aside(path: Path) -> None:
    """Keep a damaged file as <name>.damaged, with a warning."""
    kept = path.with_name(f"{path.name}.damaged")
    os.replace(path, kept)
    warnings.warn(f"{path} is damaged: kept as {kept.name}, what is whole goes on", stacklevel=4)


def read_lines(path: Path, parse: Callable[[str], _Row], header: str = "") -> list[_Row]:
    """The whole lines of a file; if some are damaged it is set aside, and the others written anew.

    Args:
        path: The file; a missing one has no lines.
        parse: From a line to what it says; raises ValueError for a damaged one.
        header: The first line, which says nothing.
    """
    if not path.exists():
        return []
    # A line that a crash cut short has no end: it never was.
    lines = path.read_text(errors="replace").removeprefix(header).split("\n")[:-1]
    rows, whole = [], []
    for line in lines:
        try:
            rows.append(parse(line))
            whole.append(line)
        except ValueError:
            continue
    if len(whole) < len(lines):
        set_aside(path)
        write_whole(path, header + "".join(f"{line}\n" for line in whole))
    return rows


def finite(value: Any) -> Any:
    """A copy with None for numbers that are not finite, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(value: Any, **looks: Any) -> str:
    """Strict JSON, which every reader takes: null for numbers that are not finite.

    Args:
        value: Mappings, lists, texts and numbers; all else becomes its text.
        looks: As `json.dumps` has them: indent, separators, sort_keys.
    """
    return json.dumps(finite(value), allow_nan=False, default=str, **looks)
