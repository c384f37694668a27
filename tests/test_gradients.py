"""The gradients' health: numbers equal to those by hand, one warning a failure, nothing lost."""

import copy
import math
import re
import sys
import warnings
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from torch.testing import assert_close
from torch.utils.data import DataLoader

from lightning_gans.callbacks import Gradients
from lightning_gans.errors import Diverged
from lightning_gans.models import GAN
from lightning_gans.networks import (
    DCGANDiscriminator,
    DCGANGenerator,
    MLPDiscriminator,
    MLPGenerator,
)
from lightning_gans.objectives import non_saturating, wasserstein
from lightning_gans.runs import MetricsFile
from lightning_gans.schedules import Alternating, Schedule, Simultaneous, extragradient
from lightning_gans.seeds import Stream, seeded
from lightning_gans.types import InputError, Losses
from tests.games import DOUBLE, Point, Slope

PLAYERS = ("discriminator", "generator")
both_players = pytest.mark.parametrize("player", PLAYERS)


class Rows(Logger):
    """Keeps the rows that are reported, by step."""

    def __init__(self):
        super().__init__()
        self.rows = {}

    name = version = ""

    def log_metrics(self, metrics, step):
        assert not self.rows.setdefault(step, {}).keys() & (metrics.keys() - {"epoch"})
        self.rows[step] |= metrics

    def log_hyperparams(self, *_):
        pass

    def series(self, name):
        return {step: row[name] for step, row in self.rows.items() if name in row}


def sgd(lr):
    return lambda parameters: torch.optim.SGD(parameters, lr=lr)


def both(optimizer):
    return {f"{player}_optimizer": optimizer for player in PLAYERS}


