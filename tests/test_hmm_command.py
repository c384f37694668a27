"""Hidden Markov models by the command: fit, resume, test, predict, sample, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_gans.runs import MetricsFile

RUN = Path("runs/hmm/version_0")
SHORT = [
    "--config=configs/hmm.yaml",
    "--data.init_args.sequences=60",
    "--data.init_args.held_out=20",
    "--data.init_args.batch_size=20",
    "--data.init_args.length=20",
    "--data.init_args.shortest=4",
    "--model.init_args.event_shape=[20,2]",
    "--trainer.accelerator=cpu",
    "--trainer.check_val_every_n_epoch=2",
]


def weights(run):
    content = torch.load(run / "checkpoints/final.ckpt", weights_only=True)
    return content["state_dict"] | content["em"][0]["sums"]


def test_a_run_goes_on_bit_for_bit_from_the_middle_of_a_window(lightning):
    assert lightning("fit", *SHORT, "--trainer.max_steps=11").code == 0
    assert lightning("fit", *SHORT, "--trainer.max_steps=5").code == 0
    answer = lightning("fit", *SHORT, "--trainer.max_steps=11", "--ckpt_path=last")
    assert answer.code == 0, answer.err
    assert "nobody moved on the last 2 batches, of a window of 3" in answer.out
    whole, parts = weights(RUN), weights(RUN.with_name("version_1"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
    series = [
        MetricsFile(run / "metrics.csv").series("step", name)
        for run in (RUN, RUN.with_name("version_1"))
        for name in ("train/nll", "val/nll")
    ]
    assert series[:2] == series[2:]
    assert np.all(np.diff(series[0][1]) < 0)


def test_a_likelihood_that_has_settled_stays_settled(lightning):
    settling = [*SHORT, "--model.init_args.tolerance=0.1"]
    answer = lightning("fit", *settling)
    assert answer.code == 0 and "the likelihood has settled" in answer.err
    batches = torch.load(RUN / "checkpoints/final.ckpt", weights_only=True)["global_step"]
    assert 3 < batches < 60
    for path in RUN.glob("checkpoints/final.ckpt"):
        path.unlink()  # killed while it ended
    assert lightning("fit", *settling, "--resume=auto").code == 0
    again = torch.load(RUN / "checkpoints/final.ckpt", weights_only=True)
    assert again["global_step"] == batches


def test_it_is_tested_predicts_and_samples(lightning):
    assert lightning("fit", *SHORT, "--trainer.max_epochs=4").code == 0
    checkpoint = f"--ckpt_path={RUN / 'checkpoints/final.ckpt'}"
    told = lightning("test", *SHORT, checkpoint)
    assert told.code == 0 and "test/nll" in told.out and "test/nll_per_step" in told.out
    assert lightning("predict", *SHORT, checkpoint).code == 0
    with np.load(RUN / "predictions.npz") as found:
        assert {name: found[name].shape for name in found.files} == {
            "log_prob": (20,),
            "labels": (20,),
            "states": (20, 20),
            "next": (20, 2),
        }
        assert set(np.unique(found["states"])) == {-1, 0, 1, 2, 3}
    assert lightning("sample", checkpoint, "-n=3", "--out=s.npz").code == 0
    with np.load("s.npz") as samples:
        assert samples["samples"].shape == (3, 20, 2)
    assert lightning("sample", checkpoint, "-n=3", "--out=s.png").code == 0
    assert len(list((RUN / "samples").glob("*.png"))) == 2  # the last epoch's, and real ones
    refused = lightning("sample", checkpoint, "--out=folder")
    assert refused.code == 2 and "--out folder" in refused.err


@pytest.mark.parametrize(
    ("where", "what", "options", "answer"),
    [
        (np.s_[3], np.nan, [], "x.npz: sequence 3 (from 0) has no step"),
        (np.s_[3, 2, 0], np.nan, [], "x.npz: sequence 3 (from 0) has a number that is nan"),
        (np.s_[:, :, 1], 0.5, [], "column 1 (from 0) of the observations has the variance 0"),
        (np.s_[0], 0.0, ["--model.init_args.states=150"], "the sequences have only 144 steps"),
        (np.s_[0], 0.0, ["--model.init_args.event_shape=[6,3]"], "the data are (6, 2)"),
        (
            np.s_[0],
            0.0,
            ["--model.init_args.emission=lightning_gans.models.Categorical"],
            "must be whole numbers from 0 to 1",
        ),
        (np.s_[0], 0.0, ["--model.init_args.emission.init_args.flor=1"], "flor"),
    ],
)
def test_what_cannot_be_modelled_is_refused_in_one_line(lightning, where, what, options, answer):
    events = np.random.default_rng(0).normal(size=(30, 6, 2))
    events[where] = what
    np.savez("x.npz", sequences=events)
    Path("own.yaml").write_text(
        "data: {class_path: lightning_gans.data.Sequences, init_args: {path: x.npz}}"
    )
    args = ["--config=configs/hmm.yaml", "--config=own.yaml", "--trainer.accelerator=cpu"]
    said = lightning("fit", *args, "--model.init_args.event_shape=[6,2]", *options)
    assert said.code == 2 and answer in said.err, said.err
    assert said.err.splitlines()[-1].startswith("error: ") and said.err.count("error") == 1
    assert not RUN.exists()
