"""What a run tells of itself, and what is read of it again."""

import itertools
import json
import math
import time
from pathlib import Path

import pytest
import yaml

from lightning_gans.callbacks import Samples
from lightning_gans.errors import Diverged, Interrupted
from lightning_gans.models import GAN
from lightning_gans.paths import CONFIGS
from lightning_gans.runs import Records, Sittings, Times, badness, goal, masked
from lightning_gans.runs.reading import (
    find_runs,
    read_records,
    read_seconds,
    read_series,
    signature,
    status_of,
)
from lightning_gans.runs.settings import flat, read_config, read_settings
from tests.conftest import TINY_IMAGES
from tests.run_folders import RING, make_run


def test_a_run_notes_its_start_its_end_and_its_times(trained):
    (sitting,) = json.loads((trained / "run.json").read_text())["sittings"]
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
    (row,) = read_records(Path("runs/dcgan/version_0/warnings.jsonl"))
    assert row["samples_seen"] == 128 and "Samples failed (OSError: no ink)" in row["message"]


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
    ],
)
def test_secrets_are_masked(value, shown):
    assert masked(value) == shown
    assert "s3cret" not in json.dumps(masked(value))


def test_commands_are_kept_without_secrets(tmp_path):
    sittings = Sittings(tmp_path / "run.json")
    sittings.begin(["lightning", "fit", "--logger.api_key", "s3cret"])
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


def test_records_that_are_not_there_are_none(tmp_path):
    assert read_records(tmp_path / "x.jsonl") == []
    Records(tmp_path / "x.jsonl").append({"a": math.inf})
    assert read_records(tmp_path / "x.jsonl") == [{"a": None}]
