"""The queue under several workers that are killed: no trial is lost, none is run twice."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
import yaml
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from lightning_gans.errors import InputError
from lightning_gans.sweeps import scores
from lightning_gans.sweeps import storage as storages
from lightning_gans.sweeps.plan import Plan
from lightning_gans.sweeps.queue import Queue, counts, deciding
from lightning_gans.sweeps.schema import read_sweep
from lightning_gans.sweeps.scores import Watched
from lightning_gans.sweeps.stopping import Bands
from lightning_gans.sweeps.storage import begin, begun, open_storage, without_password
from lightning_gans.sweeps.trial import Running
from lightning_gans.sweeps.workers import Worker, locked

TRIALS = 12
PROGRAMS = [shutil.which("postgres"), *Path("/usr/lib/postgresql").glob("*/bin/postgres")]
POSTGRES = next((Path(p).resolve().parent for p in PROGRAMS if p), None)

WORKER = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from optuna.trial import TrialState
from lightning_gans.sweeps.queue import Queue
from lightning_gans.sweeps.schema import read_sweep
from lightning_gans.sweeps.storage import begin, open_storage
from lightning_gans.sweeps.workers import Worker

folder, url, total = Path(sys.argv[1]), sys.argv[2] or None, int(sys.argv[3])
worker = Worker(folder / "workers")
sweep = read_sweep(str(folder / "sweep.yaml"))
storage = open_storage(url, folder)
study = begin(storage, "many", "minimize", {"a": 1}, True)
queue = Queue(sweep, study, storage, worker, total, 0)

def tell(*words):
    with (folder / "told").open("a") as file:
        file.write(" ".join(map(str, words)) + "\\n")

tell("ready", 0, 0)
while True:
    queue.reclaim()
    if trial := queue.pop():
        index = trial.user_attrs["index"]
        x = queue.parameters(trial)["x"]
        tell("begin", index, x)
        time.sleep(0.03)
        tell("end", index, x)
        queue.end(trial, TrialState.COMPLETE, {"value": x})
    elif all(t.state.is_finished() for t in queue.attempts()):
        break
    else:
        time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def postgres():
    """The address of a database on a server that is started for these tests."""
    if POSTGRES is None:
        pytest.skip("no PostgreSQL here; `apt-get install postgresql` brings it")
    folder = Path(tempfile.mkdtemp())  # where another user may go, unlike pytest's folders
    as_user = []
    if os.getuid() == 0:  # its server refuses to be root
        shutil.chown(folder, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program, *args):
        command = [*as_user, str(POSTGRES / program), *map(str, args)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)

    run("initdb", "-D", folder / "data", "-U", "lightning", "-A", "trust", "--no-sync")
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -F"
    run("pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-o", settings, "start")
    run("createdb", "-h", "127.0.0.1", "-p", port, "-U", "lightning", "sweeps")
    yield f"postgresql://lightning@127.0.0.1:{port}/sweeps"
    run("pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def folder(tmp_path):
    sweep = {
        "method": "random",
        "metric": {"name": "loss"},
        "parameters": {"x": {"min": 0.0, "max": 1.0}},
        "command": ["lightning", "fit", "${args}"],
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    (tmp_path / "told").touch()
    return tmp_path


@pytest.fixture
def opening():
    """`open_storage`, whose databases are closed in the end."""
    there = []

    def opened(*args):
        there.append(open_storage(*args))
        return there[-1]

    yield opened
    for storage in there:
        if isinstance(storage, RDBStorage):
            storage.remove_session()
            storage.engine.dispose()


def start(folder, url=None):
    command = [sys.executable, "-c", WORKER, str(folder), url or "", str(TRIALS)]
    return subprocess.Popen(command)


@pytest.mark.parametrize("where", ["journal", "postgres"])
def test_killed_workers_lose_and_repeat_nothing(where, folder, opening, request):
    url = request.getfixturevalue("postgres") if where == "postgres" else None

    def told(word, at_least=0):
        for _ in range(4000):
            lines = [line.split() for line in (folder / "told").read_text().splitlines()]
            found = [line for line in lines if line[0] == word]
            if len(found) >= at_least:
                return found
            time.sleep(0.05)
        raise AssertionError(f"only {len(found)} times {word}")

    workers = [start(folder, url) for _ in range(3)]  # at the same time, where nothing is there
    told("begin", 4)
    for victim in workers[:2]:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    assert workers[2].wait(timeout=200) == 0
    ends = [(int(index), float(x)) for _, index, x in told("end")]
    begins = [(int(index), float(x)) for _, index, x in told("begin")]
    assert {index for index, _ in begins} == set(range(TRIALS))
    assert set(begins) == set(ends) and len(set(begins)) == TRIALS  # again with the same values
    # A worker that is killed between its last word and its last act has its trial run again.
    assert TRIALS <= len(begins) <= TRIALS + 2 and TRIALS <= len(ends) <= TRIALS + 2

    study = optuna.load_study(study_name="many", storage=opening(url, folder))
    results = {i: t for i, t in deciding(study.trials).items() if t.state == TrialState.COMPLETE}
    assert {index: trial.value for index, trial in results.items()} == dict(ends)
    assert sum(counts(trial) for trial in study.trials) == TRIALS


@pytest.fixture
def opened(folder, opening):
    """A queue of four trials in a journal, and what makes another worker's."""
    sweep, workers = read_sweep(str(folder / "sweep.yaml")), []

    def another(total=4, url=None, name="few"):
        storage = opening(url, folder)
        study = begin(storage, name, "minimize", {"a": 1}, resume=True)
        workers.append(Worker(folder / "workers"))
        return Queue(sweep, study, storage, workers[-1], total, 0)

    yield another
    for worker in workers:
        worker.leave()


