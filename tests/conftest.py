"""Shared fixtures: the command line as a user types it, in a folder of its own."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from lightning_gans.__main__ import main
from tests.pair import pair  # noqa: F401  a fixture

ROOT = Path(__file__).parent.parent

os.environ["WANDB_MODE"] = "disabled"
os.environ["JSONARGPARSE_DEPRECATION_WARNINGS"] = "off"  # Lightning calls an old name
torch.set_num_threads(1)  # the tests' networks are too small to share out
torch.manual_seed(0)  # for what test modules make on import


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random numbers in every test, whichever run before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory) -> None:
    """Classifiers are trained once for all tests, and never in the user's cache."""
    base = tmp_path_factory.getbasetemp()  # a worker of pytest-xdist has one of its own below
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    os.environ["LIGHTNING_GANS_CACHE"] = str(base / "cache")


def label(value: object) -> str:
    """``str`` of a test's parameter without addresses: the same in every worker."""
    return re.sub(r"<function (\w+) at \w+>", r"\1", str(value))


@dataclass
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str


@pytest.fixture
def lightning(tmp_path, monkeypatch, capfd) -> Callable[..., Answer]:
    """``lightning *args``, run in this process from an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> Answer:
        monkeypatch.setattr("sys.argv", ["lightning", *args])
        capfd.readouterr()
        try:
            code = main(list(args))
        except SystemExit as stop:
            code = stop.code
        return Answer(code, *capfd.readouterr())

    return run


TINY_IMAGES = [
    "--config=configs/dcgan.yaml",
    "--model.init_args.generator.init_args.base_channels=4",
    "--model.init_args.discriminator.init_args.base_channels=4",
    "--trainer.accelerator=cpu",
    "--quality.every_n_epochs=0",
]
"""A DCGAN that trains in seconds; its quality is measured where that is tested."""


@pytest.fixture
def trained(lightning) -> Path:
    """The run folder of a tiny DCGAN after two epochs of three batches."""
    answer = lightning(
        "fit",
        *TINY_IMAGES,
        "--trainer.max_epochs=2",
        "--trainer.limit_train_batches=3",
        "--trainer.log_every_n_steps=2",
    )
    assert answer.code == 0, answer.err
    return Path("runs/dcgan/version_0")
