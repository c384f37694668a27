"""config.yaml as what others read of it: without secrets, by the names of the command line."""

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from lightning_gans.runs.files import read_inside
from lightning_gans.runs.masking import is_secret, masked

__all__ = ["flat", "read_config", "read_settings"]

# Lines that all begin with two blanks, and of which none at that depth begins a list.
_MAPPING = re.compile(r"(?:  [ \w].*\n|\n)+")
_OWN = re.compile(r"^(lightning_gans|torch|lightning)\.[\w.]*?(\w+)$")


def read_config(run: Path) -> dict[str, Any]:
    """config.yaml without its secrets; an empty mapping if it is missing or no mapping."""
    try:
        config = _load(read_inside(run, "config.yaml"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return masked(config) if isinstance(config, dict) else {}


def read_settings(run: Path) -> dict[str, Any]:
    """The same, `flat`, and faster: a part is parsed once for all the runs that have it."""
    try:
        return dict(_settings(read_inside(run, "config.yaml"), ""))
    except (OSError, ValueError, yaml.YAMLError):
        return flat(read_config(run))


def _load(text: str) -> Any:
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@lru_cache(20_000)
def _settings(text: str, prefix: str) -> dict[str, Any]:
    """`flat` of a mapping in block style: every key's lines by themselves."""
    found: dict[str, Any] = {}
    for part in re.split(r"^(?=\w)", text, flags=re.MULTILINE):
        head, _, body = part.partition("\n")
        if _MAPPING.fullmatch(body) and re.fullmatch(r"\w+:", head) and not is_secret(head[:-1]):
            inner = re.sub(r"^  ", "", body, flags=re.MULTILINE)
            found |= _settings(inner, _name(head[:-1], prefix))
        else:
            found |= _leaf(part, prefix)
    return found


@lru_cache(20_000)
def _leaf(text: str, prefix: str) -> dict[str, Any]:
    content = _load(text)
    if not isinstance(content, dict | None):
        raise ValueError("no mapping in block style")
    return flat(masked(content or {}), prefix)


def _name(key: str, prefix: str) -> str:
    """A key by its whole name; what is given of a class goes by the class's parameter."""
    if prefix and key in ("class_path", "init_args"):
        return prefix
    return f"{prefix}.{key}" if prefix else key


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by the names that the command line has for them.

    Classes stand under their parameter's name, ``init_args`` goes without saying, lists of plain
    values are one value.
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = _name(str(key), prefix)
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            value = {str(i): item for i, item in enumerate(value)}
        if isinstance(value, Mapping):
            found |= flat(value, name)
        else:
            found[name] = (
                json.dumps(value, default=str) if isinstance(value, list) else _short(value)
            )
    return found


def _short(value: Any) -> Any:
    """As JSON can say it: a list, a date, a set or an infinity is told in words."""
    if isinstance(value, list):
        return json.dumps(value, default=str)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, int | float | None) else _OWN.sub(r"\2", str(value))
