"""Which checkpoint a run goes on from, and whether it may."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from lightning_gans.callbacks import differences, newest_whole
from lightning_gans.errors import InputError
from lightning_gans.runs import runs_of

__all__ = ["check_origin", "checkpoint_meant", "spelled_out"]

_SHOWN = 8


def spelled_out(args: list[str]) -> list[str]:
    """``args`` with ``--resume X`` as ``--ckpt_path X`` and ``--force`` as ``--run.force true``."""
    plain = {"--resume": "--ckpt_path", "--force": "--run.force=true"}
    names = [arg.partition("=") for arg in args]
    return [plain.get(name, name) + equals + value for name, equals, value in names]


def checkpoint_meant(given: str, experiment: Path, beside: Path) -> str | None:
    """The checkpoint that ``last`` or ``auto`` means; a damaged one gives way to an older one.

    ``last`` is the youngest of all runs of the experiment, ``auto`` that of its latest run; where
    the config given is a run's own, both mean that run.

    Args:
        given: The former or the latter.
        experiment: Its folder.
        beside: The folder that the config lies in.

    Returns:
        Its path; None if ``auto`` finds none: then a new run starts; and where another process than
        the first finds none.

    Raises:
        InputError: ``last`` finds none, or all that there are are damaged.
    """
    folders = runs_of(experiment)[: 1 if given == "auto" else None]
    if any(beside.glob("checkpoints/*.ckpt")):
        folders = [beside]
    there = [path for folder in folders for path in folder.glob("checkpoints/*.ckpt")]
    found = newest_whole(there)
    if found is None and rank_zero_only.rank:
        return None  # what the processes find is compared when all have met
    if found is None and there:
        raise InputError(f"{', '.join(map(str, there))}: none of the checkpoints can be read")
    if found is None and given == "last":
        raise InputError(f"--ckpt_path last: there is no {experiment}/*/checkpoints/last.ckpt")
    if found is None:
        print(f"no checkpoint yet in {experiment}: a new run begins", file=sys.stderr)
        return None
    return str(found)


def check_origin(
    path: Path, content: Mapping[str, Any], settings: Mapping[str, Any], force: bool
) -> None:
    """Refuse to go on with other settings or other code than the run began with.

    Args:
        path: The checkpoint.
        content: What is in it.
        settings: The config now.
        force: Refuse only what cannot be: one optimizer's moments, or a scheduler's time, are not
            another's.

    Raises:
        InputError: Something differs; the message says what.
    """
    then, now = (config["model"]["init_args"] for config in (content["config"], settings))
    for key, value in then.items():
        if key.endswith(("_optimizer", "_scheduler")):
            classes = [part and part["class_path"] for part in (value, now.get(key))]
            if classes[0] != classes[1]:
                raise InputError(f"{path} was trained with {key} {classes[0]}, not {classes[1]}")
    if not force and (found := differences(content, settings)):
        shown = "".join(f"\n  {line}" for line in found[:_SHOWN])
        more = f"\n  and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise InputError(
            f"{path} was made otherwise, so going on would not continue the same run:{shown}{more}"
            "\n--force goes on with what is given now"
        )
