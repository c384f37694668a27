"""Images a second of the MNIST loader, against a DataLoader over torchvision's set, in one process.

Run by hand: LIGHTNING_GANS_DATA=<folder with MNIST/raw> python benchmarks/loader.py
"""

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import Compose, Normalize, ToTensor

from lightning_gans.data import MNIST

BATCH_SIZE = 128
ROUNDS = 5
BATCHES = 100


def images_per_second(loader) -> float:
    """Of the first ``BATCHES`` batches of an epoch, its shuffling included."""
    start = time.perf_counter()
    batches = iter(loader)
    seen = sum(len(next(batches)[0]) for _ in range(BATCHES))
    return seen / (time.perf_counter() - start)


def main() -> None:
    torch.set_num_threads(1)
    root = os.environ.get("LIGHTNING_GANS_DATA", "data")
    data = MNIST(image_size=28, batch_size=BATCH_SIZE, root=root)
    ours = data.train_dataloader()
    with tempfile.TemporaryDirectory() as copy:
        # torchvision unpacks the files where they lie, and that folder may be read-only.
        shutil.copytree(Path(root, "MNIST"), Path(copy, "MNIST"), copy_function=shutil.copyfile)
        os.chmod(Path(copy, "MNIST"), 0o755)
        os.chmod(Path(copy, "MNIST", "raw"), 0o755)
        transform = Compose([ToTensor(), Normalize((0.5,), (0.5,))])
        theirs = DataLoader(
            datasets.MNIST(copy, transform=transform, download=True),
            batch_size=BATCH_SIZE,
            shuffle=True,
        )
    images_per_second(ours)  # Warms up.
    pairs = [(images_per_second(ours), images_per_second(theirs)) for _ in range(ROUNDS)]
    fast, slow = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(f"| MNIST, batches of {BATCH_SIZE} | {fast:,.0f} | {slow:,.0f} | {ratio:.0f}x |")


if __name__ == "__main__":
    main()
