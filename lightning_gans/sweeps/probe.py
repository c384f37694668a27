"""Whether ``lightning fit`` takes a sweep's options, found out before the first trial."""

import contextlib
import io
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterable, Iterator

from lightning_gans.errors import InputError
from lightning_gans.sweeps.command import as_typed, command_line, fit_options
from lightning_gans.sweeps.schema import Sweep

__all__ = ["edges", "probe", "usable"]


def probe(lines: Iterable[list[str]]) -> None:
    """Let ``fit`` read the options of some trials.

    Another process does it, in which torch is loaded once.

    Args:
        lines: What follows ``lightning fit``, of each.

    Raises:
        InputError: Some options are refused; the message says which and why.
    """
    tried = json.dumps(list(lines))
    done = subprocess.run(
        [sys.executable, "-m", __name__], input=tried, capture_output=True, text=True
    )
    if done.returncode:
        raise InputError(done.stderr.strip())


def edges(sweep: Sweep, more: list[str]) -> Iterator[list[str]]:
    """The options of a few trials that together have every listed value.

    Args:
        sweep: The sweep.
        more: Options that every trial has besides.
    """
    for i in range(max(len(law.edges) for law in sweep.laws.values())):
        parameters = {name: law.edges[i % len(law.edges)] for name, law in sweep.laws.items()}
        line = command_line(sweep.command, parameters, sweep.program)
        yield [*fit_options(line), *more]


def usable(gpus: list[str]) -> int:
    """How many of these GPUs torch can use, up to the first that it cannot.

    Another process finds out, as what torch sees is settled when it is loaded.

    Args:
        gpus: As CUDA_VISIBLE_DEVICES names them.
    """
    count = "import torch; print(torch.cuda.device_count())"
    here = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(gpus)}
    done = subprocess.run([sys.executable, "-c", count], env=here, capture_output=True, text=True)
    return int(done.stdout)


def _main() -> None:
    """Try each list of options on standard input; end at the first that is refused, saying why."""
    for options in json.load(sys.stdin):
        sys.argv = ["lightning", "fit", *options, "--print_config"]
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            try:
                runpy.run_module("lightning_gans", run_name="__main__")
            except SystemExit as stop:
                refused = bool(stop.code)
        if refused:
            why = said.getvalue().strip().splitlines()[-1].removeprefix("error: ")
            sys.exit(f"{why}\nfit refuses these options: {as_typed(options)}")


if __name__ == "__main__":
    _main()
