"""The command line as a user types it: what runs, what it leaves, and what it answers."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from lightning_gans import __version__
from lightning_gans.arguments import with_configs
from lightning_gans.catalogue import public_names
from lightning_gans.runs import MetricsFile
from tests.conftest import ROOT, TINY_IMAGES


def load(path):
    return torch.load(path, weights_only=True)


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def same_weights(a, b):
    first, second = load(a)["state_dict"], load(b)["state_dict"]
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_leaves_what_a_user_expects(trained):
    files = {str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file()}
    assert files == {
        "config.yaml",
        "checkpoints/final.ckpt",
        "checkpoints/last.ckpt",
        "curves.png",
        "metrics.csv",
        "run.json",
        "times.tsv",
        "samples/real.png",
        "samples/epoch_00001_samples_000000192.png",
        "samples/epoch_00002_samples_000000384.png",
    }
    grid = picture(trained / "samples/epoch_00002_samples_000000384.png")
    assert grid.shape == (8 * 34 + 2, 8 * 34 + 2, 3) and 10 < grid.mean() < 245


def test_metrics_have_one_row_a_report(lightning):
    answer = lightning(
        "fit",
        *TINY_IMAGES,
        "--trainer.max_epochs=4",
        "--trainer.log_every_n_steps=5",
        "--trainer.limit_train_batches=5",
        "--trainer.check_val_every_n_epoch=2",
    )
    assert answer.code == 0, answer.err
    metrics = MetricsFile(Path("runs/dcgan/version_0/metrics.csv"))
    seen, losses = metrics.series("samples_seen", "train/generator_loss")
    assert seen == [320, 640, 960, 1280]
    assert all(0.05 < loss < 20 for loss in losses)
    assert metrics.series("step", "train/discriminator_loss")[0] == [4, 9, 14, 19]
    assert metrics.series("samples_seen", "val/generator_loss")[0] == [640, 1280]


def test_the_saved_config_reproduces_itself_and_the_weights(trained, lightning):
    answer = lightning("fit", "--config", str(trained / "config.yaml"))
    assert answer.code == 0, answer.err
    again = trained.parent / "version_1"
    assert (again / "config.yaml").read_text() == (trained / "config.yaml").read_text()
    assert same_weights(again / "checkpoints/final.ckpt", trained / "checkpoints/final.ckpt")


def test_another_seed_gives_other_weights(trained, lightning):
    answer = lightning("fit", f"--config={trained / 'config.yaml'}", "--seed_everything=1")
    assert answer.code == 0, answer.err
    again = trained.parent / "version_1/checkpoints/final.ckpt"
    assert not same_weights(again, trained / "checkpoints/final.ckpt")


LONG = [*TINY_IMAGES, "--trainer.limit_train_batches=7", "--trainer.log_every_n_steps=3"]
LONG += ["--trainer.check_val_every_n_epoch=1"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def whole(lightning, kept):
    """The run folder of 17 batches, seven an epoch, without a break; run once for all tests."""
    if not (run := kept / "whole/version_0").exists():
        once = ["--trainer.max_steps=17", "--run.experiment=whole", f"--run.folder={kept}"]
        assert lightning("fit", *LONG, *once).code == 0
    return run


def assert_same_run(run, whole):
    ours, theirs = (load(folder / "checkpoints/final.ckpt") for folder in (run, whole))
    assert same_weights(run / "checkpoints/final.ckpt", whole / "checkpoints/final.ckpt")
    assert ours["clock"] == theirs["clock"] and ours["global_step"] == 17
    assert (run / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    assert not (run.parent / "version_1").exists()


@pytest.mark.parametrize(
    "stop",
    ["trainer.max_steps=5", "trainer.max_epochs=2"],
)
def test_a_run_continued_is_the_uninterrupted_one_bit_for_bit(whole, lightning, stop):
    assert lightning("fit", *LONG, f"--{stop}", "--run.experiment=parts").code == 0
    more = ["--trainer.max_steps=17", "--run.experiment=parts", "--ckpt_path=last"]
    answer = lightning("fit", *LONG, *more)
    assert answer.code == 0, answer.err
    assert_same_run(Path("runs/parts/version_0"), whole)


def test_a_run_continued_twice_is_still_the_uninterrupted_one(whole, lightning):
    parts = ["fit", *LONG, "--run.experiment=parts"]
    assert lightning(*parts, "--trainer.max_steps=7").code == 0
    for stop in (14, 17, 17):
        answer = lightning(*parts, f"--trainer.max_steps={stop}", "--ckpt_path=last")
        assert answer.code == 0, answer.err
    assert_same_run(Path("runs/parts/version_0"), whole)


def test_a_finished_run_stays_finished(lightning):
    finish = [*LONG, "--trainer.max_epochs=2", "--run.experiment=done"]
    assert lightning("fit", *finish).code == 0
    for _ in range(2):
        assert lightning("fit", *finish, "--ckpt_path=last").code == 0
    final = load("runs/done/version_0/checkpoints/final.ckpt")
    assert final["clock"]["batches_seen"] == 14


def test_last_is_of_the_run_whose_config_is_given(trained, lightning):
    config = f"--config={trained / 'config.yaml'}"
    assert lightning("fit", config, "--seed_everything=1").code == 0
    younger = trained.parent / "version_1/checkpoints/final.ckpt"
    before = younger.read_bytes()
    answer = lightning("fit", config, "--ckpt_path=last", "--trainer.max_epochs=3")
    assert answer.code == 0, answer.err
    assert load(trained / "checkpoints/final.ckpt")["clock"]["batches_seen"] == 9
    assert younger.read_bytes() == before


def test_a_learning_rate_changed_on_resume_is_used(trained, lightning):
    rate = "--model.init_args.generator_optimizer.init_args.lr=0.0123"
    answer = lightning(
        "fit",
        f"--config={trained / 'config.yaml'}",
        "--ckpt_path=last",
        "--trainer.max_epochs=3",
        rate,
        "--force",
    )
    assert answer.code == 0, answer.err
    states = load(trained / "checkpoints/final.ckpt")["optimizer_states"]
    assert [state["param_groups"][0]["lr"] for state in states] == [3e-4, 0.0123]


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "bf16-mixed"])
def test_other_precisions_train_sample_and_continue(lightning, precision):
    options = ["--config=configs/lsgan.yaml", *LONG[1:], f"--trainer.precision={precision}"]
    assert lightning("fit", *options, "--trainer.max_steps=9", "--run.experiment=a").code == 0
    assert lightning("fit", *options, "--trainer.max_steps=4", "--run.experiment=b").code == 0
    answer = lightning(
        "fit", *options, "--trainer.max_steps=9", "--run.experiment=b", "--ckpt_path=last"
    )
    assert answer.code == 0, answer.err
    a, b = Path("runs/a/version_0"), Path("runs/b/version_0")
    states = [load(run / "checkpoints/final.ckpt")["state_dict"] for run in (a, b)]
    # In 64 bits torch keeps Adam's count of steps in 64 and brings it back in 32.
    tolerance = 1e-6 if precision == "64-true" else 0
    torch.testing.assert_close(*states, rtol=tolerance, atol=tolerance)
    if tolerance == 0:
        assert (a / "metrics.csv").read_text() == (b / "metrics.csv").read_text()
    _, losses = MetricsFile(a / "metrics.csv").series("step", "train/generator_loss")
    assert len(losses) == 3 and all(np.isfinite(losses))


def test_a_checkpoint_that_names_foreign_code_is_refused_unless_trusted(lightning):
    # A function of its own: jsonargparse remembers one object by the last name it was given.
    Path("theirs.py").write_text(
        "from lightning_gans.objectives import hinge\n\n\n"
        "def own(real, fake):\n    return hinge(real, fake)\n"
    )
    own = ["--model.objective=theirs.own", "--trainer.max_steps=2"]
    answer = lightning("fit", *TINY_IMAGES, *own)
    assert answer.code == 0, answer.err
    checkpoint = "--ckpt_path=runs/dcgan/version_0/checkpoints/final.ckpt"
    for command in (["sample"], ["test"]):
        answer = lightning(*command, checkpoint)
        assert answer.code == 2 and "theirs.own" in answer.err and "--trust" in answer.err
        assert lightning(*command, checkpoint, "--trust").code == 0


def test_a_penalty_and_a_schedule_of_ones_own_as_the_guide_writes_them(lightning):
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    Path("guide.py").write_text(re.findall(r"```python\n(.*?)```", guide, re.S)[1])
    command = re.search(r"lightning (fit .*mine\.Slope.*)\n", guide)[1].replace("mine.", "guide.")
    options = command.split()[3:]
    assert command.startswith("fit --config configs/dcgan.yaml ") and len(options) == 5
    answer = lightning("fit", *TINY_IMAGES, *options, "--trainer.max_steps=2")
    assert answer.code == 0, answer.err
    model = yaml.safe_load(Path("runs/dcgan/version_0/config.yaml").read_text())["model"]
    assert model["init_args"]["penalties"] == [
        {"class_path": "guide.Slope", "init_args": {"weight": 0.2}}
    ]
    assert model["init_args"]["schedule"]["class_path"] == "guide.Twice"


BROKEN = {
    "--model.penalties+=broken.PerSample": "the penalty PerSample must return one number",
    "--model.penalties+=broken.Typo": "the penalty Typo failed: 'Judged' object has no attribute",
    "--model.schedule=broken.Flat": "Flat gives the turns ('generator',)",
    "--model.objective=broken.constant": "the generator's loss does not depend on its weights",
}


@pytest.mark.parametrize("option", BROKEN)
def test_a_part_of_ones_own_that_is_wrong_is_named(option, lightning):
    Path("broken.py").write_text(
        "from lightning_gans.objectives import Penalty, non_saturating\n"
        "from lightning_gans.schedules import Schedule\n"
        "class PerSample(Penalty):\n"
        "    def __call__(self, judged):\n"
        "        return judged.real_logits\n"
        "class Typo(Penalty):\n"
        "    def __call__(self, judged):\n"
        "        return judged.reel\n"
        "class Flat(Schedule):\n"
        "    def __call__(self, clock):\n"
        "        return ('generator',)\n"
        "def constant(real, fake):\n"
        "    return non_saturating(real, fake)._replace(generator=fake.detach() * 0)\n"
    )
    answer = lightning("fit", *TINY_IMAGES, option, "--trainer.max_steps=2")
    assert answer.code == 2 and BROKEN[option] in answer.err and "Traceback" not in answer.err
    assert not list(Path().glob("runs/*/version_*"))


RIVALS = ["VAE", "TwoStageVAE", "HMM", "Categorical", "DiagonalGaussian", "FullGaussian"]
RIVALS += ["GaussianMixture", "GaussianMixtureByGradient", "MixtureOfFactorAnalysers"]
PRESETS = ["GAN", "LSGAN", "WGAN", "WGANGP", "DRAGAN", "SNGAN", "R3GAN", "GEAN"]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_named_model_takes_over_a_configs_networks_and_writes_itself_down(preset, lightning):
    options = [*TINY_IMAGES, f"--model={preset}", "--trainer.max_steps=2"]
    options += ["--model.window=2"] if preset == "GEAN" else []
    assert lightning("fit", *options).code == 0
    written = Path("runs/dcgan/version_0/config.yaml")
    model = yaml.safe_load(written.read_text())["model"]
    assert model["class_path"] == f"lightning_gans.models.{preset}"
    assert model["init_args"]["generator"]["init_args"]["base_channels"] == 4
    again = lightning("fit", f"--config={written}", "--run.experiment=again")
    assert again.code == 0, again.err
    weights = [
        torch.load(f"runs/{run}/version_0/checkpoints/final.ckpt", weights_only=True)["state_dict"]
        for run in ("dcgan", "again")
    ]
    torch.testing.assert_close(*weights, rtol=0, atol=0)


def test_processes_are_started_with_options_that_they_read_alike():
    """A model that was swapped has its settings in the line itself."""
    options = ["--model=R3GAN", "--trainer.devices=2"]
    args = with_configs(["fit", "--config=configs/ring.yaml", *options])
    assert any("R3GAN" in arg and "init_args" in arg for arg in args)
    assert with_configs(args) == args


def test_what_a_named_model_does_not_know_is_left_out_and_said(lightning):
    answer = lightning("fit", "--config=configs/gean.yaml", "--model=GAN", "--trainer.max_steps=1")
    assert answer.code == 0 and "left out of the config: window, unknown to GAN" in answer.err
    model = yaml.safe_load(Path("runs/gean/version_0/config.yaml").read_text())["model"]
    assert model["class_path"].endswith(".GAN") and "window" not in model["init_args"]


def test_a_scheduler_is_not_taken_over_from_another(lightning):
    options = [*TINY_IMAGES, "--trainer.max_steps=2"]
    cosine = ["--model.generator_scheduler=torch.optim.lr_scheduler.CosineAnnealingLR"]
    cosine += ["--model.generator_scheduler.T_max=9"]
    assert lightning("fit", *options, *cosine).code == 0
    last = ["--trainer.max_steps=3", "--ckpt_path=last"]
    answer = lightning("fit", *options, *last)
    assert answer.code == 2 and "was trained with generator_scheduler" in answer.err
    assert lightning("fit", *options, *cosine, *last).code == 0


def test_every_named_model_is_tried_here():
    named = {name for name, _ in public_names("models")}
    assert named == {*PRESETS, *RIVALS}


def test_an_objective_of_ones_own_as_the_guide_writes_it(lightning):
    """CONTRIBUTING.md's file, outside the package, by its command; it is what then is minimised."""
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    Path("mine.py").write_text(re.findall(r"```python\n(.*?)```", guide, re.S)[0])
    assert "lightning fit --config configs/dcgan.yaml --model.objective mine.one_sided" in guide
    options = [*TINY_IMAGES, "--trainer.max_steps=3", "--trainer.log_every_n_steps=1"]
    logged = {}
    for objective in ("mine.one_sided", "lightning_gans.objectives.Smoothed", None):
        chosen = [] if objective is None else [f"--model.objective={objective}"]
        assert lightning("fit", *options, *chosen, f"--run.experiment={objective}").code == 0
        rows = MetricsFile(Path(f"runs/{objective}/version_0/metrics.csv"))
        logged[objective] = rows.series("step", "train/discriminator_loss")[1]
    ours, shipped, plain = (np.array(losses) for losses in logged.values())
    assert np.abs(ours - shipped).max() < 1e-6 < np.abs(ours - plain).min()


