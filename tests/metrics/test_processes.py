"""Two processes with uneven shares measure what one process does."""

import torch
from torch import distributed

from lightning_gans.data.gaussians import Gaussians
from lightning_gans.metrics import (
    NDB,
    Birthday,
    ClassModes,
    GaussianModes,
    ImageSimilarity,
    PairwiseDistance,
    Vendi,
)


def cases():
    """Each metric with its updates; the first process does one, the other the rest."""
    source = torch.Generator().manual_seed(0)
    means = torch.randn(5, 2, dtype=torch.float64, generator=source)
    law = Gaussians(means, 0.01 * torch.eye(2, dtype=torch.float64).expand(5, 2, 2))
    points = law.sample(300, source)[0]
    classes = torch.randint(4, (300, 2), generator=source)
    images = torch.rand(12, 1, 12, 12, generator=source) * 2 - 1
    labels = classes[:, 0]
    shares = torch.full((4, 4), 1 / 16, dtype=torch.float64)
    confusion = 2 + 98 * torch.eye(4, dtype=torch.int64)
    return [
        (GaussianModes(law), (points,)),
        (ClassModes(shares, confusion), (classes,)),
        (NDB(points[:50], bins=6), (points,)),
        (Birthday(points[:50]), (points,)),
        (PairwiseDistance(), (points, labels)),
        (ImageSimilarity(pairs=20), (images, labels[:12])),
        (Vendi(), (points,)),
    ]


def parts(given, rank):
    """Of n samples, the first of three batches for process 0, the others for process 1."""
    n = len(given[0])
    ends = [0, n // 5, n // 2, n]
    for k in range(3) if rank is None else ([0], [1, 2])[rank]:
        yield tuple(part[ends[k] : ends[k + 1]] for part in given)


def measure(rank):
    measured = []
    for metric, given in cases():
        for batch in parts(given, rank):
            metric.update(*batch)
        measured.append(metric.compute())
    return measured


def meet(rank):
    """Measure as one of two processes."""
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    return measure(rank)


def test_two_processes_measure_as_one(pair):
    here, there = pair(meet)
    assert here == there == measure(None)
