"""All numbers of one pass: against their formulas, beside ideals, and from a cache that heals."""

import json
import math
import os
import re
import time

import numpy as np
import pytest
import torch

import lightning_gans.metrics.quality as quality_module
import lightning_gans.metrics.reference as reference_module
from lightning_gans.data import Digits, Folder, Ring, StackedDigits
from lightning_gans.data.batches import normalise
from lightning_gans.metrics.features import Features, Flat, features_of, tell_time
from lightning_gans.metrics.functional import (
    balls,
    classifier_score,
    coverage_ideal,
    data_copying,
    frechet_distance,
    kernel_distance,
    kernel_distance_subsets,
    precision_recall_density_coverage,
    vendi,
)
from lightning_gans.metrics.oracles import cache
from lightning_gans.metrics.quality import FAMILIES, Quality
from lightning_gans.metrics.reference import events_of, reference, reference_of, training_of

D = 6
POINTS = Flat((D,))


def normal(n, seed, shift=0.0):
    source = torch.Generator().manual_seed(seed)
    return torch.randn(n, D, generator=source) + shift


def real(n=400, held_out=100):
    return reference_of("normal", normal(n, 0), normal(held_out, 1))


def test_each_number_is_its_formula():
    reference, fake = real(), normal(100, 2, 0.3)
    measured = Quality(POINTS, reference, FAMILIES, 100).measure(Features(fake, None))
    train = reference.train
    hits = precision_recall_density_coverage(balls(train[:100], 5), balls(fake, 5))
    expected = {
        "fd_points": frechet_distance(train, fake),
        "kd_points": kernel_distance(train, fake).value,
        "kd_points_100x50": kernel_distance_subsets(train, fake, 100, 50).value,
        **{name: getattr(hits, name).double().mean().item() for name in ("density", "coverage")},
        **{name: getattr(hits, name).double().mean().item() for name in ("precision", "recall")},
        "vendi": vendi(fake),
        "c_t": data_copying(train, reference.held_out, fake).value,
    }
    for name, value in expected.items():
        assert measured[name].value == pytest.approx(value, rel=1e-9), name
    assert all(number.n == 100 for number in measured.values())
    assert measured.keys() == expected.keys() | {
        "mifd_points",
        "memorisation_penalty",
        "authentic",
    }


def test_ideals_are_what_held_out_events_get():
    reference = real()
    quality = Quality(POINTS, reference, FAMILIES, 100)
    measured = quality.measure(Features(reference.held_out, None))
    known = {"density": 1.0, "coverage": coverage_ideal(100, 100), "c_t": 0.0}
    known |= {"kd_points": 0.0, "kd_points_100x50": 0.0}
    for name, number in measured.items():
        assert number.ideal == pytest.approx(known.get(name, number.value)), name
    # There are not so many held out: what they get says nothing of 150.
    more = Quality(POINTS, reference, ("frechet",), 150).measure(Features(normal(150, 3), None))
    assert more["fd_points"].ideal is None
    many = Quality(POINTS, reference, FAMILIES, 150).measure(Features(normal(150, 3), None))
    known["coverage"] = coverage_ideal(150, 150)
    del known["kd_points_100x50"]
    assert {name: many[name].ideal for name in known} == pytest.approx(known)


def test_floors_are_real_against_real():
    reference = real()
    floors = Quality(POINTS, reference, ("frechet",), 100).fingerprint()["floors"]
    expected = frechet_distance(reference.train, reference.held_out)
    assert floors["held_out"] == pytest.approx(expected, rel=1e-9)
    # Two halves of 200 in six dimensions: on average about (d (d + 1) / 2 / 4 + d) (1/200 + 1/200).
    assert 0.02 < floors["train_halves"] < 0.4


def test_a_copier_and_a_collapsed_generator_are_told():
    reference = real()
    quality = Quality(POINTS, reference, FAMILIES, 100)
    copied = quality.measure(Features(reference.train[:100], None))
    assert copied["authentic"].value == 0 and copied["c_t"].high < 0
    assert copied["memorisation_penalty"].value == pytest.approx(0, abs=1e-6)
    collapsed = quality.measure(Features(0.01 * normal(100, 4), None))
    assert collapsed["recall"].high < 0.1 < 0.9 < collapsed["precision"].low
    assert collapsed["fd_points"].value > 10 * collapsed["fd_points"].ideal