@pytest.mark.parametrize("every", [4])
def test_an_older_checkpoint_does_the_rest_again_not_twice(whole, lightning, every):
    options = [*LONG, f"--checkpoints.every_n_batches={every}", "--trainer.max_steps=17"]
    assert lightning("fit", *options).code == 0
    run = Path("runs/dcgan/version_0")
    names = [f"batch_{n:08d}.ckpt" for n in range(every, 18, every)]
    kept = sorted(path.name for path in run.glob("checkpoints/*"))
    assert kept == [*names, "final.ckpt", "last.ckpt"]
    answer = lightning("fit", *options, f"--ckpt_path={run}/checkpoints/{names[0]}")
    assert answer.code == 0, answer.err
    assert_same_run(run, whole)


def test_dropout_goes_on_with_the_same_random_numbers(lightning):
    """The 28-pixel discriminator draws from torch's global generator."""
    networks = "lightning_gans.networks.Conv28"
    Path("c.yaml").write_text(
        "model: {class_path: GAN, init_args: {"
        f"generator: {{class_path: {networks}Generator}},"
        f"discriminator: {{class_path: {networks}Discriminator}}}}}}\n"
        "data: {class_path: Digits, init_args: {image_size: 28, batch_size: 4}}\n"
        "trainer: {accelerator: cpu}\n"
    )
    assert (
        lightning("fit", "--config=c.yaml", "--trainer.max_steps=4", "--run.experiment=a").code == 0
    )
    assert lightning("fit", "--config=c.yaml", "--trainer.max_steps=2").code == 0
    answer = lightning("fit", "--config=c.yaml", "--trainer.max_steps=4", "--ckpt_path=last")
    assert answer.code == 0, answer.err
    final = "version_0/checkpoints/final.ckpt"
    assert same_weights(f"runs/c/{final}", f"runs/a/{final}")


