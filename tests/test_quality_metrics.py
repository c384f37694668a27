"""Quality in real runs: by default, beside training and never in its way; tables; evaluate."""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import distributed
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision.models import shufflenet_v2_x0_5

from lightning_gans.callbacks.best import badness
from lightning_gans.callbacks.drawing import shared_features
from lightning_gans.callbacks.quality import _picked
from lightning_gans.data import Digits
from lightning_gans.metrics import Measured
from lightning_gans.metrics.defaults import own_extractor
from lightning_gans.metrics.features import Flat
from lightning_gans.metrics.functional import frechet_distance
from lightning_gans.metrics.quality import Quality
from lightning_gans.metrics.reference import reference
from lightning_gans.runs import MetricsFile
from lightning_gans.sampling import load_model
from lightning_gans.seeds import Stream, mix
from tests.conftest import TINY_IMAGES

FIT = [
    "fit",
    *TINY_IMAGES,
    "--data.image_size=32",
    "--trainer.max_epochs=4",
    "--trainer.limit_train_batches=3",
    "--trainer.check_val_every_n_epoch=2",
    "--quality.every_n_epochs=null",
]
LOGGED = ["fd_digits", "kd_digits", "precision", "recall", "density", "coverage"]


def rows_of(run) -> list[dict]:
    return [json.loads(line) for line in Path(run, "quality.jsonl").read_text().splitlines()]


def test_a_run_measures_quality_by_default(lightning):
    answer = lightning(*FIT)
    assert answer.code == 0, answer.err
    run = Path("runs/dcgan/version_0")
    rows = rows_of(run)
    assert [row["batch"] for row in rows] == [6, 12]
    found = {key.split("/")[1]: value for key, value in rows[-1]["metrics"].items()}
    assert found.keys() == set(LOGGED)
    # The same by hand, from the checkpoint.
    data = Digits(image_size=32)
    extractor = own_extractor(data)
    model = load_model(run / "checkpoints/final.ckpt")
    samples = torch.cat(
        [
            model.sample(size, torch.Generator().manual_seed(mix(Stream.EVALUATION, 0, chunk)))
            for chunk, size in enumerate((100, 100, 100, 60))
        ]
    )
    real = reference(data, extractor)
    expected = frechet_distance(real.train, extractor(samples).values)
    assert found["fd_digits"]["value"] == pytest.approx(expected, rel=1e-6)
    assert found["fd_digits"]["n"] == 360 and found["fd_digits"]["ideal"] < expected
    (protocol,) = rows[-1]["protocols"].values()
    assert protocol["digest"] == extractor.digest
    assert protocol["floors"].keys() == {"train_halves", "held_out"}
    metrics = MetricsFile(run / "metrics.csv")
    (column,) = [name for name in metrics.columns if name.endswith("/fd_digits")]
    assert column.startswith("quality/digits32-") and column.endswith("_train1437_n360/fd_digits")
    _, logged = metrics.series("samples_seen", column)
    assert logged == pytest.approx([row["metrics"]["digits32/fd_digits"]["value"] for row in rows])
    assert "fd_digits" in answer.out and "360 samples" in answer.out
    with Image.open(run / "quality/nearest.png") as picture:
        assert picture.size == (2 + 8 * 34, 2 + 8 * 34)


def test_the_events_at_an_index_are_picked():
    events = torch.arange(40).view(20, 2, 1, 1)
    index = torch.tensor([[19, 0], [7, 7], [8, 3]])
    assert torch.equal(_picked(iter(events.split(8)), index), events[index])


def weights_of(experiment):
    path = f"runs/{experiment}/version_0/checkpoints/final.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


def test_training_stays_the_same(lightning):
    for every in (0, 1):
        answer = lightning(
            *FIT,
            f"--quality.every_n_epochs={every}",
            "--quality.metrics=[frechet,memorisation]",
            f"--run.experiment=every{every}",
        )
        assert answer.code == 0, answer.err
    assert not Path("runs/every0/version_0/quality.jsonl").exists()
    rows = rows_of("runs/every1/version_0")
    assert len(rows) == 4 and all(
        0 <= row["metrics"]["membership_auc"]["value"] <= 1 for row in rows
    )
    without, with_it = weights_of("every0"), weights_of("every1")
    for name, tensor in without.items():
        assert torch.equal(tensor, with_it[name]), name


def test_a_run_that_goes_on_has_the_same_rows(lightning):
    once = lightning(*FIT, "--run.experiment=once")
    assert once.code == 0, once.err
    first = lightning(*FIT, "--run.experiment=twice", "--trainer.max_steps=8")
    assert first.code == 0, first.err
    assert [row["extra"] for row in rows_of("runs/twice/version_0")] == [False, True]
    second = lightning(*FIT, "--run.experiment=twice", "--ckpt_path=last")
    assert second.code == 0, second.err
    once, twice = (rows_of(f"runs/{name}/version_0") for name in ("once", "twice"))
    assert once == twice


