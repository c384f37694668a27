"""Penalties against their analytic values and parameter gradients, in 64 bits."""

import inspect
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import lightning_gans.objectives as objectives
from lightning_gans.objectives import DRAGAN, R1, R2, Annealed, GradientPenalty, Lazy, LeCam
from lightning_gans.objectives.penalties import Judged, Penalty
from lightning_gans.types import InputError

SHAPE = (2, 3)
N = 5


def events(n=N, shape=SHAPE):
    return torch.randn(n, *shape, dtype=torch.float64)


class Linear(nn.Module):
    """D(x) = w.x + b, whose gradient is w everywhere; it keeps what it was given."""

    def __init__(self, shape=SHAPE, scale=1.0):
        super().__init__()
        self.w = nn.Parameter(scale * torch.randn(math.prod(shape), dtype=torch.float64))
        self.b = nn.Parameter(torch.randn((), dtype=torch.float64))
        self.given = []

    def forward(self, x):
        self.given.append(x)
        return x.flatten(1) @ self.w + self.b

    def slopes(self, x):
        """||grad_x D(x)|| in closed form."""
        return self.w.norm().expand(len(x))


class Quadratic(Linear):
    """D(x) = x^T A x / 2 with a symmetric A = (W + W^T) / 2, whose gradient is A x."""

    def __init__(self, shape=SHAPE, scale=1.0):
        super().__init__(shape)
        size = math.prod(shape)
        self.w = nn.Parameter(scale * torch.randn(size, size, dtype=torch.float64))
        self.b = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x):
        self.given.append(x)
        x = x.flatten(1)
        return ((x @ self.w) * x).sum(1) / 2 + self.b

    def slopes(self, x):
        return (x.flatten(1) @ (self.w + self.w.T) / 2).norm(dim=1)


def judge(discriminator, real, fake):
    """As a model does: the logits are those of the very events that are handed over."""
    real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
    judged = Judged(discriminator, real, fake, discriminator(real), discriminator(fake))
    if hasattr(discriminator, "given"):
        discriminator.given.clear()
    return judged


def lecam(d, judged, points):
    real, fake = d(judged.real.detach()), d(judged.fake.detach())
    near = (real - fake.mean().detach()) ** 2 + (fake - real.mean().detach()) ** 2
    return 0.3 * near.mean()


def relu(x):
    return x.clamp(min=0)


# Each penalty class: examples of it, with the value from slopes in closed form. ``points`` is
# where the penalty asked the discriminator, if it did.
ANALYTIC = {
    "R1": [(lambda: R1(3.0), lambda d, j, points: 1.5 * (d.slopes(j.real) ** 2).mean())],
    "R2": [(lambda: R2(3.0), lambda d, j, points: 1.5 * (d.slopes(j.fake) ** 2).mean())],
    "GradientPenalty": [
        (
            lambda: GradientPenalty(),
            lambda d, j, points: 10 * ((d.slopes(points) - 1) ** 2).mean(),
        ),
        (
            lambda: GradientPenalty(0.7, target=2.5),
            lambda d, j, points: 0.7 * ((d.slopes(points) - 2.5) ** 2).mean(),
        ),
        (
            lambda: GradientPenalty(2.0, target=2.0, one_sided=True),
            lambda d, j, points: 2 * (relu(d.slopes(points) - 2) ** 2).mean(),
        ),
    ],
    "DRAGAN": [
        (lambda: DRAGAN(), lambda d, j, points: 10 * ((d.slopes(points) - 1) ** 2).mean()),
        (
            lambda: DRAGAN(2.0, noise=1.5, target=0.0),
            lambda d, j, points: 2 * (d.slopes(points) ** 2).mean(),
        ),
    ],
    "LeCam": [(lambda: LeCam(0.3).double(), lecam)],
    "Lazy": [
        (
            lambda: Lazy(R1(3.0), every=4),
            lambda d, j, points: 4 * 1.5 * (d.slopes(j.real) ** 2).mean(),
        ),
    ],
    "Annealed": [
        (
            lambda: Annealed(R1(3.0), batches=7),  # judged on batch 0
            lambda d, j, points: 1.5 * (d.slopes(j.real) ** 2).mean(),
        ),
    ],
}

PENALTIES = [
    name
    for name in objectives.__all__
    if inspect.isclass(found := getattr(objectives, name))
    and issubclass(found, Penalty)
    and not inspect.isabstract(found)
]
CASES = [
    pytest.param(make, value, id=f"{name}{i}")
    for name, examples in ANALYTIC.items()
    for i, (make, value) in enumerate(examples)
]


def test_every_penalty_has_an_analytic_value():
    assert set(ANALYTIC) == set(PENALTIES)


