"""The classifier score against torch-fidelity and by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import t as student
from torch_fidelity.metric_isc import isc_features_to_metric

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional import classifier_score


def logits(n, classes=12):
    generator = torch.Generator().manual_seed(n)
    return 3 * torch.randn(n, classes, generator=generator)


@pytest.mark.parametrize(("n", "splits"), [(200, 10), (203, 10), (57, 4), (30, 1), (5, 5)])
def test_parity_with_torch_fidelity(n, splits):
    """Of the same order: splits run from i N // s, which tells where they are uneven."""
    given = logits(n)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(7))
    theirs = isc_features_to_metric(given[order], splits, shuffle=False)
    found = classifier_score(given, splits, seed=7)
    assert found.value == pytest.approx(theirs["inception_score_mean"], rel=1e-12)
    if splits == 1:
        assert found.low is None and found.high is None
        return
    # They give the deviation over splits, not splits - 1.
    error = theirs["inception_score_std"] / (splits - 1) ** 0.5
    ends = student.interval(0.95, splits - 1, found.value, error)
    assert (found.low, found.high) == pytest.approx(ends, rel=1e-9)


def test_its_ends():
    sure = torch.eye(6).repeat(10, 1)
    assert classifier_score(sure.log(), splits=1).value == pytest.approx(6, abs=1e-12)
    assert classifier_score(1000 * sure, splits=1).value == pytest.approx(6, abs=1e-12)
    assert classifier_score(torch.ones(60, 6)) == pytest.approx((1, None, 60, 1, 1), abs=1e-12)
    assert classifier_score(sure[:1].log(), splits=1).value == pytest.approx(1, abs=1e-12)
    # One sample of each of two classes that is sure to 3/4.
    halves = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    expected = math.exp(math.log(2) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert classifier_score(halves.log(), splits=1).value == pytest.approx(expected, rel=1e-6)


def test_probabilities_and_an_offset_are_the_same():
    given = logits(100).double()
    expected = classifier_score(given)
    assert expected.ideal is None and expected.n == 100
    assert expected.high - expected.low > 0.1
    for same in (given.softmax(1).log(), given + 1000):
        assert classifier_score(same)[2:] == pytest.approx(expected[2:], rel=1e-10)
        assert classifier_score(same).value == pytest.approx(expected.value, rel=1e-10)


def test_the_shuffle_is_seeded_and_its_own():
    state = torch.get_rng_state()
    given = logits(300)[logits(300).argmax(1).argsort()]  # sorted by class
    found = classifier_score(given, seed=1)
    assert found == classifier_score(given, seed=1)
    assert found != classifier_score(given, seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    parts = np.mean([classifier_score(part, splits=1).value for part in given.split(30)])
    assert found.value > 1.5 * parts


def test_what_cannot_be_used_is_refused():
    for wrong in (torch.nan, torch.inf):
        spoilt = logits(40)
        spoilt[5, 2] = wrong
        with pytest.raises(InputError, match="the logits of 1 of 40 samples are no probabilities"):
            classifier_score(spoilt)
    spoilt[5] = -torch.inf
    with pytest.raises(InputError, match="the logits of 1 of 40"):
        classifier_score(spoilt)
    for splits in (0, 41):
        with pytest.raises(InputError, match=f"splits is {splits}; it must be 1 to 40"):
            classifier_score(logits(40), splits)
