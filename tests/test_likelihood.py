"""Likelihoods and bounds against torch's distributions, naive formulas and closed forms."""

import itertools
import math

import pytest
import torch
from torch import distributions
from torch.testing import assert_close

from lightning_gans.errors import InputError
from lightning_gans.objectives import Bernoulli, DiscretisedLogistic, Gaussian, Warmup
from lightning_gans.objectives.likelihood import (
    bernoulli,
    discretised_logistic,
    free_bits,
    gaussian,
    importance_weighted,
    kl_to_prior,
    latent_log_ratio,
)

DOUBLE = torch.float64
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def normal(*shape):
    return torch.randn(*shape, dtype=DOUBLE)


DRAWS = 100_000


@pytest.mark.parametrize("spread", ["shared", "each"])
def test_normal_draws_have_the_laws_mean_and_scale(spread):
    law, said = Gaussian(0.3, spread), normal(1, 2 if spread == "each" else 1, 3)
    mean, log_scale = law.located(said)
    source = torch.Generator().manual_seed(0)
    events = law.sample(said.expand(DRAWS, -1, -1), source)
    errors = (events - mean) / log_scale.exp()
    assert_close(errors.mean(0), torch.zeros(3, dtype=DOUBLE), rtol=0, atol=5 / DRAWS**0.5)
    assert_close(errors.std(0), torch.ones(3, dtype=DOUBLE), rtol=0, atol=5 / (2 * DRAWS) ** 0.5)


@pytest.mark.parametrize(
    "law, said, levels",
    [
        (Bernoulli(), [0.7], 2),
        (Bernoulli(), [-3.0], 2),
        (DiscretisedLogistic(0.02), [0.3], 256),
        (DiscretisedLogistic(0.5), [-0.8], 256),
        (DiscretisedLogistic(1.0, "each"), [1.4, -3.0], 256),
    ],
    ids=str,
)
def test_each_level_is_drawn_as_often_as_its_likelihood_says(law, said, levels):
    values = torch.linspace(-1, 1, levels, dtype=DOUBLE)[:, None]
    told = torch.tensor(said, dtype=DOUBLE)[None, :, None]
    expected = law.log_prob(values, told.expand(levels, -1, -1)).exp()
    assert expected.sum().item() == pytest.approx(1, abs=1e-6)
    source = torch.Generator().manual_seed(0)
    events = law.sample(told.expand(DRAWS, -1, -1), source)
    level = ((events.flatten() + 1) / 2 * (levels - 1)).round().long()
    assert_close(events, values[level], rtol=0, atol=1e-6)
    seen = level.bincount(minlength=levels) / DRAWS
    assert ((seen - expected).abs() <= 5 * (expected / DRAWS).sqrt() + 1 / DRAWS).all()


def test_the_divergence_is_torchs():
    mean, log_variance = normal(5, 3), normal(5, 3)
    posterior = distributions.Normal(mean, (log_variance / 2).exp())
    prior = distributions.Normal(torch.zeros((), dtype=DOUBLE), torch.ones((), dtype=DOUBLE))
    expected = distributions.kl_divergence(posterior, prior)
    assert_close(kl_to_prior(mean, log_variance), expected, **EXACT)
    assert kl_to_prior(torch.zeros(1, 2), torch.zeros(1, 2)).abs().max() == 0


def test_the_ratio_of_prior_and_posterior_is_torchs():
    mean, log_variance, noise = normal(4, 3), normal(4, 3), normal(2, 4, 3)
    latents = mean + noise * (log_variance / 2).exp()
    prior = distributions.Normal(torch.zeros(3, dtype=DOUBLE), torch.ones(3, dtype=DOUBLE))
    expected = prior.log_prob(latents) - distributions.Normal(
        mean, (log_variance / 2).exp()
    ).log_prob(latents)
    assert_close(latent_log_ratio(latents, noise, log_variance), expected.sum(-1), **EXACT)


def test_a_gaussian_is_torchs():
    events, mean, log_scale = normal(4, 2, 3), normal(4, 2, 3), normal(4, 2, 3)
    for scale in (log_scale, log_scale[0, 0, 0]):
        expected = distributions.Normal(mean, scale.exp()).log_prob(events).flatten(1).sum(1)
        assert_close(gaussian(events, mean, scale), expected, **EXACT)


def test_a_bernoulli_is_torchs_and_grey_is_its_expectation():
    logits = normal(1, 3)
    law = distributions.Bernoulli(logits=logits)
    of = {}
    for bits in itertools.product((0.0, 1.0), repeat=3):
        value = torch.tensor([bits], dtype=DOUBLE)
        of[bits] = bernoulli(2 * value - 1, logits)
        assert_close(of[bits], law.log_prob(value).sum(1), **EXACT)
    assert sum(value.exp() for value in of.values()).item() == pytest.approx(1, abs=1e-12)
    likely = torch.tensor([0.2, 0.5, 0.9], dtype=DOUBLE)
    expected = sum(
        math.prod(p if bit else 1 - p for p, bit in zip(likely.tolist(), bits, strict=True)) * value
        for bits, value in of.items()
    )
    assert_close(bernoulli(2 * likely[None] - 1, logits), expected, **EXACT)


