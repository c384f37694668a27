"""Diversity beside real samples: perfect and collapsed samplers, broken samples, real runs."""

import math
from pathlib import Path

import pytest
import torch

from lightning_gans.callbacks.diversity import Diversity, diversity_of
from lightning_gans.callbacks.known import known_modes
from lightning_gans.data import Digits, Ring, StackedDigits
from lightning_gans.errors import InputError
from lightning_gans.metrics.functional import vendi
from lightning_gans.runs import MetricsFile
from lightning_gans.sampling import load_model
from lightning_gans.seeds import Stream, mix
from tests.conftest import TINY_IMAGES
from tests.test_mode_diagnostics import RING, by_chance, rows_of

CPU = torch.device("cpu")
DISTANCES = {"distance", "distance_within", "distance_across"}
SIMILARITIES = {"ms_ssim", "ms_ssim_within", "ms_ssim_across"}
NAMES = {"ndb", "ndb_js", "support", "duplicates", "vendi", *DISTANCES}


def whole(data, split):
    """All events of ``split`` with their labels, in an order of no meaning."""
    parts = list(data.val_dataloader() if split == "val" else data.test_dataloader())
    return tuple(torch.cat(kind) for kind in zip(*parts, strict=True))


def ring():
    data = Ring()
    events = data.law.sample(2500, torch.Generator().manual_seed(5))[0]
    diversity = diversity_of(data, known_modes(data, CPU, False), 2500)
    assert diversity.n == 2000
    return diversity, events


def digits():
    data = Digits(image_size=16)
    held_out = torch.cat([whole(data, split)[0] for split in ("val", "test")])
    return diversity_of(data, known_modes(data, CPU, True), len(held_out)), held_out


def stacked():
    data = StackedDigits(image_size=16, batch_size=1500, held_out=500)
    real, _ = next(iter(data.train_dataloader()))
    held_out, _ = whole(data, "val")
    return Diversity(known_modes(data, CPU, False), real, 500), held_out


# What five samples for ever have less of, and more of, than real ones.
LESS, MORE = {"vendi", "distance", "distance_within"}, {"ms_ssim", "ms_ssim_within", "duplicates"}


@pytest.mark.parametrize("make", [ring, digits, stacked])
def test_perfect_and_collapsed_samplers_are_told_apart(make):
    diversity, events = make()
    names = NAMES | (SIMILARITIES if events.ndim == 4 else set())
    perfect = diversity.measure(events)
    collapsed = diversity.measure(events[torch.arange(len(events)) % 5])
    assert perfect.keys() == collapsed.keys() == names
    assert all(value.n == diversity.n for value in perfect.values())
    for name in {"vendi", *DISTANCES, *SIMILARITIES} & names:
        assert perfect[name].value == pytest.approx(perfect[name].ideal, rel=0.07), name
    # With 100 bins the share of different ones is at most 0.11 in 99 of 100 cases.
    assert 0 <= perfect["ndb"].value <= 0.11 and perfect["ndb"].ideal == 0.05
    assert perfect["ndb_js"].value == pytest.approx(perfect["ndb_js"].ideal, rel=0.35)
    assert perfect["support"].high == perfect["support"].ideal == math.inf
    support = collapsed["support"]
    assert support.value == pytest.approx(5, rel=0.02)
    assert support.low <= support.value <= support.high
    for name in LESS:
        assert collapsed[name].value < 0.95 * collapsed[name].ideal, name
    for name in MORE & names:
        assert collapsed[name].value > 1.1 * collapsed[name].ideal, name
    assert collapsed["ndb"].value > 0.3 and collapsed["ndb_js"].value > 0.5


def test_triples_are_looked_at_channel_by_channel():
    data = StackedDigits(image_size=16, batch_size=200)
    known = known_modes(data, CPU, False)
    images, labels = next(iter(data.train_dataloader()))
    features, modes = known.look(images)
    for channel, part in enumerate(features.split(known.oracle.num_features, dim=1)):
        torch.testing.assert_close(part, known.oracle.features(images[:, channel, None]))
    assert (modes == labels).float().mean() > 0.95
    known.update(images)
    assert torch.equal(known.metric.counts.flatten(), modes.bincount(minlength=1000))


def test_what_is_not_finite_is_left_out():
    diversity, events = ring()
    broken = events.repeat_interleave(2, 0)
    broken[1::4, 0], broken[3::4, 1] = math.nan, math.inf
    measured = diversity.measure(broken)
    expected = diversity.measure(events[:1000])
    assert {name: v._replace(n=1000) for name, v in measured.items()} == expected
    assert all(value.n == 2000 for value in measured.values())
    broken[2:] = math.nan  # one is left
    for name, value in diversity.measure(broken).items():
        assert math.isnan(value.value) and value.ideal == expected[name].ideal