@pytest.mark.parametrize("scale", [0.1, 1.0])
@pytest.mark.parametrize("kind", [Linear, Quadratic])
@pytest.mark.parametrize(("make", "value"), CASES)
def test_values_and_parameter_gradients_are_the_analytic_ones(make, value, kind, scale):
    """The gradient is that of the closed form: without create_graph it would be 0 or an error."""
    discriminator = kind(scale=scale)
    judged = judge(discriminator, events(), events() + 1)
    penalty = make()
    ours = penalty(judged)
    points = discriminator.given[0].detach() if discriminator.given else None
    expected = value(discriminator, judged, points)
    assert ours.shape == ()
    parameters = list(discriminator.parameters())
    ask = {"materialize_grads": True, "allow_unused": True}
    gradients = torch.autograd.grad(ours, parameters, retain_graph=True, **ask)
    assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    assert_close(
        gradients, torch.autograd.grad(expected, parameters, **ask), rtol=1e-10, atol=1e-12
    )


def test_r1_and_r2_by_hand():
    """gamma/2 |w|^2 with w = (3, 4), and its gradient gamma w; the 1/2 is the convention here."""
    discriminator = Linear((2,))
    discriminator.w.data = torch.tensor([3.0, 4.0], dtype=torch.float64)
    judged = judge(discriminator, events(shape=(2,)), events(shape=(2,)))
    for penalty in (R1(2.0), R2(2.0)):
        value = penalty(judged)
        assert value.item() == pytest.approx(25.0, rel=1e-14)
        (gradient,) = torch.autograd.grad(value, discriminator.w, retain_graph=True)
        assert_close(gradient, 2 * discriminator.w.detach())
    assert discriminator.given == []


def test_quadratic_by_hand():
    """R1 of D(x) = a x^2 / 2 is gamma/2 a^2 E x^2: with a = 2, x in (1, 3), gamma 1: 10."""
    discriminator = Quadratic((1,))
    discriminator.w.data.fill_(2.0)
    real = torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    judged = judge(discriminator, real, 2 * real)
    assert R1(1.0)(judged).item() == pytest.approx(10.0)
    assert R2(1.0)(judged).item() == pytest.approx(40.0)


@pytest.mark.parametrize(
    ("slope", "two_sided", "one_sided"), [(0.25, 10 * 0.5625, 0.0), (3.0, 40.0, 40.0)]
)
def test_wgan_gp_by_hand(slope, two_sided, one_sided):
    discriminator = Linear((4,))
    discriminator.w.data = torch.tensor([slope, 0, 0, 0], dtype=torch.float64)
    judged = judge(discriminator, events(shape=(4,)), events(shape=(4,)))
    assert GradientPenalty()(judged).item() == pytest.approx(two_sided)
    assert GradientPenalty(one_sided=True)(judged).item() == pytest.approx(one_sided)


@pytest.mark.parametrize("shape", [(2,), (1, 4, 4)])
def test_wgan_gp_looks_at_one_point_of_each_samples_own_segment(shape):
    discriminator = Linear(shape)
    judged = judge(discriminator, events(2000, shape), events(2000, shape) + 3)
    GradientPenalty()(judged)
    (points,) = discriminator.given
    real, fake, points = (x.detach().flatten(1) for x in (judged.real, judged.fake, points))
    along = ((points - fake) * (real - fake)).sum(1) / (real - fake).square().sum(1)
    assert_close(points, fake + along[:, None] * (real - fake), rtol=1e-10, atol=1e-10)
    assert ((0 <= along) & (along < 1)).all()
    assert len(along.unique()) == 2000
    assert along.mean().item() == pytest.approx(0.5, abs=0.03)
    assert along.var().item() == pytest.approx(1 / 12, abs=0.01)


def test_dragan_looks_around_the_data_as_far_as_its_spread():
    """Offsets e noise s u, in each coordinate: means noise s / 4, one e for each sample."""
    discriminator = Linear((3, 2))
    judged = judge(discriminator, 5 * events(4000, (3, 2)) + 2, events(4000, (3, 2)))
    DRAGAN(noise=0.8)(judged)
    (points,) = discriminator.given
    spread = 0.8 * judged.real.detach().numpy().std()
    parts = ((points - judged.real).detach() / spread).flatten(1)
    assert parts.min() >= 0 and parts.max() < 1
    assert parts.mean().item() == pytest.approx(1 / 4, abs=0.01)
    assert parts.square().mean().item() == pytest.approx(1 / 9, abs=0.01)
    # E[e^2] E[u]^2 = 1/12 between the coordinates of one sample, 1/16 between two samples.
    assert (parts[:, 0] * parts[:, 1]).mean().item() == pytest.approx(1 / 12, abs=0.008)
    assert (parts[1:, 0] * parts[:-1, 0]).mean().item() == pytest.approx(1 / 16, abs=0.008)


