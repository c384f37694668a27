"""The config files and checkpoints that a command line names, found before it is parsed."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentParser
from omegaconf import OmegaConf

from lightning_gans import models
from lightning_gans.callbacks import read_checkpoint
from lightning_gans.errors import InputError, meant
from lightning_gans.paths import CONFIGS

__all__ = ["config_files", "precision_of", "refuse_automatic", "refuse_foreign", "with_configs"]

_PARTS = (
    "model",
    "data",
    "trainer",
    "seed_everything",
    "run",
    "samples",
    "modes",
    "quality",
    "reconstructions",
    "gradients",
    "checkpoints",
    "ckpt_path",
)
_LOOKED_AT = {
    "modes": ("n", "labelled", "diversity", "seed"),
    "quality": ("n", "extractor", "weights", "seed"),
}
_OURS = ("lightning_gans", "torch")
_DEVICES = re.compile(r"auto|-?\d+(, *\d+)*,?")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.\w+)+")


_OURS_INSTEAD = {
    "gradient_clip_val": (None, "model.clip_norm or --model.clip_value"),
    "accumulate_grad_batches": (1, "model.accumulate"),
}
"""What is each player's business here, not the Trainer's: its default there, its name here."""


def refuse_automatic(trainer: dict[str, Any]) -> None:
    """Refuse options of the Trainer that know of one optimizer only, and devices that are none.

    Raises:
        InputError: One is given; the message says which of the model's does it.
    """
    devices = trainer["devices"]
    if isinstance(devices, str) and not _DEVICES.fullmatch(devices):
        raise InputError(
            f"--trainer.devices is {devices!r}; it must be auto, a number, or numbers as in 0,1"
        )
    for theirs, (unset, ours) in _OURS_INSTEAD.items():
        if trainer[theirs] != unset:
            raise InputError(f"--trainer.{theirs} does not know turns; use --{ours}")


def precision_of(given: Any, accelerator: Any) -> Any:
    """The Trainer's precision; where none is ``given``, bf16-mixed on GPUs that have it."""
    if given is not None or accelerator not in ("auto", "gpu", "cuda"):
        return given
    bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if bf16 else "32-true"


def refuse_foreign(config: Any, checkpoint: Path) -> None:
    """Refuse a stored config that names code which is neither ours nor torch's.

    Raises:
        InputError: It does; a checkpoint from elsewhere could so run whatever is importable.
    """
    if isinstance(config, dict):
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            refuse_foreign(value, checkpoint)
    elif isinstance(config, str) and _DOTTED.fullmatch(config):
        if config.split(".")[0] not in _OURS:
            raise InputError(
                f"{checkpoint} names code of others, {config}; if you trust the file, add --trust"
            )


def config_files(args: list[str]) -> list[str]:
    """The values of --config and -c in ``args``, in order."""
    return [value for _, value in _option_values(args, ("--config", "-c"))]


def with_configs(args: list[str]) -> list[str]:
    """``args`` with every config found: as given, else among the shipped ones.

    A checkpoint alone is enough for all but ``fit``: without a config, its own is used.

    Raises:
        InputError: A config file does not exist, or the checkpoint holds none.
    """
    args = list(args)
    for i, (place, value) in enumerate(_option_values(args, ("--config", "-c"))):
        if _inline(value):
            continue
        if not Path(value).is_file():
            args[place] = args[place].replace(value, str(_shipped(value)))
        _check_file(_option_values(args, ("--config", "-c"))[i][1])
    _swap_model(args)
    checkpoints = _option_values(args, ("--ckpt_path",))
    if args[0] != "fit" and checkpoints and not config_files(args):
        path = Path(checkpoints[-1][1])
        stored = read_checkpoint(path)["config"]
        if "--trust" in args:
            args.remove("--trust")
        else:
            refuse_foreign([stored["model"], stored["data"]["class_path"]], path)
        parts = {key: stored[key] for key in ("seed_everything", "model", "data", "run")}
        parts["trainer"] = {"precision": stored["trainer"]["precision"]}
        # A test measures all that there is, whatever the run did not look at.
        for part, looked_at in _LOOKED_AT.items():
            kept = stored.get(part, {})
            parts[part] = {key: kept[key] for key in looked_at if key in kept}
        args[1:1] = ["--config", json.dumps(parts)]
    return args


def _inline(value: str) -> bool:
    """Whether it is settings themselves, as a process has them from the one that started it."""
    return value.startswith("{")


def _swap_model(args: list[str]) -> None:
    """Let ``--model NAME`` change the class and keep the configs' settings that it knows too.

    jsonargparse drops those that it cannot check without the rest, such as ``${...}``.
    """
    texts = [file if _inline(file) else Path(file).read_text() for file in config_files(args)]
    given = [yaml.safe_load(text).get("model") for text in texts]
    settings = [m["init_args"] for m in given if isinstance(m, dict) and m.get("init_args")]
    merged = OmegaConf.to_container(OmegaConf.merge({}, *settings))
    named = [
        given for given in _option_values(args, ("--model",)) if re.fullmatch(r"[\w.]+", given[1])
    ]
    if not merged or not named:
        return
    if known := _settings_of(named[-1][1]):
        if left := sorted(merged.keys() - known):
            names = ", ".join(left)
            print(f"left out of the config: {names}, unknown to {named[-1][1]}", file=sys.stderr)
        merged = {key: value for key, value in merged.items() if key in known}
    for place, _ in reversed(named):
        del args[place - (not args[place].startswith("--")) : place + 1]
    # After the configs but before the options, which still count.
    end, _ = _option_values(args, ("--config", "-c"))[-1]
    swapped = {"model": {"class_path": named[-1][1], "init_args": merged}}
    args[end + 1 : end + 1] = ["--config", json.dumps(swapped)]


def _settings_of(model: str) -> set[str]:
    """The settings of a model of ours, by its name; empty for other names."""
    cls = getattr(models, model.removeprefix("lightning_gans.models."), None)
    if cls is None:
        return set()
    parser = ArgumentParser(exit_on_error=False)
    return {name.partition(".")[0] for name in parser.add_class_arguments(cls)}


def _check_file(name: str) -> None:
    """Refuse a config that is no YAML or has parts that we do not know, naming the file."""
    try:
        content = yaml.safe_load(Path(name).read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name} is not YAML: {reason}") from error
    if not isinstance(content, dict):
        raise InputError(f"{name} must hold keys such as {', '.join(_PARTS[:3])}")
    for key, value in content.items():
        if key not in _PARTS:
            hint = meant(str(key), _PARTS) or f", only {', '.join(_PARTS)}"
            raise InputError(f"{name}: there is no key {key!r}{hint}")
        if key == "trainer" and not isinstance(value, dict):
            raise InputError(f"{name}: {key} must hold keys, not {value!r}")


def _shipped(name: str) -> Path:
    """The shipped config that ``name`` means."""
    shipped = CONFIGS / name.removeprefix("configs/")
    if shipped.is_file():
        return shipped
    known = [f"configs/{file.relative_to(CONFIGS)}" for file in CONFIGS.rglob("*.yaml")]
    hint = meant(name, known, 0.4) or "; `lightning list configs` shows ours"
    raise InputError(f"there is no config file {name}{hint}")


def _option_values(args: list[str], names: tuple[str, ...]) -> list[tuple[int, str]]:
    """Where in ``args`` each value of an option stands, and the value."""
    values = []
    for i, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name in names and equals:
            values.append((i, value))
        elif name in names and i + 1 < len(args):
            values.append((i + 1, args[i + 1]))
    return values