def test_a_test_prints_a_table_of_all(lightning):
    assert lightning(*FIT).code == 0
    answer = lightning("test", "--ckpt_path=runs/dcgan/version_0/checkpoints/final.ckpt")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("metric"))
    table = {line.split()[0]: line.split() for line in lines[head + 2 :] if line.strip()}
    last = rows_of("runs/dcgan/version_0")[-1]["metrics"]
    for name in LOGGED:
        value = last[f"digits32/{name}"]["value"]
        assert float(table[f"digits32/{name}"][1]) == pytest.approx(value, rel=2e-4, abs=1e-4)
    for name in ("vendi", "score_digits", "mifd_digits", "authentic", "c_t"):
        assert f"digits32/{name}" in table
    assert 0 <= float(table["membership_auc"][1]) <= 1


def test_other_extractors_are_asked_for(lightning, tmp_path):
    answer = lightning(*FIT, "--quality.extractor=identity", "--quality.metrics=[frechet]")
    assert answer.code == 0, answer.err
    (row, *_) = rows_of("runs/dcgan/version_0")
    assert list(row["metrics"]) == ["pixels1024/fd_pixels"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--quality.n=3"], "quality.n is 3; it must be at least 10, or null"),
        (["--quality.every_n_epochs=-1"], "quality.every_n_epochs is -1; it must be at least 0"),
        (["--quality.extractor=resnot"], "the extractor is 'resnot'; it must be auto"),
        (["--quality.extractor=resnet18", "--quality.weights=no.pth"], "no.pth cannot be read"),
        (["--quality.weights=no.pth"], "whose weights are no.pth"),
        (["--quality.metrics=[fid]"], "quality.metrics"),
        (["--checkpoints.best=fidd"], "checkpoints.best is 'fidd'; it must begin with one of"),
    ],
)
def test_bad_options_get_one_message(lightning, options, message):
    answer = lightning(*FIT, *options)
    assert answer.code == 2 and message in answer.err and "Traceback" not in answer.err
    assert not Path("runs/dcgan").exists() or not list(Path("runs/dcgan").iterdir())


def broken(self, n, generator=None):
    return torch.full((n, 1, 32, 32), math.nan)


@pytest.mark.filterwarnings("always:.* samples are not finite")
@pytest.mark.parametrize("n", ["null", "500"])
def test_samples_that_are_not_numbers_stop_nothing(lightning, monkeypatch, n):
    from lightning_gans.models.latent import LatentGame

    monkeypatch.setattr(LatentGame, "sample", broken)
    answer = lightning(*FIT, f"--quality.n={n}")
    assert answer.code == 0, answer.err
    told = int(n) if n != "null" else 360
    assert f"warning: {told} of {told} samples are not finite: left out" in answer.err
    assert all(v["value"] is None for v in rows_of("runs/dcgan/version_0")[0]["metrics"].values())


def features(rank, world, n):
    def draw(n, source):
        return torch.randn(n, 3, generator=source)

    return shared_features(draw, Flat((3,)), n, 0, rank, world, torch.device("cpu")).values


def meet(rank):
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    return [features(rank, 2, n) for n in (460, 50)]  # of 50 the second process has none


def test_two_processes_have_the_features_of_one(pair):
    here, there = pair(meet)
    for n, one, two in zip((460, 50), here, there, strict=True):
        assert torch.equal(one, features(0, 1, n)) and torch.equal(one, two)


@pytest.mark.parametrize("metric", ["fd_digits", "recall"])
def test_the_best_checkpoint_is_kept_and_said(lightning, metric):
    answer = lightning(
        *FIT, "--quality.every_n_epochs=1", f"--checkpoints.best={metric}", "--trainer.max_epochs=5"
    )
    assert answer.code == 0, answer.err
    run = Path("runs/dcgan/version_0")
    values = [row["metrics"][f"digits32/{metric}"]["value"] for row in rows_of(run)]
    best = min(values) if metric == "fd_digits" else max(values)
    content = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    # The first of equal ones.
    assert content["clock"]["batches_seen"] == 3 * (values.index(best) + 1)
    assert content["best"]["value"] == pytest.approx(best, rel=1e-8)
    assert (
        f"best {metric}: {best:.4g} after {192 * (values.index(best) + 1):,} samples" in answer.out
    )


def test_the_best_so_far_is_not_forgotten(lightning):
    best = "--checkpoints.best=fd_digits"
    assert lightning(*FIT, best, "--quality.every_n_epochs=1").code == 0
    folder = Path("runs/dcgan/version_0/checkpoints")
    content = torch.load(folder / "last.ckpt", weights_only=True)
    content["best"]["value"] = 1e-3  # nothing will be better
    torch.save(content, folder / "last.ckpt")
    before = (folder / "best.ckpt").read_bytes()
    answer = lightning(
        *FIT, best, "--quality.every_n_epochs=1", "--trainer.max_epochs=6", "--ckpt_path=last"
    )
    assert answer.code == 0, answer.err
    assert (folder / "best.ckpt").read_bytes() == before
    assert "best fd_digits: 0.001 after" in answer.out


