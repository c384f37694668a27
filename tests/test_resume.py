"""Runs that are killed, stopped, or meet a full disk, and go on."""

import os
import resource
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gans.callbacks import Resumed, Together, differences, newest_whole, read_checkpoint
from lightning_gans.errors import Interrupted
from lightning_gans.resuming import checkpoint_meant, spelled_out
from tests.conftest import TINY_IMAGES
from tests.forked import Command

REPORTS = ["--quality.every_n_epochs=2", "--quality.n=50", "--trainer.check_val_every_n_epoch=1"]
SHORT = ["--trainer.limit_train_batches=7", "--trainer.log_every_n_steps=3"]
RUN = [*TINY_IMAGES, *REPORTS, *SHORT, "--trainer.max_epochs=4"]
MODELS = {
    "GAN": [],
    "GEAN with a window over epochs": ["--model=GEAN", "--model.window=9"],
}


def left(run):
    """What a run leaves: its weights, and the bytes of its files."""
    final = torch.load(run / "checkpoints/final.ckpt", weights_only=True)
    files = [*run.glob("*.csv"), *run.glob("*.jsonl"), *run.glob("samples/*"), *run.glob("q*/*")]
    assert len(files) > 6
    return final["state_dict"], {str(f.relative_to(run)): f.read_bytes() for f in files}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def whole(lightning, kept):
    """From options on, the folder of a run left alone, with all its checkpoints; run once each."""

    def run(*options):
        name = "_".join(options).replace("/", "") or "plain"
        if not (kept / name).exists():
            once = [f"--run.folder={kept}", f"--run.experiment={name}"]
            once += ["--checkpoints.every_n_batches=1"]
            assert lightning("fit", *RUN, *options, *once).code == 0
        return kept / name / "version_0"

    return run


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_run_killed_outright_and_gone_on_with_is_the_run_left_alone(model, whole, lightning):
    """Where SIGKILL hits is chance; benchmarks/kill.py tries many places."""
    parts = [*RUN, *model, "--run.experiment=parts", "--run.wandb=disabled"]
    folder = Path("runs/parts/version_0")
    metrics = folder / "metrics.csv"
    process = Command("fit", *parts, "--checkpoints.every_n_minutes=1e-9")
    while process.running and (not metrics.exists() or metrics.read_text().count("\n") < 7):
        time.sleep(0.01)
    assert process.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert not (folder / "checkpoints/final.ckpt").exists()
    answer = lightning("fit", *parts, "--resume", "auto")
    assert answer.code == 0, answer.err
    (weights, files), (expected, theirs) = left(folder), left(whole(*model))
    torch.testing.assert_close(weights, expected, rtol=0, atol=0)
    assert files == theirs
    assert not Path("runs/parts/version_1").exists()


def test_validation_in_the_middle_of_a_window_changes_no_weight(lightning):
    run = [*TINY_IMAGES, *SHORT, "--model=GEAN", "--model.window=9", "--trainer.max_steps=18"]
    for every in (1, 1000):
        options = [f"--trainer.check_val_every_n_epoch={every}", f"--run.experiment=every{every}"]
        assert lightning("fit", *run, *options).code == 0
    with_, without = (
        torch.load(f"runs/every{every}/version_0/checkpoints/final.ckpt", weights_only=True)
        for every in (1, 1000)
    )
    torch.testing.assert_close(with_["state_dict"], without["state_dict"], rtol=0, atol=0)