def test_what_is_not_finite_is_left_out_and_counted():
    quality = Quality(POINTS, real(), FAMILIES, 100)
    fake = normal(100, 5)
    fake[::2, 0], fake[1::10, 1] = math.nan, math.inf
    with pytest.warns(UserWarning, match="60 of 100 samples are not finite: left out of what poin"):
        measured = quality.measure(Features(fake, None))
    kept = Quality(POINTS, real(), FAMILIES, 40).measure(
        Features(fake[fake.isfinite().all(1)], None)
    )
    for name in ("fd_points", "authentic", "vendi"):
        assert measured[name].value == kept[name].value and measured[name].n == 100
    # Cells of 40 events have fewer than C_T needs.
    assert math.isnan(measured["c_t"].value) and measured["c_t"].ideal == 0
    fake[:] = math.nan
    with pytest.warns(UserWarning, match="100 of 100"):
        nothing = quality.measure(Features(fake, None))
    assert nothing.keys() == measured.keys()
    assert all(math.isnan(number.value) for number in nothing.values())
    assert nothing["fd_points"].ideal == measured["fd_points"].ideal


def test_a_classifier_adds_its_score():
    data = Digits(image_size=16)
    from lightning_gans.metrics.defaults import own_extractor

    extractor = own_extractor(data)
    kept = reference(data, extractor)
    quality = Quality(extractor, kept, ("score",), 360)
    held_out = torch.cat(list(events_of(data, "val", 1000)) + list(events_of(data, "test", 1000)))
    measured = quality.measure(extractor(held_out))["score_digits"]
    assert measured.value == measured.ideal
    assert measured.value == classifier_score(extractor(held_out).logits).value
    assert 7 < measured.value < 10


def test_names_differ_when_protocols_do():
    names = [Quality(POINTS, real(), (), 100).protocol]
    names.append(Quality(POINTS, real(), (), 99).protocol)
    names.append(Quality(POINTS, real(399), (), 100).protocol)
    other = Flat((D,))
    other.digest = "another"
    names.append(Quality(other, real(), (), 100).protocol)
    resized = Flat((D,))
    resized.resize = "bilinear"
    names.append(Quality(resized, real(), (), 100).protocol)
    names.append(Quality(POINTS, real()._replace(digest="1" * 64), (), 100).protocol)
    names.append(Quality(POINTS, real()._replace(orientations=2), (), 100).protocol)
    assert names[-1].endswith("_train200x2_n100")
    assert len(set(names)) == 7 and names[0].endswith("_train400_n100")


def test_real_features_are_those_of_the_splits_and_kept():
    data = Digits(image_size=16)
    extractor = Flat(data.event_shape)
    found = reference(data, extractor)
    for split, values in (("train", found.train), ("val", found.held_out[:180])):
        images, _ = data.arrays(split)
        expected = normalise(images).flatten(1)
        assert len(values) == len(expected)
        assert torch.equal(*(part.sort(0).values for part in (values, expected)))
    torch.testing.assert_close(found.law.mean, found.train.mean(0, dtype=torch.float64))
    (file,) = (cache() / "features").glob("pixels256-*.npz")
    before = file.stat().st_mtime_ns
    again = reference(Digits(image_size=16), extractor)
    assert torch.equal(again.train, found.train) and file.stat().st_mtime_ns == before
    # Not even NumPy's own pickles may be in it.
    with np.load(file, allow_pickle=False) as kept:
        assert {"train", "held_out", "mean", "factor"} <= set(kept.files)


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_a_damaged_cache_is_made_anew(damage, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path))
    data, extractor = Digits(image_size=8), Flat((1, 8, 8))
    expected = reference(data, extractor)
    (file,) = tmp_path.rglob("*.npz")
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[:5000], "empty": b"", "text": b"no archive"}[damage])
    with pytest.warns(UserWarning, match="is damaged .* it is made anew"):
        found = reference(data, extractor)
    assert torch.equal(found.train, expected.train)
    assert torch.equal(reference(data, extractor).train, expected.train)
    assert [path.name for path in (tmp_path / "features").iterdir()] == [file.name]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be kept in .* LIGHTNING_GANS_CACHE"):
        found = reference(Digits(image_size=8), Flat((1, 8, 8)))
    assert len(found.train) == 1437


