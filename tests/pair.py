"""Two processes that train together: the tests' own and one more, which is kept for all of them."""

import os
import socket
import traceback
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import distributed

from tests.forked import context


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _meet(rank: int, port: int, function: Callable, args: tuple) -> Any:
    """``function(rank, *args)`` as one of two processes that were started by hand."""
    told = {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2"}
    told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with mock.patch.dict(os.environ, told), mock.patch.object(rank_zero_only, "rank", rank):
        os.environ.pop("PL_GLOBAL_SEED", None)  # of tests before: Lightning would seed again
        try:
            return function(rank, *args)
        finally:
            if distributed.is_initialized():
                distributed.destroy_process_group()


def _serve(connection: Any) -> None:
    torch.set_num_threads(1)
    while (asked := connection.recv()) is not None:
        folder, variables, *call = asked
        os.chdir(folder)
        os.environ.update(variables)
        try:
            answer = (_meet(1, *call), None)
        except BaseException:
            answer = (None, traceback.format_exc())
        connection.send(answer)


class Pair:
    """Runs functions in both processes at once; the second begins when it is first needed."""

    def __init__(self) -> None:
        if not distributed.is_gloo_available():
            pytest.skip("torch was built without gloo")
        self._second = None

    def __call__(self, function: Callable, *args: Any) -> tuple[Any, Any]:
        """``function(rank, *args)`` of the first and of the second, None of one that has died."""
        if self._second is None:
            self._connection, theirs = context().Pipe()
            self._second = context().Process(target=_serve, args=(theirs,))
            self._second.start()
            theirs.close()
        variables = {key: os.environ[key] for key in ("LIGHTNING_GANS_CACHE", "WANDB_MODE")}
        call = (_free_port(), function, args)
        self._connection.send((os.getcwd(), variables, *call))
        try:
            mine = _meet(0, *call)
        finally:
            try:
                theirs, error = self._connection.recv()
            except (EOFError, ConnectionError):
                self._second = theirs = error = None
        assert error is None, error
        return mine, theirs

    def close(self) -> None:
        """End the second process."""
        if self._second is not None:
            self._connection.send(None)
            self._second.join()


@pytest.fixture(scope="session")
def pair():
    """See `Pair`."""
    both = Pair()
    yield both
    both.close()
