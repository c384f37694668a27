"""Checkpoint files: written whole or not at all, read without running what is in them."""

import hashlib
import os
import pickle
import shutil
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer

from lightning_gans.errors import InputError, Interrupted

__all__ = [
    "also_call",
    "check_weights",
    "ended",
    "fingerprint",
    "newest_whole",
    "read_checkpoint",
    "write_checkpoint",
]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint of ours: tensors, numbers and text; code in it is refused.

    Raises:
        InputError: The file is missing, truncated, holds code, or is no checkpoint of ours.
    """
    if not path.is_file():
        raise InputError(f"there is no checkpoint {path}")
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not compare the checksums
            if damaged := archive.testzip():
                raise InputError(f"{path} is damaged: the checksum of {damaged} is another")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is refused: it is not a checkpoint of tensors, numbers and text alone, "
            "and anything else in it could run code"
        ) from error
    except Exception as error:  # a damaged file fails wherever its bytes are first used
        raise InputError(f"{path} is truncated or not a checkpoint") from error
    if not isinstance(content, dict) or not {"config", "clock", "state_dict"} <= content.keys():
        raise InputError(f"{path} is not a checkpoint of lightning_gans: it holds no config")
    return content


def fingerprint(path: Path) -> str | None:
    """A number that other checkpoints do not have, by the checksums of its parts; None: no file."""
    try:
        with zipfile.ZipFile(path) as archive:
            sums = [part.CRC for part in archive.infolist()]
    except (OSError, zipfile.BadZipFile):
        return None
    return hashlib.sha256(repr(sums).encode()).hexdigest()


def check_weights(path: Path, content: dict[str, Any], module: LightningModule) -> None:
    """Refuse weights that ``module`` cannot take.

    Raises:
        InputError: The checkpoint is of another model.
    """
    model = content["config"]["model"]["class_path"]
    theirs = {name: tuple(tensor.shape) for name, tensor in content["state_dict"].items()}
    ours = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    wrong = [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]
    if wrong:
        first = min(wrong)
        raise InputError(
            f"{path} is of another model ({model}): {first} is {theirs.get(first, 'missing')} "
            f"there and {ours.get(first, 'missing')} here ({len(wrong)} tensors differ)"
        )


def ended(checkpoint: Path) -> bool:
    """Whether its run had come to an end with it: it is what final.ckpt is."""
    mark = fingerprint(checkpoint.with_name("final.ckpt"))
    return mark is not None and mark == fingerprint(checkpoint)


def newest_whole(paths: Iterable[Path]) -> Path | None:
    """Of those that can be read the youngest last.ckpt, else the youngest; says what was refused.

    A run's last.ckpt is where it stands, whatever times a copy or a step back has given the others.
    """

    def age(path: Path) -> tuple[bool, float]:
        return path.name == "last.ckpt", path.stat().st_mtime

    for path in sorted(paths, key=age, reverse=True):
        try:
            read_checkpoint(path)
        except InputError as error:
            print(f"warning: {error}; looking for an older one", file=sys.stderr)
        else:
            return path
    return None


def also_call(path: Path, second: str) -> None:
    """Let ``second``, beside it, be what ``path`` is now, if there is such a file."""
    if not path.is_file():
        return
    partial = path.with_name(f".{second}.tmp")
    partial.unlink(missing_ok=True)
    try:
        os.link(path, partial)  # costs nothing
    except OSError:  # some mounts know no links
        shutil.copyfile(path, partial)
        _sync(partial)
    os.replace(partial, path.with_name(second))


def write_checkpoint(trainer: Trainer, path: Path, keep_last: bool) -> None:
    """Write what ``trainer`` stands at to ``path``; a crash on the way leaves what was there.

    What the run has reported is brought to the disk first. The file is read back, each part against
    its checksum, before it takes its place.

    Args:
        trainer: It.
        path: The checkpoint.
        keep_last: Whether what last.ckpt is until then becomes previous.ckpt.

    Raises:
        Interrupted: It cannot be written, e.g. because the disk is full.
    """
    content = _dump(trainer)
    if trainer.is_global_zero:
        _write(trainer, content, path, keep_last)
    trainer.strategy.barrier()


def _dump(trainer: Trainer) -> dict[str, Any]:
    """What ``trainer`` stands at; all processes add their part."""
    # Lightning has no public way to ask for it without writing it.
    return trainer._checkpoint_connector.dump_checkpoint(weights_only=False)


def _write(trainer: Trainer, content: dict[str, Any], path: Path, keep_last: bool) -> None:
    partial = path.with_name(f".{path.name}.tmp")
    try:
        run = path.parents[1]
        for report in (*run.glob("*.csv"), *run.glob("*.jsonl")):
            _sync(report)
        trainer.strategy.save_checkpoint(content, partial)
        _check_on_disk(partial)
        if keep_last:
            also_call(path.with_name("last.ckpt"), "previous.ckpt")
        os.replace(partial, path)
        _sync(path.parent)  # the new name, too
    # torch reports a file that grows no more as a RuntimeError of its own.
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        partial.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        kept = sorted(file.name for file in path.parent.glob("*.ckpt"))
        raise Interrupted(
            f"{path} cannot be written ({reason}), so training stops after batch "
            f"{trainer.global_step}; whole checkpoints there: {', '.join(kept) or 'none'}. Make "
            "room, and go on with --resume auto"
        ) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_on_disk(partial: Path) -> None:
    _sync(partial)
    with zipfile.ZipFile(partial) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged} was not written as it is")
