"""Copies, authenticity, C_T and membership against definitions, other programs and simulation."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import betainc, ndtr
from scipy.stats import mannwhitneyu
from sklearn.datasets import make_moons
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KernelDensity
from torchmetrics.image.mifid import _compute_cosine_distance

from lightning_gans.errors import InputError
from lightning_gans.metrics.functional import (
    Nearest,
    authenticity,
    data_copying,
    kmeans,
    membership_auc,
    memorisation_penalty,
    mifid,
    nearest_other,
    nearest_real,
)
from lightning_gans.metrics.functional.distances import nearest


def share_of(fake, train):
    near = nearest_real(fake, train)
    return authenticity(near, nearest_other(train, near.index))


def normal(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def test_penalty_where_torchmetrics_is_wrong():
    """It takes for each training sample the nearest generated one."""
    torch.manual_seed(0)
    train = torch.randn(500, 64).double()
    copies = train[:5].repeat(100, 1)
    mostly_new = torch.cat([train, torch.randn(5000, 64).double()])
    for fake, penalty, theirs in [(copies, 0, 1), (mostly_new, 1, 0)]:
        assert memorisation_penalty(train, fake) == pytest.approx(penalty, abs=1e-15)
        assert _compute_cosine_distance(train, fake).item() == pytest.approx(theirs, abs=1e-12)
        assert _compute_cosine_distance(fake, train).item() == pytest.approx(penalty, abs=1e-15)


def test_penalty_by_hand():
    """Opposite directions are one, rows of zeros none; 1 - cos 20 degrees is 0.0603."""
    angle = math.radians(20)
    train = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 0.1]])
    fake = [[math.cos(angle), -math.sin(angle)], [-3.0, 0.0], [0.0, 0.0]]
    fake = torch.tensor(fake, dtype=torch.float64)
    expected = (1 - math.cos(angle)) / 2
    assert memorisation_penalty(train, fake) == pytest.approx(expected, rel=1e-12)
    assert memorisation_penalty(train, fake[:1], epsilon=0.0602) == 1
    assert memorisation_penalty(train, fake[:1], epsilon=0.0604) == pytest.approx(2 * expected)
    # A sum of 0 is no row of zeros.
    slant = torch.tensor([[1.0, -1.0]])
    assert memorisation_penalty(slant, -2 * slant) == pytest.approx(0, abs=1e-15)
    assert mifid(3.0, 0.5) == pytest.approx(6, rel=1e-12)
    assert mifid(3.0, 0.0) == pytest.approx(3e14, rel=1e-9)


def test_penalty_of_many_is_that_of_all_pairs():
    train, fake = normal(300, 5), normal(700, 5, 1) + 0.2
    cosines = torch.cosine_similarity(fake[:, None], train, dim=2).abs()
    expected = (1 - cosines.amax(1)).mean().item()
    assert expected == pytest.approx(0.03, abs=0.02)
    assert memorisation_penalty(train, fake) == pytest.approx(expected, rel=1e-10)
    order = torch.randperm(700)
    assert memorisation_penalty(train.flip(0), fake[order]) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("d", [1, 2])
def test_authenticity_of_a_perfect_sampler(d):
    """One minus the share of points that are the nearest of their nearest (Schilling, 1986)."""
    share = 1 - 1 / (2 - betainc((d + 1) / 2, 0.5, 0.75))
    assert share == pytest.approx([1 / 3, 0.3785][d - 1], abs=1e-4)
    found = []
    for seed in range(20):
        train, fake = normal(2000, d, seed).split([800, 1200])
        found.append(share_of(fake, train))
    assert np.mean([one.value for one in found]) == pytest.approx(share, abs=0.02)
    first = found[0]
    assert first.low < first.value < first.high and first.n == 1200 and first.ideal is None
    width = 2 * 1.96 * math.sqrt(first.value * (1 - first.value) / 1200)
    assert first.high - first.low == pytest.approx(width, rel=0.05)


def test_authenticity_by_hand():
    """Training samples 0, 1, 5, each 1, 1 and 4 from its nearest."""
    train = torch.tensor([[0.0], [1.0], [5.0]])
    assert nearest_other(train, torch.tensor([2, 0, 2])).tolist() == [4, 1, 4]
    # Come twice, each leaves out both of itself.
    twice = torch.cat([train, train + 0.25])
    assert nearest_other(twice, torch.tensor([2, 3, 4]), copies=2).tolist() == [3.75, 0.75, 1]
    fakes = torch.tensor([[-0.9], [-1.1], [2.5], [3.5], [5.0], [9.0], [9.5], [-1.0]])
    alone = [share_of(fake[None], train).value for fake in fakes]
    assert alone == [0, 1, 1, 0, 0, 0, 1, 0]
    assert share_of(fakes, train).value == 3 / 8
    copied = Nearest(torch.zeros(2, dtype=torch.float64), torch.tensor([0, 0]))
    assert authenticity(copied, torch.zeros(2, dtype=torch.float64)).value == 0


def test_auc_by_all_pairs():
    for ties in (False, True):
        members, others = normal(80, 1)[:, 0] + 0.5, normal(60, 1, 1)[:, 0]
        if ties:
            members, others = members.round(), others.round()
        pairs = (members[:, None] > others).double() + (members[:, None] == others).double() / 2
        found = membership_auc(members, others)
        assert found.value == pytest.approx(pairs.mean().item(), rel=1e-12)
        told = np.repeat([1, 0], [80, 60])
        expected = roc_auc_score(told, torch.cat([members, others]).numpy())
        assert found.value == pytest.approx(expected, rel=1e-12)
        error = math.sqrt(pairs.mean(1).var().item() / 80 + pairs.mean(0).var().item() / 60)
        assert found.low == pytest.approx(found.value - 1.96 * error, abs=1e-5)
        assert found.high == pytest.approx(found.value + 1.96 * error, abs=1e-5)
        assert (found.ideal, found.n) == (0.5, 140)
        turned = membership_auc(others.float(), members)
        assert turned.value == pytest.approx(1 - found.value, abs=1e-3)
    never = torch.tensor([-math.inf, -math.inf]), torch.tensor([0.0, math.inf])
    assert membership_auc(*never)[:2] == (0, 0.5)
    assert membership_auc(torch.ones(5), torch.ones(7)) == (0.5, 0.5, 12, 0.5, 0.5)


def test_aucs_interval_holds_the_truth():
    """P(x + 1 > y) of standard normal x and y is the normal law at 1 / sqrt 2."""
    truth = ndtr(1 / math.sqrt(2))
    held = 0
    for seed in range(400):
        members, others = normal(110, 1, seed)[:, 0].split([50, 60])
        found = membership_auc(members + 1, others)
        held += found.low <= truth <= found.high
    assert held / 400 == pytest.approx(0.95, abs=0.035)


def moons(n, seed):
    return make_moons(n, noise=0.2, random_state=seed)[0]


def test_data_copying_on_the_moons():
    """The paper's protocol: below 0 for a narrow kernel, 0 for the likeliest, above for a wide."""
    train, test, held = moons(2000, 0), moons(1000, 1), moons(1000, 2)
    widths = np.logspace(-3, 1, 25)
    models = [KernelDensity(bandwidth=width).fit(train) for width in widths[6:20:2]]
    likeliest = int(np.argmax([model.score(held) for model in models]))
    found = []
    for model in models:
        drawn = (torch.from_numpy(model.sample(1000, random_state=seed)) for seed in range(3))
        sides = torch.from_numpy(train), torch.from_numpy(test)
        found.append(np.mean([data_copying(*sides, fake).value for fake in drawn]))
    assert all(one < other for one, other in pairwise(found))
    assert found[0] < -5 and found[-1] > 10
    assert 0 < likeliest < len(models) - 1
    assert found[likeliest] == pytest.approx(0, abs=1.96)
    copies = data_copying(*sides, sides[0][::2])
    assert copies.value < -10 and copies.high < 0


