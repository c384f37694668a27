"""What a run tells of itself, and what is read of it again."""

import itertools
import json
import math
import subprocess
import time
import warnings
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from lightning_gans.callbacks import Account, Samples
from lightning_gans.errors import Diverged, Interrupted
from lightning_gans.models import GAN
from lightning_gans.paths import CONFIGS
from lightning_gans.runs import Records, Sittings, Times, badness, commit, goal, masked
from lightning_gans.runs.reading import (
    find_runs,
    longest_gap,
    read_records,
    read_seconds,
    read_series,
    read_sittings,
    signature,
    status_of,
)
from lightning_gans.runs.settings import flat, read_config, read_settings
from tests.conftest import ROOT, TINY_IMAGES
from tests.run_folders import RING, make_run


def test_the_commit_is_that_of_the_checkout():
    told = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    assert commit() is None if not told else told.startswith(commit().removesuffix("-dirty"))


def test_a_run_notes_its_start_its_end_and_its_times(trained):
    (sitting,) = json.loads((trained / "run.json").read_text())["sittings"]
    assert sitting["commit"] == commit()
    assert sitting["command"][:2] == ["lightning", "fit"]
    assert sitting["outcome"] == "finished" and sitting["batch"] == 0
    assert sitting["started"] <= sitting["ended"]
    series, seconds = read_series(trained), read_seconds(trained)
    assert list(seconds) == series.steps
    assert all(0 < a < b for a, b in itertools.pairwise(seconds.values()))
    assert status_of(signature(trained), [sitting], time.time(), 0.0).name == "finished"
    assert not (trained / "warnings.jsonl").exists()


def test_a_run_that_goes_on_adds_a_sitting_and_its_clock_goes_on(lightning, trained):
    before = read_seconds(trained)
    answer = lightning(
        *["fit", *TINY_IMAGES, "--trainer.max_epochs=4", "--trainer.limit_train_batches=3"],
        *["--trainer.log_every_n_steps=2", "--resume", "last", "--force"],
    )
    assert answer.code == 0, answer.err
    sittings = json.loads((trained / "run.json").read_text())["sittings"]
    assert [sitting["batch"] for sitting in sittings] == [0, 6]
    after = read_seconds(trained)
    assert list(after) == read_series(trained).steps and len(after) > len(before)
    assert {step: after[step] for step in before} == before
    assert all(a < b for a, b in itertools.pairwise(after.values()))


@pytest.mark.parametrize(
    ("error", "outcome", "told"),
    [
        (Interrupted("stopped by SIGINT\nmore", 130), "stopped", "stopped by SIGINT"),
        (MemoryError("all is full"), "failed", "MemoryError: all is full"),
        (Diverged("no more"), "failed", "no more"),
    ],
)
def test_a_run_that_fails_or_is_stopped_says_so(lightning, monkeypatch, error, outcome, told):
    def breaks(*_):
        raise error

    monkeypatch.setattr(GAN, "training_step", breaks)
    try:
        lightning("fit", *TINY_IMAGES, "--trainer.max_epochs=1", "--trainer.limit_train_batches=2")
    except MemoryError:
        pass
    (sitting,) = json.loads(Path("runs/dcgan/version_0/run.json").read_text())["sittings"]
    assert (sitting["outcome"], sitting["message"]) == (outcome, told)


@pytest.mark.filterwarnings("default:Samples failed")
def test_warnings_are_shown_and_kept_once_with_their_moment(lightning, monkeypatch):
    def breaks(*_):
        raise OSError("no ink")

    monkeypatch.setattr(Samples, "on_train_epoch_end", breaks)
    args = [*["fit", *TINY_IMAGES], "--trainer.limit_train_batches=2"]
    assert lightning(*args, "--trainer.max_epochs=2").code == 0
    answer = lightning(*args, "--trainer.max_epochs=3", "--resume", "last", "--force")
    assert "no ink" in answer.err
    (row,) = read_records(Path("runs/dcgan/version_0"), "warnings.jsonl")
    assert row["samples_seen"] == 128 and "Samples failed (OSError: no ink)" in row["message"]


