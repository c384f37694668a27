"""What an evaluation of modes costs: points of the ring, and 26,000 stacked MNIST images.

    LIGHTNING_GANS_DATA=... python benchmarks/evaluation.py

Samples are drawn, told apart and counted, floors and intervals included; pictures are not drawn.
The medians of five, after one that is not counted.
"""

import time
from statistics import median

import torch

from lightning_gans.callbacks.known import KnownModes, known_modes
from lightning_gans.data import Ring, StackedMNIST
from lightning_gans.networks import DCGANGenerator, MLPGenerator, TinyGenerator
from lightning_gans.types import Generator

CHUNK = 2560


@torch.no_grad()
def evaluate(known: KnownModes, generator: Generator) -> tuple[float, float]:
    """Seconds to draw the samples, and to tell and count them."""
    known.metric.reset()
    drawing, started = 0.0, time.perf_counter()
    for start in range(0, known.n, CHUNK):
        began = time.perf_counter()
        n = min(CHUNK, known.n - start)
        parts = torch.randn(n, generator.latent_dim).split(256)
        events = torch.cat([generator(part) for part in parts])
        drawing += time.perf_counter() - began
        known.update(events)
    known.metric.compute()
    return drawing, time.perf_counter() - started - drawing


def report(name: str, known: KnownModes, generator: Generator) -> None:
    """One line of the table."""
    times = [evaluate(known, generator.eval()) for _ in range(6)][1:]
    drawing, counting = (median(part) for part in zip(*times, strict=True))
    print(f"| {name} | {known.n:,} | {drawing:.3f} | {counting:.3f} | {drawing + counting:.3f} |")


if __name__ == "__main__":
    cpu = torch.device("cpu")
    print(f"{torch.get_num_threads()} threads")
    print("| data, generator | samples | s to draw | s to tell and count | s in all |")
    print("|---|---|---|---|---|")
    ring = known_modes(Ring(), cpu, False)
    report("ring, perceptron of 3 x 256", ring, MLPGenerator((2,), 2, (256,) * 3, "relu", "linear"))
    for size, generator in ((28, TinyGenerator()), (32, DCGANGenerator(32, 3, 64, 32))):
        stacked = known_modes(StackedMNIST(size), cpu, False)
        report(f"stacked MNIST {size} px, {type(generator).__name__}", stacked, generator)
