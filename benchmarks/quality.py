"""What quality costs beside other programs: python benchmarks/quality.py [part ...].

Rows of a table: medians of three rounds, in each of which all programs take turns, on one thread;
"times" is the median of the rounds' ratios. Memory is the growth of the process's peak.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

PARTS = ("frechet", "few", "prdc", "evaluation", "inception", "epoch")
ROUNDS = 3


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def row(what: str, ours: list[float], **others: list[float]) -> None:
    """One row of the table, from each program's seconds by round."""
    told = [
        f"{name} {median(theirs):.2f} s: "
        f"{median(t / o for t, o in zip(theirs, ours, strict=True)):.1f} times"
        for name, theirs in others.items()
    ]
    print(f"| {what} | {median(ours):.2f} s | {', '.join(told)} |", flush=True)


def compare(what: str, **functions: Callable[[], object]) -> None:
    """Each function in turn, and so on; the first is ours."""
    found = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            found[name].append(seconds(function))
    row(what, found.pop("ours"), **found)


def features(n: int, exponent: float, seed: int, d: int = 2048) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    scale = torch.arange(1, d + 1, dtype=torch.float64) ** (-exponent / 2)
    basis = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=source))[0]
    return (torch.randn(n, d, dtype=torch.float64, generator=source) * scale) @ basis + 0.4


def frechet(fakes: int = 5000) -> None:
    from scipy.linalg import sqrtm
    from torch_fidelity.metric_fid import fid_statistics_to_metric
    from torchmetrics.image.fid import _compute_fid

    from lightning_gans.metrics.functional import factored, frechet_distance, moments

    real, fake = features(5000, 1.5, 0), features(fakes, 1.4, 1)
    one, two = moments(real), moments(fake)
    cached = factored(one)
    ours = (
        (lambda: frechet_distance(cached, two))
        if fakes > 2048
        else (lambda: frechet_distance(cached, fake))
    )
    parts = [{"mu": m.mean.numpy(), "sigma": m.covariance.numpy()} for m in (one, two)]
    sides = one.mean, one.covariance, two.mean, two.covariance

    def root() -> None:
        sqrtm((one.covariance @ two.covariance).numpy())

    compare(
        f"Frechet distance, d = 2048, 5,000 real and {fakes:,} generated, real side cached",
        ours=ours,
        torchmetrics=lambda: _compute_fid(*sides),
        torch_fidelity=lambda: fid_statistics_to_metric(*parts, verbose=False),
        **({"sqrtm": root} if fakes > 2048 else {}),
    )


def few() -> None:
    frechet(1000)


def peak(code: str) -> list[float]:
    """Seconds, and MiB of peak memory, that ``code`` adds in a process of its own, on Linux."""
    program = f"""
import pathlib, time, numpy, torch
torch.set_num_threads(1)
real, fake = (numpy.random.default_rng(s).normal(size=(10000, 512)) for s in (0, 1))
import prdc
from lightning_gans.metrics.functional import balls, precision_recall_density_coverage
a, b = torch.from_numpy(real), torch.from_numpy(fake)
def memory(key):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024
before = memory("VmRSS")
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
start = time.perf_counter()
{code}
print(time.perf_counter() - start)
print(memory("VmHWM") - before)
"""
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return [float(line) for line in out.stdout.split()[-2:]]


def prdc() -> None:
    found = {
        "ours": "precision_recall_density_coverage(balls(a, 5), balls(b, 5))",
        "prdc": "import prdc.prdc as p\n"
        "whole = p.sklearn.metrics.pairwise_distances\n"
        "p.sklearn.metrics.pairwise_distances = "
        "lambda *a, **k: whole(*a, **{**k, 'n_jobs': 1})\n"
        "prdc.compute_prdc(real, fake, 5)",
    }
    measured = [{name: peak(code) for name, code in found.items()} for _ in range(ROUNDS)]
    took, memory = ({n: [m[n][i] for m in measured] for n in found} for i in (0, 1))
    mib = ", ".join(f"{name} {median(values):.0f} MiB" for name, values in memory.items())
    row(
        f"precision, recall, density, coverage, 10,000 and 10,000, d = 512 ({mib})",
        took["ours"],
        prdc=took["prdc"],
    )


