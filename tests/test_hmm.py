"""Hidden Markov models: hmmlearn's numbers, chains found again, sampling, resuming, refusals."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from hmmlearn.hmm import CategoricalHMM, GaussianHMM
from scipy.optimize import linear_sum_assignment
from torch.testing import assert_close

from lightning_gans.data import CategoricalChain, Digits, GaussianChain
from lightning_gans.data.sequences import lengths_of
from lightning_gans.errors import InputError
from lightning_gans.models import HMM, Categorical, DiagonalGaussian, FullGaussian
from lightning_gans.models.likelihood import bits_per_dimension
from tests.test_models import fit

TRANSITION = [[0.9, 0.1, 0.0], [0.0, 0.8, 0.2], [0.3, 0.0, 0.7]]
MEANS = [[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]]
SYMBOLS = [[0.7, 0.2, 0.1, 0.0], [0.0, 0.1, 0.1, 0.8], [0.1, 0.1, 0.8, 0.0]]


def points(**options):
    return GaussianChain(TRANSITION, MEANS, **{"length": 30, "shortest": 5} | options)


def words(**options):
    return CategoricalChain(TRANSITION, SYMBOLS, **{"length": 30, "shortest": 5} | options)


def categorical(**options):
    return lambda states, dimension: Categorical(states, dimension, 4, **options)


def made(data, emission, **options):
    """An HMM of three states that has guessed its parameters."""
    model = HMM(data.event_shape, 3, emission, **options)
    model.initialise(data.arrays("train")[0])
    return model


def theirs(model):
    """hmmlearn's, with the same parameters."""
    options = {"init_params": "", "n_iter": 1, "implementation": "log"}
    if model.discrete:
        other = CategoricalHMM(model.states, params="ste", **options)
        other.emissionprob_ = model.emission.probabilities[:, 0].numpy().copy()
        other.n_features = 4
    else:
        full = isinstance(model.emission, FullGaussian)
        kind = "full" if full else "diag"
        other = GaussianHMM(model.states, kind, covars_prior=0, params="stmc", **options)
        other.means_ = model.emission.means.numpy().copy()
        other.n_features = other.means_.shape[1]
        covariances = model.emission.covariances if full else model.emission.variances
        other.covars_ = covariances.numpy().copy()
    other.startprob_ = model.initial.numpy().copy()
    other.transmat_ = model.transition.numpy().copy()
    return other


def stacked(events, discrete):
    """As hmmlearn wants them."""
    lengths = lengths_of(events)
    rows = torch.cat([event[:n] for event, n in zip(events, lengths.tolist(), strict=True)])
    return (rows.long() if discrete else rows.double()).numpy(), lengths.tolist()


KINDS = pytest.mark.parametrize(
    ("data", "emission"),
    [(points, DiagonalGaussian), (points, FullGaussian), (words, categorical())],
    ids=["diagonal", "full", "categorical"],
)


@KINDS
def test_baum_and_welch_move_as_in_hmmlearn(data, emission):
    data = data(sequences=40)
    model = made(data, emission)
    other, (rows, lengths) = theirs(model), stacked(data.arrays("train")[0], model.discrete)
    before = -np.inf
    for _ in range(6):
        sums = model.expect(data.arrays("train")[0])
        log_prob = sums["log_prob"].item()
        assert log_prob == pytest.approx(other.score(rows, lengths), rel=1e-12)
        assert log_prob > before
        before = log_prob
        model.maximise(sums)
        other.fit(rows, lengths)
        same = {"rtol": 1e-8, "atol": 1e-10}
        np.testing.assert_allclose(model.initial, other.startprob_, **same)
        np.testing.assert_allclose(model.transition, other.transmat_, **same)
        if model.discrete:
            np.testing.assert_allclose(
                model.emission.probabilities[:, 0], other.emissionprob_, **same
            )
        else:
            np.testing.assert_allclose(model.emission.means, other.means_, **same)
            ours = theirs(model).covars_
            np.testing.assert_allclose(ours, other.covars_, **same)