def test_what_the_user_says_wins_over_the_checkpoint(trained, lightning):
    answer = lightning(
        "fit",
        f"--config={trained / 'config.yaml'}",
        "--ckpt_path=last",
        "--trainer.max_epochs=3",
        "--model.init_args.objective=lightning_gans.objectives.hinge",
        "--force",
    )
    assert answer.code == 0, answer.err
    assert "objectives.hinge" in (trained / "config_from_00000006.yaml").read_text()
    assert "objectives.hinge" not in (trained / "config.yaml").read_text()
    assert load(trained / "checkpoints/final.ckpt")["clock"]["batches_seen"] == 9


def test_values_that_others_refer_to_can_be_overridden(lightning):
    answer = lightning(
        "fit", "--config=configs/dcgan.yaml", "--data.init_args.image_size=64", "--print_config"
    )
    config = yaml.safe_load(answer.out)
    networks = config["model"]["init_args"]
    assert networks["generator"]["init_args"]["image_size"] == 64
    assert networks["discriminator"]["init_args"]["image_size"] == 64


def test_a_second_config_is_laid_over_the_first(lightning):
    Path("mine.yaml").write_text("data: {init_args: {batch_size: 17, image_size: 128}}\n")
    answer = lightning("fit", "--config=configs/dcgan.yaml", "--config=mine.yaml", "--print_config")
    config = yaml.safe_load(answer.out)
    assert config["data"]["init_args"]["batch_size"] == 17
    assert config["model"]["init_args"]["generator"]["init_args"]["image_size"] == 128


