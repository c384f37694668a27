"""The command ``lightning sweep``."""

import argparse
import json
import re
from pathlib import Path
from typing import Any, NoReturn

from lightning_gans.errors import InputError
from lightning_gans.runs.goals import goal
from lightning_gans.sweeps.command import as_typed, command_line, fit_options
from lightning_gans.sweeps.schema import GOALS, Sweep, read_sweep
from lightning_gans.sweeps.space import grid

__all__ = ["run"]

_MOST_TRIALS = 10_000
"""The storage has each of them before the first one runs."""
_SEEDED = ("--seed_everything=0", "--data.seed=0")
"""What a trial of several seeds has besides."""
_GPU = re.compile(r"\d+|(GPU|MIG)-[\w/-]+")
_EXAMPLE = "lightning sweep configs/sweeps/ring.yaml --jobs 2"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; e.g. {_EXAMPLE}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lightning sweep",
        usage="lightning sweep FILE [--jobs 2] [--resume] [options]",
        description="Run a sweep file of Weights & Biases here, without a server.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("file", help="a sweep file, e.g. configs/sweeps/ring.yaml")
    add("--jobs", type=int, help="trials at a time; default: one, or one a group of GPUs")
    add("--trials", type=int, help="trials in all; default: run_cap of the file, or the whole grid")
    add("--resume", action="store_true", help="go on with, or join, a sweep that there may be")
    add("--name", help="its folder is runs/sweeps/NAME; default: the file's name")
    add("--folder", default="runs/sweeps", help="folder of all sweeps")
    add("--storage", metavar="URL", help="postgresql://user@host/database, for many machines")
    add("--gpus", default="", help="their numbers, e.g. 0,1,2,3")
    add("--gpus_per_trial", type=int, default=1, help="GPUs of one trial")
    add("--seeds", type=int, default=1, help="runs of a trial; its score is their mean")
    add("--score", choices=("best", "last"), default="best", help="which value of a run counts")
    add("--prune", choices=("median", "none"), help="instead of the file's early_terminate")
    add("--seed", type=int, default=0, help="of the draws")
    return parser


def run(args: list[str]) -> None:
    """Run ``lightning sweep`` with ``args``.

    Raises:
        InputError: What the user gave cannot be used, or no trial has succeeded.
        Interrupted: A signal has stopped it.
    """
    options = _parser().parse_args(args)
    for name in ("jobs", "trials", "gpus_per_trial", "seeds"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}; it must be at least 1")
    sweep = read_sweep(options.file)
    total = _total(sweep, options.trials)
    gpus = _gpus(options.gpus, options.gpus_per_trial)
    if options.seeds > 1 and (own := {"seed_everything", "data.seed"} & sweep.parameters.keys()):
        raise InputError(f"{own.pop()} is a parameter of the sweep, so --seeds must be 1")
    jobs = options.jobs or max(1, len(gpus) // options.gpus_per_trial)
    name = options.name or sweep.file.stem
    if Path(name).name != name or name == "..":
        raise InputError(f"--name {name!r} must be a plain name")
    if sweep.ignored:
        print(f"only W&B's server heeds {', '.join(sweep.ignored)}: not used here")
    known = goal(sweep.metric)
    if known in GOALS and known != sweep.goal:
        print(f"the sweep will {sweep.goal} {sweep.metric}, which one would {known}: metric.goal")
    _work(sweep, options, Path(options.folder) / name, total, jobs, gpus)


def _work(
    sweep: Sweep,
    options: argparse.Namespace,
    folder: Path,
    total: int,
    jobs: int,
    gpus: list[str],
) -> None:
    from lightning_gans.sweeps.local import places
    from lightning_gans.sweeps.plan import Plan
    from lightning_gans.sweeps.probe import edges
    from lightning_gans.sweeps.stopping import pruner
    from lightning_gans.sweeps.table import Display
    from lightning_gans.sweeps.work import Order, work

    more = [f"--run.project={sweep.project}"] if sweep.project else []
    if options.gpus_per_trial > 1:
        more.append(f"--trainer.devices={options.gpus_per_trial}")
    plan = Plan(sweep, folder, options.seeds, options.score, more)
    order = Order(
        definition=_definition(sweep, options),
        total=total,
        seed=options.seed,
        resume=options.resume,
        storage=options.storage,
        places=places(jobs, gpus, options.gpus_per_trial),
        rule=pruner(sweep, options.prune),
    )
    lines = edges(sweep, [*more, *_SEEDED] if options.seeds > 1 else more)
    _tell(sweep, work(plan, order, Display(sweep, jobs), lines), folder)


def _gpus(given: str, per_trial: int) -> list[str]:
    """What ``--gpus`` names, all of which are here; empty: no GPU is shared out."""
    gpus = [gpu.strip() for gpu in given.split(",")] if given else []
    for gpu in gpus:
        if not _GPU.fullmatch(gpu):
            raise InputError(f"--gpus {given}: {gpu!r} is no number, nor GPU-... or MIG-...")
        if gpus.count(gpu) > 1:
            raise InputError(f"--gpus {given} has {gpu} twice; --jobs lets trials share a GPU")
    if per_trial > 1 and not gpus:
        raise InputError(f"--gpus_per_trial {per_trial} needs --gpus, e.g. --gpus 0,1,2,3")
    if len(gpus) % per_trial:
        raise InputError(f"--gpus {given} cannot be shared out by {per_trial}")
    if gpus:
        from lightning_gans.sweeps.probe import usable

        if (n := usable(gpus)) < len(gpus):
            raise InputError(f"--gpus {given}: of these {len(gpus)} torch can use {n} here")
    return gpus


def _total(sweep: Sweep, asked: int | None) -> int:
    """How many trials there are."""
    total = asked or sweep.run_cap
    if sweep.method == "grid":
        everything = len(grid(sweep.laws))
        total = min(everything, total or everything)
    if total is None:
        raise InputError(
            f"{sweep.file}: {sweep.method} has no end; give it run_cap, or say --trials N"
        )
    if total > _MOST_TRIALS:
        raise InputError(
            f"{sweep.file}: {total:,} trials are more than {_MOST_TRIALS:,}; say --trials N"
        )
    return total


def _definition(sweep: Sweep, options: argparse.Namespace) -> dict[str, Any]:
    """What must not change while a sweep goes on, as JSON has it."""
    kept = {
        "method": sweep.method,
        "metric": sweep.metric,
        "goal": sweep.goal,
        "parameters": sweep.parameters,
        "command": sweep.command,
        "program": sweep.program,
        "early_terminate": sweep.early_terminate,
        **{name: getattr(options, name) for name in ("seeds", "score", "prune", "seed")},
    }
    return json.loads(json.dumps(kept, default=str))


def _tell(sweep: Sweep, trials: list[dict[str, Any]], folder: Path) -> None:
    """Print the ranking and the command that gives the best again."""
    from lightning_gans.sweeps.record import ranked
    from lightning_gans.sweeps.table import table

    print("\n".join(table(trials, sweep)))
    best = ranked(trials, sweep.goal)
    if not best:
        raise InputError(f"no trial is complete; {folder}/trial_*/log.txt say why")
    line = command_line(sweep.command, best[0]["parameters"], sweep.program)
    print(f"\nbest: trial {best[0]['number']}, {folder / best[0]['runs'][0]}; again with:")
    print(f"  {as_typed(fit_options(line))}")