@pytest.mark.parametrize("batch", [7, 28])
def test_validation_is_repeated_where_it_was_cut_short(batch, whole, lightning):
    """A checkpoint of a last batch is older than that epoch's validation, evaluation and grid."""
    shutil.copytree(whole(), "runs/parts/version_0")
    folder = Path("runs/parts/version_0")
    for path in folder.glob("checkpoints/*"):
        if path.name != f"batch_{batch:08d}.ckpt":
            path.unlink()
    for path in (*folder.glob("samples/epoch*"), *folder.glob("*.csv"), *folder.glob("*.jsonl")):
        if path.suffix == ".png" and int(path.name[6:11]) * 7 >= batch:
            path.unlink()
    answer = lightning("fit", *RUN, "--run.experiment=parts", "--resume=auto")
    assert answer.code == 0, answer.err
    (weights, files), (expected, theirs) = left(folder), left(whole())
    torch.testing.assert_close(weights, expected, rtol=0, atol=0)
    assert files == theirs


def test_a_damaged_checkpoint_gives_way_to_the_one_before(trained, lightning, capfd):
    last, previous = (trained / f"checkpoints/{name}.ckpt" for name in ("last", "previous"))
    whole = last.read_bytes()
    (trained / "checkpoints/final.ckpt").unlink()
    previous.write_bytes(whole)
    os.utime(previous, (0, 0))
    for tenth in range(10):
        last.write_bytes(whole[: len(whole) * tenth // 10])
        assert newest_whole([previous, last]) == previous
        told = capfd.readouterr().err
        assert "last.ckpt is truncated" in told and "looking for an older one" in told
    again = ["fit", f"--config={trained}/config.yaml", "--resume=auto"]
    answer = lightning(*again, "--trainer.max_epochs=3")
    assert answer.code == 0 and "looking for an older one" in answer.err
    for path in trained.glob("checkpoints/*.ckpt"):
        path.write_bytes(b"")
    answer = lightning(*again)
    assert answer.code == 2 and "none of the checkpoints can be read" in answer.err


def clock(checkpoint):
    return torch.load(checkpoint, weights_only=True)["clock"]["batches_seen"]


def test_a_longer_run_that_was_killed_just_before_its_end_comes_to_it(trained, lightning):
    """final.ckpt of the shorter run is no sign that the longer one has ended."""
    final, last = (trained / f"checkpoints/{name}.ckpt" for name in ("final", "last"))
    longer = ["fit", f"--config={trained}/config.yaml", "--resume=auto", "--trainer.max_epochs=3"]
    shorter = final.read_bytes()
    assert lightning(*longer).code == 0 and clock(final) == 9
    final.unlink()  # it is what last.ckpt is
    final.write_bytes(shorter)
    assert (clock(final), clock(last)) == (6, 9)
    answer = lightning(*longer)
    assert answer.code == 0 and "nothing to do" not in answer.out
    assert clock(final) == 9
    assert "nothing to do: 9 batches" in lightning(*longer).out
    answer = lightning(*longer, "--trainer.max_epochs=2")
    assert answer.code == 2 and "last.ckpt has 3 epochs behind it" in answer.err


def test_a_run_stands_where_it_has_gone_back_to(trained):
    """Killed before its next checkpoint, it must not go on from the later one."""
    folder = trained / "checkpoints"
    earlier, last = folder / "batch_00000003.ckpt", folder / "last.ckpt"
    content = torch.load(last, weights_only=True)
    content["clock"]["batches_seen"] = 3
    torch.save(content, earlier)
    assert newest_whole([earlier, last]) == last  # though it is older, as copies may be
    Resumed(str(earlier))._stand_there(folder)
    assert (clock(last), clock(folder / "previous.ckpt"), clock(earlier)) == (3, 6, 3)
    Resumed(str(folder / "previous.ckpt"))._stand_there(folder)
    assert (clock(last), clock(folder / "previous.ckpt")) == (6, 3)


def test_what_resume_means():
    assert spelled_out(["fit", "--resume", "auto", "--force"]) == [
        *("fit", "--ckpt_path", "auto", "--run.force=true")
    ]
    assert spelled_out(["--resume=a/b.ckpt"]) == ["--ckpt_path=a/b.ckpt"]


def test_auto_goes_on_with_the_latest_run_only(tmp_path, trained, capfd):
    experiment, elsewhere = trained.parent, tmp_path
    assert checkpoint_meant("auto", experiment, elsewhere).startswith(str(trained))
    (experiment / "version_10").mkdir()  # killed before its first checkpoint
    assert checkpoint_meant("auto", experiment, elsewhere) is None
    assert capfd.readouterr().err == f"no checkpoint yet in {experiment}: a new run begins\n"
    assert checkpoint_meant("last", experiment, elsewhere).startswith(str(trained))
    assert checkpoint_meant("auto", experiment, trained).startswith(str(trained))
    assert checkpoint_meant("auto", tmp_path / "none", elsewhere) is None


def test_other_settings_and_other_code_are_refused_unless_forced(trained, lightning):
    last = trained / "checkpoints/last.ckpt"
    again = ["fit", f"--config={trained}/config.yaml", "--resume=last", "--trainer.max_epochs=3"]
    answer = lightning(*again, "--data.batch_size=32", "--samples.n=4")
    assert answer.code == 2 and "\n  data.init_args.batch_size: 64 then, 32 now\n" in answer.err
    assert "samples" not in answer.err and "--force" in answer.err
    content = read_checkpoint(last)
    assert differences(content, content["config"]) == []
    content["origin"]["code"]["models/gan.py"] = "000000000000"
    content["origin"]["torch"] = "1.0"
    found = differences(content, content["config"])
    assert found[0].startswith("torch 1.0 then, ") and found[1:] == [
        "code has changed: models/gan.py"
    ]
    torch.save(content, last)
    assert lightning(*again).code == 2
    assert lightning(*again, "--force").code == 0


def test_a_disk_that_is_full_leaves_the_last_good_checkpoint(trained, lightning):
    good = (trained / "checkpoints/last.ckpt").read_bytes()
    (trained / "checkpoints/final.ckpt").unlink()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) // 2, limits[1]))
    try:
        again = ["--resume=last", "--trainer.max_epochs=3"]
        answer = lightning("fit", f"--config={trained}/config.yaml", *again)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert answer.code == 2 and "Traceback" not in answer.err
    assert "cannot be written (File too large)" in answer.err and "last.ckpt" in answer.err
    assert (trained / "checkpoints/last.ckpt").read_bytes() == good
    assert not list(trained.glob("checkpoints/.*"))
    answer = lightning("fit", f"--config={trained}/config.yaml", *again)
    assert answer.code == 0, answer.err


def test_a_server_of_wandb_that_is_not_there_does_not_stop_a_run(tmp_path, monkeypatch):
    """In a process of its own: wandb remembers whom it was logged in to."""
    monkeypatch.chdir(tmp_path)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    account = {"WANDB_MODE": "online", "WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": server}
    fit = Command("fit", *TINY_IMAGES, "--trainer.max_steps=2", patience=1, **account)
    code, said = fit.end()
    assert code == 0 and server in said, said
    assert "kept offline in runs/dcgan/version_0/wandb" in said
    assert list(Path("runs/dcgan/version_0/wandb").glob("offline-run-*"))


class Failing(Callback):
    """Fails as a picture may."""

    def on_train_epoch_end(self, trainer, pl_module):
        raise KeyError("a colour")

    def on_train_end(self, trainer, pl_module):
        raise Interrupted("enough", 143)


def test_a_report_that_fails_is_named_once_and_does_not_stop_the_run():
    part, nothing = Failing(), (Trainer(logger=False, barebones=True), LightningModule())
    together = Together([part], reporting=[part])
    with pytest.warns(UserWarning) as told:
        for _ in range(3):
            together.on_train_epoch_end(*nothing)
    assert len(told) == 1 and "Failing failed (KeyError: 'a colour')" in str(told[0].message)
    with pytest.raises(Interrupted):
        together.on_train_end(*nothing)
    with pytest.raises(KeyError):
        Together([part]).on_train_epoch_end(*nothing)
