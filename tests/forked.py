"""Processes of the tests' own, forked from one that has imported everything once."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock


@cache
def context() -> multiprocessing.context.ForkServerContext:
    """Where processes start; it has imported the package that these tests are of."""
    started = multiprocessing.get_context("forkserver")
    started.set_forkserver_preload(["lightning_gans.cli"])
    with mock.patch.dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1])):
        forkserver.ensure_running()
    return started


def _command(args: Sequence[str], folder: Path, variables: dict[str, str], patience: int) -> None:
    import torch

    from lightning_gans.__main__ import main
    from lightning_gans.callbacks import logger

    os.chdir(folder)
    os.environ.update(variables)
    torch.set_num_threads(1)  # as these tests: sums depend on it
    with Path("said").open("w") as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
    sys.argv = ["lightning", *args]
    logger._SECONDS_FOR_A_SERVER = patience
    sys.exit(main(list(args)))


class Command:
    """``lightning *args`` in a process of its own, from the current folder.

    Args:
        args: What is typed.
        patience: Seconds that a server of Weights & Biases has to answer.
        variables: Of the environment.
    """

    def __init__(self, *args: str, patience: int = 20, **variables: str) -> None:
        folder = Path.cwd()
        self._said = folder / "said"
        names = ("LIGHTNING_GANS_CACHE", "WANDB_MODE")
        variables = {name: os.environ[name] for name in names} | variables
        call = (args, folder, variables, patience)
        self._process = context().Process(target=_command, args=call)
        self._process.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.exitcode is None

    def end(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Send a signal, if one is given; the exit code, and what was said."""
        if number is not None:
            os.kill(self._process.pid, number)
        self._process.join()
        return self._process.exitcode, self._said.read_text()
