"""What the command line says, in words for people, and what it need not say."""

import difflib
import importlib
import inspect
import logging
import os
import re
import sys
import warnings
from typing import NoReturn

from lightning.pytorch.cli import LightningArgumentParser
from tqdm import tqdm

from lightning_gans.catalogue import STAGES, public_names
from lightning_gans.errors import InputError

__all__ = ["Parser", "cause_of", "quieten"]

_NEEDLESS_WARNINGS = (
    # Ours do resume: the order of the batches is a function of the seed and the epoch.
    "You're resuming from a checkpoint that ended before",
    # We count batches over the whole run, not in an epoch.
    "The number of training batches",
    # The averaged generator is never trained.
    "Found .* module.s. in eval mode",
    # Lightning's own business with torch.
    ".*isinstance.treespec, LeafSpec.* is deprecated",
    "The .*_dataloader. does not have many workers",
    # A player may have its first move later than its learning rate its first step.
    "Detected call of .lr_scheduler.step",
)

_NOISE = (
    "either not accessible or invalid",
    "NoneType",
    "Subtypes:",
    "Union subtypes",
    "Given value",
    "Errors:",
)

_WRONG_NAME = re.compile(
    r"unrecognized arguments: --([\w.]+)"
    r"|[Oo]ption '([\w.]+)'"
    r"|import path string: ([\w.]+)"
    r"|module '[\w.]+' has no attribute '(\w+)'"
)

_IN_OTHER_WORDS = (
    (re.compile(r"<class '(?:\w+\.)*(\w+)'>"), r"\1"),
    (re.compile(r"Type collections\.abc\.Callable\[.*?\] expects"), "expected"),
    (re.compile(r"Expected a dot import path string: "), "expected a class, known or dotted, not "),
    (re.compile(r"Expected an? (\w+)\. Got value: "), r"expected \1, not "),
    (re.compile(r"Parser key "), "key "),
    (re.compile(r"Expected an? typing\.Literal\[([^\]]*)\]"), r"expected one of \1"),
    (re.compile(r"Expected an? (int|float)\b"), r"expected \1"),
    (re.compile(r"(expected (?:int|float|one of [^.]*?)) expected "), r"\1, or "),
    (re.compile(r"does not correspond to a subclass of Penalty"), "is no penalty, such as R1"),
    (re.compile(r"expected Sequence, not (\w+)"), r"expected a list; +=\1 adds one to it"),
)


_FUNCTIONS = {
    name: f"lightning_gans.{stage}.{name}"
    for stage in ("objectives", "schedules")
    for name, _ in public_names(stage)
    if name.islower()
}


_PLACES = {
    "Configured": "model.objective",
    "Discriminator": "model.discriminator",
    "Generator": "model.generator",
    "Optimizer": "model.generator_optimizer or model.discriminator_optimizer",
    "Penalty": "model.penalties, a list; e.g. --model.penalties+=R1",
    "Schedule": "model.schedule",
    "UpdateRule": "model.update",
}
"""Where the classes of each base are given."""


class Parser(LightningArgumentParser):
    """Says what is wrong in one message, with the nearest name that is right, and exits with 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the message and exit."""
        if os.environ.get("LIGHTNING_GANS_DEBUG") and ex is not None:
            raise ex
        print("error:", explain(message, self), file=sys.stderr)
        sys.exit(2)


def explain(message: str, parser: LightningArgumentParser) -> str:
    """``message`` of jsonargparse without its noise, and what may have been meant."""
    if "arguments are required" in message and "model" in message:
        return (
            "a model and data are needed, e.g. --config configs/dcgan.yaml (see `lightning list`)"
        )
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    lines = [line for line in lines if line and not any(word in line for word in _NOISE)]
    text = " ".join(dict.fromkeys(lines))
    for pattern, words in _IN_OTHER_WORDS:
        text = pattern.sub(words, text)
    text = re.sub(r'key "(\w+)"', _as_typed, text)
    for groups in dict.fromkeys(_WRONG_NAME.findall(message)):
        name = "".join(groups)
        names = _names(parser) - {name}
        if place := _place_of(name):
            text += f"; {name} belongs to {place}"
        elif name in _FUNCTIONS:
            text += f"; did you mean {_FUNCTIONS[name]!r}? functions need their full name"
        elif near := difflib.get_close_matches(name, names, 1):
            text += f"; did you mean {near[0]!r}?"
    return text


def cause_of(error: BaseException) -> str | None:
    """The message of the InputError that lies behind ``error``, None if there is none."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, InputError):
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    return None


def _as_typed(key: re.Match[str]) -> str:
    """A key by the whole name it was typed with, where it was typed; configs have no such name."""
    for argument in sys.argv[1:]:
        option = argument.partition("=")[0].lstrip("-").removesuffix("+")
        if argument.startswith("--") and option.endswith(f".{key[1]}"):
            return f'key "{option}"'
    return key[0]


def _place_of(name: str) -> str | None:
    """The parameter that takes the class ``name`` of ours, None if none does."""
    for stage in STAGES:
        cls = getattr(importlib.import_module(f"lightning_gans.{stage}"), name, None)
        for base in getattr(cls, "__mro__", ()):
            if base.__name__ in _PLACES:
                return _PLACES[base.__name__]
    return None


def _names(parser: LightningArgumentParser) -> set[str]:
    """Every option of the command line, and every class, function and parameter of ours."""
    subs = next((a.choices.values() for a in parser._actions if isinstance(a.choices, dict)), ())
    names = {
        option.lstrip("-")
        for one in (parser, *subs)
        for action in one._actions
        for option in action.option_strings
    }
    for stage in STAGES:
        module = importlib.import_module(f"lightning_gans.{stage}")
        for name, _ in public_names(stage):
            names.add(name)
            # A preset hands its keywords on, so its parents' parameters are its own too.
            for cls in getattr(getattr(module, name), "__mro__", ())[:-1]:
                if cls.__module__.startswith("lightning_gans."):
                    names |= set(inspect.signature(cls.__init__).parameters)
    return names


def quieten() -> None:
    """Switch off what Lightning tells a user who need not know it."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in _NEEDLESS_WARNINGS:
        warnings.filterwarnings("ignore", message)
    warnings.showwarning = _show_warning


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """On a line of its own, not after the progress bar, and without a line of code."""
    with tqdm.external_write_mode(sys.stderr):
        print(f"warning: {message}", file=sys.stderr)
