"""What the command line says, in words for people, and what it need not say."""

import logging
import os
import re
import sys
import warnings
from typing import NoReturn

from lightning.pytorch.cli import LightningArgumentParser
from tqdm import tqdm

from lightning_gans.errors import InputError, meant
from lightning_gans.hints import meant_class, meant_import, meant_key, meant_option, place_of

__all__ = ["Parser", "cause_of", "quieten", "usage"]

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
    "Problem with given class_path",
)

_WRONG_OPTION = re.compile(r"unrecognized arguments: --([\w.]+)|Option '([\w.]+)' is not accepted")
_LOOSE_FILE = re.compile(r"unrecognized arguments: ([^\s-]\S*\.ya?ml)")
_NO_CHECKPOINT = "argument --ckpt_path: expected one argument"
_WRONG_CLASS = re.compile(r"import path string: ([\w.]+)")
_WRONG_IMPORT = re.compile(r"module '([\w.]+)' has no attribute '(\w+)'")
_CHOICES = re.compile(r"Literal\[([^\]]*)\]")
_GIVEN = re.compile(r"(?:Got value|Given value): (\S+)")
_KEY = re.compile(r'key "([\w.]+)"')

_IN_OTHER_WORDS = (
    (re.compile(r"<class '(?:\w+\.)*(\w+)'>"), r"\1"),
    (re.compile(r"Type collections\.abc\.Callable\[.*?\] expects"), "expected"),
    (re.compile(r"Expected a dot import path string: "), "expected a class, known or dotted, not "),
    (re.compile(r"Expected an? (\w+)\. Got value: "), r"expected \1, not "),
    (re.compile(r"Parser key "), "key "),
    (re.compile(r"Expected an? typing\.Literal\[([^\]]*)\]"), r"expected one of \1"),
    (re.compile(r"Expected an? (int|float)\b"), r"expected \1"),
    (re.compile(r"(one of [^.]*?) expected one of "), r"\1, "),
    (re.compile(r"(expected (?:int|float|one of [^.]*?)) expected "), r"\1, or "),
    (re.compile(r"does not correspond to a subclass of Penalty"), "is no penalty, such as R1"),
    (re.compile(r"expected Sequence, not (\w+)"), r"expected a list; +=\1 adds one to it"),
)


class Parser(LightningArgumentParser):
    """Says what is wrong in one message, with the nearest name that is right, and exits with 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the message and exit."""
        if os.environ.get("LIGHTNING_GANS_DEBUG") and ex is not None:
            raise ex
        print("error:", explain(message, self), file=sys.stderr)
        sys.exit(2)


def usage(command: str) -> str:
    """How ``command`` is typed, also what jsonargparse does not know: ``--resume``, ``--force``."""
    if command == "fit":
        return "lightning fit --config FILE [--config FILE] [--key=value] [--resume auto] [--force]"
    return f"lightning {command} --ckpt_path CKPT [--key=value]"


def explain(message: str, parser: LightningArgumentParser) -> str:
    """``message`` of jsonargparse without its noise, and what may have been meant."""
    if "arguments are required" in message and "model" in message:
        return (
            "a model and data are needed, e.g. --config configs/dcgan.yaml (see `lightning list`)"
        )
    if _NO_CHECKPOINT in message:
        return "--resume (or --ckpt_path) needs auto, last or the path of a checkpoint"
    if loose := _LOOSE_FILE.search(message):
        return f"{loose[1]} stands alone; did you mean --config {loose[1]}?"
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    lines = [line for line in lines if line and not any(word in line for word in _NOISE)]
    lines = [line for i, line in enumerate(lines) if not any(line in said for said in lines[:i])]
    text = " ".join(lines)
    for pattern, words in _IN_OTHER_WORDS:
        text = pattern.sub(words, text)
    text = re.sub(r'key "(\w+)"', lambda key: f'key "{_as_typed(key[1], message)}"', text)
    if wrong := _WRONG_OPTION.search(message):
        typed = _as_typed(name := wrong[1] or wrong[2], message)
        if typed == wrong[2]:  # a key of a config
            return text + meant_key(name)
        return f"there is no option --{typed}{meant_option(typed, _options(parser))}"
    return text + _hint(message, key[1] if (key := _KEY.search(text)) else "")


def _hint(message: str, key: str) -> str:
    """What may have been meant by the value of ``key``."""
    if wrong := _WRONG_CLASS.search(message):
        name = wrong[1]
        if place := place_of(name):
            return f"; {name} belongs to {place}"
        return meant_class(name, key.rpartition(".")[2])
    given = _GIVEN.search(message)
    if wrong := _WRONG_IMPORT.search(message):
        typed = f"{wrong[1]}.{wrong[2]}"
        whole = re.search(rf"{re.escape(typed)}[\w.]*", message)
        return meant_import(whole[0] if whole else typed, wrong[1], wrong[2])
    choices = [choice for one in _CHOICES.findall(message) for choice in one.split(", ")]
    return meant(given[1], [choice.strip("'") for choice in choices]) if given else ""


def cause_of(error: BaseException) -> str | None:
    """The message of the InputError that lies behind ``error``, None if there is none."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, InputError):
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    return None


def _as_typed(key: str, message: str) -> str:
    """A key by its whole name where it was typed, best with the value that the message tells.

    Configs have no such name.
    """
    options = [arg.partition("=") for arg in sys.argv[1:] if arg.startswith("--")]
    values = dict(zip(sys.argv[1:], sys.argv[2:], strict=False))
    named = [
        (name.lstrip("-").removesuffix("+"), value or values.get(name, ""))
        for name, _, value in options
        if f".{name.lstrip('-').removesuffix('+')}".endswith(f".{key}")
    ]
    wrong = {*_GIVEN.findall(message), *_WRONG_CLASS.findall(message)}
    told = [name for name, value in named if value in wrong]
    return (told or [name for name, _ in named] or [key])[0]


def _options(parser: LightningArgumentParser) -> list[str]:
    """Every option of the command line, without dashes."""
    subs = next((a.choices.values() for a in parser._actions if isinstance(a.choices, dict)), ())
    found = [
        option.lstrip("-")
        for one in (parser, *subs)
        for action in one._actions
        for option in action.option_strings
    ]
    return [*found, "resume", "force"]


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
