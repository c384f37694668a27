"""Means, paired differences and their correction, against scipy, R and what chance gives."""

import math
import random
from dataclasses import replace

import pytest
import scipy.stats

from lightning_gans.studies.collect import FAILED, Number
from lightning_gans.studies.markdown import statements, table_text
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
        ([0.8] * 5, [0.7] * 5, 1 / 16),  # two of the 32 patterns of signs
        ([0.3 + 0.1 * i for i in range(5)], [0.2 + 0.1 * i for i in range(5)], 1 / 16),
        ([8.0], [1.0], 1.0),
    ],
)
def test_differences_without_spread(first, second, p):
    assert paired(first, second).p == p


def test_equal_counts_are_known_to_their_step_too():
    """As those of which one seed differs are."""
    equal, differing = (paired([8.0] * 5, [8.0 - d] * 5, 1.0).mean for d in (0, 1))
    assert (equal.value, equal.low, equal.high) == (0, differing.low - 1, differing.high - 1)


def test_counts_spread_by_no_less_than_rounding():
    """Otherwise 25 modes against 8 in every seed would be no difference, and against 8 or 9 one."""
    error = math.sqrt(2 / 12 / 5)  # of two rounded numbers' difference, in the mean over five
    found = paired([25.0] * 5, [8.0] * 5, 1.0)
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(17 / error, 4), rel=1e-9)
    ends = scipy.stats.t.interval(0.95, 4, 17, error)
    assert (found.mean.low, found.mean.high) == pytest.approx(ends, rel=1e-9)
    assert paired([25.0] * 5, [8.0, 8.0, 8.0, 8.0, 9.0], 1.0).p < 1e-4


@pytest.mark.parametrize(
    "metric, values, shown",
    [
        ("captured_chi2", (25.0, 8.0), True),
        ("captured_chi2", (8.0, 8.0), False),
        ("high_quality_chi2", (1.0, 0.0), True),
        ("high_quality_chi2", (1.0, 0.97), False),  # less than one of the ten samples
        ("fd_x", (1.0, 2.0), False),
    ],
)
def test_what_never_varies_is_known_to_its_step(metric, values, shown):
    constant = {model: [value] * 5 for model, value in zip("ab", values, strict=True)}
    (table,) = tables(numbers_with(metric, constant), [metric])
    assert table.columns[0].entries["b"].worse == shown


