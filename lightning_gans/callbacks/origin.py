"""What a checkpoint was made by, settings and code, and what of it is different now."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

import lightning_gans

__all__ = ["differences", "origin"]

# What the weights follow from; pictures, metrics and the command may change without them.
_COMPUTES = ("types.py", "seeds.py", "data", "networks", "objectives", "schedules", "models")
_SETTINGS = ("seed_everything", "model", "data")
# Where and how the same data are read.
_NO_MATTER = ("root", "num_workers")


@cache
def origin() -> dict[str, Any]:
    """Versions, and the first digits of each source file that weights follow from."""
    package = Path(lightning_gans.__file__).parent
    files = [file for part in _COMPUTES for file in sorted((package / part).rglob("*.py"))]
    files += [package / part for part in _COMPUTES if part.endswith(".py")]
    return {
        "lightning_gans": lightning_gans.__version__,
        "torch": str(torch.__version__),  # a class of its own, else
        "code": {
            str(file.relative_to(package)): hashlib.sha256(file.read_bytes()).hexdigest()[:12]
            for file in files
        },
    }


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting in nested ones, by its dotted name."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for i, inner in enumerate(value):
            yield from _flat(inner, f"{name}.{i}")
    elif name.rsplit(".", 1)[-1] not in _NO_MATTER:
        yield name, value


def differences(checkpoint: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """In words, what training on would do differently from the run that was saved.

    Args:
        checkpoint: The content of its file.
        settings: The config now, as plain values.
    """
    then, now = (
        {
            **dict(_flat({key: config[key] for key in _SETTINGS})),
            "trainer.precision": config["trainer"]["precision"],
        }
        for config in (checkpoint["config"], settings)
    )
    found = [
        f"{name}: {then.get(name, 'absent')} then, {now.get(name, 'absent')} now"
        for name in sorted(then.keys() | now.keys())
        if then.get(name, "absent") != now.get(name, "absent")
    ]
    made, ours = checkpoint.get("origin"), origin()
    if made is None:  # older than this record
        return found
    for name in ("lightning_gans", "torch"):
        if made[name] != ours[name]:
            found.append(f"{name} {made[name]} then, {ours[name]} now")
    changed = [
        file
        for file in sorted(made["code"].keys() | ours["code"].keys())
        if made["code"].get(file) != ours["code"].get(file)
    ]
    if changed:
        found.append(f"code has changed: {', '.join(changed)}")
    return found
