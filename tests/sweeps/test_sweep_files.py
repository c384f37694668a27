"""Sweep files: what they may hold, what is refused, and what their laws give."""

import math

import numpy as np
import optuna
import pytest
import yaml
from scipy import stats

from lightning_gans.errors import InputError
from lightning_gans.sweeps.queue import sampler
from lightning_gans.sweeps.schema import read_sweep
from lightning_gans.sweeps.space import grid, law
from lightning_gans.sweeps.stopping import Bands, bands, pruner
from tests.conftest import ROOT

GOOD = {
    "method": "random",
    "metric": {"name": "val/generator_loss", "goal": "minimize"},
    "run_cap": 3,
    "parameters": {"model.lr": {"min": 0.1, "max": 0.2}},
    "command": ["lightning", "fit", "${args}"],
}


@pytest.fixture
def written(tmp_path):
    def write(**changes):
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump({**GOOD, **changes}))
        return str(path)

    return write


def parameter(**given):
    return {"parameters": {"model.lr": given}}


def hyperband(**given):
    return {"early_terminate": {"type": "hyperband", **given}}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"method": "byes"}, "method is 'byes'; it must be one of grid, random, bayes"),
        ({"method": "custom"}, "custom needs W&B's scheduler"),
        ({"methd": "grid"}, "no key 'methd'; did you mean 'method'?"),
        ({"seeds": 3}, "lightning sweep --seeds"),
        ({"scheduler": {"engine": "ax"}}, "use `wandb sweep`"),
        ({"metric": None}, "it needs a metric"),
        ({"metric": {"name": "a", "gaol": "minimize"}}, "no key 'gaol'; did you mean 'goal'?"),
        ({"metric": {"name": "a", "goal": "minimise"}}, "did you mean 'minimize'?"),
        ({"parameters": {}}, "it needs parameters"),
        ({"parameters": {"a b": {"value": 1}}}, "'a b' is no name"),
        ({"parameters": {"model": {"parameters": {}}}}, "write nested ones flat, e.g. model.lr"),
        ({"run_cap": 0}, "run_cap is 0"),
        ({"command": "lightning fit"}, "command must be a list"),
        ({"early_terminate": {"type": "median"}}, "--prune median"),
        ({"early_terminate": {"type": "hyperband"}}, "needs min_iter, or max_iter and s"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1}}, "eta is 1"),
        ({"early_terminate": {"type": "hyperband", "min_itr": 1}}, "did you mean 'min_iter'?"),
        (parameter(min=2, max=1), "parameters.model.lr: min 2 is not below max 1"),
        (parameter(min="1e-3", max=1), "YAML wants a point, as in 1.0e-3"),
        (parameter(min=1), "it needs values, value, min and max"),
        (parameter(vals=[1]), "no key 'vals'; did you mean 'values'?"),
        (parameter(values=[]), "at least one"),
        (parameter(values=[1, 1]), "values has one twice"),
        (parameter(values=[1, 2], probabilities=[0.5, 0.6]), "add up to 1"),
        (parameter(values=[1, 2], probabilities=[1.0]), "as many as values"),
        (parameter(value=1, min=0), "constant takes value, not min"),
        (parameter(distribution="normal", mean=0), "no key 'mean'"),
        (parameter(distribution="normal", sigma=0), "sigma is 0"),
        (parameter(distribution="uniform", min=1), "uniform needs max"),
        (parameter(distribution="log_uniform_values", min=0, max=1), "min 0 is not above 0"),
        (parameter(distribution="log_uniform", min=-3, max=1), "log_uniform_values takes"),
        (parameter(distribution="q_unifrm", min=1, max=2), "did you mean 'q_uniform'?"),
        (parameter(distribution="q_uniform", min=1, max=2, q=0), "q is 0; it must be above 0"),
        (parameter(distribution="int_uniform", min=1, max=2.5), "whole min and max"),
        ({"method": "grid"}, "parameters.model.lr: a grid needs values"),
        (parameter(distribution=["normal"]), "distribution is ['normal'], not a text"),
        (parameter(distribution={"a": 1}), "distribution is {'a': 1}, not a text"),
        (parameter(values=[1, 2], probabilities=["a", "b"]), "must be numbers, not ['a', 'b']"),
        (parameter(values=[1, 2], probabilities=[True, False]), "must be numbers"),
        (parameter(min=0.0, max=math.inf), "max is inf, not a finite number"),
        (parameter(distribution="q_uniform", min=0, max=1, q=math.nan), "q is nan"),
        (parameter(distribution="normal", sigma=math.nan), "sigma is nan"),
        (parameter(distribution="log_normal", mu=1000), "log_normal with {'mu': 1000} has values"),
        (parameter(distribution="q_uniform", min=0, max=1e300, q=1e-300), "that are no floats"),
        (parameter(distribution="uniform", min=-1e308, max=1e308), "that are no floats"),
        (parameter(min=0, max=10**400), "max is 1000"),
        ({"metric": {"name": ""}}, "it needs a metric"),
        ({"program": 5}, "program is 5; it must be a text"),
        ({"program": ["a"], "command": ["${program}", "${args}"]}, "program is ['a']"),
        ({"command": ["${program}", "fit", "${args}"]}, "but there is no program"),
        ({"project": ["a"]}, "project is ['a']"),
        (hyperband(min_iter=1, max_iter=9), "needs min_iter, or max_iter and s"),
        (hyperband(min_iter=1, eta=math.nan), "eta is nan"),
        (hyperband(min_iter=1, eta=math.inf), "eta is inf"),
        (hyperband(min_iter=1, eta=1e300), "at most 100"),
        (hyperband(max_iter=9, s=1000), "s is 1000; it must be at most 100"),
        (hyperband(min_iter=1, strict="nope"), "strict is 'nope'; it must be true or false"),
    ],
)
def test_what_is_wrong_is_named(changes, message, written):
    path = written(**changes)
    with pytest.raises(InputError) as error:
        read_sweep(path)
    assert message in str(error.value) and str(error.value).startswith(path)


