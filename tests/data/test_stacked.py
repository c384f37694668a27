"""A thousand modes from three digits: every channel is a digit of its split, labels tell which."""

import pytest
import torch

from lightning_gans.data import Digits, StackedDigits
from lightning_gans.data.batches import normalise
from lightning_gans.errors import InputError


def digits_of(labels):
    return torch.stack([labels // 100, labels // 10 % 10, labels % 10], dim=1)


def find(channels, images):
    """The indices of the images (set, 1, s, s) that are equal to each channel (n, s, s)."""
    return (channels.flatten(1)[:, None] == images.flatten(1)).all(2)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_channel_is_a_digit_of_the_split(fixed, split):
    data = StackedDigits(image_size=8, batch_size=32, triples=64, fixed=fixed, held_out=32)
    images, labels = Digits(image_size=8).arrays(split)
    loader = getattr(data, f"{split}_dataloader")()
    stacked, modes = next(iter(loader))
    assert stacked.shape == (32, 3, 8, 8) and data.event_shape == (3, 8, 8)
    for channel in range(3):
        equal = find(stacked[:, channel], normalise(images))
        assert equal.any(1).all()
        assert torch.equal(labels[equal.int().argmax(1)], digits_of(modes)[:, channel])


def test_fresh_triples_differ_between_epochs_and_fixed_ones_do_not():
    for fixed in (False, True):
        data = StackedDigits(image_size=8, batch_size=64, triples=64, fixed=fixed)
        loader = data.train_dataloader()
        epochs = []
        for epoch in range(2):
            loader.batch_sampler.set_epoch(epoch)
            epochs.append(torch.cat([modes for _, modes in loader]).sort().values)
        assert torch.equal(*epochs) is fixed


def test_digits_of_a_triple_are_independent():
    data = StackedDigits(image_size=8, batch_size=30_000, triples=30_000)
    _, modes = next(iter(data.train_dataloader()))
    shares = data.shares()
    assert shares.sum().item() == pytest.approx(1)
    counts = modes.bincount(minlength=1000).double()
    expected = 30_000 * shares.flatten()
    # A chi-square with 999 degrees has the deviation sqrt(2 999) = 45.
    assert ((counts - expected) ** 2 / expected).sum().item() == pytest.approx(999, abs=4.5 * 45)


def test_it_knows_its_thousand_names():
    data = StackedDigits()
    assert len(data.class_names) == 1000 and data.class_names[407] == "407"
    assert data.protocol == "stacked_digits32"


@pytest.mark.parametrize("option", ["triples", "held_out"])
def test_sizes_below_one_are_refused(option):
    with pytest.raises(InputError, match=f"data.{option} is 0"):
        StackedDigits(**{option: 0})
