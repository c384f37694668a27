"""The command ``lightning compare``."""

import argparse
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from lightning_gans.errors import InputError
from lightning_gans.runs import masked
from lightning_gans.studies.collect import Run
from lightning_gans.studies.report import write_report
from lightning_gans.studies.schema import Study, read_study

__all__ = ["run"]

_EXAMPLE = "lightning compare configs/studies/toy.yaml --jobs 2"
_OF_STUDIES = ("jobs", "seeds", "resume", "name", "storage")
_OF_RUNS = ("metrics", "out")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        first = " before --metrics" if "required: what" in message else ""
        raise InputError(f"{message}{first}; e.g. {_EXAMPLE}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lightning compare",
        usage="lightning compare STUDY.yaml [--jobs 2] [--resume], or lightning compare RUN ...",
        description="Run a study, models x data sets x seeds, and write its report; or compare "
        "runs that have finished.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("what", nargs="+", help="a study file, e.g. configs/studies/toy.yaml, or folders of runs")
    add("--jobs", type=int, help="runs of a study at a time; default: 1")
    add("--seeds", type=int, help="instead of the study's own")
    add("--resume", action="store_true", help="go on with, or join, a study that there may be")
    add("--name", help="its folder is runs/studies/NAME; default: the file's name")
    add("--folder", default="runs/studies", help="folder of all studies")
    add("--storage", metavar="URL", help="postgresql://user@host/database, for many machines")
    add("--metrics", nargs="+", metavar="NAME", help="of runs: what to compare; default: all")
    add("--out", help="of runs: folder of the report; default: comparison")
    return parser


def run(args: list[str]) -> None:
    """Run ``lightning compare`` with ``args``.

    Raises:
        InputError: What the user gave cannot be used, or no run has succeeded.
        Interrupted: A signal has stopped it.
    """
    options = _parser().parse_args(args)
    for name in ("jobs", "seeds"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise InputError(f"--{name} is {value}; it must be at least 1")
    is_study = len(options.what) == 1 and options.what[0].endswith((".yaml", ".yml"))
    for name in _OF_RUNS if is_study else _OF_STUDIES:
        if getattr(options, name):
            other = "finished runs" if is_study else "a study file"
            raise InputError(f"--{name} is for {other}; e.g. {_EXAMPLE}")
    if is_study:
        _study(options, shlex.join(masked(["lightning", "compare", *args])))
    else:
        _finished(options, shlex.join(masked(["lightning", "compare", *args])))


def _finished(options: argparse.Namespace, command: str) -> None:
    from lightning_gans.studies.finished import finished_runs

    if files := [name for name in options.what if name.endswith((".yaml", ".yml"))]:
        raise InputError(f"{files[0]}: a study is compared alone, without other files or runs")
    folder = Path(options.out or "comparison")
    runs, said, idle = finished_runs(options.what, time.time())
    print("\n".join(said), end="\n" if said else "")
    title = f"Models compared: {len({r.model for r in runs})}; runs: {len(runs)}"
    _tell(*write_report(folder, title, [f"command: {command}", *said], runs, options.metrics))
    if idle:
        raise InputError(f"nothing of {', '.join(idle)} is in the report, which says why")


def _study(options: argparse.Namespace, command: str) -> None:
    from lightning_gans.studies.plan import cells
    from lightning_gans.sweeps.record import ranked

    study = read_study(options.what[0])
    if options.seeds is not None:
        study = replace(study, seeds=options.seeds)
    name = study.file.stem if options.name is None else options.name
    if Path(name).name != name or name in ("", ".."):
        raise InputError(f"--name {name!r} must be a plain name")
    folder, jobs = Path(options.folder) / name, options.jobs or 1
    plan = cells(study)
    trials = _work(study, folder, jobs, options)
    by_name = {trial["parameters"].get("run"): trial for trial in trials}
    runs = []
    for cell in plan:
        trial = by_name[cell.experiment]
        path = str(folder / (trial["runs"] or [f"{cell.experiment}/version_0"])[0])
        why = trial["message"] or ""
        runs.append(Run(cell.data, cell.model, str(cell.seed), path, trial["state"], why))
    if not ranked(trials, "maximize"):
        raise InputError(f"no run is complete; {folder}/*/log.txt say why")
    more = {name: given for name, given in study.models.items() if given.get("times", 1) > 1}
    head = [
        f"study: {study.file}, settings {study.digest}",
        f"budget: {study.budget}, {study.seeds} seeds",
        *(f"{m}: {given['times']} times the budget" for m, given in more.items()),
        f"command: {command}",
    ]
    if (others := len(trials) - len(plan)) > 0:
        head.append(f"{others} runs of further seeds are left out; --seeds takes them in")
    paths, unmeasured = write_report(folder, study.title, head, runs, study.metrics)
    _tell(paths, unmeasured and f"{study.file}: metrics: {unmeasured}")
    if failed := [run for run in runs if run.state != "complete"]:
        raise InputError(f"{len(failed)} of {len(runs)} runs failed; the report says why")


def _work(study: Study, folder: Path, jobs: int, options: argparse.Namespace) -> list[dict]:
    from optuna.pruners import NopPruner

    from lightning_gans.studies.plan import StudyPlan, cells, sweep_of
    from lightning_gans.studies.progress import StudyDisplay
    from lightning_gans.sweeps.local import places
    from lightning_gans.sweeps.work import Order, work

    runs = cells(study)
    sweep = sweep_of(study, runs)
    by_folder = {cell.experiment: cell for cell in runs}
    plan = StudyPlan(sweep, folder, 1, "last", [], study, by_folder)
    # Trials are known by their number, and mappings in another order are equal.
    definition = study.definition | {"runs": [c.experiment for c in runs if c.seed == 0]}
    order = Order(
        definition=definition,
        total=len(runs),
        seed=0,
        resume=options.resume,
        storage=options.storage,
        places=places(jobs, [], 1),
        rule=NopPruner(),
    )
    lines = (plan.options(0, {"run": c.experiment}, 0) for c in runs if c.seed == 0)
    return work(plan, order, StudyDisplay(study, sweep, by_folder, jobs), lines)


def _tell(paths: list[Path], unmeasured: str) -> None:
    """Print the report and where it lies; fail if not all that was asked for was measured."""
    print(paths[0].read_text())
    for path in paths:
        print(path)
    if unmeasured:
        raise InputError(f"{unmeasured}. The report is written without")