def fit(model, events, batches, *callbacks, batch_size=4, every=None, **options):
    """Rows of ``batches`` batches of ``events``, in order and over and over."""
    order = torch.arange(batches * batch_size).view(batches, batch_size) % len(events)
    loader = DataLoader(
        [(events[rows], rows) for rows in order], batch_size=None, collate_fn=lambda batch: batch
    )
    rows = Rows()
    gradients = [] if every is None else [Gradients(every_n_batches=every)]
    trainer = Trainer(
        max_steps=batches,
        max_epochs=-1,
        accelerator="cpu",
        logger=rows,
        callbacks=[*gradients, *callbacks],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **{"log_every_n_steps": 10**6} | options,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You defined a `validation_step`")
        trainer.fit(model, loader)
    return rows


def mlp(**options):
    torch.manual_seed(1)
    options = both(sgd(0.1)) | options
    generator = MLPGenerator((2,), 4, (8,), "tanh", "linear")
    return GAN(generator, MLPDiscriminator((2,), (8,), "tanh"), **options).double()


def length(tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).norm().item()


def by_hand(model, events, batches, ratio):
    """Of every move: the gradient's norm, and lr |g| / |w|."""
    g, d = copy.deepcopy(model.generator), copy.deepcopy(model.discriminator)
    seen = {player: {} for player in PLAYERS}

    def move(player, network, loss, step):
        weights = list(network.parameters())
        gradients = torch.autograd.grad(loss, weights)
        seen[player][step] = length(gradients), 0.1 * length(gradients) / length(weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= 0.1 * gradient

    for step in range(batches):
        real = events[step * 4 : step * 4 + 4]
        source = seeded(torch.Generator(), Stream.LATENTS, torch.initial_seed(), 0, step, 0)
        fake = g(torch.randn(4, 4, generator=source, dtype=DOUBLE))
        losses = non_saturating(d(real), d(fake.detach()))
        move("discriminator", d, losses.discriminator.mean(), step)
        if step % ratio == ratio - 1:
            loss = non_saturating(d(real), d(fake)).generator.mean()
            move("generator", g, loss, step)
    return seen


@pytest.mark.parametrize(
    ("ratio", "steps"),
    [
        (1, {"discriminator": [3, 7, 11], "generator": [3, 7, 11]}),
        # The generator moves on steps 2, 5, 8, 11: the first of them that are not too early.
        (3, {"discriminator": [3, 7, 11], "generator": [5, 8, 11]}),
    ],
)
def test_norms_and_updates_are_those_by_hand(ratio, steps):
    events = torch.randn(48, 2, dtype=DOUBLE)
    model = mlp(schedule=Alternating(ratio))
    expected = by_hand(model, events, 12, ratio)
    rows = fit(model, events, 12, every=4, precision="64-true")
    for player in PLAYERS:
        norms = rows.series(f"gradients/{player}_norm")
        ratios = rows.series(f"gradients/{player}_update_ratio")
        assert list(norms) == list(ratios) == steps[player]
        for step in steps[player]:
            norm, update = expected[player][step]
            assert norms[step] == pytest.approx(norm, rel=1e-10)
            assert ratios[step] == pytest.approx(update, rel=1e-10)
        assert rows.series(f"gradients/{player}_skipped") == {3: 0, 7: 0, 11: 0}


class Keep(Callback):
    """The networks before each batch."""

    def __init__(self):
        self.before = []

    def on_train_batch_start(self, trainer, model, batch, batch_idx):
        self.before.append(copy.deepcopy(dict(model.players)))


class Twice(Schedule):
    """Everybody moves twice a batch."""

    def __call__(self, clock):
        return (("discriminator",), ("generator",)) * 2


@both_players
@pytest.mark.parametrize(
    "options",
    [{"schedule": Simultaneous(), "update": extragradient}, {"schedule": Twice()}],
    ids=["looking ahead", "twice"],
)
def test_updates_of_several_steps_are_measured_over_the_batch(player, options):
    keep = Keep()
    model = mlp(**options)
    rows = fit(model, torch.randn(16, 2, dtype=DOUBLE), 4, keep, every=4, precision="64-true")
    before = list(keep.before[3][player].parameters())
    change = [b - a for b, a in zip(before, model.players[player].parameters(), strict=True)]
    assert length(change) > 0
    ratio = rows.series(f"gradients/{player}_update_ratio")
    assert ratio == {3: pytest.approx(length(change) / length(before), rel=1e-10)}


def test_without_a_number_of_its_own_it_reports_with_the_losses():
    events = torch.randn(8, 2, dtype=DOUBLE)
    rows = fit(mlp(), events, 7, Gradients(), log_every_n_steps=3, precision="64-true")
    assert list(rows.rows) == [2, 5]
    for row in rows.rows.values():
        assert row.keys() == {"epoch", "gradients/saturated_real", "gradients/saturated_fake"} | {
            name.format(player)
            for name in (
                "train/{}_loss",
                "gradients/{}_norm",
                "gradients/{}_update_ratio",
                "gradients/{}_skipped",
            )
            for player in PLAYERS
        }


@pytest.mark.parametrize("options", [{"every": 0, "log_every_n_steps": 3}, {"every": 9}])
def test_it_can_be_switched_off_and_waits_its_turn(options):
    rows = fit(mlp(), torch.randn(8, 2, dtype=DOUBLE), 7, precision="64-true", **options)
    assert not [name for row in rows.rows.values() for name in row if "gradients" in name]


def dirac(theta=1.0, psi=1.0, lr=0.0, **options):
    """A game of two numbers that stand still: |gradients| are |psi| and |theta|, times a factor."""
    options = {"objective": Factors()} | both(sgd(lr)) | options
    return GAN(Point(theta), Slope(psi), ema_half_life=None, **options)


class Factors:
    """The Wasserstein game, each loss times a factor."""

    def __init__(self):
        self.of = dict.fromkeys(PLAYERS, 1.0)

    def __call__(self, real, fake):
        losses = wasserstein(real, fake)
        return Losses(**{player: self.of[player] * getattr(losses, player) for player in PLAYERS})


class Strike(Callback):
    """Multiplies the loss of ``players`` by ``factor`` from batch ``first`` (counted from 1) on."""

    def __init__(self, players, factor, first, last):
        self.players, self.factor, self.first, self.last = players, factor, first, last

    def on_train_batch_start(self, trainer, model, batch, batch_idx):
        struck = self.first <= batch_idx + 1 <= self.last
        model.objective.of |= dict.fromkeys(self.players, self.factor if struck else 1.0)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("size", "saturated"), [(4.584, False), (4.586, True)])
def test_logits_where_the_sigmoid_is_flat_are_saturated(size, sign, saturated):
    logit = torch.tensor(sign * size, dtype=DOUBLE)
    assert (logit.sigmoid() * (1 - logit.sigmoid()) < 0.01) == saturated
    real = torch.tensor([[sign * size], [0.0], [3.0], [-3.0]], dtype=DOUBLE)
    rows = fit(dirac(sign * size, psi=-1.0), real, 2, every=2, precision="64-true")
    assert rows.series("gradients/saturated_real") == {1: 0.25 * saturated}
    assert rows.series("gradients/saturated_fake") == {1: 1.0 * saturated}


def strike(players, factor, first=15, last=20, **options):
    """Warnings of 24 batches, reported every second, struck from ``first`` to ``last``."""
    events = torch.zeros(4, 1, dtype=DOUBLE)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        rows = fit(
            dirac(**options),
            events,
            24,
            Strike(players, factor, first, last),
            every=2,
            precision="64-true",
        )
    ours = [str(w.message) for w in caught if " on batch " in str(w.message)]
    return ours, rows


@both_players
@pytest.mark.parametrize(
    ("kind", "bad", "good", "batch"),
    [
        ("vanished", 0.99e-8, 1.01e-8, 16),
        ("exploded", 1001.0, 999.0, 16),
        # This is noticed between two reports, too.
        ("is not finite", math.nan, 900.0, 15),
        ("is not finite", math.inf, 1e-7, 15),
    ],
)
def test_a_failing_gradient_is_named_once(player, kind, bad, good, batch):
    (warning,), _ = strike([player], bad)
    assert f"The {player}'s" in warning and kind in warning and f"on batch {batch}:" in warning
    assert strike([player], good)[0] == []


def test_every_player_has_its_own_warnings():
    said, _ = strike(PLAYERS, math.nan)
    assert ["discriminator" in warning for warning in said] == [True, False]


@both_players
def test_five_norms_are_needed_to_call_one_exploded(player):
    assert strike([player], 1e4, first=9, last=10)[0] == []
    (warning,), _ = strike([player], 1e4, first=9, last=12)
    assert "exploded on batch 12:" in warning


def test_the_norms_of_ten_thousand_batches_are_compared_not_more():
    gradients = Gradients(every_n_batches=1)
    model = dirac()
    fit(model, torch.zeros(1, 1, dtype=DOUBLE), 230, gradients, batch_size=1, precision="64-true")
    checkpoint = {}
    gradients.on_save_checkpoint(model.trainer, model, checkpoint)
    assert checkpoint["gradients"]["norms"] == {player: [1.0] * 200 for player in PLAYERS}


@both_players
def test_skipped_moves_are_counted_and_not_measured(player):
    _, rows = strike([player], math.nan, first=15, last=18)
    (other,) = set(PLAYERS) - {player}
    counts = rows.series(f"gradients/{player}_skipped")
    assert {step: counts[step] for step in (13, 15, 17, 19, 23)} == {
        13: 0,
        15: 2,
        17: 4,
        19: 4,
        23: 4,
    }
    assert set(rows.series(f"gradients/{other}_skipped").values()) == {0}
    # Batches 16 and 18 report nothing of it; batch 19, where it moves again, does.
    measured = [1, 3, 5, 7, 9, 11, 13, 18, 19, 21, 23]
    norms = rows.series(f"gradients/{player}_norm")
    assert norms == dict.fromkeys(measured, 1.0)
    assert rows.series(f"gradients/{other}_norm") == dict.fromkeys(range(1, 24, 2), 1.0)


@pytest.mark.parametrize("place", [1, 2, 3, 4])
def test_a_move_is_skipped_ahead_or_after(place):
    """Every batch asks D and G for the look-ahead, then D and G for the move."""
    player = PLAYERS[(place - 1) % 2]
    calls = []

    def objective(real, fake):
        losses = wasserstein(real, fake)
        if not fake.requires_grad:  # it is being tried, not played
            return losses
        calls.append(None)
        struck = len(calls) == 3 * 4 + place
        return losses._replace(**{player: getattr(losses, player) * (math.nan if struck else 1.0)})

    update = {"schedule": Simultaneous(), "update": extragradient}
    model = dirac(lr=0.1, objective=objective, **update)
    events = torch.zeros(4, 1, dtype=DOUBLE)
    if place < 3:  # that player does not look ahead, but moves
        rows = fit(model, events, 6, every=4, precision="64-true")
        assert rows.series(f"gradients/{player}_skipped") == {3: 0}
        return
    with pytest.warns(UserWarning, match=f"The {player}'s .* on batch 4:"):
        rows = fit(model, events, 6, every=4, precision="64-true")
    (other,) = set(PLAYERS) - {player}
    for name in ("norm", "update_ratio"):
        assert list(rows.series(f"gradients/{player}_{name}")) == [4]
        assert list(rows.series(f"gradients/{other}_{name}")) == [3]
    assert rows.series(f"gradients/{player}_skipped") == {3: 1}


@both_players
@pytest.mark.parametrize("skipped", [5, 6])
def test_only_as_many_skipped_moves_as_allowed_stop_the_run(player, skipped):
    if skipped < 6:
        strike([player], math.nan, first=15, last=14 + skipped, max_skipped=6)
    else:
        with pytest.raises(Diverged, match=f"the {player}'s .* up to batch 20;"):
            strike([player], math.nan, first=15, last=24, max_skipped=6)


def state(model, player):
    weights, optimizer = model.players[player], model.movers[player].optimizer
    return copy.deepcopy({"weights": weights.state_dict(), "moments": optimizer.state_dict()})


class States(Callback):
    """What a player holds before the first batch and after each."""

    def __init__(self, player):
        self.player, self.after = player, []

    def on_train_start(self, trainer, model):
        self.after.append(state(model, self.player))

    def on_train_batch_end(self, trainer, model, *_):
        self.after.append(state(model, self.player))


def assert_finite(model):
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3)