@pytest.mark.filterwarnings("default:.* is damaged")
def test_a_run_with_damaged_files_goes_on(lightning, trained):
    (trained / "run.json").write_text("")
    lines = (trained / "times.tsv").read_text().splitlines(keepends=True)
    (trained / "times.tsv").write_text(lines[0] + lines[1] + "0\t64\n")
    (trained / "warnings.jsonl").write_bytes(b"\0\0\n")
    answer = lightning(
        *["fit", *TINY_IMAGES, "--trainer.max_epochs=3", "--trainer.limit_train_batches=3"],
        *["--trainer.log_every_n_steps=2", "--resume", "last", "--force"],
    )
    assert answer.code == 0, answer.err
    for name in ("run.json", "times.tsv", "warnings.jsonl"):
        assert f"{name} is damaged" in answer.err and (trained / f"{name}.damaged").exists()
    assert (trained / "times.tsv.damaged").read_text().endswith("0\t64\n")
    (sitting,) = read_sittings(trained)
    assert sitting["outcome"] == "finished" and sitting["batch"] == 6
    assert (trained / "times.tsv").read_text().startswith(lines[0] + lines[1])
    assert max(read_seconds(trained)) == 8  # the last batch, of which nothing else is reported
    assert "run.json is damaged" in str(read_records(trained, "warnings.jsonl"))


def test_of_damaged_records_the_whole_ones_are_kept(tmp_path):
    rows = [{"samples_seen": 1, "a": 0.5}, {"samples_seen": 3}]
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(rows[0])}\n[1]\n\0\0\n{json.dumps(rows[1])}\n{{cut")
    assert read_records(tmp_path, "x.jsonl") == rows
    with pytest.warns(UserWarning, match="x.jsonl is damaged"):
        records = Records(path)
    records.append({"samples_seen": 4})
    assert records.rows == read_records(tmp_path, "x.jsonl") == [*rows, {"samples_seen": 4}]


@pytest.fixture
def account():
    """One that listens to warnings as in a run, which all are shown."""
    account, model = Account(), LightningModule()
    model.samples_seen = 7
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        account.setup(trainer, model, "fit")
        yield account


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk")
def test_a_warning_on_a_full_disk_harms_nobody(tmp_path, account):
    account._records = Records(tmp_path / "x.jsonl")
    account._records.path = Path("/dev/full")
    warnings.warn("so be it", stacklevel=1)
    assert [row["message"] for row in account._records.rows] == ["so be it"]


class Noisy(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        warnings.warn("bad image, token=s3cret", stacklevel=1)
        return i


@pytest.mark.filterwarnings("ignore:.*fork")
def test_processes_that_load_data_keep_no_warnings_of_their_own(tmp_path, account):
    account._records = Records(tmp_path / "x.jsonl")
    list(DataLoader(Noisy(), num_workers=2, multiprocessing_context="fork"))
    assert not (tmp_path / "x.jsonl").exists()
    list(DataLoader(Noisy()))
    assert read_records(tmp_path, "x.jsonl") == [
        {"samples_seen": 7, "message": "bad image, token=***"}
    ]


def test_times_go_back_with_a_run(tmp_path):
    times = Times(tmp_path / "times.tsv")
    times.begin(0)
    for step in (9, 19, 19, 29):
        times.mark(step, step + 1)
    assert [row[0] for row in times.rows] == [9, 19, 29]
    with times.path.open("a") as file:
        file.write("39\t40")  # killed there
    again = Times(times.path)
    again.begin(20)
    again.mark(29, 30)
    lines = times.path.read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["step", "9", "19", "29"]
    assert again.rows[-1][2] >= again.rows[-2][2]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"api_key": "s3cret", "lr": 0.1}, {"api_key": "***", "lr": 0.1}),
        ({"a": {"b": [{"password": "s3cret"}]}}, {"a": {"b": [{"password": "***"}]}}),
        ({"WANDB_API_KEY": "s3cret"}, {"WANDB_API_KEY": "***"}),
        ({"token": None, "keys": []}, {"token": None, "keys": "***"}),
        (["fit", "--x.token", "s3cret", "--lr", "1"], ["fit", "--x.token", "***", "--lr", "1"]),
        (["--x.api-key=s3cret", "--monkey=1"], ["--x.api-key=***", "--monkey=1"]),
        ("postgresql://me:s3cret@db/x", "postgresql://me:***@db/x"),
        ({"tokens_seen": 5, "keyframe": 2}, {"tokens_seen": 5, "keyframe": 2}),
        (["--x", '{"api_key": "s3cret", "a": 1}'], ["--x", '{"api_key": "***", "a": 1}']),
        (['--x={"api_key": "s3cret"}'], ['--x={"api_key": "***"}']),
        (["WANDB_API_KEY=s3cret", "--a.token+=s3cret"], ["WANDB_API_KEY=***", "--a.token+=***"]),
        (["--a.password=my s3cret words"], ["--a.password=***"]),
        ({"apiKey": "s3cret", "accessToken": "s3cret"}, {"apiKey": "***", "accessToken": "***"}),
        ({"apikey": "s3cret", "pwd": "s3cret"}, {"apikey": "***", "pwd": "***"}),
        ({"passphrase": "s3cret", "keys": 3}, {"passphrase": "***", "keys": "***"}),
        ("Authorization: Bearer s3cret, then", "Authorization: ***, then"),
        ("postgresql://me@db/x?password=s3cret&a=1", "postgresql://me@db/x?password=***&a=1"),
        ("postgresql://me:p/s3cret@x@db/x", "postgresql://me:***@db/x"),
        ("see https://ghp_s3cret@host/x", "see https://***@host/x"),
        ("note:token=s3cret", "note:token=***"),
        ("unknown key: lr, see https://a.org:80/@x", "unknown key: lr, see https://a.org:***@x"),
        ("lr=0.1: a basic one", "lr=0.1: a basic one"),
    ],
)
def test_secrets_are_masked(value, shown):
    assert masked(value) == shown
    assert "s3cret" not in json.dumps(masked(value))


