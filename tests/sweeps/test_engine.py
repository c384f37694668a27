"""The local engine: `lightning sweep` as a user types it, killed and gone on with; its table."""

import io
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState

from lightning_gans.errors import InputError
from lightning_gans.sweeps import queue as queues
from lightning_gans.sweeps.command import as_typed, command_line, fit_options
from lightning_gans.sweeps.local import Engine, places
from lightning_gans.sweeps.plan import Plan
from lightning_gans.sweeps.probe import _main as probe_of_options
from lightning_gans.sweeps.queue import Queue
from lightning_gans.sweeps.schema import read_sweep
from lightning_gans.sweeps.storage import begin, open_storage
from lightning_gans.sweeps.table import Display, table
from lightning_gans.sweeps.workers import Worker

TINY = [
    *("${env}", "lightning", "fit", "--config", "configs/ring_gan.yaml"),
    *("--model.generator.hidden=[4]", "--model.discriminator.hidden=[4]", "--samples.n=4"),
    *("--data.batches_per_epoch=3", "--modes.every_n_epochs=0", "--trainer.max_epochs=2"),
    *("--trainer.check_val_every_n_epoch=1", "--trainer.log_every_n_steps=3", "${args}"),
]


@pytest.fixture
def written(tmp_path):
    def write(values, **changes):
        sweep = {
            "method": "grid",
            "metric": {"name": "val/generator_loss", "goal": "minimize"},
            "parameters": {"data.batch_size": {"values": values}},
            "command": TINY,
        }
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**sweep, **changes}))
        return tmp_path / "tiny.yaml"

    return write


def record(folder):
    try:
        return json.loads((folder / "sweep.json").read_text())["trials"]
    except FileNotFoundError:
        return []