def test_what_was_broken_off_is_run_again_as_it_was(opened):
    queue = opened()
    trial = queue.pop()
    values = queue.parameters(trial)
    queue.end(trial, TrialState.FAIL, {})
    queue.fill()
    again = [opened().pop() for _ in range(4)][-1]
    assert again.user_attrs["index"] == 0 and opened().parameters(again) == values
    assert queue.pop() is None


def test_what_was_broken_off_amid_its_draws_is_drawn_as_it_would_have_been(opened, folder):
    sweep = yaml.safe_load((folder / "sweep.yaml").read_text())
    sweep["parameters"]["y"] = {"min": 0.0, "max": 1.0}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    drawn = []
    for whole in (False, True):
        queue = opened(total=1, name=f"whole {whole}")
        queue.sweep = read_sweep(str(folder / "sweep.yaml"))
        trial = queue.pop()
        if not whole:
            queue.sweep.laws["x"].suggest(trial)
            queue.end(trial, TrialState.FAIL, {})
            queue.fill()
            trial = queue.pop()
        drawn.append(queue.parameters(trial))
    assert drawn[0] == drawn[1] and drawn[0]["x"] != drawn[0]["y"]


def test_what_failed_is_not_run_again(opened):
    queue = opened()
    queue.end(queue.pop(), TrialState.FAIL, {"message": "no"})
    queue.fill()
    assert [queue.pop().user_attrs["index"] for _ in range(3)] == [1, 2, 3]
    assert queue.pop() is None


def test_of_two_attempts_that_wait_the_later_one_is_dropped(opened):
    queue = opened(total=1)
    queue.study.enqueue_trial({}, user_attrs={"index": 0})  # as another worker did, just then
    assert queue.pop().number == 0 and queue.pop() is None
    assert [trial.state for trial in queue.study.trials] == [TrialState.RUNNING, TrialState.FAIL]


def test_more_trials_are_added(opened):
    queue = opened()
    while trial := queue.pop():
        queue.end(trial, TrialState.COMPLETE, {"value": 1.0})
    more = opened(total=6)
    assert [more.pop().user_attrs["index"] for _ in range(2)] == [4, 5] and more.pop() is None