def test_mirrored_images_are_seen_in_both_orientations():
    data = Digits(image_size=8, flip=True)
    real = reference(data, Flat((1, 8, 8)))
    images = {split: normalise(data.arrays(split)[0]) for split in ("train", "val", "test")}
    both = torch.cat([images["train"], images["train"].flip(-1)]).flatten(1)
    assert torch.equal(*(rows.unique(dim=0, return_counts=True)[1] for rows in (real.train, both)))
    assert torch.equal(*(rows.unique(dim=0) for rows in (real.train, both)))
    # The second half is the first one turned.
    assert torch.equal(real.train[1437:].view(-1, 8, 8).flip(-1), real.train[:1437].view(-1, 8, 8))
    assert len(real.distinct) == len(real.kernels.points) == 1437
    val = real.held_out[:180].view(-1, 1, 8, 8)
    as_they_are = (val[:, None] == images["val"]).flatten(2).all(2).any(1)
    turned = (val[:, None] == images["val"].flip(-1)).flatten(2).all(2).any(1)
    assert (as_they_are | turned).all() and 60 < as_they_are.sum() < 120
    order = torch.cat(list(training_of(data))).flatten(1)
    assert torch.equal(order, real.train)
    quality = Quality(Flat((1, 8, 8)), real, ("memorisation", "neighbours"), 100)
    assert quality.protocol.endswith("_train1437x2_n100")
    assert quality.fingerprint()["orientations"] == 2 and quality.fingerprint()["n_real"] == 1437
    for copies in (both[:100], both[1437:1537]):
        found = quality.measure(Features(copies + 1e-4, None))
        assert found["authentic"].value == 0
        assert found["memorisation_penalty"].value < 1e-5
    held_out = quality.measure(Features(real.held_out[:100], None))
    assert 0.3 < held_out["authentic"].value == held_out["authentic"].ideal < 0.7


def test_what_real_events_tell_is_found_once(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path))
    data, extractor = Digits(image_size=8), Flat((1, 8, 8))
    fake = Features(torch.rand(100, 64, generator=torch.Generator().manual_seed(0)), None)
    first = Quality(extractor, reference(data, extractor), FAMILIES, 100)
    measured = first.measure(fake)
    looked = []
    for module, name in ((reference_module, "frechet_distance"), (quality_module, "balls")):
        function = getattr(module, name)
        watch = lambda *a, f=function: looked.append(f.__name__) or f(*a)  # noqa: E731
        monkeypatch.setattr(module, name, watch)
    again = Quality(extractor, reference(data, extractor), FAMILIES, 100)
    assert not looked and again.fingerprint() == first.fingerprint()
    assert set(first.fingerprint()["floors"]) == {"train_halves", "held_out"}
    assert again.measure(fake) == measured
    # Other numbers and other families have ideals of their own.
    looked.clear()
    Quality(extractor, reference(data, extractor), FAMILIES, 99)
    assert looked == ["balls"] * 2
    only = Quality(extractor, reference(data, extractor), ("frechet",), 100).measure(fake)
    assert only["fd_pixels"] == measured["fd_pixels"] and len(only) == 1
    assert len(list((tmp_path / "features").iterdir())) == 1
    assert len(list((tmp_path / "ideals").iterdir())) == 3


def test_the_kernel_distance_is_of_all_training_events():
    """Of as many as samples it would vary several times as much."""
    reference = real()
    quality = Quality(POINTS, reference, ("kernel",), 50)
    fakes = [normal(50, seed) for seed in range(10, 40)]
    found = [quality.measure(Features(fake, None))["kd_points"] for fake in fakes]
    few = [kernel_distance(reference.train[:50], fake).value for fake in fakes]
    assert np.std([number.value for number in found]) < 0.8 * np.std(few)
    assert all(number.low < number.value < number.high for number in found)
    assert quality.fingerprint()["n_real_kernel"] == 400


def test_long_waits_are_told_beforehand(capsys):
    class Slow(Flat):
        def __call__(self, events):
            time.sleep(0.002 * len(events))
            return super().__call__(events)

    tell_time(Slow((D,)), (D,), 10_000, "looking")
    assert capsys.readouterr().err == ""
    tell_time(Slow((D,)), (D,), 100_000, "looking")
    told = re.fullmatch(
        r"looking takes points6 about (\d) minutes: 100,000 at ([\d.]+) a second\n",
        capsys.readouterr().err,
    )
    assert 3 <= int(told[1]) <= 9 and 200 < float(told[2]) <= 500


def fingerprints(data):
    return [data.fingerprint(split) for split in ("train", "val", "test")]


