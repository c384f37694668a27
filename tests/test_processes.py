"""The command in two processes: what stops one stops both, and what one finds both find."""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import distributed

from lightning_gans.__main__ import main
from lightning_gans.callbacks import drawing
from lightning_gans.errors import Interrupted
from lightning_gans.runs import MetricsFile
from lightning_gans.strategies import know_rank, while_all_live
from tests.conftest import TINY_IMAGES

CHAIN = [
    "--config=configs/hmm.yaml",
    "--data.init_args.sequences=67",
    "--data.init_args.held_out=9",
    "--data.init_args.batch_size=7",
    "--data.init_args.length=9",
    "--data.init_args.shortest=4",
    "--model.init_args.event_shape=[9,2]",
    "--model.init_args.tolerance=0",
    "--trainer.accelerator=cpu",
    "--trainer.check_val_every_n_epoch=2",
    "--run.wandb=disabled",
]
DIGITS = [*TINY_IMAGES, "--data.batch_size=16", "--quality.n=400", "--quality.every_n_epochs=1"]
DIGITS += ["--trainer.limit_train_batches=3", "--trainer.max_epochs=2", "--run.wandb=disabled"]


told = pytest.mark.filterwarnings("always:the run was saved", "always:QualityMetrics failed")


def command(_, *args):
    """What one process says and with which code it ends."""
    said = io.StringIO()
    with mock.patch("sys.argv", ["lightning", *args]), contextlib.redirect_stderr(said):
        try:
            code = main(list(args))
        except SystemExit as stop:
            code = stop.code
    return code, said.getvalue()


def final(experiment):
    return torch.load(f"runs/{experiment}/version_0/checkpoints/final.ckpt", weights_only=True)


@pytest.fixture
def both(pair, tmp_path, monkeypatch):
    """``lightning fit`` in two processes."""
    monkeypatch.chdir(tmp_path)

    def run(*args, by=command):
        return pair(by, "fit", *args, "--trainer.devices=2")

    return run


@told
def test_another_number_of_processes_sees_every_event_once(both, lightning):
    """Sums do not depend on who adds them: what EM finds tells whether an event was lost.

    67 sequences in batches of 14, and of 7: the last ones are not full, and are shared unevenly.
    """
    whole, parts = ([*CHAIN, f"--run.experiment={name}"] for name in ("whole", "parts"))
    assert both(*whole, "--trainer.max_epochs=4") == ((0, mock.ANY), (0, mock.ANY))
    assert both(*parts, "--trainer.max_steps=8")[0][0] == 0
    answer = lightning("fit", *parts, "--trainer.max_steps=33", "--resume=last")
    assert answer.code == 0 and "goes on with 1: from the same 109 samples" in answer.err
    (code, said), _ = both(*parts, "--trainer.max_epochs=4", "--resume=last")
    assert code == 0 and "goes on with 2: from the same 222 samples" in said
    ours, theirs = final("parts"), final("whole")
    assert ours["clock"] == theirs["clock"]
    assert ours["clock"]["samples_seen"] == 4 * 67 and ours["clock"]["batches_seen"] == 20
    torch.testing.assert_close(ours["state_dict"], theirs["state_dict"], rtol=0, atol=1e-12)
    rows = [
        MetricsFile(Path(f"runs/{name}/version_0/metrics.csv")).series("samples_seen", "train/nll")
        for name in ("parts", "whole")
    ]
    assert rows[0][0] == rows[1][0] == [67, 134, 201, 268]
    assert rows[0][1] == pytest.approx(rows[1][1], rel=1e-8)


@told
def test_a_gan_goes_on_with_another_number_of_processes(both, lightning):
    run = [*TINY_IMAGES, "--model=GEAN", "--model.window=4", "--data.batch_size=60"]
    run += ["--run.wandb=disabled", "--trainer.log_every_n_steps=1"]
    assert both(*run, "--trainer.max_steps=14")[0][0] == 0  # 11 batches of 120 an epoch
    answer = lightning("fit", *run, "--trainer.max_epochs=2", "--resume=last")
    assert answer.code == 0 and "but no longer to the bit" in answer.err
    clock = final("dcgan")["clock"]
    # 1,437 images: 11 batches of 120, then 3, and the rest of them in 17 batches of 60.
    assert clock["samples_seen"] == 14 * 120 + 17 * 60 and clock["batches_seen"] == 2 * 23
    seen, _ = MetricsFile(Path("runs/dcgan/version_0/metrics.csv")).series("samples_seen", "step")
    assert seen == sorted(set(seen)) and seen[-1] == clock["samples_seen"]


def failing(rank, *args):
    """Looking at the samples fails in the second process."""
    looked = drawing.features_of

    def look(*options):
        if rank == 1:
            raise KeyError("a number")
        return looked(*options)

    with mock.patch.object(drawing, "features_of", look):
        return command(rank, *args)