def wait_for(condition):
    for _ in range(4000):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def runs_of(pid):
    """The processes that a process has started, where they can be known."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.is_file() else []


def test_a_sweep_that_is_killed_goes_on_and_a_trial_that_fails_is_alone(written, tmp_path):
    path, folder = written([8, 16, 0]), tmp_path / "runs/sweeps/tiny"
    command = [sys.executable, "-m", "lightning_gans", "sweep", str(path)]

    def states():
        return [trial["state"] for trial in record(folder)]

    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as sweep:
        wait_for(lambda: states()[:2] == ["complete", "running"])
        wait_for((folder / "trial_1/log.txt").is_file)
        runs = runs_of(sweep.pid)
        sweep.kill()
    wait_for(lambda: not any(alive(pid) for pid in runs))  # they do not outlive it
    before = (folder / "trial_0/version_0/checkpoints/final.ckpt").stat().st_mtime_ns
    assert states() == ["complete", "running", "waiting"]  # nobody was there to say otherwise

    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 2 and "--resume goes on with it" in refused.stderr
    again = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    trials = record(folder)
    assert states() == ["complete", "complete", "failed"]
    assert [trial["parameters"]["data.batch_size"] for trial in trials] == [8, 16, 0]
    assert (folder / "trial_0/version_0/checkpoints/final.ckpt").stat().st_mtime_ns == before
    for i in (0, 1):  # nothing was repeated beside what there was
        assert [path.name for path in (folder / f"trial_{i}").glob("version_*")] == ["version_0"]
        assert trials[i]["runs"] == [f"trial_{i}/version_0"]
    assert "data.batch_size is 0; it must be at least 1" in trials[2]["message"]
    told = [line for line in again.stderr.splitlines() if line.startswith("trial ")]
    assert len(told) == 2 and "3 of 3 trials" in told[-1]  # what had ended is not told again

    best = min(trials[:2], key=lambda trial: trial["value"])
    assert f"best: trial {best['number']}, runs/sweeps/tiny/trial_{best['number']}" in again.stdout
    typed = shlex.split(again.stdout.strip().splitlines()[-1])
    assert typed[-1] == f"--data.batch_size={best['parameters']['data.batch_size']}"
    assert typed == ["lightning", "fit", *TINY[3:-1], typed[-1]]
    config = yaml.safe_load((folder / "trial_1/version_0/config.yaml").read_text())
    assert config["run"]["group"] == "tiny" and config["run"]["experiment"] == "trial_1"


def test_what_fit_does_not_take_is_found_before_a_trial(monkeypatch, capsys):
    options = ["--config", "configs/ring_gan.yaml"]
    tried = [[*options, "--data.batch_size=8"], [*options, "--data.batch_sise=8"]]
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(tried)))
    monkeypatch.setattr("sys.argv", ["probe"])
    monkeypatch.delitem(sys.modules, "lightning_gans.__main__")  # which it runs as a program
    with pytest.raises(SystemExit) as refused:
        probe_of_options()
    said = str(refused.value).splitlines()[0]
    assert "batch_sise" in said and said.endswith("batch_size'?")
    assert str(refused.value).endswith(as_typed(tried[1]))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(tried[:1])))
    probe_of_options()
    assert capsys.readouterr().out == ""


METRICS = "step,samples_seen,epoch,val/generator_loss\n"


@pytest.fixture
def engine(written, tmp_path):
    """An engine for a sweep whose runs have ended already, as after a crash of the sweep alone."""
    workers = []

    def build(values, losses, seeds=1, **changes):
        sweep, folder = read_sweep(str(written(values, **changes))), tmp_path / "runs/sweeps/tiny"
        for i, trial in enumerate(losses):
            for seed, rows in enumerate(trial):
                run = folder / f"trial_{i}/version_{seed}"
                (run / "checkpoints").mkdir(parents=True)
                (run / "checkpoints/final.ckpt").touch()
                lines = "".join(f"{n},{8 * n},0,{loss}\n" for n, loss in enumerate(rows, 1))
                (run / "metrics.csv").write_text(METRICS + lines)
        storage = open_storage(None, folder)
        study = begin(storage, "tiny", sweep.goal, {"a": 1}, True)
        workers.append(Worker(folder / "workers"))
        queue = Queue(sweep, study, storage, workers[-1], len(values), 0)
        plan = Plan(sweep, folder, seeds, "best", [])
        display = Display(sweep, 1, io.StringIO())
        return Engine(plan, queue, workers[-1], places(1, [], 1), display), folder

    yield build
    for worker in workers:
        worker.leave()


def test_the_score_is_the_mean_over_seeds(engine):
    work, folder = engine([8, 16], [[[3, 1], [2, 2]], [[5, 4], [0.5, 9]]], seeds=2)
    (folder / "trial_0/version_0_old").mkdir()  # a user's own
    first, second = work.work()
    assert (first["value"], first["values"]) == (1.5, [1.0, 2.0])
    assert first["spread"] == pytest.approx(0.5**0.5) and first["samples_seen"] == 12
    assert first["runs"] == ["trial_0/version_0", "trial_0/version_1"]
    assert (second["value"], second["values"]) == (2.25, [4.0, 0.5])
    assert first["low"] == pytest.approx(1.5 - 12.7062 * 0.5, rel=1e-4)
    written = json.loads((folder / "sweep.json").read_text())
    assert written["trials"] == [first, second] and written["name"] == "tiny"
    assert written["metric"] == {"name": "val/generator_loss", "goal": "minimize"}
    assert not list(folder.glob(".sweep.json*"))


def test_a_metric_that_is_never_logged_stops_the_sweep_and_is_said(engine):
    metric = {"name": "val/generator_los"}
    work, folder = engine([8, 16], [[[1.0]]], metric=metric)
    with pytest.raises(InputError, match="did you mean 'val/generator_loss'") as error:
        work.work()
    assert "Logged were: val/generator_loss" in str(error.value)
    first, second = record(folder)
    assert (first["state"], second["state"]) == ("failed", "waiting")
    assert "never logged" in first["message"] and not (folder / "trial_1").exists()


def test_a_metric_that_one_trial_never_logged_is_that_trials_failure(engine):
    work, folder = engine([8, 16, 32], [[[1.0]], [[2.0]], [[3.0]]])
    path = folder / "trial_1/version_0/metrics.csv"
    path.write_text(path.read_text().replace("generator_loss", "other"))
    states = [trial["state"] for trial in work.work()]
    assert states == ["complete", "failed", "complete"]
    assert "never logged" in record(folder)[1]["message"]


def test_a_trial_that_is_taken_for_dead_while_it_starts_is_run_again(engine, monkeypatch):
    work, _ = engine([8, 16], [[[1.0]], [[2.0]]])
    drawn, began = Queue.parameters, []

    def parameters(self, trial):
        began.append(trial.user_attrs["index"])
        if len(began) == 1:
            self.end(trial, TrialState.FAIL, {})  # as another worker would
        return drawn(self, trial)

    monkeypatch.setattr(Queue, "parameters", parameters)
    monkeypatch.setattr(queues, "_LOOK_FOR_DEAD", 0)
    assert [trial["state"] for trial in work.work()] == ["complete", "complete"]
    assert began == [0, 1, 0]


def test_places_share_out_cores_and_gpus(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    assert places(cores, [], 1) == [{"OMP_NUM_THREADS": "1"}] * cores
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert places(1, [], 1) == [{}]
    gpus = [place["CUDA_VISIBLE_DEVICES"] for place in places(2, ["0", "1", "4", "7"], 2)]
    assert gpus == ["0,1", "4,7"]
    shared = [place["CUDA_VISIBLE_DEVICES"] for place in places(3, ["0", "1"], 1)]
    assert shared == ["0", "1", "0"]


@pytest.mark.parametrize(
    "options, message",
    [
        (["--trials=0"], "--trials is 0; it must be at least 1"),
        (["--gpus=0,1,2", "--gpus_per_trial=2"], "--gpus 0,1,2 cannot be shared out by 2"),
        (["--gpus=x"], "--gpus x: 'x' is no number"),
        (["--gpus=0,-1"], "'-1' is no number"),
        (["--gpus=0,1,0"], "--gpus 0,1,0 has 0 twice"),
        (["--gpus=99"], "--gpus 99: of these 1 torch can use 0 here"),
        (["--gpus_per_trial=2"], "--gpus_per_trial 2 needs --gpus"),
        (["--name=a/b"], "--name 'a/b' must be a plain name"),
        (["--name=.."], "--name '..' must be a plain name"),
        (["--job=2"], "unrecognized arguments: --job=2"),
        (["--storage=postgresql://a:secret@127.0.0.1:1/x"], "a:***@127.0.0.1:1/x cannot be used"),
        ([], "runs/sweeps/tiny holds runs of something else; --name starts a new one"),
    ],
)
def test_options_that_cannot_be_used_are_named(options, message, written, lightning):
    path = written([8])
    Path("runs/sweeps/tiny/trial_0/version_0").mkdir(parents=True)
    answer = lightning("sweep", str(path), *options)
    assert answer.code == 2 and message in answer.err
    assert answer.err.startswith("error: ") and "secret" not in answer.err


def test_a_random_sweep_needs_an_end_and_seeds_of_its_own_no_other(written, lightning):
    answer = lightning("sweep", str(written([8], method="random")))
    assert answer.code == 2 and "random has no end; give it run_cap" in answer.err
    answer = lightning("sweep", str(written([8], method="random")), "--trials=10001")
    assert answer.code == 2 and "10,001 trials are more than 10,000" in answer.err
    path = written([8], parameters={"data.seed": {"values": [1, 2]}})
    answer = lightning("sweep", str(path), "--seeds=3")
    assert answer.code == 2 and "data.seed is a parameter of the sweep" in answer.err


def test_resume_says_that_there_was_nothing_to_go_on_with(written, lightning):
    path = written([8], command=["lightning", "test", "${args}"])  # refused after it
    answer = lightning("sweep", str(path), "--resume", "--name=tinny")
    assert answer.code == 2 and "must run `lightning fit`" in answer.err
    assert answer.out == "there is no tinny in runs/sweeps yet: starting it\n"
    assert lightning("sweep", str(path)).out == ""


@pytest.mark.parametrize("given, said", [({}, True), ({"goal": "maximize"}, False)])
def test_a_goal_that_finds_the_worst_is_said(given, said, written, lightning):
    command = ["lightning", "test", "${args}"]  # refused after it
    path = written([8], command=command, metric={"name": "captured", **given})
    told = "the sweep will minimize captured, which one would maximize: metric.goal\n"
    assert lightning("sweep", str(path)).out == (told if said else "")


def test_lightning_sweep_helps_without_torch():
    code = (
        "import sys\n"
        "from lightning_gans.__main__ import main\n"
        "try: main(['sweep', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'optuna', 'lightning'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--gpus_per_trial" in done.stdout


@pytest.mark.parametrize(
    "command, message",
    [
        (["python", "train.py", "${args}"], "must run `lightning fit`, not 'python train.py"),
        (["lightning", "test", "${args}"], "must run `lightning fit`"),
        (["lightning", "fit", "${arg}"], "no macro \\${arg}, only env, interpreter"),
        (["lightning", "fit"], "no parameter would reach a trial"),
    ],
)
def test_a_command_that_could_not_be_run_here_is_refused(command, message):
    with pytest.raises(InputError, match=message):
        fit_options(command_line(command, {"a": 1}))


@pytest.mark.parametrize("start", [["lightning"], ["${env}", "lightning-gans"]])
def test_the_options_are_what_follows_fit(start):
    line = command_line([*start, "fit", "--config", "x y.yaml", "${args}"], {"a": [1, 2]})
    assert fit_options(line) == ["--config", "x y.yaml", "--a=[1, 2]"]
    assert as_typed(fit_options(line)) == "lightning fit --config 'x y.yaml' '--a=[1, 2]'"
    module = command_line(["${interpreter}", "-m", "lightning_gans", "fit", "${args}"], {"a": 1})
    assert fit_options(module) == ["--a=1"]


def trial(number, state, value=None, **more):
    unknown = ("spread", "low", "high", "samples_seen", "started", "ended", "message")
    known = {"number": number, "state": state, "value": value}
    return dict.fromkeys(unknown) | known | {"parameters": {"model.lr": 0.1 * number}} | more


def test_the_table_ranks_what_is_complete(written):
    sweep = read_sweep(str(written([1], metric={"name": "a/b", "goal": "maximize"})))
    times = {"started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:01:05+00:00"}
    trials = [
        trial(0, "complete", 1.0, spread=0.5, low=0.25, high=1.75, **times),
        trial(1, "complete", 2.0, **times),
        trial(2, "failed", message="no memory", **times),
        trial(3, "waiting"),
    ]
    lines = table(trials, sweep)
    assert [line.split()[:4] for line in lines[1:3]] == [
        ["1", "1", "complete", "2"],
        ["2", "0", "complete", "1"],
    ]
    assert "± 0.5 (0.25 to 1.75)" in lines[2] and "1:05" in lines[2]
    assert lines[-1] == "trial 2 failed: no memory"
    told = Display(sweep, 2).progress(trials)
    assert told == "3 of 4 trials, about 0:32 to go, best trial 1: 2"