@pytest.mark.parametrize("command", ["validate", "test"])
def test_losses_of_a_checkpoint_alone(trained, lightning, command):
    answer = lightning(command, f"--ckpt_path={trained}/checkpoints/final.ckpt")
    assert answer.code == 0, answer.err
    assert "discriminator_loss" in answer.out and "generator_loss" in answer.out
    assert sorted(path.name for path in trained.parent.iterdir()) == ["version_0"]


def test_predict_writes_the_logits(trained, lightning):
    answer = lightning("predict", f"--ckpt_path={trained}/checkpoints/final.ckpt")
    assert answer.code == 0, answer.err
    with np.load(trained / "predictions.npz") as predictions:
        assert predictions["logits"].shape == predictions["labels"].shape == (180,)
        assert np.isfinite(predictions["logits"]).all()


def test_samples_of_a_checkpoint_alone(trained, lightning, tmp_path):
    checkpoint = f"--ckpt_path={(trained / 'checkpoints/final.ckpt').resolve()}"
    for out in ("grid.png", "deep/numbers.npz", "folder"):
        answer = lightning("sample", checkpoint, "-n", "5", "--out", out)
        assert answer.code == 0, answer.err
    with np.load("deep/numbers.npz") as numbers:
        samples = numbers["samples"]
    assert samples.shape == (5, 1, 32, 32) and samples.dtype == np.float32
    images = sorted(Path("folder").iterdir())
    assert len(images) == 5
    third = picture(images[2])[:, :, 0].astype(float)
    assert third.shape == (32, 32)
    assert np.abs(third - (samples[2, 0] + 1) * 127.5).max() <= 1
    assert picture("grid.png").shape == (2 * 34 + 2, 3 * 34 + 2, 3)