def test_data_copying_is_the_authors_formula():
    """But that theirs adds 1/2 to each U: 1/2 standard deviation^-1 of it."""
    train, test, fake = normal(400, 3), normal(150, 3, 1), normal(300, 3, 2) * 0.9
    fake = torch.cat([fake, fake[:40]]).float()  # ties
    train, test = train.float() + 1000, test.float() + 1000
    fake = fake + 1000
    centres = kmeans(train.double(), 6, seed=3)
    scores, sizes = [], []
    for cell in range(6):
        known, held, made = (
            side.double()[nearest(side.double(), centres) == cell] for side in (train, test, fake)
        )
        n, m = len(held), len(made)
        far, near = (torch.cdist(side, known).amin(1).numpy() for side in (made, held))
        u = mannwhitneyu(far.round(9), near.round(9)).statistic
        scores.append((u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12))
        sizes.append(n)
        assert m > 20
    found = data_copying(train, test, fake, cells=6, seed=3)
    assert found.value == pytest.approx(np.average(scores, weights=sizes), rel=1e-9)
    reach = 1.96 * np.linalg.norm(sizes) / 150
    assert (found.ideal, found.n) == (0, 340)
    assert found.high - found.value == pytest.approx(reach, rel=1e-4)
    assert found.value - found.low == pytest.approx(reach, rel=1e-4)