@KINDS
def test_it_says_of_sequences_what_hmmlearn_says(data, emission):
    data = data(sequences=20)
    model, events = made(data, emission), data.arrays("test")[0][:20]
    log_prob, path, states = model.log_prob(events), model.decode(events), model.posteriors(events)
    following = model.predict_next(events)
    other, (rows, lengths) = theirs(model), stacked(events, model.discrete)
    ends = np.cumsum(lengths)
    for i, (end, length) in enumerate(zip(ends, lengths, strict=True)):
        own = rows[end - length : end]
        assert log_prob[i].item() == pytest.approx(other.score(own), rel=1e-10, abs=1e-8)
        best, decoded = other.decode(own)
        assert path.log_prob[i].item() == pytest.approx(best, rel=1e-10, abs=1e-8)
        assert path.states[i].tolist() == [*decoded, *[-1] * (data.length - length)]
        own_states = other.predict_proba(own)
        np.testing.assert_allclose(states[i, :length], own_states, atol=1e-8)
        next_states = own_states[-1] @ other.transmat_
        np.testing.assert_allclose(following.states[i], next_states, atol=1e-8)
    assert_close(
        following.expected.flatten(1), following.states @ model.emission.expected.flatten(1)
    )


def test_a_trained_model_is_the_algorithm_whatever_the_batches():
    data, runs = points(sequences=50, batch_size=50), []
    direct = made(data, FullGaussian)
    nats = []
    for _ in range(4):
        sums = direct.expect(data.arrays("train")[0])
        nats.append(-sums["log_prob"].item() / 50)
        direct.maximise(sums)
    assert all(later < sooner for sooner, later in itertools.pairwise(nats))
    for batch_size in (50, 16):
        model = HMM(data.event_shape, 3, FullGaussian, tolerance=0.0)
        # The first guess hangs on the order of the data.
        model.initialise = lambda events, model=model: model.load_state_dict(
            made(data, FullGaussian).state_dict()
        )
        fit(model, points(sequences=50, batch_size=batch_size), 4 * -(-50 // batch_size))
        assert model.log_likelihood == pytest.approx(-nats[-1], rel=1e-10)
        runs.append(model)
    for model in runs:
        assert_close(model.transition, direct.transition, rtol=1e-9, atol=1e-12)
        assert_close(model.emission.covariances, direct.emission.covariances, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    "options", [{}, {"window": 1, "decay": 0.6}], ids=["classical", "stepwise"]
)
def test_a_known_chain_is_found_again(options):
    data = points(sequences=600, held_out=100, batch_size=300, initial=[0.6, 0.3, 0.1])
    model = HMM(data.event_shape, 3, FullGaussian, tolerance=1e-6, **options)
    fit(model, data, 60)
    order = torch.from_numpy(
        linear_sum_assignment(torch.cdist(data.means, model.emission.means))[1]
    )
    assert_close(model.emission.means[order], data.means, atol=0.1, rtol=0)
    assert_close(model.transition[order][:, order], data.transition, atol=0.03, rtol=0)
    assert_close(model.initial[order], data.initial, atol=0.08, rtol=0)
    identity = torch.eye(2, dtype=torch.float64).expand(3, 2, 2)
    assert_close(model.emission.covariances[order], identity, atol=0.1, rtol=0)
    events = data.arrays("test")[0]
    truth = copy.deepcopy(model)
    truth.initial.copy_(data.initial)
    truth.transition.copy_(data.transition)
    truth.emission.means.copy_(data.means)
    truth.emission.covariances.copy_(identity)
    assert_close(model.log_prob(events).mean(), truth.log_prob(events).mean(), atol=0.1, rtol=0)


def test_known_symbols_are_found_again():
    data = words(sequences=800, length=20, batch_size=800)
    model = HMM(data.event_shape, 3, categorical(smoothing=1e-9), smoothing=1e-9, tolerance=1e-7)
    fit(model, data, 100)
    found = model.emission.probabilities[:, 0]
    order = torch.from_numpy(linear_sum_assignment(torch.cdist(data.symbols, found))[1])
    assert_close(found[order], data.symbols, atol=0.03, rtol=0)
    assert_close(model.transition[order][:, order], data.transition, atol=0.03, rtol=0)
    assert model.transition.min() > 0 and found.min() > 0


def test_smoothing_is_added_for_every_sequence():
    events = words(sequences=40).arrays("train")[0]
    model = made(words(sequences=40), categorical(smoothing=0.2), smoothing=0.5)
    sums = model.expect(events)
    model.maximise(sums)
    symbols = sums["symbols"].permute(2, 0, 1)
    for found, counts, smoothing in (
        (model.initial, sums["initial"], 0.5),
        (model.transition, sums["transitions"], 0.5),
        (model.emission.probabilities, symbols, 0.2),
    ):
        wanted = counts + smoothing * len(events)
        assert_close(found, wanted / wanted.sum(-1, keepdim=True))


@KINDS
def test_samples_have_the_models_statistics(data, emission):
    data = data(sequences=300)
    model = made(data, emission)
    for _ in range(20):
        model.maximise(model.expect(data.arrays("train")[0]))
    drawn = model.sample(2000, torch.Generator().manual_seed(1))
    assert drawn.shape == (2000, *data.event_shape) and drawn.dtype == torch.float32
    assert torch.equal(drawn, model.sample(2000, torch.Generator().manual_seed(1)))
    again = model.expect(drawn)
    # What the M-turn would make of the samples is what they were drawn from.
    fitted = copy.deepcopy(model)
    fitted.maximise(again)
    for name, value in model.state_dict().items():
        assert_close(fitted.state_dict()[name], value, atol=0.05, rtol=0.02)
    log_probs = model.log_prob(drawn)
    other = model.log_prob(model.sample(2000, torch.Generator().manual_seed(2)))
    error = (log_probs.var() / 2000 + other.var() / 2000).sqrt()
    assert (log_probs.mean() - other.mean()).abs() < 4 * error


def test_an_image_is_the_sequence_of_its_rows():
    images = torch.rand(30, 3, 4, 5)
    model = HMM((3, 4, 5), 2, FullGaussian)
    rows = images.permute(0, 2, 1, 3).reshape(30, 4, 15)
    sequences = HMM((4, 15), 2, FullGaussian)
    for one, events in ((model, images), (sequences, rows)):
        one.initialise(events)
    assert_close(model.log_prob(images), sequences.log_prob(rows))
    drawn, as_rows = (m.sample(7, torch.Generator().manual_seed(0)) for m in (model, sequences))
    assert torch.equal(drawn.permute(0, 2, 1, 3).reshape(7, 4, 15), as_rows)


def test_held_out_nats_are_of_events_steps_and_dimensions():
    data = words(sequences=60, held_out=37, batch_size=10)
    model = HMM(data.event_shape, 3, categorical(smoothing=1e-6), smoothing=1e-6)
    trainer = fit(model, data, 12)
    (told,) = trainer.test(model, data, verbose=False)
    events = data.arrays("test")[0]
    nats, steps = -model.log_prob(events).sum().item(), lengths_of(events).sum().item()
    assert told["test/nll"] == pytest.approx(nats / 37, rel=1e-5)
    assert told["test/nll_per_step"] == pytest.approx(nats / steps, rel=1e-5)
    bits = bits_per_dimension(nats, steps, 1.0)
    assert told["test/bits_per_dimension"] == pytest.approx(bits, rel=1e-5)


def test_digits_are_dequantised():
    model = HMM((1, 8, 8), 5)
    trainer = fit(model, Digits(image_size=8, batch_size=500), 9)
    (told,) = trainer.test(model, Digits(image_size=8, batch_size=500), verbose=False)
    bits = bits_per_dimension(told["test/nll"], 64, 2 / 16)
    assert told["test/bits_per_dimension"] == pytest.approx(bits, rel=1e-5)
    assert 1 < bits < math.log2(17)  # of no model at all


def test_a_direction_without_width_is_as_wide_as_the_floor():
    steps = torch.randn(40, 10, 1).expand(40, 10, 2) + torch.tensor([1e3, -1e3])
    for emission in (FullGaussian, DiagonalGaussian):
        model = HMM((10, 2), 2, emission)
        model.initialise(steps)
        for _ in range(5):
            model.maximise(model.expect(steps))
        assert model.log_prob(steps).isfinite().all()
        if emission is FullGaussian:
            least = torch.linalg.eigvalsh(model.emission.covariances).min(1).values
            assert_close(least, torch.full_like(least, 1e-6), rtol=1e-3, atol=0)


def test_a_state_that_nothing_needs_keeps_its_parameters():
    model = HMM((3, 1), 2)
    model.emission.means.copy_(torch.tensor([[0.0], [1e6]]))
    model.maximise(model.expect(torch.randn(5, 3, 1)))
    assert model.emission.means[1, 0] == 1e6 and model.emission.variances[1, 0] == 1
    assert_close(model.transition[1], torch.tensor([0.5, 0.5], dtype=torch.float64))
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_sampling_leaves_training_untouched():
    model = made(points(sequences=20), DiagonalGaussian)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    model.sample(5, torch.Generator().manual_seed(0))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"event_shape": (5,)}, "event_shape is .*time, dimension"),
        ({"states": 0}, "states is 0; it must be at least 1"),
        ({"smoothing": -1.0}, "smoothing is -1.0; it must be at least 0"),
        ({"decay": 0.5}, "decay is 0.5"),
        ({"emission": lambda s, d: Categorical(s, d, 0)}, "symbols is 0"),
        ({"emission": lambda s, d: Categorical(s, d, 2, -1.0)}, "emission.smoothing is -1.0"),
        ({"emission": lambda s, d: FullGaussian(s, d, 0.0)}, "floor is 0.0; it must be above 0"),
    ],
)
def test_numbers_out_of_range_are_refused(options, answer):
    with pytest.raises(InputError, match=answer):
        HMM(**{"event_shape": (5, 2)} | options)


