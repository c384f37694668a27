"""The command line of a trial, as an agent of Weights & Biases would build it."""

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from lightning_gans.errors import InputError

__all__ = ["as_typed", "command_line", "fit_options", "ours"]

_VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
_MACRO = re.compile(r"\$\{.*\}")
_LIGHTNING = ("lightning", "lightning-gans")
_PYTHON = ("python", "python3", "${interpreter}")


def command_line(
    command: list[str], parameters: Mapping[str, Any], program: str | None = None
) -> list[str]:
    """``command`` with its macros filled in, for these values of the parameters.

    Raises:
        InputError: There is no such macro, or none that takes the parameters.
    """
    arguments = _arguments(parameters)
    macros = {
        "env": ["/usr/bin/env"],
        "interpreter": ["python"],
        "program": [program] if program else [],
        **arguments,
    }
    line = []
    for part in (
        _VARIABLE.sub(lambda found: os.environ.get(found[1], found[1]), c) for c in command
    ):
        if not _MACRO.fullmatch(part):
            line.append(part)
        elif part[2:-1] not in macros:
            raise InputError(f"command: there is no macro {part}, only {', '.join(macros)}")
        else:
            line += macros[part[2:-1]]
    if not any(f"${{{name}}}" in command for name in arguments):
        raise InputError("command: without ${args} no parameter would reach a trial")
    return line


def _arguments(parameters: Mapping[str, Any]) -> dict[str, list[str]]:
    """The parameters in each form that there is a macro for."""
    pairs = [f"{name}={value}" for name, value in parameters.items()]
    return {
        "args": [f"--{pair}" for pair in pairs],
        "args_no_equals": [
            part for name, value in parameters.items() for part in (f"--{name}", str(value))
        ],
        "args_no_hyphens": pairs,
        "args_no_boolean_flags": [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in parameters.items()
            if value is not False
        ],
        "args_json": [json.dumps(dict(parameters), default=str)],
        "args_append_hydra": [f"+{pair}" for pair in pairs],
        "args_override_hydra": [f"++{pair}" for pair in pairs],
    }


def fit_options(line: list[str]) -> list[str]:
    """What follows ``fit`` in a command line that runs this package.

    Raises:
        InputError: It runs something else.
    """
    words = [word for word in line if word != "/usr/bin/env"]
    if words[:1] and words[0] in _LIGHTNING:
        words = words[1:]
    elif words[:1] and words[0] in _PYTHON and words[1:3] == ["-m", "lightning_gans"]:
        words = words[3:]
    if words[:1] != ["fit"]:
        raise InputError(
            f"command must run `lightning fit`, not {shlex.join(line)!r}; other programs are for "
            "`wandb agent`"
        )
    return words[1:]


def ours(options: list[str]) -> list[str]:
    """``lightning fit`` with ``options``, by the interpreter and package that run now."""
    return [sys.executable, "-m", "lightning_gans", "fit", *options]


def as_typed(options: list[str]) -> str:
    """``lightning fit`` with ``options``, as a person would type it."""
    return shlex.join(["lightning", "fit", *options])