def test_holm_is_rs():
    """p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") of R 4.3."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=1e-12)
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def number(model, seed, value, metric="fd_x", protocol="p"):
    rest = (value, None, None, None, 10, 100, 1.0, f"{model}{seed}")
    return Number("set", model, str(seed), metric, protocol, *rest)


def numbers_with(metric, values, protocol="p"):
    """Numbers of models on one data set: values by model and seed."""
    return [
        number(model, seed, value, metric, protocol)
        for model, own in values.items()
        for seed, value in enumerate(own)
    ]


def test_alike_models_are_called_worse_no_more_often_than_said():
    """Six models of one law, five seeds with a part in common: at most one column in twenty."""
    source, wrong, significant, columns = random.Random(0), 0, 0, 400
    for _ in range(columns):
        seeds = [source.gauss(0, 1) for _ in range(5)]
        values = {f"m{i}": [seed + source.gauss(0, 1) for seed in seeds] for i in range(6)}
        (table,) = tables(numbers_with("fd_x", values), ["fd_x"])
        entries = table.columns[0].entries.values()
        wrong += any(entry.worse for entry in entries)
        significant += any(entry.behind and entry.behind.p < 0.05 for entry in entries)
    assert wrong <= 0.05 * columns
    assert 0.005 * columns <= significant <= 0.05 * columns  # a third of them without correction


def test_a_planted_difference_is_found_with_its_size():
    source = random.Random(1)
    good = [source.gauss(0.9, 0.01) for _ in range(5)]
    values = {
        "worse": [value - 0.3 + source.gauss(0, 0.01) for value in good],
        "good": good,
        "alike": [value + source.gauss(0, 0.02) for value in good],
    }
    (table,) = tables(numbers_with("vendi", values), ["vendi"])
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
        assert table.models[0] == best and table.columns[0].ideal is None
    (table,) = tables(numbers_with("whatever", values), ["whatever"])
    assert [entry.rank for entry in table.columns[0].entries.values()] == [None, None]


def test_near_a_perfect_sampler_is_better_than_beyond_it():
    """Noise is all authentic; a perfect sampler is so to 0.52, where that is measured."""
    values = {"noise": [1.0, 0.99], "near": [0.53, 0.54], "copies": [0.1, 0.11]}
    numbers = numbers_with("authentic", values)
    numbers = [replace(n, ideal=0.51 + 0.02 * int(n.seed)) for n in numbers]  # 0.52 in the mean
    (table,) = tables(numbers, ["authentic"])
    assert table.columns[0].ideal == pytest.approx(0.52)
    assert table.models == ["near", "copies", "noise"]
    assert table.columns[0].entries["copies"].behind.mean.value == pytest.approx(0.4)


def test_numbers_of_other_protocols_are_in_other_columns():
    numbers = numbers_with("fd_x", {"a": [1.0, 2.0]}, "n=100")
    numbers += numbers_with("fd_x", {"b": [1.0, 2.0]}, "n=200")
    (table,) = tables(numbers, ["fd_x"])
    assert [(c.protocol, list(c.entries)) for c in table.columns] == [
        ("n=100", ["a"]),
        ("n=200", ["b"]),
    ]


def test_a_model_that_lacks_runs_is_not_ranked():
    """Of a, one number is none; of b, a run failed; the two left of each would be the best."""
    numbers = numbers_with("fd_x", {"a": [1.0, None, 3.0], "b": [1.0, 1.1], "c": [9.0, 9.1, 9.2]})
    why = "out of memory"
    numbers += [Number("set", "b", "2", FAILED, why, None, None, None, None, None, 0, 0.0, "b2")]
    (table,) = tables(numbers, ["fd_x"])
    entries = table.columns[0].entries
    assert table.models[0] == "c" and entries["c"].rank == 1
    for model in ("a", "b"):
        entry = entries[model]
        assert (entry.mean.n, entry.runs, entry.rank, entry.good) == (2, 3, None, False)
    assert "a (2 of 3); b (2 of 3)" in statements(table)
    assert "| b | 1.05 ± 0.64 (2 of 3 runs) |" in table_text(table)


def test_who_is_ahead_over_common_seeds_is_not_worse():
    """B is far behind by its own mean, but ahead on each of the seeds that A has, too."""
    a = {"0": 10.0, "1": 10.1, "2": 10.2}
    b = {"0": 9.0, "1": 9.15, "2": 9.2} | {str(seed): 30.0 for seed in range(3, 60)}
    numbers = [
        number(model, seed, value)
        for model, own in (("A", a), ("B", b))
        for seed, value in own.items()
    ]
    (table,) = tables(numbers, ["fd_x"])
    entries = table.columns[0].entries
    assert table.models[0] == "A" and not entries["B"].worse
    assert entries["B"].behind.p < 0.05 and not entries["A"].mean.overlaps(entries["B"].mean)


def test_where_shown_intervals_overlap_no_difference_is_shown():
    """Distances to the aim of 1 are far apart, 0.2 and 0.001, the means themselves are not."""
    values = {
        "wide": [0.8, 1.2, 0.79, 1.21, 1.0 + 0.2],
        "near": [1.001, 0.999, 1.001, 0.999, 1.001],
    }
    (table,) = tables(numbers_with("density", values), ["density"])
    entry = table.columns[0].entries["wide"]
    assert entry.behind.p < 0.05 and entry.rank == 2 and not entry.worse


def test_where_distances_to_the_aim_overlap_no_difference_is_shown():
    """Means lie on both sides of the aim, far from each other and nearly as far from it."""
    noise = [0.00, 0.01, -0.01, 0.02, -0.02]
    values = {
        "below": [0.8 + each for each in noise],
        "above": [1.205 + 0.001 * i - each for i, each in enumerate(noise)],
    }
    (table,) = tables(numbers_with("density", values), ["density"])
    below, above = (table.columns[0].entries[model] for model in values)
    assert above.behind.p < 0.05 and not below.mean.overlaps(above.mean)
    assert not above.worse


def test_every_model_is_told_against_the_first_named():
    """Mid is named first and neither best nor worst; near cannot be told from it."""
    noise = [0.0, 0.01, -0.01, 0.02, -0.02]
    values = {
        "mid": [2 + each for each in noise],
        "good": [1 - each for each in noise],
        "bad": [4.0 + each for each in reversed(noise)],
        "near": [2.001 - each for each in noise],
    }
    (table,) = tables(numbers_with("fd_x", values), ["fd_x"])
    entries = table.columns[0].entries
    assert entries["mid"].beside is None and table.first == "mid"
    assert entries["good"].beside == -entries["mid"].behind
    assert entries["bad"].beside.mean.value == pytest.approx(2.0)
    ends = scipy.stats.ttest_rel(values["bad"], values["mid"]).confidence_interval(0.95)
    assert entries["bad"].beside.mean.high == pytest.approx(ends.high, rel=1e-9)
    told = statements(table)
    assert "  * worse than mid by: bad 2 (" in told and "better than" not in told  # good is best
    assert "  * no difference to mid shown: near 0.001 worse (" in told
    values["good"], values["best"] = [1.5 - e for e in noise], values["good"]
    told = statements(tables(numbers_with("fd_x", values), ["fd_x"])[0])
    assert "  * better than mid by: good 0.5 (" in told