@pytest.mark.parametrize("make", [GradientPenalty, DRAGAN, lambda: R1(), lambda: R2()])
def test_derivatives_are_finite_where_the_discriminator_is_flat(make):
    """And so are second derivatives, which updates that look ahead take."""
    discriminator = Linear()
    discriminator.w.data.zero_()
    value = make()(judge(discriminator, events(), events()))
    (first,) = torch.autograd.grad(value, discriminator.w, create_graph=True)
    assert_close(first, torch.zeros_like(first))
    if first.requires_grad:
        (second,) = torch.autograd.grad(first.sum(), discriminator.w, allow_unused=True)
        assert second is None or second.isfinite().all()


def test_a_flat_sample_does_not_hide_the_others():
    """D(x) = x^2 / 2 at 0 and 2: the slope of the second counts, also in the gradient."""
    discriminator = Quadratic((1,))
    discriminator.w.data.fill_(1.0)
    both = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    value = GradientPenalty(1.0)(judge(discriminator, both, both))
    assert value.item() == pytest.approx((1 + 1) / 2)
    (gradient,) = torch.autograd.grad(value, discriminator.w)
    assert gradient.item() == pytest.approx(2 * (2 - 1) * 2 / 2)


def test_penalties_reach_no_generator():
    made = events().requires_grad_()
    discriminator = Linear()
    judged = judge(discriminator, events(), made)
    for make, _ in (example for examples in ANALYTIC.values() for example in examples):
        make()(judged).backward(retain_graph=True)
    assert made.grad is None


def test_lazy_sums_to_the_same_over_its_period():
    lazy, plain = Lazy(R1(3.0), every=5), R1(3.0)
    judged = judge(Quadratic(), events(), events())
    assert [lazy.due(batch) for batch in range(11)] == [batch % 5 == 0 for batch in range(11)]
    total = sum(lazy(judged) for batch in range(10) if lazy.due(batch))
    assert_close(total, sum(plain(judged) for batch in range(10) if plain.due(batch)))
    twice = Lazy(Lazy(R1(3.0), every=2), every=3)
    assert [batch for batch in range(13) if twice.due(batch)] == [0, 6, 12]
    assert_close(twice(judged), 6 * plain(judged))


def test_lazy_every_batch_is_the_plain_penalty():
    judged = judge(Quadratic(), events(), events())
    assert all(Lazy(R1(), every=1).due(batch) for batch in range(3))
    assert_close(Lazy(R1(), every=1)(judged), R1()(judged))


@pytest.mark.parametrize(
    ("batch", "final", "factor"),
    [
        (0, 0.0, 1.0),
        (0, 0.3, 1.0),
        (1, 0.0, (1 + math.sqrt(0.5)) / 2),  # cos(pi / 4)
        (2, 0.0, 0.5),
        (2, 0.2, 0.6),
        (3, 0.2, 0.2 + 0.8 * (1 - math.sqrt(0.5)) / 2),
        (4, 0.0, 0.0),
        (4, 0.1, 0.1),
        (100, 0.1, 0.1),
        (2, 3.0, 2.0),
    ],
)
def test_an_annealed_penalty_falls_along_a_half_cosine(batch, final, factor):
    judged = judge(Quadratic(), events(), events())._replace(batch=batch)
    value = Annealed(R1(3.0), 4, final)(judged)
    assert_close(value, factor * R1(3.0)(judged), rtol=1e-12, atol=1e-15)


def test_annealed_and_lazy_compose_either_way():
    """Both go by the discriminator's batches: the order changes nothing."""
    judged = judge(Quadratic(), events(), events())
    outer = Annealed(Lazy(R1(3.0), every=3), batches=12, final=0.1)
    inner = Lazy(Annealed(R1(3.0), batches=12, final=0.1), every=3)
    assert [outer.due(batch) for batch in range(7)] == [batch % 3 == 0 for batch in range(7)]
    for batch in range(0, 18, 3):
        assert inner.due(batch)
        now = judged._replace(batch=batch)
        assert_close(outer(now), inner(now), rtol=1e-14, atol=0)
    assert_close(outer(now), 3 * 0.1 * R1(3.0)(judged))


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_lecams_averages_are_those_of_a_loop(decay):
    """They start at the first batch's means and take in a batch before it is judged."""
    penalty, discriminator = LeCam(2.0, decay).double(), Linear()
    real_average = fake_average = None
    for batch in range(6):
        judged = judge(discriminator, events(), events() - 1)._replace(batch=batch)
        real, fake = judged.real_logits.detach(), judged.fake_logits.detach()
        if real_average is None:
            real_average, fake_average = real.mean(), fake.mean()
        else:
            real_average = decay * real_average + (1 - decay) * real.mean()
            fake_average = decay * fake_average + (1 - decay) * fake.mean()
        expected = ((real - fake_average) ** 2).mean() + ((fake - real_average) ** 2).mean()
        value = penalty(judged)
        assert_close(value, 2 * expected)
        # Another pass over the batch, ahead or in parts, does not enter the averages again.
        averages = penalty.averages.clone()
        penalty(judge(discriminator, events(), events() + 3)._replace(batch=batch))
        assert_close(penalty.averages, averages, rtol=0, atol=0)
        # The averages are constants: dL/d logit_i = weight 2 (logit_i - average) / n.
        gradient, other = torch.autograd.grad(value, (judged.real_logits, judged.fake_logits))
        assert_close(gradient, 4 * (real - fake_average) / N)
        assert_close(other, 4 * (fake - real_average) / N)


