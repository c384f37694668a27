"""Means, paired differences and their correction, against scipy, R and what chance gives."""

import random

import pytest
import scipy.stats

from lightning_gans.studies.collect import Number
from lightning_gans.studies.statistics import holm, mean_interval, paired
from lightning_gans.studies.tables import tables


def test_interval_is_students():
    values = [0.91, 0.88, 0.95, 0.90, 0.87]
    mean = mean_interval(values)
    low, high = scipy.stats.t.interval(0.95, 4, scipy.stats.tmean(values), scipy.stats.sem(values))
    assert (mean.low, mean.high) == pytest.approx((low, high), rel=1e-9)
    assert mean_interval([0.5]).low is None


def test_paired_difference_is_scipys():
    first, second = [3.1, 2.9, 3.4, 3.3, 3.0], [2.8, 2.9, 3.0, 3.1, 2.7]
    found = paired(first, second)
    reference = scipy.stats.ttest_rel(first, second)
    ends = reference.confidence_interval(0.95)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-9)
    assert (found.mean.low, found.mean.high) == pytest.approx((ends.low, ends.high), rel=1e-9)


@pytest.mark.parametrize(
    "first, second, p",
    [
        ([8.0] * 5, [8.0] * 5, 1.0),
        ([8.0] * 5, [7.0] * 5, 1 / 16),  # two of the 32 patterns of signs
        ([8.0], [1.0], 1.0),
    ],
)
def test_differences_without_spread(first, second, p):
    assert paired(first, second).p == p


def test_holm_is_rs():
    """p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") of R 4.3."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=1e-12)
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def numbers_with(metric, values, protocol="p"):
    """Numbers of models on one data set: values by model and seed."""
    return [
        Number(
            "set",
            model,
            seed,
            metric,
            protocol,
            value,
            None,
            None,
            None,
            10,
            100,
            1.0,
            f"{model}{seed}",
        )
        for model, own in values.items()
        for seed, value in enumerate(own)
    ]


def test_alike_models_are_called_worse_no_more_often_than_said():
    """Six models of one law, five seeds with a part in common: at most one column in twenty."""
    source, wrong, columns = random.Random(0), 0, 400
    for _ in range(columns):
        seeds = [source.gauss(0, 1) for _ in range(5)]
        values = {f"m{i}": [seed + source.gauss(0, 1) for seed in seeds] for i in range(6)}
        (table,) = tables(numbers_with("fd_x", values), ["fd_x"])
        wrong += any(entry.worse for entry in table.columns[0].entries.values())
    assert wrong <= 0.05 * columns


def test_a_planted_difference_is_found_with_its_size():
    source = random.Random(1)
    good = [source.gauss(0.9, 0.01) for _ in range(5)]
    values = {
        "worse": [value - 0.3 + source.gauss(0, 0.01) for value in good],
        "good": good,
        "alike": [value + source.gauss(0, 0.02) for value in good],
    }
    (table,) = tables(numbers_with("coverage", values), ["coverage"])
    entries = table.columns[0].entries
    assert table.models[-1] == "worse" and entries["worse"].worse
    assert entries["worse"].rank == 3 and not entries["alike"].worse and not entries["good"].worse
    behind = entries["worse"].behind.mean
    assert behind.low < 0.3 < behind.high and behind.high - behind.low < 0.1


def test_which_way_is_good_comes_from_the_metrics_name():
    """Less of a distance, more of a share; a spread near 1; of unknown names nothing."""
    values = {"a": [1.0, 1.01], "b": [3.0, 3.01]}
    for metric, best in (("fd_x", "a"), ("precision", "b"), ("spread", "a")):
        (table,) = tables(numbers_with(metric, values), [metric])
        assert table.models[0] == best
    (table,) = tables(numbers_with("whatever", values), ["whatever"])
    assert [entry.rank for entry in table.columns[0].entries.values()] == [None, None]


def test_numbers_of_other_protocols_are_in_other_columns():
    numbers = numbers_with("fd_x", {"a": [1.0, 2.0]}, "n=100")
    numbers += numbers_with("fd_x", {"b": [1.0, 2.0]}, "n=200")
    (table,) = tables(numbers, ["fd_x"])
    assert [(c.protocol, list(c.entries)) for c in table.columns] == [
        ("n=100", ["a"]),
        ("n=200", ["b"]),
    ]


def test_a_run_without_a_number_counts_in_none_of_the_means():
    (table,) = tables(numbers_with("fd_x", {"a": [1.0, None, 3.0], "b": [9.0, 9.0, 9.0]}), ["fd_x"])
    entry = table.columns[0].entries["a"]
    assert entry.mean.n == 2 and entry.mean.value == 2.0 and table.seeds == 3
    assert table.columns[0].entries["b"].behind.mean.n == 2