def test_the_samples_of_a_seed_are_those_of_the_run(trained, lightning):
    lightning("sample", f"--ckpt_path={trained}/checkpoints/final.ckpt", "--out=grid.png")
    last = trained / "samples/epoch_00002_samples_000000384.png"
    assert Path("grid.png").read_bytes() == last.read_bytes()


def test_ring_samples_are_points(lightning):
    answer = lightning(
        "fit", "--config=configs/ring.yaml", "--trainer.max_steps=3", "--trainer.accelerator=cpu"
    )
    assert answer.code == 0, answer.err
    checkpoint = "--ckpt_path=runs/ring/version_0/checkpoints/last.ckpt"
    assert lightning("sample", checkpoint, "-n", "9", "--out=points.npz").code == 0
    with np.load("points.npz") as numbers:
        assert numbers["samples"].shape == (9, 2)
    assert lightning("sample", checkpoint, "-n", "9", "--out=points.png").code == 0
    assert picture("points.png").shape == (500, 500, 3)
    assert lightning("sample", checkpoint, "--out=folder").code == 2


def test_list_names_everything(lightning):
    answer = lightning("list")
    assert answer.code == 0
    for name in (
        "models.GAN",
        "data.Digits",
        "networks.DCGANGenerator",
        "objectives.hinge",
        "schedules.Alternating",
        "configs/dcgan.yaml",
        "configs/data/mnist.yaml",
    ):
        assert name in answer.out
    assert all(
        len(line.split("  ")) > 1 for line in answer.out.splitlines() if line.startswith("  ")
    )
    assert "objectives." not in lightning("list", "models").out