@pytest.mark.parametrize(
    ("player", "cause"), [("discriminator", "events"), *((player, "loss") for player in PLAYERS)]
)
def test_a_batch_of_nan_changes_nothing_that_it_must_not(player, cause):
    events = torch.randn(40, 1, 32, 32)
    objective = Factors()
    if cause == "events":
        events[6 * 4 + 1, 0, 3, 3] = math.nan
    torch.manual_seed(0)
    model = GAN(
        DCGANGenerator(32, 1, 8, 4),
        DCGANDiscriminator(32, 1, 4),
        objective=objective,
        **both(adam),
    )
    states = States(player)
    nan = Strike([player] if cause == "loss" else [], math.nan, first=7, last=7)
    with pytest.warns(UserWarning, match=f"The {player}'s .* on batch 7:"):
        rows = fit(model, events, 10, states, nan, every=5)
    before, during, after = states.after[6:9]
    # Finite events do enter running statistics; the passes are counted anyhow.
    passing = ("num_batches",) if cause == "events" else ("num_batches", "running")
    for kept in (before, during, after):
        weights = kept["weights"]
        kept["weights"] = {n: w for n, w in weights.items() if not any(p in n for p in passing)}
    assert_close(during, before, rtol=0, atol=0)
    assert not torch.equal(
        next(iter(after["weights"].values())), next(iter(during["weights"].values()))
    )
    assert_finite(model)
    assert rows.series(f"gradients/{player}_skipped") == {4: 0, 9: 1}
    assert (model.batches_seen, model.movers[player].skipped_on_end) == (10, 0)
    (other,) = set(PLAYERS) - {player}
    assert model.movers[other].skipped == 0


