"""One Baum-Welch iteration beside hmmlearn's, and how near a trained model is to its chain.

Run by hand: python benchmarks/hmm.py
             python benchmarks/hmm.py runs/hmm/version_0/checkpoints/final.ckpt

The first makes the same E- and M-turn with both, from the same parameters on the same 1,000
sequences of 500 steps in 10 dimensions, 20 states with diagonal Gaussians; in batches of all,
of 100 and of one sequence (of these, 20 are timed). The second reads a checkpoint of hmm.yaml.
"""

import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from hmmlearn.hmm import GaussianHMM
from scipy.optimize import linear_sum_assignment

from lightning_gans.data import GaussianChain
from lightning_gans.data.sequences import lengths_of
from lightning_gans.models import HMM, DiagonalGaussian
from lightning_gans.paths import CONFIGS
from lightning_gans.sampling import load_model

SEQUENCES, STEPS, STATES, DIMENSION = 1000, 500, 20, 10
ALONE, ROUNDS = 20, 3


def law() -> tuple[np.ndarray, np.ndarray]:
    """A transition matrix and means."""
    source = np.random.default_rng(0)
    transition = source.uniform(0.05, 1.0, (STATES, STATES))
    means = 2 * source.normal(size=(STATES, DIMENSION))
    return transition / transition.sum(1, keepdims=True), means


def ours(events: torch.Tensor, batch_size: int) -> tuple[float, HMM]:
    """Seconds of an iteration over ``events``, and the model after it."""
    transition, means = law()
    model = HMM((STEPS, DIMENSION), STATES, DiagonalGaussian)
    model.transition.copy_(torch.from_numpy(transition))
    model.emission.means.copy_(torch.from_numpy(means))
    start = time.perf_counter()
    total = {}
    for batch in events.split(batch_size):
        sums = model.expect(batch)
        total = {name: total.get(name, 0) + value for name, value in sums.items()}
    model.maximise(total)
    return time.perf_counter() - start, model


def theirs(events: torch.Tensor, implementation: str) -> tuple[float, GaussianHMM]:
    """The same of hmmlearn."""
    model = GaussianHMM(
        STATES, n_iter=1, init_params="", covars_prior=0, implementation=implementation
    )
    model.n_features = DIMENSION
    model.startprob_ = np.full(STATES, 1 / STATES)
    model.transmat_, model.means_ = law()
    model.covars_ = np.ones((STATES, DIMENSION))
    rows, lengths = events.double().flatten(0, 1).numpy(), [STEPS] * len(events)
    start = time.perf_counter()
    model.fit(rows, lengths)
    return time.perf_counter() - start, model


def speed() -> None:
    transition, means = law()
    data = GaussianChain(
        transition.tolist(), means.tolist(), sequences=SEQUENCES, length=STEPS, held_out=1
    )
    events = data.arrays("train")[0]
    seconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, run in {
            "hmmlearn, log (its default)": lambda: theirs(events, "log"),
            "hmmlearn, scaling": lambda: theirs(events, "scaling"),
            f"ours, batches of {SEQUENCES}": lambda: ours(events, SEQUENCES),
            "ours, batches of 100": lambda: ours(events, 100),
        }.items():
            taken, model = run()
            seconds.setdefault(name, []).append(taken)
            if isinstance(model, GaussianHMM):
                same = model
            else:
                np.testing.assert_allclose(model.transition, same.transmat_, rtol=1e-8)
                np.testing.assert_allclose(model.emission.means, same.means_, rtol=1e-8)
        taken, _ = ours(events[:ALONE], 1)
        seconds.setdefault("ours, batches of 1", []).append(taken * SEQUENCES / ALONE)
    print(f"{torch.get_num_threads()} threads, {os.cpu_count()} cores, medians of {ROUNDS} rounds")
    base = seconds["hmmlearn, log (its default)"]
    for name, taken in seconds.items():
        ratio = statistics.median(one / other for one, other in zip(base, taken, strict=True))
        print(f"| {name} | {statistics.median(taken):.2f} s | {ratio:.2f}x |")


def recovered(checkpoint: Path) -> None:
    model = load_model(checkpoint)
    config = yaml.safe_load((CONFIGS / "hmm.yaml").read_text())
    data = GaussianChain(**config["data"]["init_args"])
    found = model.emission
    order = torch.from_numpy(linear_sum_assignment(torch.cdist(data.means, found.means))[1])
    covariances = torch.diag_embed(data.stds.square())
    for name, ours, truth in (
        ("means", found.means[order], data.means),
        ("covariances", found.covariances[order], covariances),
        ("transitions", model.transition[order][:, order], data.transition),
        ("first states", model.initial[order], data.initial),
    ):
        print(f"{name}: farthest from the truth by {(ours - truth).abs().max():.4f}")
    known = load_model(checkpoint)
    known.emission.means.copy_(data.means)
    known.emission.covariances.copy_(covariances)
    known.transition.copy_(data.transition)
    known.initial.copy_(data.initial)
    for split in ("train", "test"):
        events = data.arrays(split)[0]
        steps = lengths_of(events).sum()
        nats = [-(one.log_prob(events).sum() / steps).item() for one in (model, known)]
        print(f"{split}: {nats[0]:.4f} nats a step, {nats[1]:.4f} by the chain itself")


if __name__ == "__main__":
    recovered(Path(sys.argv[1])) if len(sys.argv) > 1 else speed()