def test_data_copying_of_a_perfect_sampler():
    """0 is in the interval 95 % of the time."""
    held = 0
    for seed in range(200):
        sides = normal(500, 2, seed).split([200, 120, 180])
        found = data_copying(*sides, cells=3, seed=seed)
        held += found.low <= 0 <= found.high
    assert held / 200 == pytest.approx(0.95, abs=0.045)


def test_cells_without_enough_samples_are_left_out():
    left, right = normal(50, 2), normal(50, 2, 1) + 100
    train, test = torch.cat([left, right]), normal(40, 2, 2)
    fake = normal(60, 2, 3)
    alone = data_copying(left, test, fake, cells=1)
    assert data_copying(train, test, fake, cells=2).value == pytest.approx(alone.value, rel=1e-9)
    few = torch.cat([fake, right[:20]])
    both = torch.cat([test, right[:10] + 0.1])
    assert data_copying(train, both, few, cells=2).value == pytest.approx(alone.value, rel=1e-9)
    enough = torch.cat([fake, right[:21]])
    assert data_copying(train, both, enough, cells=2).value < alone.value - 0.3
    with pytest.raises(InputError, match="none of 2 cells has a test sample and more than 20"):
        data_copying(train, test, right + 0.1, cells=2)


def test_what_cannot_be_used_is_refused():
    train, fake = normal(30, 2), normal(40, 2, 1)
    spoilt = fake.clone()
    spoilt[3, 1] = torch.nan
    for call in (
        lambda: memorisation_penalty(train, spoilt),
        lambda: data_copying(train, fake, spoilt, cells=1),
    ):
        with pytest.raises(InputError, match="1 of 40 generated samples are not finite"):
            call()
    with pytest.raises(InputError, match="all 30 training samples are zero"):
        memorisation_penalty(0 * train, fake)
    with pytest.raises(InputError, match="there are 0 test samples"):
        data_copying(train, fake[:0], fake)
    with pytest.raises(InputError, match="bins is 31; it must be 1 to 30"):
        data_copying(train, fake, fake, cells=31)
    for scores in (torch.zeros(1), torch.tensor([0.0, math.nan])):
        with pytest.raises(InputError, match=f"{len(scores)} held-out scores; at least 2"):
            membership_auc(torch.zeros(3), scores)