CONFIG = """
model:
  class_path: GAN
  init_args:
    generator: {class_path: lightning_gans.networks.MLPGenerator,
                init_args: {event_shape: [2], latent_dim: 4, hidden: [8], output: linear}}
    discriminator: {class_path: lightning_gans.networks.MLPDiscriminator,
                    init_args: {event_shape: [2], hidden: [8]}}
data: {class_path: Ring, init_args: {batch_size: 8, batches_per_epoch: 7}}
samples: {n: 16}
trainer: {accelerator: cpu, log_every_n_steps: 3, check_val_every_n_epoch: 100}
"""


@pytest.fixture
def ring(lightning):
    Path("c.yaml").write_text(CONFIG)
    return lambda *args: lightning("fit", "--config=c.yaml", *args)


def steps_of(path):
    return [int(row["step"]) for row in MetricsFile(path).rows]


def load(path):
    return torch.load(path, weights_only=True)


def test_the_command_reports_in_the_rows_of_the_losses(ring):
    assert ring("--trainer.max_steps=7").code == 0
    path = Path("runs/c/version_0/metrics.csv")
    assert steps_of(path) == [2, 5, 6]  # the last is of the modes, at the end of the epoch
    metrics = MetricsFile(path)
    for player in PLAYERS:
        assert all(value > 0 for value in metrics.series("step", f"gradients/{player}_norm")[1])
        assert metrics.series("step", f"gradients/{player}_skipped")[1] == [0, 0]
        assert len(metrics.series("step", f"train/{player}_loss")[1]) == 2