def test_commands_are_kept_without_secrets(tmp_path):
    sittings = Sittings(tmp_path / "run.json")
    sittings.begin(["lightning", "fit", "--logger.api_key", "s3cret"])
    sittings.end("failed", "OperationalError: postgresql://me:s3cret@db/x refused")
    assert "s3cret" not in sittings.path.read_text()


def test_runs_are_found_wherever_they_lie_and_by_no_link(tmp_path):
    root = tmp_path / "runs"
    for name in ("ring/version_0", "ring/version_10", "sweeps/a/trial_3/version_1"):
        make_run(root / name, reports=5, pictures=0)
    make_run(tmp_path / "elsewhere/version_0", reports=5, pictures=0)
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "ring/version_x").mkdir()
    (root / "ring/version_0/version_3").mkdir()
    found = {path.relative_to(root).as_posix() for path in find_runs(root)}
    assert found == {"ring/version_0", "ring/version_10", "sweeps/a/trial_3/version_1"}


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_settings_read_line_by_line_are_the_whole(file, tmp_path):
    """As people write them, and as a run writes them."""
    whole = yaml.safe_load(file.read_text())
    for text in (file.read_text(), yaml.safe_dump(whole, sort_keys=False)):
        (tmp_path / "config.yaml").write_text(text)
        assert read_config(tmp_path) == masked(whole)
        assert read_settings(tmp_path) == flat(masked(whole)) and len(read_settings(tmp_path)) > 5


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1, 2]\nb: *x\n",
        "a:\n  plain text\n  on two lines\n",
        "a: |\n  b: 1\n  c: 2\nd: 'x\n\n  y'\n",
        'a:\n  "quoted": 1\n  b: 2\n',
        "token:\n  a: s3cret\nm:\n  n:\n    api_key: s3cret\n    l:\n    - password: s3cret\n",
        "m:\n  class_path: a.b.C\n  init_args:\n    # so\n    x: {y: [1, {z: 2}]}\n\n    w: 1e-3",
        "- a\n- b\n",
        "a: [1\n",
        "a: 1\na: 2\n",
        "",
    ],
)
def test_settings_of_odd_files_are_the_same_too(text, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    assert read_settings(tmp_path) == flat(read_config(tmp_path))
    assert "s3cret" not in str(read_settings(tmp_path))


def test_settings_have_the_names_of_the_command_line():
    config = {
        "model": {
            "class_path": "lightning_gans.models.GAN",
            "init_args": {
                "penalties": [{"class_path": "mine.Slope", "init_args": {"weight": 0.1}}],
                "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"betas": [0, 1]}},
                "objective": "lightning_gans.objectives.hinge",
            },
        }
    }
    assert flat(config) == {
        "model": "GAN",
        "model.penalties.0": "mine.Slope",
        "model.penalties.0.weight": 0.1,
        "model.optimizer": "Adam",
        "model.optimizer.betas": "[0, 1]",
        "model.objective": "hinge",
    }


def test_series_are_the_numbers_that_were_written(tmp_path):
    run = make_run(tmp_path / "version_0", reports=20)
    with (run / "metrics.csv").open("a") as file:
        file.write("209,21000,nan,inf,,\n219,22000,0.5")  # the last line was cut by a crash
    series = read_series(run)
    assert series.samples[-1] == 21000 and len(series.samples) == 21
    rows, values = series.columns[f"{RING}/captured_chi2"]
    assert rows == [4, 9, 14, 19] and values == [2.5, 5.0, 7.5, 8.0]
    assert len(series.columns["train/generator_loss"][1]) == 20


@pytest.mark.parametrize(
    ("sittings", "final", "age", "gap", "name"),
    [
        ([{"outcome": "finished"}], True, 9e9, 0, "finished"),
        ([{"outcome": "failed", "message": "OOM"}], False, 0, 0, "failed"),
        ([{"outcome": "stopped"}, {}], False, 5, 0, "running"),
        ([{}], False, 599, 0, "running"),
        ([{}], False, 601, 0, "stopped"),
        ([{}], False, 601, 200, "running"),  # it reports every 200 s: 1,000 are nothing
        ([{}], False, 1001, 200, "stopped"),
        ([], True, 9e9, 0, "finished"),
        ([], False, 9e9, 0, "stopped"),
        # Gone on with after its end: what began later than final.ckpt was written counts.
        (
            [{"outcome": "finished"}, {"started": "2001-09-09T01:50:00+00:00"}],
            True,
            5,
            0,
            "running",
        ),
    ],
)
def test_what_became_of_a_run(sittings, final, age, gap, name):
    written = 1e9  # 2001-09-09T01:46:40
    sign = {"metrics.csv": (int(written * 1e9), 1)}
    if final:
        sign["final.ckpt"] = (int(written * 1e9), 1)
    status = status_of(sign, sittings, written + age, float(gap))
    assert status.name == name and status.touched == written


@pytest.mark.parametrize(
    ("metric", "told", "best"),
    [
        ("quality/x/fd_digits", "minimize", -2.0),
        ("fid", "minimize", -2.0),
        ("is", "maximize", 3.0),
        ("captured_chi2", "maximize", 3.0),
        ("precision", "maximize", 3.0),
        ("density", 1.0, 0.75),
        ("c_t", 0.0, 0.75),
        ("train/nll", "minimize", -2.0),
        ("val/loss", "minimize", -2.0),
        ("train/encoder_loss", "minimize", -2.0),
        # Players against each other: a discriminator's loss of 0 is a collapse.
        ("train/discriminator_loss", None, None),
        ("val/generator_loss", None, None),
        # Classes may be more alike than those of the data, or less.
        ("ms_ssim_across", None, None),
        ("ms_ssim", None, None),
        ("gradients/generator_norm", None, None),
    ],
)
def test_which_values_are_good(metric, told, best):
    assert goal(metric) == told
    bad = badness(metric)
    assert (min([-2.0, 3.0, 0.75, -0.9], key=bad) if bad else None) == best


@pytest.mark.parametrize(
    ("seconds", "gap"),
    [({9: 700.0}, 700.0), ({9: 5.0, 19: 30.0, 29: 40.0}, 25.0), ({}, 720.0)],
)
def test_how_long_a_run_may_be_silent(seconds, gap):
    """The time up to the first report counts too; before that a run has an hour."""
    assert longest_gap(seconds) == gap


def test_a_diverged_metric_is_told_from_one_that_ends(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,a,b,c\n0,0.5,nan,0.5\n1,nan,0.25,\n2,inf,0.25,\n")
    series = read_series(tmp_path)
    assert series.broken == {"a"} and series.samples == series.steps == [0, 1, 2]
    assert series.columns["a"] == ([0], [0.5]) and series.columns["b"] == ([1, 2], [0.25, 0.25])


def test_records_that_are_not_there_are_none(tmp_path):
    assert read_records(tmp_path, "x.jsonl") == []
    Records(tmp_path / "x.jsonl").append({"a": math.inf})
    assert read_records(tmp_path, "x.jsonl") == [{"a": None}]
