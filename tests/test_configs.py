"""Every shipped YAML is a claim: it has a header, it parses, it trains a step."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import lightning_gans.models
from lightning_gans.models.em import ExpectationMaximisation
from lightning_gans.runs import MetricsFile
from tests.conftest import ROOT

EXPERIMENTS = sorted(
    path
    for pattern in ("*.yaml", "benchmarks/*.yaml")
    for path in (ROOT / "configs").glob(pattern)
    if path.name != "defaults.yaml"
)
OFFLINE = ("data.Digits", "data.Ring", "data.Grid", "data.RandomMixture", "data.GaussianChain")
OVERLAYS = sorted([*ROOT.glob("configs/data/*.yaml"), *ROOT.glob("configs/trainer/*.yaml")])
LOSSES = ("train/discriminator_loss", "train/nll")
STEP = [
    "--trainer.log_every_n_steps=1",
    "--trainer.accelerator=cpu",
    "--data.init_args.batch_size=2",
    "--checkpoints.every_n_minutes=null",
    "--quality.every_n_epochs=0",  # each set and size would train a classifier
]


def name(path):
    return str(path.relative_to(ROOT / "configs"))


def two_moves(path: Path) -> list[str]:
    """Enough steps for two moves: GEAN and expectation-maximisation move once a window."""
    model = yaml.safe_load(path.read_text())["model"]
    name = model["class_path"].rsplit(".", 1)[-1]
    if "Mixture" in name:  # a window is an epoch; in a short one components die
        few = ["--data.init_args.batch_size=16", "--model.init_args.components=2"]
        return ["--trainer.max_steps=4", "--trainer.limit_train_batches=2", *few]
    if issubclass(getattr(lightning_gans.models, name), ExpectationMaximisation):
        return ["--model.init_args.window=1", "--trainer.max_steps=2"]
    return [f"--trainer.max_steps={2 * model['init_args'].get('window', 1)}"]


def images_for(path: Path, folder: Path, size: int = 40) -> list[str]:
    """Options that put images of the test in the place of the set that ``path`` asks for."""
    text = path.read_text()
    if "data.Folder" in text:
        classes = folder / "images/cats"
        classes.mkdir(parents=True)
        for i in range(30):
            pixels = np.random.default_rng(i).integers(0, 255, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(classes / f"{i}.png")
        return [f"--data.init_args.root={folder / 'images'}"]
    if any(own in text for own in OFFLINE):
        return []
    if "data.StackedMNIST" in text:
        (folder / "stacked.yaml").write_text(
            "data: {class_path: lightning_gans.data.StackedDigits}"
        )
        # Its modes are tested where they are counted: here each size would train a classifier.
        return [f"--config={folder / 'stacked.yaml'}", "--modes.every_n_epochs=0"]
    channels = 3 if any(rgb in text for rgb in ("CIFAR", "CelebA", "SVHN", "STL10")) else 1
    shape = (30, size, size, 3) if channels == 3 else (30, size, size)
    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    np.savez(folder / "images.npz", images=pixels)
    size = next(
        line.split(":")[1].strip()
        for line in text.splitlines()
        if "image_size: " in line and "$" not in line
    )
    overlay = folder / "own.yaml"
    overlay.write_text(
        "data: {class_path: lightning_gans.data.Arrays, init_args: "
        f"{{path: {folder / 'images.npz'}, image_size: {size}}}}}\n"
    )
    return [f"--config={overlay}"]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_an_experiment_trains_a_step_and_samples(path, lightning, tmp_path):
    options = [*images_for(path, tmp_path), *STEP, *two_moves(path)]
    answer = lightning("fit", f"--config={path}", *options)
    assert answer.code == 0, answer.err
    run = tmp_path / "runs" / path.stem / "version_0"
    metrics = MetricsFile(run / "metrics.csv")
    loss = next(name for name in LOSSES if name in metrics.columns)
    _, losses = metrics.series("step", loss)
    assert len(losses) == 2 and all(np.isfinite(losses))
    checkpoint = run / "checkpoints/final.ckpt"
    assert lightning("sample", f"--ckpt_path={checkpoint}", "-n=3", "--out=s.npz").code == 0
    with np.load("s.npz") as samples:
        assert samples["samples"].shape[0] == 3 and np.isfinite(samples["samples"]).all()


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_an_experiment_claims_paper_cost_result_and_command(path):
    header = "".join(line for line in path.read_text().splitlines(True) if line.startswith("#"))
    for claim in ("Paper:", "Cost:", "Expect:", "Run:"):
        assert claim in header, claim
    assert "TODO" not in header
    assert f"lightning fit --config configs/{name(path)} " in header.replace("\n", " ")
    assert "@" not in header


@pytest.mark.parametrize("path", OVERLAYS, ids=name)
def test_an_overlay_says_what_it_is_and_parses(path, lightning):
    assert path.read_text().startswith("# ")
    answer = lightning("fit", "--config=configs/dcgan.yaml", f"--config={path}", "--print_config")
    assert answer.code == 0, answer.err
    networks = yaml.safe_load(answer.out)["model"]["init_args"]
    channels = [networks[n]["init_args"]["channels"] for n in ("generator", "discriminator")]
    colour = path.stem in ("cifar10", "folder")
    assert channels == ([3, 3] if colour else [1, 1])


def test_a_shipped_config_is_found_from_anywhere(lightning):
    for given in ("configs/ring.yaml", "ring.yaml", "configs/data/mnist.yaml"):
        args = ["--config=configs/dcgan.yaml", f"--config={given}"]
        assert lightning("fit", *args, "--print_config").code == 0


@pytest.mark.skipif("LIGHTNING_GANS_DATA" not in os.environ, reason="LIGHTNING_GANS_DATA is unset")
def test_the_real_mnist_trains(lightning):
    options = [
        "--trainer.max_steps=60",
        "--trainer.log_every_n_steps=10",
        "--trainer.accelerator=cpu",
    ]
    networks = ["generator", "discriminator"]
    options += [f"--model.init_args.{n}.init_args.base_channels=8" for n in networks]
    options += ["--quality.every_n_epochs=0"]  # its classifier takes a minute to train
    answer = lightning("fit", "--config=configs/dcgan_mnist.yaml", *options)
    assert answer.code == 0, answer.err
    run = Path("runs/dcgan_mnist/version_0")
    metrics = MetricsFile(run / "metrics.csv")
    name = next(n for n in ("train/discriminator_loss", "train/nll") if n in metrics.columns)
    _, losses = metrics.series("step", name)
    assert losses[-1] < losses[0] and all(0 < loss < 5 for loss in losses)
    content = torch.load(run / "checkpoints/final.ckpt", weights_only=True)
    assert content["clock"]["batches_seen"] == 60