def test_the_command_can_switch_it_off(ring):
    assert ring("--trainer.max_steps=7", "--gradients.every_n_batches=0").code == 0
    assert "gradients" not in Path("runs/c/version_0/metrics.csv").read_text()


@pytest.mark.parametrize("option", ["every_n_batches=-1", "exploding=1.0", "exploding=nan"])
def test_numbers_out_of_range_are_refused(ring, option):
    answer = ring(f"--gradients.{option}")
    assert answer.code == 2 and f"gradients.{option.split('=')[0]}" in answer.err
    name, value = option.split("=")
    with pytest.raises(InputError, match=name):
        Gradients(**{name: type(getattr(Gradients(1), name))(value)})


# After batch 5 the generator's report of batch 4 is still to come; after batch 12 nothing is.
@pytest.mark.parametrize("stop", [5, 7, 12])
def test_a_run_continued_reports_as_the_uninterrupted_one(ring, stop):
    options = [
        "--model.schedule.class_path=lightning_gans.schedules.Alternating",
        "--model.schedule.init_args.ratio=3",
        "--gradients.every_n_batches=4",
    ]
    assert ring(*options, "--trainer.max_steps=17", "--run.experiment=a").code == 0
    assert ring(*options, f"--trainer.max_steps={stop}", "--run.experiment=b").code == 0
    answer = ring(*options, "--trainer.max_steps=17", "--run.experiment=b", "--ckpt_path=last")
    assert answer.code == 0 and "warning" not in answer.err, answer.err
    a, b = Path("runs/a/version_0"), Path("runs/b/version_0")
    assert (a / "metrics.csv").read_text() == (b / "metrics.csv").read_text()
    assert steps_of(a / "metrics.csv") == [2, 3, 5, 6, 7, 8, 11, 13, 14, 15]
    kept = [load(run / "checkpoints/final.ckpt")["gradients"] for run in (a, b)]
    assert kept[0] == kept[1] and kept[0]["due"] == ["generator"]
    assert [len(kept[0]["norms"][player]) for player in PLAYERS] == [4, 3]


def failing(name, player, when):
    """An objective of the user's own: ``player``'s loss is nan at those of its ``calls``."""
    Path(f"{name}.py").write_text(
        "from lightning_gans.objectives import non_saturating\n"
        "calls = 0\n"
        "def failing(real, fake):\n"
        "    global calls\n"
        "    losses = non_saturating(real, fake)\n"
        "    if not fake.requires_grad:\n"
        "        return losses\n"  # it is being tried, not played
        "    calls += 1\n"
        f"    nan = float('nan') if {when} else 1.0\n"
        f"    return losses._replace({player}=nan * losses.{player})\n"
    )
    return f"--model.objective={name}.failing"