def test_help_and_version_need_no_torch():
    for arg, expected in (("--help", "lightning fit"), ("--version", __version__), ("list", "GAN")):
        code = (
            "import sys; from lightning_gans.__main__ import main; "
            f"code = main(['{arg}']); assert 'torch' not in sys.modules; sys.exit(code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout


def test_a_reader_that_has_read_enough_ends_a_list_in_silence():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "lightning_gans", "list"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_module_and_both_scripts_are_the_same_command():
    scripts = Path(sys.executable).parent
    for command in (
        [sys.executable, "-m", "lightning_gans"],
        [scripts / "lightning"],
        [scripts / "lightning-gans"],
    ):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True)
        assert done.stdout == f"lightning-gans {__version__}\n"


def test_fit_help_names_our_options(lightning):
    out = lightning("fit", "--help").out
    for option in (
        "--run.experiment",
        "--samples.every_n_epochs",
        "--checkpoints.every_n_batches",
        "--ckpt_path",
    ):
        assert option in out


def test_an_offline_run_of_wandb_holds_losses_and_samples(lightning, monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(Path.cwd()))
    monkeypatch.setenv("NETRC", str(Path.cwd() / "netrc"))
    answer = lightning(
        "fit", *TINY_IMAGES, "--trainer.max_steps=4", "--trainer.log_every_n_steps=2"
    )
    assert answer.code == 0, answer.err
    assert "wandb" not in answer.out + answer.err
    run = Path("runs/dcgan/version_0/wandb")
    (offline,) = run.glob("offline-run-*")
    assert list(offline.glob("files/media/images/samples_*.png"))
    (binary,) = offline.glob("run-*.wandb")
    for _ in range(60):  # a process of wandb's own writes it, when it is given time
        content = binary.read_bytes()
        if b"train/generator_loss" in content and b"samples_seen" in content:
            break
        time.sleep(1)
    assert b"train/generator_loss" in content and b"samples_seen" in content
    assert (run.parent / "wandb_id").read_text() in offline.name


def test_debug_shows_the_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "lightning_gans", "sample", "--ckpt_path", "none.ckpt"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "LIGHTNING_GANS_DEBUG": "1"},
    )
    assert "Traceback" in done.stderr and "InputError" in done.stderr


def test_the_checkpoint_holds_the_config(trained):
    content = load(trained / "checkpoints/final.ckpt")
    assert content["config"] == yaml.safe_load((trained / "config.yaml").read_text())
    json.dumps(content["config"])