@pytest.mark.parametrize("scale", [1e-3, 0.02, 0.5, 30.0])
@pytest.mark.parametrize("mean", [-3.0, -1.0, -0.99, 0.1234, 1.0, 40.0])
def test_the_levels_of_a_discretised_logistic_sum_to_one(mean, scale):
    for dtype, close in ((DOUBLE, 1e-11), (torch.float32, 1e-5)):
        levels = (torch.arange(256, dtype=dtype) / 127.5 - 1)[:, None]
        parameters = torch.tensor([mean, math.log(scale)], dtype=dtype, requires_grad=True)
        log_prob = discretised_logistic(levels, parameters[0].expand(256, 1), parameters[1])
        assert log_prob.exp().sum().item() == pytest.approx(1, abs=close)
        (gradient,) = torch.autograd.grad(log_prob.sum(), parameters)
        assert log_prob.isfinite().all() and gradient.isfinite().all()


def test_a_discretised_logistic_is_a_difference_of_sigmoids():
    events = torch.tensor([[-1.0, -0.2, 0.6, 1.0]], dtype=DOUBLE)  # 6 levels: steps of 0.4
    mean, log_scale = normal(1, 4), normal(1, 4)
    upper, lower = (torch.sigmoid((events + step - mean) / log_scale.exp()) for step in (0.2, -0.2))
    lower[:, 0], upper[:, 3] = 0, 1
    expected = (upper - lower).log().sum(1)
    assert_close(discretised_logistic(events, mean, log_scale, levels=6), expected, **EXACT)


def test_free_bits_charge_what_is_above_them_in_the_mean_of_the_batch():
    kl = torch.tensor([[0.0, 3.0, 0.5], [0.2, 1.0, 1.5]], requires_grad=True)
    assert free_bits(kl, 0.0).item() == pytest.approx(0.1 + 2.0 + 1.0, abs=1e-6)
    charged = free_bits(kl, 0.5)
    assert charged.item() == pytest.approx(0.5 + 2.0 + 1.0, abs=1e-6)
    (gradient,) = torch.autograd.grad(charged, kl)
    assert_close(gradient, torch.tensor([[0.0, 0.5, 0.5], [0.0, 0.5, 0.5]]))


def test_importance_weights_are_averaged_before_the_logarithm():
    weights = torch.tensor([[1.0, 1e-300], [3.0, 3e-300]], dtype=DOUBLE)
    expected = torch.tensor([math.log(2), math.log(2e-300)], dtype=DOUBLE)
    assert_close(importance_weighted(weights.log()), expected, **EXACT)


@pytest.mark.parametrize("law", [Gaussian, DiscretisedLogistic])
@pytest.mark.parametrize(("spread", "outputs"), [("fixed", 1), ("shared", 1), ("each", 2)])
def test_whose_scale_it_is(law, spread, outputs):
    observation = law(0.3, spread).double()
    assert observation.outputs == outputs
    assert len(list(observation.parameters())) == (spread == "shared")
    said, events = normal(2, outputs, 1, 4, 4), torch.ones(2, 1, 4, 4, dtype=DOUBLE)
    scale = 0.3 * (said[:, 1].exp() if spread == "each" else torch.ones((), dtype=DOUBLE))
    formula = {Gaussian: gaussian, DiscretisedLogistic: discretised_logistic}[law]
    expected = formula(events, said[:, 0], scale.log())
    assert_close(observation.log_prob(events, said), expected, rtol=1e-6, atol=1e-6)
    assert_close(observation.mean(said), said[:, 0], rtol=0, atol=0)


def test_binarised_values_follow_their_grey():
    grey = torch.tensor([-1.0, -0.5, 0.0, 0.6, 1.0]).expand(20_000, 5)
    drawn = Bernoulli().observe(grey, torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    assert_close(drawn.mean(0), grey[0], rtol=0, atol=0.03)
    assert drawn[:, 0].max() == -1 and drawn[:, 4].min() == 1
    again = Bernoulli().observe(grey, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)
    cut = Bernoulli("threshold").observe(grey, torch.Generator())
    assert cut[0].tolist() == [-1, -1, -1, 1, 1]
    assert Bernoulli("none").observe(grey, torch.Generator()) is grey
    said = normal(2, 1, 3)
    assert_close(Bernoulli().mean(said), 2 * said[:, 0].sigmoid() - 1, **EXACT)


@pytest.mark.parametrize("binarise", ["draw", "threshold", "none"])
@pytest.mark.parametrize("wrong", [-1.5, 2.0, math.nan, math.inf])
def test_what_is_no_probability_is_refused(binarise, wrong):
    events = torch.tensor([[0.0, wrong]])
    with pytest.raises(InputError, match="from -1 to 1 as probabilities"):
        Bernoulli(binarise).observe(events, torch.Generator())


def test_data_of_other_levels_are_refused():
    DiscretisedLogistic().check(2 / 255)
    for width in (None, 0.1):
        with pytest.raises(InputError, match="256 levels"):
            DiscretisedLogistic().check(width)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Gaussian(0.0), "Gaussian.scale is 0"),
        (lambda: DiscretisedLogistic(math.nan), "DiscretisedLogistic.scale is nan"),
        (lambda: Warmup(0), "Warmup.samples is 0"),
        (lambda: Warmup(10, -1.0), "Warmup.final is -1"),
    ],
)
def test_numbers_out_of_range_are_refused(make, key):
    with pytest.raises(InputError, match=key):
        make()


def test_a_weight_warms_up():
    warmup = Warmup(samples=1000, final=4.0)
    assert [warmup(seen) for seen in (0, 250, 1000, 9999)] == [0.0, 1.0, 4.0, 4.0]
