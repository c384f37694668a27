"""Whether a sweep stops and steps as W&B's own code does.

``pip install sweeps==0.3.0``, then ``python benchmarks/sweep_rule.py [--cases 400]``: random
settings of Hyperband with random histories, and random ranges of q_uniform in a grid; told are
the cases in which the answers differ.
"""

import argparse
import random

import optuna
from optuna.trial import TrialState, create_trial
from sweeps import RunState, SweepRun
from sweeps.grid_search import grid_search_next_runs
from sweeps.hyperband_stopping import hyperband_stop_runs

from lightning_gans.sweeps.space import law
from lightning_gans.sweeps.stopping import Bands


def stopped(draw: random.Random) -> tuple[list[int], list[int]]:
    """Whom W&B and the project stop in one random case."""
    settings = {"eta": draw.choice([2, 3, 1.5, 1.2, 1.1])}
    if draw.random() < 0.5:
        settings["min_iter"] = draw.randint(1, 5)
    else:
        settings |= {"max_iter": draw.choice([9, 27, 50, 81]), "s": draw.randint(1, 3)}
    if draw.random() < 0.5:
        settings["strict"] = draw.random() < 0.5
    histories = [
        [draw.gauss(0, 1) for _ in range(draw.randint(0, 60))] for _ in range(draw.randint(2, 40))
    ]
    goal = draw.choice(["minimize", "maximize"])
    sweep = {
        "method": "random",
        "metric": {"name": "loss", "goal": goal},
        "parameters": {"a": {"values": [1]}},
        "early_terminate": {"type": "hyperband", **settings},
    }
    runs = [
        SweepRun(name=str(i), state=RunState.running, history=[{"loss": v} for v in history])
        for i, history in enumerate(histories)
    ]
    theirs = sorted(int(run.name) for run in hyperband_stop_runs(runs, sweep))
    study, rule = optuna.create_study(direction=goal), Bands(settings)
    for history in histories:
        values = dict(enumerate(history, 1))
        study.add_trial(create_trial(state=TrialState.RUNNING, intermediate_values=values))
    return theirs, [trial.number for trial in study.trials if rule.prune(study, trial)]


def steps(draw: random.Random) -> tuple[list[float], list[float]]:
    """The values of one random q_uniform in W&B's grid and in the project's, to nine digits."""
    low = draw.choice([0, 1, 0.05, -2.0])
    given = {"min": low, "max": low + draw.randint(1, 40) / 7, "q": draw.choice([1, 2, 0.1, 0.25])}
    given["distribution"] = "q_uniform"
    sweep = {"method": "grid", "parameters": {"a": given}}
    theirs = [run.config["a"]["value"] for run in grid_search_next_runs([], sweep, n=100) if run]
    own = law("a", given, "grid")
    return [round(v, 9) for v in theirs], [round(own.value(step), 9) for step in own.all]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=400)
    cases = parser.parse_args().cases
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for what, answers in (("stopped", stopped), ("steps of a grid", steps)):
        pairs = [answers(random.Random(i)) for i in range(cases)]
        different = [i for i, (theirs, own) in enumerate(pairs) if theirs != own]
        trivial = sum(not theirs for theirs, _ in pairs)
        print(f"{what}: {cases - len(different)} of {cases} alike, W&B's empty in {trivial}")
        print(f"  different: {different or 'none'}")


if __name__ == "__main__":
    main()
