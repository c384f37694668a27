"""Digits, Ring, Arrays, and what all image sets share."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_gans.data import Arrays, Digits, Ring
from lightning_gans.data.images import SPLITS, resize
from lightning_gans.types import InputError

REAL = os.environ.get("LIGHTNING_GANS_DATA")
needs_files = pytest.mark.skipif(not REAL, reason="LIGHTNING_GANS_DATA is not set")


def all_images(data):
    return torch.cat([data.arrays(split)[0] for split in SPLITS])


def rows(images):
    return sorted(tuple(image) for image in images.flatten(1).tolist())


def test_digits_split_disjoint_and_cover_the_original():
    from sklearn.datasets import load_digits

    data = Digits(image_size=8)
    assert [data.count(split) for split in SPLITS] == [1437, 180, 180]
    original = torch.from_numpy(load_digits().images)
    found = (all_images(data)[:, 0].double() * (16 / 255)).round()
    assert rows(found) == rows(original)
    labels = torch.cat([data.arrays(split)[1] for split in SPLITS])
    assert labels.bincount().tolist() == np.bincount(load_digits().target).tolist()


def test_digits_split_by_seed():
    first, again, other = Digits(), Digits(), Digits(seed=1)
    for split in SPLITS:
        assert torch.equal(first.arrays(split)[0], again.arrays(split)[0])
        assert not torch.equal(first.arrays(split)[1], other.arrays(split)[1])


def test_digits_batches_have_the_shape_promised():
    data = Digits(image_size=16, batch_size=50)
    samples, labels = next(iter(data.train_dataloader()))
    assert samples.shape == (50, *data.event_shape) == (50, 1, 16, 16)
    assert labels.shape == (50,)
    assert samples.min().item() == -1.0
    assert samples.max().item() == 1.0
    assert [len(batch) for batch, _ in data.val_dataloader()] == [50, 50, 50, 30]


def test_resize_to_the_same_size_is_identity():
    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(resize(images, 8), images)


def test_resize_averages_and_keeps_flat_images_flat():
    flat = torch.full((2, 3, 8, 8), 200, dtype=torch.uint8)
    assert resize(flat, 5).unique().tolist() == [200]
    half = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    half[..., 4:] = 255
    small = resize(half, 2)[0, 0].int()
    assert small.sum().item() == pytest.approx(2 * 255, abs=4)
    assert (small[:, 1] > small[:, 0] + 150).all()


def test_keep_thins_only_the_classes_named():
    whole = Digits().arrays("train")[1].bincount()
    shares = {"7": 20.6 / whole[7].item(), "8": 20.4 / whole[8].item(), "3": 0.0, "1": 1.0}
    data = Digits(keep=shares)
    thinned = data.arrays("train")[1].bincount(minlength=10)
    expected = whole.clone()
    expected[7], expected[8], expected[3] = 21, 20, 0
    assert thinned.tolist() == expected.tolist()
    assert data.count("train") == int(expected.sum())
    for split in ("val", "test"):
        assert torch.equal(data.arrays(split)[1], Digits().arrays(split)[1])


def test_keep_is_by_seed_and_keeps_a_part_of_the_original():
    data, again = (Digits(image_size=8, keep={"7": 0.5}) for _ in range(2))
    assert torch.equal(data.arrays("train")[0], again.arrays("train")[0])
    original = set(rows(Digits(image_size=8).arrays("train")[0]))
    assert set(rows(data.arrays("train")[0])) < original


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"eleven": 0.5}, "'eleven'; the classes are: 0, 1, 2"),
        ({"7": 1.5}, "data.keep.7 is 1.5; it must be between 0 and 1"),
        ({"7": -0.1}, "data.keep.7 is -0.1"),
    ],
)
def test_keep_says_what_is_accepted(keep, message):
    with pytest.raises(InputError, match=message):
        Digits(keep=keep)


def test_root_comes_from_the_option_then_the_environment_then_data(monkeypatch):
    monkeypatch.setenv("LIGHTNING_GANS_DATA", "elsewhere")
    assert Digits(root="here").root == Path("here")
    assert Digits().root == Path("elsewhere")
    monkeypatch.delenv("LIGHTNING_GANS_DATA")
    assert Digits().root == Path("data")


def test_sizes_below_one_are_refused():
    with pytest.raises(InputError, match="data.image_size is 0"):
        Digits(image_size=0)
    with pytest.raises(InputError, match="data.batch_size is 0"):
        Digits(batch_size=0)
    with pytest.raises(InputError, match="choose at most 1437"):
        Digits(batch_size=1438).train_dataloader()


def test_a_batch_already_on_the_device_is_passed_on_as_it_is():
    data, cpu = Digits(), torch.device("cpu")
    batch = next(iter(data.train_dataloader()))
    assert data.transfer_batch_to_device(batch, cpu, 0) is batch
    samples, labels = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert samples.device.type == labels.device.type == "meta"


def test_ring_centres_are_distinct_and_evenly_spaced():
    centres = Ring(modes=8, radius=2.0).law.means
    assert centres.norm(dim=1).sub(2).abs().max().item() < 1e-6
    gaps = (centres.roll(-1, 0) - centres).norm(dim=1)
    assert gaps.sub(4 * math.sin(math.pi / 8)).abs().max().item() < 1e-5
    assert torch.cdist(centres, centres).fill_diagonal_(9).min().item() > 1.5
    assert centres[0].sub(torch.tensor([2.0, 0.0]).double()).abs().max().item() < 1e-6


def test_ring_has_the_mean_spread_and_modes_it_claims():
    data = Ring(modes=4, std=0.05, batch_size=40_000)
    points, labels = next(iter(data.train_dataloader()))
    share = labels.bincount(minlength=4) / len(labels)
    assert share.sub(0.25).abs().max().item() < 0.011
    for mode in range(4):
        own = points[labels == mode]
        # Five standard errors of 10,000 draws: 0.05 / 100 for the mean, 0.05 / 141 for the spread.
        assert own.mean(0).sub(data.law.means[mode]).abs().max().item() < 0.0025
        assert own.std(0).sub(0.05).abs().max().item() < 0.0018


def test_ring_is_drawn_by_seed_and_splits_differ():
    first, again, other = Ring(), Ring(), Ring(seed=1)
    points = next(iter(first.train_dataloader()))[0]
    assert torch.equal(points, next(iter(again.train_dataloader()))[0])
    assert not torch.equal(points, next(iter(other.train_dataloader()))[0])
    val, test = (
        next(iter(loader))[0] for loader in (first.val_dataloader(), first.test_dataloader())
    )
    assert not torch.equal(val, test)
    assert not torch.equal(val, points)
    assert torch.equal(val, next(iter(first.val_dataloader()))[0])


def archive(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize(
    ("shape", "channels"), [((30, 6, 6), 1), ((30, 6, 6, 1), 1), ((30, 6, 6, 3), 3)]
)
def test_arrays_come_back_split_in_three(tmp_path, shape, channels):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = archive(tmp_path / "own.npz", images=images, labels=np.arange(30, dtype=np.int32) % 3)
    data = Arrays(path, image_size=6, batch_size=4)
    assert data.event_shape == (channels, 6, 6)
    assert data.class_names == ("0", "1", "2")
    assert [data.count(split) for split in SPLITS] == [24, 3, 3]
    own = torch.from_numpy(images.reshape(30, 6, 6, channels)).permute(0, 3, 1, 2)
    assert rows(all_images(data)) == rows(own)
    image, label = (part[0] for part in data.arrays("train"))
    where = (own == image).flatten(1).all(1).nonzero().item()
    assert label.item() == where % 3


def test_arrays_without_labels_and_not_square(tmp_path):
    images = np.zeros((10, 4, 6), np.uint8)
    images[:, :, 1:5] = 9
    data = Arrays(archive(tmp_path / "own.npz", images=images), image_size=4, batch_size=2)
    assert data.class_names == ()
    assert all_images(data).unique().tolist() == [9]
    assert data.arrays("train")[1].unique().tolist() == [0]


def test_arrays_say_what_is_wrong(tmp_path):
    good = np.zeros((5, 4, 4), np.uint8)
    path = tmp_path / "own.npz"
    for arrays, message in [
        ({"pictures": good}, "no array named images; it has: pictures"),
        ({"images": good.astype(np.float32)}, "is float32 .* must be uint8"),
        ({"images": good[0]}, r"is uint8 \(4, 4\)"),
        ({"images": np.zeros((5, 4, 4, 2), np.uint8)}, "1 or 3"),
        ({"images": good[:2]}, "n at least 3"),
        ({"images": good, "labels": np.zeros(4, int)}, r"of shape \(5,\)"),
        ({"images": good, "labels": np.zeros(5)}, "labels in .* is float64"),
        ({"images": good, "labels": np.full(5, -1)}, "whole numbers from 0"),
        ({"images": good, "labels": np.array([{}] * 5)}, "labels in .* cannot be read"),
    ]:
        with pytest.raises(InputError, match=message):
            Arrays(archive(path, **arrays))
    with pytest.raises(InputError, match="is no file"):
        Arrays(str(tmp_path / "missing.npz"))
    path.write_text("no archive")
    with pytest.raises(InputError, match="cannot be read as .npz"):
        Arrays(str(path))


@needs_files
def test_arrays_read_a_real_file():
    path = Path(REAL, "cifar10_first4000.npz")
    if not path.is_file():
        pytest.skip("cifar10_first4000.npz is not in LIGHTNING_GANS_DATA")
    data = Arrays(str(path), batch_size=100)
    assert [data.count(split) for split in SPLITS] == [3200, 400, 400]
    assert data.event_shape == (3, 32, 32)
    assert len(data.class_names) == 10
    # CIFAR-10's mean pixel is 120.7 of 255; 4,000 images come within 2 of it.
    assert all_images(data).float().mean().item() == pytest.approx(120.7, abs=2)


@pytest.mark.parametrize(("limit", "moved"), [(2**31, True), (0, False)])
def test_images_move_to_an_accelerator_once_if_they_fit(monkeypatch, limit, moved):
    device = torch.device("meta")
    monkeypatch.setattr(Digits, "device", device)
    monkeypatch.setattr("lightning_gans.data.images._MOVED_BYTES", limit)
    data = Digits(flip=True)
    first, second = data.train_dataloader(), data.train_dataloader()
    assert (first.images.device == device) is moved
    assert first.images is second.images
    batch = next(iter(first))
    assert batch[0].device == batch[1].device == device
    assert data.transfer_batch_to_device(batch, device, 0) is batch
    assert data.arrays("train")[0].device.type == "cpu"
    data.teardown("fit")
    assert (data.train_dataloader().images is first.images) is not moved
