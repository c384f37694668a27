"""What quality costs beside other programs: python benchmarks/quality.py [part ...].

Medians of three, seconds, on one thread; memory is the growth of the process's peak.
"""

import resource
import subprocess
import sys
import time
from statistics import median

import numpy as np
import torch

PARTS = ("frechet", "few", "prdc", "evaluation", "inception")


def seconds(function, times: int = 3) -> float:
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        spent.append(time.perf_counter() - start)
    return median(spent)


def say(what: str, ours: float, **others: float) -> None:
    told = ", ".join(f"{k} {v:.2f} s ({v / ours:.1f} times)" for k, v in others.items())
    print(f"{what}: ours {ours:.2f} s; {told}", flush=True)


def features(n: int, exponent: float, seed: int, d: int = 2048) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    scale = torch.arange(1, d + 1, dtype=torch.float64) ** (-exponent / 2)
    basis = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=source))[0]
    return (torch.randn(n, d, dtype=torch.float64, generator=source) * scale) @ basis + 0.4


def frechet(fakes: int = 5000) -> None:
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
    say(
        f"Frechet distance, d = 2048, 5000 real and {fakes} generated, real side cached",
        seconds(ours),
        torchmetrics=seconds(
            lambda: _compute_fid(one.mean, one.covariance, two.mean, two.covariance)
        ),
        torch_fidelity=seconds(lambda: fid_statistics_to_metric(*parts, verbose=False)),
    )


def few() -> None:
    frechet(1000)


def peak(code: str) -> float:
    """Seconds and MiB of peak memory that ``code`` adds, in a process of its own."""
    program = f"""
import resource, time, numpy, torch
torch.set_num_threads(1)
real, fake = (numpy.random.default_rng(s).normal(size=(10000, 512)) for s in (0, 1))
import prdc
from lightning_gans.metrics.functional import balls, precision_recall_density_coverage
a, b = torch.from_numpy(real), torch.from_numpy(fake)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
{code}
print(time.perf_counter() - start)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return [float(line) for line in out.stdout.split()[-2:]]


def prdc() -> None:
    theirs = peak(
        "import prdc.prdc as p\n"
        "whole = p.sklearn.metrics.pairwise_distances\n"
        "p.sklearn.metrics.pairwise_distances = "
        "lambda *a, **k: whole(*a, **{**k, 'n_jobs': 1})\n"
        "prdc.compute_prdc(real, fake, 5)"
    )
    ours = peak("precision_recall_density_coverage(balls(a, 5), balls(b, 5))")
    print(
        f"precision to coverage, 10,000 and 10,000, d = 512: ours {ours[0]:.1f} s, {ours[1]:.0f} "
        f"MiB; prdc with one job {theirs[0]:.1f} s, {theirs[1]:.0f} MiB",
        flush=True,
    )


def evaluation() -> None:
    from lightning_gans.data import Digits
    from lightning_gans.metrics.defaults import own_extractor
    from lightning_gans.metrics.quality import FAMILIES, Quality
    from lightning_gans.metrics.reference import features_of, reference
    from lightning_gans.networks import DCGANGenerator

    data, generator = Digits(32), DCGANGenerator(32, 1).eval()
    extractor = own_extractor(data)
    real = reference(data, extractor)
    for families in (("frechet", "kernel", "neighbours"), FAMILIES):
        quality = Quality(extractor, real, families, 5000)

        @torch.no_grad()
        def evaluate(quality=quality):
            latents = torch.randn(5000, 100).split(500)
            events = (generator(part) for part in latents)
            quality.measure(features_of(extractor, events, "samples", 5000))

        print(
            f"5,000 samples on Digits, {', '.join(families)}: {seconds(evaluate):.2f} s", flush=True
        )


def inception() -> None:
    import tempfile
    from pathlib import Path

    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    from lightning_gans.metrics.features import to_bytes
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
    images = torch.rand(64, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        their = seconds(lambda: theirs(to_bytes(images)))
        own = seconds(lambda: ours(images))
    print(f"Inception: ours {64 / own:.1f} images/s, torch-fidelity {64 / their:.1f}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    np.random.seed(0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for part in sys.argv[1:] or PARTS:
        globals()[part]()