def test_fingerprints_tell_data_apart(tmp_path):
    different = [
        Digits(image_size=8),
        Digits(image_size=9),
        Digits(image_size=8, flip=True),
        Digits(image_size=8, keep={"3": 0.5}),
        StackedDigits(image_size=8),
        StackedDigits(image_size=8, triples=1000),
        Ring(batches_per_epoch=2),
        Ring(batches_per_epoch=2, std=0.02),
    ]
    train = [data.fingerprint("train") for data in different]
    assert len(set(train)) == len(different)
    for data in different:
        assert len(set(fingerprints(data))) == 3
    assert fingerprints(Digits(image_size=8)) == fingerprints(Digits(image_size=8, batch_size=7))


def test_streamed_files_are_told_by_their_stamps(tmp_path):
    from PIL import Image

    for i in range(12):
        Image.new("L", (8, 8), i).save(tmp_path / f"{i:02d}.png")
    make = lambda: Folder(str(tmp_path), 8, 1, in_memory_gib=0.0)  # noqa: E731
    before = make().fingerprint("train")
    assert make().fingerprint("train") == before
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))
    assert make().fingerprint("train") != before


def test_the_order_of_training_is_left_alone():
    data, other = Digits(image_size=8), Digits(image_size=8)
    state = torch.get_rng_state()
    batches = iter(data.train_dataloader())
    events = torch.cat(list(events_of(data, "train", 600)))
    assert len(events) == 600 and torch.equal(
        events, torch.cat(list(events_of(data, "train", 600)))
    )
    for (one, _), (expected, _) in zip(batches, other.train_dataloader(), strict=True):
        assert torch.equal(one, expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_features_come_in_any_number_of_batches():
    events = normal(50, 7)
    whole = features_of(POINTS, iter([events]), "test", 50)
    parts = features_of(POINTS, iter(events.split(7)), "test", 50)
    assert torch.equal(whole.values, parts.values) and whole.logits is None


def test_a_fingerprint_is_plain_json():
    told = Quality(POINTS, real(), ("frechet",), 100).fingerprint()
    assert json.loads(json.dumps(told)) == told
    assert told["digest"] == "identity" and told["n_real"] == 400 and told["data"] == "normal"


def test_numbers_that_cannot_be_had_are_nan_and_stop_nothing():
    reference = real(20, 0)
    quality = Quality(POINTS, reference, FAMILIES, 100)
    nothing = quality.measure(Features(torch.zeros(100, D), None))
    assert math.isnan(nothing["mifd_points"].value)  # zeros have no direction
    assert math.isfinite(nothing["fd_points"].value) and "c_t" not in nothing
    # Subsets are no larger than the smaller side.
    assert "kd_points_100x20" in nothing
    with pytest.warns(UserWarning, match="100 of 100"):
        broken = quality.measure(Features(torch.full((100, D), math.nan), None))
    assert broken.keys() == nothing.keys()
    assert all(math.isnan(number.value) and number.n == 100 for number in broken.values())
    few = Quality(POINTS, real(4, 0), ("neighbours",), 10).measure(Features(normal(10, 1), None))
    assert all(math.isnan(number.value) for number in few.values()) and len(few) == 4


def test_broken_events_have_no_features():
    class Rounded(Flat):
        def __call__(self, events):
            return Features(events.flatten(1).nan_to_num(), None)

    events = normal(6, 1)
    events[2, 0], events[4, 1] = math.nan, -math.inf
    values, _ = features_of(Rounded((D,)), iter(events.split(4)), "test", 6)
    assert values.isnan().all(1).tolist() == [False, False, True, False, True, False]


def test_a_cache_that_lacks_something_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path))
    data, extractor = Digits(image_size=8), Flat((1, 8, 8))
    expected = reference(data, extractor)
    (file,) = tmp_path.rglob("*.npz")
    np.savez(file, train=np.zeros(3))
    with pytest.warns(UserWarning, match="is damaged"):
        assert torch.equal(reference(data, extractor).train, expected.train)


def test_names_of_data_differ():
    found = [
        reference(data, Flat((1, 8, 8)))
        for data in (Digits(8), Digits(8, flip=True), Digits(8, seed=3), Digits(8, keep={"3": 0.5}))
    ]
    extractor = Flat((1, 8, 8))
    assert len({Quality(extractor, one, (), 100).protocol for one in found}) == 4