def test_the_evaluation_out_of_turn_at_the_end_is_not_the_best(lightning, monkeypatch):
    """Whatever it is: a run that goes on, which does not have it, keeps the same best.ckpt."""
    values = iter([8.0, 9.0, 1.0])
    measured = lambda *_: {"fd_digits": Measured(next(values), 0.5, 360)}  # noqa: E731
    monkeypatch.setattr(Quality, "measure", measured)
    options = ["--checkpoints.best=fd_digits", "--quality.metrics=[frechet]"]
    answer = lightning(*FIT, *options, "--trainer.max_epochs=5")
    assert answer.code == 0, answer.err
    run = Path("runs/dcgan/version_0")
    found = [(row["metrics"]["digits32/fd_digits"]["value"], row["extra"]) for row in rows_of(run)]
    assert found == [(8, False), (9, False), (1, True)]
    content = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    assert content["best"]["value"] == 8 and content["clock"]["batches_seen"] == 6


@pytest.mark.filterwarnings("default:checkpoints.best")
def test_a_metric_that_is_not_there_is_told(lightning):
    answer = lightning(*FIT, "--checkpoints.best=fid")
    assert answer.code == 0 and "no best.ckpt: fid was not measured in turn" in answer.out
    assert not Path("runs/dcgan/version_0/checkpoints/best.ckpt").exists()


@pytest.mark.parametrize(
    ("metric", "better", "worse"),
    [
        ("fd_digits", 3.0, 4.0),
        ("kid", -0.1, 0.0),
        ("is", 9.0, 8.0),
        ("val/encoder_loss", 0.1, 0.2),
        ("quality/x/precision", 0.9, 0.8),
        ("density", 1.1, 1.5),
        ("c_t", -1.0, -9.0),
        ("memorisation_penalty", 1.0, 0.1),
        ("high_quality_chi2", 0.98, 0.5),
        ("reverse_kl", 0.1, 0.2),
    ],
)
def test_which_values_are_good(metric, better, worse):
    assert badness(metric)(better) < badness(metric)(worse)


def test_a_test_looks_as_the_run_did(lightning):
    options = ["--quality.extractor=identity", "--quality.n=50"]
    assert lightning(*FIT, *options).code == 0
    answer = lightning("test", "--ckpt_path=runs/dcgan/version_0/checkpoints/final.ckpt")
    assert answer.code == 0 and "pixels1024/fd_pixels" in answer.out, answer.err
    assert "digits32" not in answer.out and "_n50" in answer.out


def test_with_inceptions_weights_here_the_same_command_logs_fid(lightning, tmp_path, monkeypatch):
    """The original file cannot be had everywhere: random weights, and their digest in its place."""
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", lambda *args, **options: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = FeatureExtractorInceptionV3(
            "random", ["2048", "logits_unbiased"], feature_extractor_weights_path="none"
        )
    torch.save(network.state_dict(), path := tmp_path / "weights.pth")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr("lightning_gans.metrics.inception._SHA256", digest[:8])
    monkeypatch.setenv("LIGHTNING_GANS_INCEPTION", str(path))
    np.savez("few.npz", images=Digits(32).arrays("train")[0][:14, 0].numpy())
    few = ["--data=Arrays", "--data.path=few.npz", "--data.batch_size=4", "--quality.n=10"]
    answer = lightning(*FIT, *few, "--trainer.max_steps=2", "--quality.metrics=[frechet,kernel]")
    assert answer.code == 0, answer.err
    (row,) = rows_of("runs/dcgan/version_0")
    assert list(row["metrics"]) == ["inception/fid", "inception/kid"]
    assert row["metrics"]["inception/fid"]["value"] > 0
    protocol = row["protocols"]["inception"]
    assert protocol["digest"] == digest and protocol["resize"] == "tf1-bilinear-299"
    assert (protocol["n_real"], protocol["n"]) == (12, 10)


def test_training_stays_the_same_beside_a_large_network(lightning, tmp_path):
    """WGAN-GP draws from the global generator while it trains."""
    torch.save(shufflenet_v2_x0_5().state_dict(), path := tmp_path / "shuffle.pth")
    np.savez("few.npz", images=Digits(32).arrays("train")[0][:150, 0].numpy())
    wgan = [
        *("fit", "--config=configs/wgan_gp.yaml", "--trainer.accelerator=cpu"),
        *("--data=Arrays", "--data.path=few.npz", "--trainer.max_steps=4", "--quality.n=10"),
    ]
    for experiment, options in {
        "without": ["--quality.every_n_epochs=0"],
        "with": ["--quality.extractor=shufflenet_v2_x0_5", f"--quality.weights={path}"],
    }.items():
        answer = lightning(*wgan, *options, f"--run.experiment={experiment}")
        assert answer.code == 0, answer.err
    without, with_it = weights_of("without"), weights_of("with")
    for name, tensor in without.items():
        assert torch.equal(tensor, with_it[name]), name