@pytest.mark.parametrize("make", [lambda: Ring(batch_size=60), lambda: Digits(16)])
def test_measuring_is_repeatable_and_leaves_the_order_of_training_alone(make):
    data, left_alone = make(), make()
    known = known_modes(data, CPU, True)
    batches, expected = iter(data.train_dataloader()), iter(left_alone.train_dataloader())
    other, _ = next(iter(make().val_dataloader()))
    state, found = torch.get_rng_state(), []
    for _ in range(2):
        (events, _), (same, _) = next(batches), next(expected)
        assert torch.equal(events, same)
        found.append(diversity_of(data, known, 40).measure(other))
    assert found[0] == found[1]
    assert torch.equal(torch.get_rng_state(), state)


def weights_of(experiment):
    path = f"runs/{experiment}/version_0/checkpoints/final.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


@by_chance
def test_training_stays_the_same(lightning):
    for asked in ("false", "true"):
        options = [f"--modes.diversity={asked}", f"--run.experiment={asked}"]
        answer = lightning(*RING, *options)
        assert answer.code == 0, answer.err
    without, with_it = weights_of("false"), weights_of("true")
    for name, tensor in without.items():
        assert torch.equal(tensor, with_it[name]), name
    old, new = (rows_of(f"runs/{asked}/version_0") for asked in ("false", "true"))
    assert len(old) == len(new) == 4
    for row, more in zip(old, new, strict=True):
        assert more["metrics"].keys() == row["metrics"].keys() | NAMES
        more["metrics"] = {key: more["metrics"][key] for key in row["metrics"]}
        assert row == more


@by_chance
def test_a_run_writes_what_its_samples_have(lightning):
    answer = lightning(*RING, "--modes.every_n_epochs=4", "--modes.diversity=true")
    assert answer.code == 0, answer.err
    run = Path("runs/ring/version_0")
    source = torch.Generator().manual_seed(mix(Stream.EVALUATION, 0, 0))
    events = load_model(run / "checkpoints/final.ckpt").sample(2500, source)
    (row,) = rows_of(run)
    found = {name: row["metrics"][name] for name in NAMES}
    assert row["n"] == 2500 and all(value["n"] == 2000 for value in found.values())
    assert found["vendi"]["value"] == pytest.approx(vendi(events[:2000]), rel=1e-9)
    distances = torch.pdist(events[:2000].double())
    assert found["distance"]["value"] == pytest.approx(distances.mean().item(), rel=1e-6)
    left, right = Ring().law.sample(20_000, torch.Generator().manual_seed(1))[0].split(10_000)
    expected = (left - right).norm(dim=1).mean().item()
    assert found["distance"]["ideal"] == pytest.approx(expected, rel=0.03)
    metrics = MetricsFile(run / "metrics.csv")
    for name, value in found.items():
        _, logged = metrics.series("samples_seen", f"modes/ring8_r1_std0.01_n2000/{name}")
        # JSON knows no infinite number.
        expected = math.inf if value["value"] is None else value["value"]
        assert logged == pytest.approx([expected]), name
    assert metrics.series("samples_seen", "modes/ring8_r1_std0.01_n2500/vendi") == ([], [])


def test_modes_must_be_known(lightning):
    told = lightning("fit", *TINY_IMAGES, "--modes.diversity=true")
    assert told.code == 2 and "Traceback" not in told.err
    assert "no modes of Digits are known" in told.err and "modes.labelled" in told.err


def test_few_real_images_get_fewer_bins_and_few_events_are_refused():
    data = Ring()
    known = known_modes(data, CPU, False)
    real = data.law.sample(300, torch.Generator().manual_seed(0))[0]
    diversity = Diversity(known, real, 2000)
    assert diversity.n == 300
    measured = diversity.measure(real)
    # The bins' ideal of 30 bins; real samples have their own ideals.
    assert measured["ndb_js"].ideal == pytest.approx(29 / 8 * (2 / 300))
    for name in ("vendi", "duplicates", *DISTANCES):
        assert measured[name].value == pytest.approx(measured[name].ideal, rel=1e-12)
    assert measured["ndb"].value == measured["ndb_js"].value == 0
    with pytest.raises(InputError, match="at least 2"):
        Diversity(known, real, 1)