def evaluation() -> None:
    from lightning_gans.data import Digits
    from lightning_gans.metrics.defaults import own_extractor
    from lightning_gans.metrics.features import features_of
    from lightning_gans.metrics.quality import FAMILIES, Quality
    from lightning_gans.metrics.reference import reference
    from lightning_gans.networks import DCGANGenerator

    data, generator = Digits(32), DCGANGenerator(32, 1).eval()
    extractor = own_extractor(data)
    real = reference(data, extractor)
    latents = torch.randn(5000, 100).split(100)
    for told, families in (
        ("the default metrics", ("frechet", "kernel", "neighbours")),
        ("all metrics", FAMILIES),
    ):
        quality = Quality(extractor, real, families, 5000)

        @torch.no_grad()
        def evaluate(quality: Quality = quality) -> None:
            events = (generator(part) for part in latents)
            quality.measure(features_of(extractor, events, "samples", 5000))

        @torch.no_grad()
        def draw() -> None:
            for part in latents:
                generator(part)

        found = [(seconds(evaluate), seconds(draw)) for _ in range(ROUNDS)]
        took, drawn = (median(part) for part in zip(*found, strict=True))
        what = f"5,000 samples of DCGANGenerator on Digits, {told}"
        print(f"| {what} | {took:.2f} s | {drawn:.2f} s of it sampling |", flush=True)


def inception() -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    from lightning_gans.data.batches import to_bytes
    from lightning_gans.metrics.inception import Inception

    load, FeatureExtractorInceptionV3.load_state_dict = torch.load, lambda self, state: None
    torch.load = lambda *args, **options: {}
    theirs = FeatureExtractorInceptionV3(
        "random", ["2048", "logits_unbiased"], feature_extractor_weights_path="none"
    )
    torch.load = load
    del FeatureExtractorInceptionV3.load_state_dict
    with tempfile.TemporaryDirectory() as folder:
        torch.save(theirs.state_dict(), path := Path(folder, "random.pth"))
        ours = Inception(path, any_digest=True)
    images = torch.rand(32, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        compare(
            "32 images through TF-Inception (random weights)",
            ours=lambda: ours(images),
            torch_fidelity=lambda: theirs(to_bytes(images)),
        )


def epoch() -> None:
    """Seconds of training and of evaluating in a run that evaluates after each of six epochs."""
    from lightning_gans.__main__ import main
    from lightning_gans.callbacks import QualityMetrics

    due, times = QualityMetrics.on_train_epoch_end, []

    def timed(self, *args: object) -> None:
        times.append(time.perf_counter())
        due(self, *args)
        times.append(time.perf_counter())

    QualityMetrics.on_train_epoch_end = timed
    config = Path(__file__).resolve().parents[1] / "configs/dcgan.yaml"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        options = ["--quality.every_n_epochs=1", "--trainer.max_epochs=6", "--run.wandb=disabled"]
        main(["fit", f"--config={config}", *options, "--trainer.accelerator=cpu"])
        os.chdir(config.parent)
    training = median(times[i + 1] - times[i] for i in range(1, len(times) - 1, 2))
    evaluating = median(times[i + 1] - times[i] for i in range(0, len(times), 2))
    print(
        f"| an epoch of configs/dcgan.yaml | {training:.2f} s | an evaluation every ten epochs "
        f"{evaluating:.2f} s: {evaluating / 10 / training:.1%} more |"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    np.random.seed(0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("| what | ours | others, or of it |\n|---|---|---|")
    for part in sys.argv[1:] or PARTS:
        globals()[part]()