def test_lecam_goes_on_from_a_checkpoint():
    discriminator = Linear()
    first, second = (
        judge(discriminator, events(), events())._replace(batch=batch) for batch in range(2)
    )
    penalty = LeCam()
    penalty(first)
    resumed = LeCam()
    resumed.load_state_dict(penalty.state_dict())
    assert_close(resumed(second), penalty(second), rtol=0, atol=0)
    assert not torch.equal(LeCam()(second), penalty(second))


def test_lecams_backward_may_come_after_the_next_batch():
    """Its averages change in place; the graph of an earlier batch must not notice."""
    penalty, discriminator = LeCam(), Linear()
    values = [
        penalty(judge(discriminator, events(), events())._replace(batch=batch))
        for batch in range(2)
    ]
    sum(values).backward()
    assert discriminator.w.grad.isfinite().all()


def test_lecam_leaves_out_logits_that_are_not_finite():
    for good in (0, 3):  # the first batch may be the bad one
        penalty, discriminator = LeCam(), Linear()
        judged = judge(discriminator, events(), events())
        bad = judged._replace(real_logits=judged.real_logits * math.nan, batch=good + 1)
        if good:
            penalty(judged._replace(batch=good))
        before = {name: value.clone() for name, value in penalty.state_dict().items()}
        penalty(bad)
        assert_close(penalty.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("make", [make for example in CASES for make in example.values[:1]])
def test_under_autocast_penalties_are_in_32_bits(make):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 1)

        def forward(self, x):
            return self.layer(x.flatten(1)).squeeze(1).float()

    net = Net()
    values = []
    for enabled in (True, False):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            judged = judge(net, events().float(), events().float())
            values.append(make()(judged))
            values[-1].backward()
    assert values[0].dtype == torch.float32
    assert_close(values[0].float(), values[1].float(), rtol=0.1, atol=0.05)
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_random_numbers_are_the_global_ones():
    discriminator = Quadratic()
    judged = judge(discriminator, events(), events())
    for penalty in (GradientPenalty(), DRAGAN()):
        values = []
        for seed in (3, 3, 4):
            torch.manual_seed(seed)
            values.append(penalty(judged).item())
        assert values[0] == values[1] != values[2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: R1(-1.0), "R1.gamma is -1.0; it must be at least 0"),
        (lambda: R2(math.nan), "R2.gamma is nan"),
        (lambda: GradientPenalty(-0.1), "GradientPenalty.weight is -0.1"),
        (lambda: GradientPenalty(target=-1.0), "GradientPenalty.target is -1.0"),
        (lambda: DRAGAN(weight=-1.0), "DRAGAN.weight"),
        (lambda: DRAGAN(noise=-1.0), "DRAGAN.noise"),
        (lambda: DRAGAN(target=-1.0), "DRAGAN.target"),
        (lambda: LeCam(weight=-1.0), "LeCam.weight"),
        (lambda: LeCam(decay=1.0), "LeCam.decay is 1.0; it must be at least 0 and below 1"),
        (lambda: LeCam(decay=-0.1), "LeCam.decay"),
        (lambda: Lazy(R1(), every=0), "Lazy.every is 0; it must be at least 1"),
        (lambda: Lazy(LeCam()), "Lazy.penalty is LeCam, whose averages must see every batch"),
        (lambda: Lazy(Lazy(LeCam())), "Lazy.penalty is LeCam"),
        (lambda: Annealed(R1(), batches=0), "Annealed.batches is 0; it must be at least 1"),
        (lambda: Annealed(R1(), 5, final=-0.1), "Annealed.final is -0.1; it must be at least 0"),
        (lambda: Annealed(LeCam(), 5), "Annealed.penalty is LeCam, whose averages must be saved"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("make", [lambda: R1(0.0), lambda: LeCam(0.0, 0.0), lambda: DRAGAN(0.0)])
def test_the_smallest_settings_are_accepted(make):
    assert make()(judge(Linear(), events(), events())).item() == 0