@pytest.mark.filterwarnings("always:.*is not finite on batch")
def test_a_skipped_move_is_remembered_when_a_run_is_continued(ring):
    options = [failing("once", "discriminator", "calls == 3"), "--gradients.every_n_batches=3"]
    for run, batches in (("a", 4), ("b", 2)):
        if "once" in sys.modules:
            sys.modules["once"].calls = 0
        answer = ring(*options, f"--trainer.max_steps={batches}", f"--run.experiment={run}")
        assert answer.code == 0
        assert answer.err.count("warning: ") == 1
        assert re.search("warning: The discriminator's .* on batch 2:", answer.err)
    answer = ring(*options, "--trainer.max_steps=4", "--run.experiment=b", "--ckpt_path=last")
    assert answer.code == 0 and "warning" not in answer.err, answer.err
    a, b = Path("runs/a/version_0/metrics.csv"), Path("runs/b/version_0/metrics.csv")
    assert a.read_text() == b.read_text()
    assert MetricsFile(a).series("step", "gradients/discriminator_skipped") == ([2], [1])
    assert MetricsFile(a).series("step", "gradients/discriminator_norm")[0] == [2]


@pytest.mark.filterwarnings("always:.*is not finite on batch")
def test_a_run_that_diverges_stops_saved_and_whole(ring, lightning):
    options = [
        failing("late", "generator", "calls > 4"),
        "--model.max_skipped=5",
        "--trainer.max_steps=50",
    ]
    answer = ring(*options)
    assert answer.code == 2 and answer.err.count("warning: ") == 1
    assert re.search("warning: The generator's .* on batch 3:", answer.err)
    assert answer.err.count("not finite in its last 5 moves, up to batch 7;") == 1
    assert "Traceback" not in answer.err
    last = "runs/c/version_0/checkpoints/last.ckpt"
    assert last in answer.err
    content = load(last)
    assert content["clock"]["batches_seen"] == content["global_step"] == 7
    for tensors in (content["state_dict"], *(s["state"] for s in content["optimizer_states"])):
        for tensor in torch.utils._pytree.tree_leaves(tensors):
            assert torch.as_tensor(tensor).isfinite().all()
    metrics = MetricsFile(Path("runs/c/version_0/metrics.csv"))
    assert metrics.series("step", "gradients/generator_skipped") == ([2, 5], [1, 4])
    answer = lightning("sample", f"--ckpt_path={last}", "--trust", "-n", "5", "--out=s.npz")
    assert answer.code == 0, answer.err
    # It is said once a run, however often the run is gone on with.
    more = [
        options[0],
        "--model.max_skipped=8",
        "--trainer.max_steps=9",
        "--ckpt_path=last",
        "--force",
    ]
    answer = ring(*more)
    assert answer.code == 0, answer.err
    skipped = load("runs/c/version_0/checkpoints/final.ckpt")["game"][0]["movers"]["generator"]
    assert skipped["skipped"] == 7


def test_rows_of_one_step_become_one_unless_they_differ(tmp_path):
    path = tmp_path / "metrics.csv"
    metrics = MetricsFile(path)
    metrics.append({"step": 1, "a": 0.5})
    metrics.append({"step": 2, "a": 1.5})
    metrics.append({"step": 2, "b": 2})
    assert path.read_text() == "step,a,b\n1,0.5,\n2,1.5,2\n"
    metrics.append({"step": 3, "a": 12345.678})
    metrics.append({"step": 3, "b": 7})
    assert path.read_text() == "step,a,b\n1,0.5,\n2,1.5,2\n3,12345.678,7\n"
    metrics = MetricsFile(path)
    metrics.append({"step": 3, "b": 8})
    metrics.append({"step": 4, "b": 8})
    assert path.read_text() == "step,a,b\n1,0.5,\n2,1.5,2\n3,12345.678,7\n3,,8\n4,,8\n"
    assert metrics.series("step", "b") == ([2, 3, 3, 4], [2, 7, 8, 8])