def test_the_trials_of_a_machine_that_is_no_more_wait_again(opened, folder, monkeypatch):
    monkeypatch.setattr(storages, "_BEAT", 1)
    monkeypatch.setattr(storages, "_DEAD_AFTER", 1)
    url = f"sqlite:///{folder}/sweeps.db"
    queue = opened(total=2, url=url)
    trial = queue.pop()
    trial.set_user_attr("worker", "elsewhere/1_abc")
    queue.reclaim()
    assert queue.pop().user_attrs["index"] == 1 and queue.pop() is None  # it may still be alive
    time.sleep(2.1)
    other = opened(total=2, url=url)
    other.reclaim()  # and says that the neighbour's trial lives, silent as that was
    again = other.pop()
    assert again.user_attrs["index"] == 0 and again.number == 2 and other.pop() is None
    queue.end(trial, TrialState.COMPLETE, {"value": 1.0})  # too late: it was taken for dead
    assert other.study.trials[0].state == TrialState.FAIL


def test_a_worker_lives_as_long_as_its_trials(tmp_path):
    child = "import sys, time; print(flush=True); time.sleep(60)"
    parent = (
        "import os, subprocess, sys, pathlib\n"
        "from lightning_gans.sweeps.workers import Worker\n"
        f"worker = Worker(pathlib.Path({str(tmp_path)!r}))\n"
        f"run = subprocess.Popen([sys.executable, '-c', {child!r}], pass_fds=[worker.lock])\n"
        "print(worker.name, run.pid, flush=True)\n"
        "run.wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    with process.stdout as told:
        name, pid = told.readline().split() or told.readline().split()
    watcher = Worker(tmp_path)
    assert watcher.lives(name, False) and watcher.lives(watcher.name, False)
    process.kill()
    process.wait()
    assert watcher.lives(name, False)  # its trial goes on
    os.kill(int(pid), signal.SIGKILL)
    for _ in range(100):
        if not watcher.lives(name, False):
            break
        time.sleep(0.05)
    assert watcher.lives(name, False) is False
    before = f"another-machine:{tmp_path}/{name.rpartition('/')[2]}"
    assert watcher.lives(before, False) is None  # of other machines nothing is known,
    assert watcher.lives(before, True) is False  # but this one may have had another name
    watcher.leave()
    assert not (tmp_path / watcher.name.rpartition("/")[2]).exists()


def test_a_run_waits_while_an_earlier_attempt_still_writes_it(opened, folder, monkeypatch):
    queue, trial_folder = opened(), folder / "trial_0"
    run = trial_folder / "version_0"
    run.mkdir(parents=True)
    (run / "half").touch()
    monkeypatch.setenv("WANDB_RUN_ID", "one-for-all")
    writer = locked(trial_folder / "lock")
    plan, trial = Plan(queue.sweep, folder, 1, "best", []), queue.pop()
    with (folder / "worker").open("w") as own:
        running = Running(plan, trial, 0, queue.parameters(trial), {}, own.fileno())
        assert running.poll() is None and running.pid is None and (run / "half").is_file()
        writer.close()
        assert running.poll() is None and running.pid
    try:
        assert locked(trial_folder / "lock") is None  # the run has it now
        assert [path.parent.name[:11] for path in trial_folder.glob("*/half")] == [".version_0_"]
        if sys.platform == "linux":
            environment = Path(f"/proc/{running.pid}/environ").read_bytes()
            assert b"TQDM_DISABLE=1" in environment and b"WANDB_RUN_ID" not in environment
    finally:
        running.kill()
        while running.goes_on:
            time.sleep(0.01)


def test_a_trial_that_is_taken_for_dead_lets_go(opened, folder):
    queue, other, run = opened(), opened(), folder / "trial_0/version_0"
    plan, trial = Plan(queue.sweep, folder, 1, "best", []), queue.pop()
    with (folder / "worker").open("w") as own:
        running = Running(plan, trial, 0, queue.parameters(trial), {}, own.fileno())
    other.end(trial, TrialState.FAIL, {})
    run.mkdir(exist_ok=True)
    (run / "metrics.csv").write_text("step,samples_seen,epoch,loss\n1,8,0,0.5\n")
    for _ in range(1200):
        if end := running.poll():
            break
        time.sleep(0.05)
    assert (end.state, end.result) == (TrialState.FAIL, {})
    queue.end(trial, end.state, end.result)
    other.fill()
    assert [queue.pop().user_attrs["index"] for _ in range(4)] == [1, 2, 3, 0]


def test_an_attempt_that_was_broken_off_is_no_rival_until_it_is_run_again(opened):
    queue, rule = opened(total=2), Bands({"min_iter": 1, "eta": 3})

    def stopped():
        return rule.prune(queue.study, queue.study.trials[1])

    first, second = queue.pop(), queue.pop()
    first.report(1.0, 1)
    second.report(2.0, 1)
    assert stopped()
    queue.end(first, TrialState.FAIL, {})
    queue.fill()
    assert not stopped()
    queue.pop().report(1.0, 1)
    assert stopped()


def test_a_run_is_not_read_again_at_once(tmp_path, monkeypatch):
    now = [100.0, 100.0, 100.4, 101.5, 108.3, 108.5]
    monkeypatch.setattr(scores, "time", SimpleNamespace(monotonic=lambda: now.pop(0)))
    watched = Watched(tmp_path, "loss", "minimize", "best")
    assert watched.due
    watched.look()  # takes 0.4 s: 20 times that is 8 s
    assert not watched.due and not watched.due and watched.due
    now[:] = [111.0, 111.0, 111.9, 112.1]
    watched.look()  # takes no time: a second
    assert not watched.due and watched.due


def test_a_machine_whose_name_has_changed_goes_on_at_once(opened):
    queue = opened(total=1)
    trial = queue.pop()
    name = trial.user_attrs["worker"].rpartition("/")[2]
    trial.set_user_attr("worker", f"as-it-was-named-before:/x/{name}")
    other = opened(total=1)
    other.reclaim()
    assert other.pop() is None  # it lives
    trial.set_user_attr("worker", "as-it-was-named-before:/x/1_abc")
    again = opened(total=1)
    again.reclaim()
    assert again.pop().user_attrs["index"] == 0


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_journal_that_ends_in_half_a_line_is_gone_on_with(cut, opened, folder):
    queue = opened()
    queue.parameters(queue.pop())
    journal = folder / "journal.log"
    journal.write_bytes(journal.read_bytes()[:-cut])  # as a full disk or a kill leaves it
    other = opened()
    assert other.parameters(trial := other.pop())
    other.end(trial, TrialState.COMPLETE, {"value": 1.0})
    assert opened().attempts()[trial.number].value == 1.0
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_a_sweep_is_not_gone_on_with_unasked_or_otherwise(folder):
    storage = open_storage(None, folder)
    definition = {"method": "random", "parameters": {"x": {"min": 0}}}
    assert begun(storage, "one", definition, resume=False) is None
    begin(storage, "one", "minimize", definition, resume=False)
    with pytest.raises(InputError, match="--resume goes on with it or joins it"):
        begun(storage, "one", definition, resume=False)
    again = begun(storage, "one", json.loads(json.dumps(definition)), resume=True)
    assert again.user_attrs["sweep"] == definition
    with pytest.raises(InputError, match="method: random -> grid"):
        begun(storage, "one", {**definition, "method": "grid"}, resume=True)


@pytest.mark.parametrize(
    "url, message",
    [
        ("postgresql://me:secret@127.0.0.1:1/x", r"postgresql://me:\*\*\*@127.0.0.1:1/x cannot be"),
        ("no address, secret@x", "is no address of a database"),
        ("postgresql://me:x@secret@127.0.0.1:1/x", r"me:\*\*\*@127.0.0.1:1/x: an @ in its"),
        ("postgresql://me:a/secret@127.0.0.1:1/x", r"//me:\*\*\*@127.0.0.1:1/x cannot be"),
        ("postgresql://127.0.0.1:1/x?user=me&password=secret", r"me&password=\*\*\* cannot be"),
        ("postgresql://me:secret@host:abc/y", "is no address of a database"),
        ("mysql://me:secret@127.0.0.1:1/x", "needs a driver"),
    ],
)
def test_a_storage_that_cannot_be_used_is_said_without_its_password(url, message, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        open_storage(url, tmp_path)
    assert "secret" not in str(error.value)
    assert "secret" not in without_password(url)
