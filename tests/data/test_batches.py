import pytest
import torch

from lightning_gans.data.batches import (
    CountedBatches,
    GeneratedBatches,
    TensorBatches,
    finish,
    mirrored,
    normalise,
)


def pixels(n, seed=0):
    source = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, 4, 4), dtype=torch.uint8, generator=source)


def in_one(batches):
    return torch.cat(list(batches))


def test_order_is_a_function_of_seed_and_epoch():
    torch.manual_seed(1)
    first, again = CountedBatches(100, 8, seed=3), CountedBatches(100, 8, seed=3)
    again.set_epoch(5)
    list(again)
    torch.manual_seed(2)
    again.set_epoch(0)
    assert torch.equal(in_one(first), in_one(again))
    again.set_epoch(1)
    assert not torch.equal(in_one(first), in_one(again))
    assert not torch.equal(in_one(first), in_one(CountedBatches(100, 8, seed=4)))


def test_every_epoch_is_a_permutation():
    batches = CountedBatches(100, 10, seed=3)
    for epoch in range(3):
        batches.set_epoch(epoch)
        assert in_one(batches).sort().values.tolist() == list(range(100))


@pytest.mark.parametrize("skip", [1, 7, 12])
def test_skip_gives_the_tail_for_one_pass(skip):
    batches = CountedBatches(100, 8, seed=3)
    whole = list(batches)
    batches.skip = 8 * skip
    tail = list(batches)
    assert len(whole) == len(batches) == 12
    assert [part.tolist() for part in tail] == [part.tolist() for part in whole[skip:]]
    assert len(list(batches)) == 12


def test_two_processes_share_each_global_batch():
    together = list(CountedBatches(100, 8, seed=3))
    ranks = [CountedBatches(100, 4, seed=3, rank=rank, world_size=2) for rank in (0, 1)]
    assert len(ranks[0]) == len(ranks[1]) == len(together)
    for batch, *parts in zip(together, *ranks, strict=True):
        assert torch.equal(batch, torch.cat(parts))


@pytest.mark.parametrize(("n", "sizes"), [(20, [8, 8, 4]), (16, [8, 8]), (7, [7])])
def test_remainder_is_kept_or_dropped(n, sizes):
    kept = CountedBatches(n, 8, shuffle=False, drop_last=False)
    dropped = CountedBatches(n, 8, shuffle=False, drop_last=True)
    assert [len(batch) for batch in kept] == sizes
    assert in_one(kept).tolist() == list(range(n))
    assert [len(batch) for batch in dropped] == [size for size in sizes if size == 8]
    assert len(kept) == len(sizes)
    assert len(dropped) == n // 8


def test_remainder_is_shared_out():
    parts = [
        CountedBatches(11, 4, shuffle=False, drop_last=False, rank=rank, world_size=2)
        for rank in (0, 1)
    ]
    assert [[batch.tolist() for batch in part] for part in parts] == [
        [[0, 1, 2, 3], [8]],
        [[4, 5, 6, 7], [9, 10]],
    ]


def test_normalise_is_exact_at_the_ends_and_even_between():
    values = normalise(torch.arange(256, dtype=torch.uint8))
    assert values[0].item() == -1.0
    assert values[255].item() == 1.0
    assert (values[127] + values[128]).abs().item() < 1e-6
    assert values.diff().sub(2 / 255).abs().max().item() < 1e-6


def test_finish_mirrors_left_and_right_only_where_told():
    images = pixels(2)
    first, second = finish(images, torch.tensor([True, False]))
    assert torch.equal(first, normalise(images[0].flip(-1)))
    assert torch.equal(second, normalise(images[1]))


def by_index(batch_size, epoch, world_size=1):
    """Each sample as batched, at its own index."""
    images = pixels(96)
    found = torch.empty(96, 3, 4, 4)
    for rank in range(world_size):
        order = CountedBatches(96, batch_size, seed=3, rank=rank, world_size=world_size)
        order.set_epoch(epoch)
        loader = TensorBatches(images, torch.arange(96), order, flip=True)
        for samples, labels in loader:
            found[labels] = samples
    return found


@pytest.mark.parametrize("epoch", [0, 1])
def test_flips_belong_to_samples_not_to_batches(epoch):
    found = by_index(96, epoch)
    assert torch.equal(found, by_index(8, epoch))
    assert torch.equal(found, by_index(4, epoch, world_size=2))


def test_flips_change_with_the_epoch_and_half_of_the_samples_are_flipped():
    order = CountedBatches(10_000, 10, seed=3)
    first = mirrored(order)
    order.set_epoch(1)
    second = mirrored(order)
    # Five standard deviations of 10,000 fair coins are 0.025.
    assert abs(first.float().mean().item() - 0.5) < 0.025
    assert abs((first ^ second).float().mean().item() - 0.5) < 0.025


def test_tensor_batches_resume_with_the_same_flips():
    order = CountedBatches(96, 8, seed=3)
    loader = TensorBatches(pixels(96), torch.arange(96), order, flip=True)
    whole = list(loader)
    order.skip = 40
    for (samples, labels), (again, labels_again) in zip(whole[5:], loader, strict=True):
        assert torch.equal(samples, again)
        assert torch.equal(labels, labels_again)


def test_generated_batches_are_drawn_by_position():
    def draw(n, generator):
        return torch.rand(n, 2, generator=generator), torch.zeros(n, dtype=torch.long)

    order = CountedBatches(40, 4, seed=3)
    loader = GeneratedBatches(draw, order)
    whole = [samples for samples, _ in loader]
    order.skip = 24
    tail = [samples for samples, _ in loader]
    assert len(whole) == 10
    assert torch.equal(torch.stack(tail), torch.stack(whole[6:]))
    assert len({tuple(batch.flatten().tolist()) for batch in whole}) == 10