def broken(where, what):
    events = torch.randn(4, 5, 2)
    events[where] = what
    return events


@pytest.mark.parametrize(
    ("events", "answer"),
    [
        (broken(2, torch.nan), r"sequence 2 \(from 0\) has no step"),
        (broken((1, 3), torch.nan), "sequence 1 .* nan or infinite"),
        (broken((1, 4, 0), torch.nan), "sequence 1 .* nan or infinite"),
        (broken((0, 0, 0), torch.inf), "sequence 0 .* nan or infinite"),
        (broken((slice(None), slice(None), 1), 0.5), r"column 1 \(from 0\) .* variance 0"),
        (torch.randn(1, 5, 2), "states is 6, but the sequences have only 5 steps"),
        (torch.eye(2).repeat(4, 4, 1), "states is 6, but there are only 2 different"),
    ],
)
def test_sequences_that_cannot_be_modelled_are_refused(events, answer):
    with pytest.raises(InputError, match=answer):
        HMM(tuple(events.shape[1:]), 6).initialise(events)


def test_states_are_told_by_any_column():
    """A first column that is constant tells nothing of them; one that alone is, is refused."""
    emission = Categorical(3, 2, 4)
    steps = torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]], dtype=torch.float64)
    shares = emission.guess(steps, seed=0)
    assert_close(shares.sum(1), torch.ones(3, dtype=torch.float64))
    assert (shares[0] - shares[1]).abs().max() > 0.05 < (shares[1] - shares[2]).abs().max()
    with pytest.raises(InputError, match="all columns of the observations are constant"):
        emission.guess(steps[:1].expand(5, -1), seed=0)


@pytest.mark.parametrize("symbol", [-1.0, 4.0, 1.5])
def test_symbols_out_of_range_are_refused(symbol):
    model = HMM((3, 1), 2, categorical())
    with pytest.raises(InputError, match=f"hold {symbol:g}; .*symbols 4 .* from 0 to 3"):
        model.log_prob(torch.full((2, 3, 1), symbol))