@told
def test_a_report_that_fails_in_one_process_fails_in_both_and_training_goes_on(both):
    (first, here), (second, there) = both(*DIGITS, by=failing)
    assert first == second == 0
    assert "QualityMetrics failed (FailedElsewhere: in another process" in here
    assert "QualityMetrics failed (KeyError: 'a number')" in there
    assert final("dcgan")["clock"]["batches_seen"] == 6


def asked(rank, *args):
    """The second process is asked to stop in the middle of its first evaluation."""
    looked = drawing.features_of

    def look(extractor, batches, *options):
        def interrupted():
            yield next(batches)
            if rank == 1 and not done:
                done.append(os.kill(os.getpid(), signal.SIGTERM))
            yield from batches

        return looked(extractor, interrupted(), *options)

    done = []
    with mock.patch.object(drawing, "features_of", look):
        return command(rank, *args)


def test_a_signal_in_an_evaluation_stops_both_there_and_nothing_is_lost(both):
    assert both(*DIGITS, "--run.experiment=whole")[0][0] == 0
    (code, said), (other, _) = both(*DIGITS, "--run.experiment=parts", by=asked)
    assert (code, other) == (143, 0), said  # the first one says it
    assert "stopped by SIGTERM after batch 3, saved" in said
    run = Path("runs/parts/version_0")
    assert not (run / "quality.jsonl").read_text()
    assert both(*DIGITS, "--run.experiment=parts", "--resume=auto")[0][0] == 0
    states = [final(name)["state_dict"] for name in ("parts", "whole")]
    torch.testing.assert_close(*states, rtol=0, atol=0)
    for name in ("metrics.csv", "quality.jsonl"):
        assert (run / name).read_text() == (Path("runs/whole/version_0") / name).read_text()


def elsewhere(rank, *args):
    """The second process is on a node with a disk of its own."""
    if rank == 1:
        Path("node").mkdir()
        os.chdir("node")
    return command(rank, *args)


def test_a_node_that_does_not_see_the_checkpoint_is_named(both):
    short = [*CHAIN, "--trainer.max_steps=2"]
    assert both(*short)[0][0] == 0
    last = Path("runs/hmm/version_0/checkpoints/last.ckpt")
    before = last.read_bytes()
    answers = both(*CHAIN, "--trainer.max_steps=4", "--resume=auto", by=elsewhere)
    for code, said in answers:
        assert code == 2 and "finds no checkpoint, where the first process goes on from" in said
        assert "a disk that all nodes share" in said
    assert last.read_bytes() == before


def dying(rank, *args):
    """The second process dies while a checkpoint is made."""
    if rank == 1:
        with mock.patch("lightning_gans.callbacks.saved._dump", lambda _: os._exit(9)):
            return command(rank, *args)
    return command(rank, *args)


def test_a_process_that_dies_while_saving_ends_the_other_and_is_no_full_disk(both):
    (code, said), other = both(*CHAIN, "--trainer.max_steps=4", by=dying)
    assert code == 2 and other is None
    assert "another process has ended, or cannot be reached any more" in said
    assert "cannot be written" not in said and "Traceback" not in said


def test_who_waits_to_meet_its_starter_ends_with_it():
    """A process that Lightning started, and whose starter was killed before they had met."""
    with socket.socket() as free:  # nobody listens there
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    ranks = {"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "lightning_gans", "fit", *TINY_IMAGES, "--trainer.devices=2"],
        env={**os.environ, **meeting, **ranks, "LIGHTNING_GANS_STARTER": "1"},
        capture_output=True,
        text=True,
        timeout=300,  # torch would wait for 1,800 seconds
    )
    assert done.returncode == 2
    assert "the first process has ended before all had met; go on with --resume auto" in done.stderr


def test_two_processes_that_lightning_starts_meet_and_train(lightning):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "lightning_gans", "fit", *TINY_IMAGES),
            *("--trainer.devices=2", "--trainer.max_steps=2", "--data.batch_size=16"),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "2 batches, 64 samples seen" in done.stdout
    (run,) = Path("runs/dcgan").iterdir()
    assert (run / "checkpoints/final.ckpt").is_file()


@pytest.mark.parametrize(
    "error, told",
    [
        (distributed.DistBackendError("NCCL: unhandled system error"), True),
        (RuntimeError("[/pytorch/gloo/transport/tcp/pair.cc:5] Connection closed by peer"), True),
        (RuntimeError("the size of tensor a must match"), False),
    ],
)
def test_only_what_processes_say_to_each_other_is_told_as_their_end(error, told):
    with pytest.raises(Interrupted if told else RuntimeError) as raised, while_all_live():
        raise error
    assert told == ("another process has ended" in str(raised.value))


def test_a_further_machines_first_process_is_not_the_first(monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    monkeypatch.setenv("NODE_RANK", "1")
    know_rank()
    assert rank_zero_only.rank == 1