def test_a_key_that_is_there_twice_is_named(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("method: grid\nmetric: {name: a}\nmethod: random\n")
    with pytest.raises(InputError, match="twice.yaml: line 3 has method once more"):
        read_sweep(str(path))


def test_a_good_file_is_read(written):
    sweep = read_sweep(written(metric={"name": "a", "target": 1.0}))
    assert (sweep.method, sweep.metric, sweep.goal) == ("random", "a", "minimize")
    assert sweep.ignored == ["metric.target"] and sweep.run_cap == 3


def test_a_file_that_is_not_there_names_the_nearest(written):
    with pytest.raises(InputError, match="did you mean 'configs/sweeps/ring.yaml'"):
        read_sweep("configs/sweeps/rings.yaml")


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/sweeps/*.yaml")), ids=lambda p: p.stem)
def test_a_shipped_sweep_says_what_it_is_and_is_read(path):
    header = "".join(line for line in path.read_text().splitlines(True) if line.startswith("#"))
    for claim in ("Cost:", "Expect:", "Run:", f"lightning sweep configs/sweeps/{path.name}"):
        assert claim in header, claim
    sweep = read_sweep(str(path))
    assert sweep.run_cap or sweep.method == "grid"


def draws(given, n=1000):
    """The values of trials 0 to n - 1, each drawn as a sweep draws it."""
    one, study = law("x", given), optuna.create_study()
    values = []
    for index in range(n):
        study.sampler = sampler("random", 0, index, n)
        values.append(one.value(one.suggest(study.ask())))
    return values


CONTINUOUS = [
    ({"min": 0.5, "max": 2.0}, stats.uniform(0.5, 1.5)),
    ({"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0}, stats.loguniform(1e-4, 1)),
    # W&B: 1 / x is log-uniform between 1 / max and 1 / min.
    (
        {"distribution": "inv_log_uniform_values", "min": 0.01, "max": 1.0},
        stats.loguniform(0.01, 1.0),
    ),
    ({"distribution": "normal", "mu": 3.0, "sigma": 2.0}, stats.norm(3, 2)),
    (
        {"distribution": "log_normal", "mu": -2.0, "sigma": 0.5},
        stats.lognorm(s=0.5, scale=math.exp(-2)),
    ),
    ({"distribution": "beta", "a": 2.0, "b": 5.0}, stats.beta(2, 5)),
]


@pytest.fixture(autouse=True)
def silent():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.mark.parametrize("given, expected", CONTINUOUS, ids=lambda v: str(v)[:40])
def test_draws_follow_the_law(given, expected):
    values = draws(given)
    assert 0.01 < stats.kstest(values, expected.cdf).pvalue < 1 - 1e-6
    assert len(set(values)) == len(values)


@pytest.mark.parametrize(
    "given, q, expected",
    [
        ({"distribution": "q_uniform", "min": 1.0, "max": 3.0, "q": 0.5}, 0.5, stats.uniform(1, 2)),
        ({"distribution": "q_uniform", "min": 0, "max": 8, "q": 2}, 2, stats.uniform(0, 8)),
        (
            {"distribution": "q_log_uniform_values", "min": 1, "max": 9, "q": 1},
            1,
            stats.loguniform(1, 9),
        ),
        ({"distribution": "q_normal", "mu": 0.0, "sigma": 2.0}, 1.0, stats.norm(0, 2)),
        ({"distribution": "q_log_normal", "sigma": 0.7}, 1.0, stats.lognorm(s=0.7)),
        ({"distribution": "q_beta", "a": 2.0, "b": 2.0, "q": 0.25}, 0.25, stats.beta(2, 2)),
    ],
    ids=lambda v: str(v)[:40],
)
def test_rounded_draws_have_the_laws_shares(given, q, expected):
    values = np.array(draws(given))
    assert type(values[0].item()) is type(q)  # as W&B: whole if q is
    multiples, counts = np.unique(values, return_counts=True)
    np.testing.assert_allclose(multiples / q, np.round(multiples / q), atol=1e-9)
    shares = expected.cdf(multiples + q / 2) - expected.cdf(multiples - q / 2)
    rest = 1 - shares.sum()
    often = shares * len(values) >= 5
    seen = [*counts[often], counts[~often].sum()]
    wanted = [*shares[often], shares[~often].sum() + rest]
    if wanted[-1] * len(values) < 1:
        assert seen.pop() <= 8
        wanted.pop()
    wanted = np.array(wanted) / sum(wanted) * sum(seen)
    assert stats.chisquare(seen, wanted).pvalue > 0.01


@pytest.mark.parametrize(
    "given, shares",
    [
        ({"values": ["a", [1, 2], True, None]}, [0.25] * 4),
        ({"values": [1, 2, 3], "probabilities": [0.5, 0.1, 0.4]}, [0.5, 0.1, 0.4]),
        ({"min": 3, "max": 7}, [0.2] * 5),
    ],
    ids=["values", "probabilities", "whole"],
)
def test_choices_have_their_shares(given, shares):
    values = draws(given)
    there = given.get("values", list(range(3, 8)))
    counts = [sum(v == each and type(v) is type(each) for v in values) for each in there]
    assert sum(counts) == len(values)
    assert stats.chisquare(counts, np.array(shares) * len(values)).pvalue > 0.01


@pytest.mark.parametrize(
    "given, kind",
    [
        ({"distribution": "log_uniform_values", "min": 8, "max": 64}, float),
        ({"distribution": "uniform", "min": 8, "max": 64}, float),
        ({"distribution": "normal", "mu": 36, "sigma": 4}, float),
        ({"distribution": "q_uniform", "min": 8, "max": 64, "q": 0.5}, float),
        ({"distribution": "q_uniform", "min": 8, "max": 64}, float),
        ({"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 4}, int),
        ({"min": 8, "max": 64}, int),
    ],
    ids=lambda v: str(v)[:40],
)
def test_what_is_tried_out_is_of_the_type_that_is_drawn(given, kind):
    tried = law("x", given).edges
    assert {type(value) for value in [*tried, *draws(given, 20)]} == {kind}


def test_a_constant_is_constant():
    assert set(draws({"value": 0.3}, n=5)) == {0.3}


def test_a_grid_is_every_combination_once():
    given = {
        "a": {"values": ["x", [1], True]},
        "b": {"min": 2, "max": 4},
        "c": {"distribution": "q_uniform", "min": 0.0, "max": 0.3, "q": 0.1},
        "d": {"value": "y"},
    }
    laws = {name: law(name, each, "grid") for name, each in given.items()}
    study, seen = optuna.create_study(), []
    for combination in grid(laws):
        study.enqueue_trial(combination)
        trial = study.ask()
        seen.append(tuple(str(each.value(each.suggest(trial))) for each in laws.values()))
    expected = [
        (a, b, c, "y") for a in ("x", "[1]", "True") for b in "234" for c in ("0.0", "0.1", "0.2")
    ]
    assert seen == expected


@pytest.mark.parametrize(
    "ends", [(0.0, 0.3, 0.1), (0, 8, 2), (0.05, 0.4, 0.1), (1, 4.5, 1), (3, 4, 5)]
)
def test_steps_of_a_grid_are_wandbs(ends):
    """In W&B's grid_search.py they are np.arange(min, max, q)."""
    given = dict(zip(("min", "max", "q"), ends, strict=True))
    steps = law("x", {"distribution": "q_uniform", **given}, "grid")
    values = [steps.value(step) for step in steps.all]
    assert values == pytest.approx(np.arange(*ends).tolist(), rel=1e-9, abs=1e-12)
    assert {type(value) for value in values} == {type(ends[0] + ends[2])}


def test_a_large_grid_is_not_laid_out():
    ends = {"min": 0, "max": 10**9}
    combinations = grid({name: law(name, ends) for name in "ab"})
    assert len(combinations) == (10**9 + 1) ** 2
    assert combinations[10**9 + 3] == {"a": 1, "b": 2} and combinations[-1]["a"] == 10**9
    with pytest.raises(InputError, match="1.0e\\+27 combinations"):
        grid({name: law(name, ends) for name in "abc"})


def stopped(settings, goal, histories):
    study = optuna.create_study(direction=goal)
    for history in histories:
        steps = dict(enumerate(history, 1))
        running = optuna.trial.TrialState.RUNNING
        study.add_trial(optuna.trial.create_trial(state=running, intermediate_values=steps))
    rule = Bands(settings)
    return [trial.number for trial in study.trials if rule.prune(study, trial)]


def test_bands_stop_whom_wandb_stops():
    """The example in W&B's own `hyperband_stop_runs`: the second of five."""
    histories = [[10, 9], [10, 10], [10, 8, 8], [10, 7, 7], [10, 6, 6]]
    settings = {"max_iter": 5, "eta": 2, "s": 2}
    assert bands(settings) == [1, 2]
    # It says so of the second alone as the first has ended; both are above the threshold of 8.
    assert stopped(settings, "minimize", histories) == [0, 1]
    assert stopped(settings, "maximize", [[-v for v in h] for h in histories]) == [0, 1]
    recovered = [*histories[:1], [10, 10, 5], *histories[2:]]
    assert stopped(settings, "minimize", recovered) == [0, 1]
    assert stopped({**settings, "strict": False}, "minimize", recovered) == [0]


def test_the_command_lines_rule_wins(written):
    hyperband = {"early_terminate": {"type": "hyperband", "min_iter": 1}}
    kinds = {
        rule: [
            type(pruner(read_sweep(written(**given)), rule)).__name__ for given in ({}, hyperband)
        ]
        for rule in (None, "median", "none")
    }
    assert kinds == {
        None: ["NopPruner", "Bands"],
        "median": ["MedianPruner", "MedianPruner"],
        "none": ["NopPruner", "NopPruner"],
    }


def test_bands_are_wandbs():
    assert bands({"min_iter": 3, "eta": 2})[:4] == [3, 6, 12, 24]
    assert bands({"min_iter": 1, "eta": 1.5})[:5] == [1, 1, 2, 3, 5]
    assert bands({"max_iter": 27, "s": 2}) == [3, 9]
    assert len(bands({"min_iter": 1, "eta": 1.1})) == 100  # twenty would end at 6
    assert max(bands({"min_iter": 2**53, "eta": 100.0})) > 1e210  # the most that a file may say
    with pytest.raises(InputError, match="below 1"):
        Bands({"max_iter": 2, "s": 1})
