"""The house: layers, file sizes, light imports, docstrings that name their source."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lightning_gans.objectives as objectives
from lightning_gans.objectives import likelihood
from tests.conftest import ROOT

MODULES = sorted((ROOT / "lightning_gans").rglob("*.py"))


def test_layers_and_style():
    """`make lint`: data flows one way, and ruff has nothing to say."""
    scripts = Path(sys.executable).parent
    for command in (
        [scripts / "lint-imports"],
        [scripts / "ruff", "check", "."],
        [scripts / "ruff", "format", "--check", "."],
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_under_250_lines_and_says_what_it_is(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 250
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize(
    "formula",
    [
        *(getattr(objectives, name) for name in objectives.__all__),
        *(getattr(likelihood, name) for name in likelihood.__all__),
    ],
    ids=lambda formula: formula.__name__,
)
def test_an_objective_names_its_paper(formula):
    assert re.search(r"\(.*\d{4}.*\)", formula.__doc__.split("\n")[0])


@pytest.mark.parametrize("stage", ["objectives", "schedules", "networks"])
def test_the_mathematics_needs_torch_alone(stage):
    code = (
        f"import sys, lightning_gans.{stage}\n"
        "heavy = {'lightning', 'wandb', 'torchvision', 'torchmetrics', 'sklearn', 'matplotlib'}\n"
        "found = heavy & set(sys.modules)\n"
        "assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_command_line_loads_wandb_and_the_digits_only_when_used():
    code = (
        "import sys, lightning_gans.cli\n"
        "found = {'wandb', 'sklearn'} & set(sys.modules)\n"
        "assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_lightnings_private_counter_is_still_there():
    """`Timed.count` counts one step a batch through it."""
    from lightning.pytorch import Trainer

    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    assert (progress.total.ready, progress.total.completed) == (0, 0)
