"""The VAE at the command line: pictures, active units, collapse, resuming, tests, two stages."""

import copy
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from PIL import Image
from torch.testing import assert_close

from lightning_gans.callbacks.reconstructions import Reconstructions, interpolations, traversals
from lightning_gans.data import Digits, Ring
from lightning_gans.errors import InputError
from lightning_gans.models import TwoStageVAE
from lightning_gans.networks import MLPDecoder, MLPEncoder
from lightning_gans.objectives import Gaussian
from lightning_gans.runs import MetricsFile
from tests.test_models import fit, tiny_mlp
from tests.test_vae import pixels

TINY = [
    "--config=configs/vae.yaml",
    "--model.likelihood=Gaussian",
    "--model.encoder.base_channels=4",
    "--model.decoder.base_channels=4",
    "--trainer.accelerator=cpu",
    "--quality.every_n_epochs=0",
    "--data.batch_size=16",
    "--trainer.limit_train_batches=3",
    "--trainer.limit_val_batches=1",
    "--trainer.log_every_n_steps=2",
    "--trainer.check_val_every_n_epoch=1",
]


def test_walks_go_where_they_say():
    start = torch.tensor([0.5, -1.0, 2.0])
    rows = traversals(start, torch.tensor([2, 0])).view(2, 11, 3)
    assert_close(rows[0, :, 2], torch.linspace(-3, 3, 11))
    assert_close(rows[1, :, 0], torch.linspace(-3, 3, 11))
    assert_close(rows[0, :, :2], start[:2].expand(11, 2))
    assert_close(rows[1, :, 1:], start[1:].expand(11, 2))
    pairs = torch.randn(5, 3)
    rows = interpolations(pairs).view(2, 11, 3)
    assert_close(rows[:, 0], pairs[[0, 2]])
    assert_close(rows[:, 10], pairs[[1, 3]])
    assert_close(rows[:, 5], (pairs[[0, 2]] + pairs[[1, 3]]) / 2)


class Known(MLPEncoder):
    """Latent 0 has the mean of an image, times ten; latent 1 a mean of 1; latent 2 is the prior."""

    def forward(self, events):
        mean = events.flatten(1).mean(1, keepdim=True)
        means = torch.cat([10 * mean, torch.ones_like(mean), torch.zeros_like(mean)], 1)
        nothing = 0 * self.layers[1].bias.sum()  # an encoder must depend on its weights
        return means + nothing, torch.tensor([-2.0, 0.0, 0.0]).expand_as(means) + nothing


def test_active_units_are_those_whose_mean_varies(tmp_path):
    model = pixels(encoder_optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    model.encoder = Known((1, 32, 32), 3, ())
    data = Digits(batch_size=64)
    callback = Reconstructions(n=100)
    fit(model, data, 3, callbacks=[callback], default_root_dir=tmp_path)
    row = json.loads((tmp_path / "reconstructions.jsonl").read_text().splitlines()[-1])
    assert row["metrics"]["active"]["value"] == 1 and row["metrics"]["active"]["n"] == 100
    _, constant, prior = row["kl_of_each"]
    assert (constant, prior) == (pytest.approx(0.5), pytest.approx(0.0))
    assert row["variance_of_each"][0] > 0.01 and row["variance_of_each"][1:] == [0.0, 0.0]
    pictures = {}
    for path in tmp_path.glob("*/*.png"):
        with Image.open(path) as picture:
            pictures[path.name] = picture.size
    assert pictures["images_000000192.png"] == (8 * 34 + 2, 8 * 34 + 2)
    assert pictures["traversals.png"] == (11 * 34 + 2, 3 * 34 + 2)
    assert pictures["interpolations.png"] == (11 * 34 + 2, 8 * 34 + 2)


class Blind(MLPEncoder):
    """Whatever the image, the posterior is the prior."""

    def forward(self, events):
        nothing = 0 * self.layers[1].bias.sum() + torch.zeros(len(events), 3)
        return nothing, nothing


def test_a_collapse_is_told_once(tmp_path):
    model = pixels()
    model.encoder = Blind((1, 32, 32), 3, ())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        options = {"default_root_dir": tmp_path, "check_val_every_n_epoch": 1}
        fit(model, Digits(batch_size=400), 12, callbacks=[Reconstructions()], **options)
    texts = [str(w.message) for w in caught if "Posterior collapse" in str(w.message)]
    assert len(texts) == 1 and "0 of 3 latents active, 0 nats" in texts[0]
    assert "after 2,400 samples" in texts[0]


def test_other_models_have_nothing_to_reconstruct(tmp_path):
    with pytest.raises(InputError, match=r"reconstructions.n is 1"):
        Reconstructions(n=1)
    options = {"callbacks": [Reconstructions()], "default_root_dir": tmp_path}
    fit(tiny_mlp(), Ring(batch_size=8), 1, **options)
    assert not (tmp_path / "reconstructions").exists()


def test_a_vae_is_trained_resumed_tested_and_sampled(lightning):
    whole = lightning("fit", *TINY, "--trainer.max_steps=9", "--run.experiment=whole")
    assert whole.code == 0, whole.err
    assert "16 latents active" in whole.out
    for steps in (4, 9):
        resumed = ["--ckpt_path=last"] if steps == 9 else []
        options = [f"--trainer.max_steps={steps}", "--run.experiment=parts", *resumed]
        answer = lightning("fit", *TINY, *options)
        assert answer.code == 0, answer.err
    contents = [
        torch.load(f"runs/{name}/version_0/checkpoints/final.ckpt", weights_only=True)
        for name in ("whole", "parts")
    ]
    assert_close(contents[0]["state_dict"], contents[1]["state_dict"], rtol=0, atol=0)
    rows = [MetricsFile(Path(f"runs/{name}/version_0/metrics.csv")) for name in ("whole", "parts")]
    for name in ("train/nll", "train/kl", "val/nll"):
        assert rows[0].series("step", name) == rows[1].series("step", name)
    assert Path("runs/whole/version_0/curves.png").is_file()

    checkpoint = "--ckpt_path=runs/whole/version_0/checkpoints/final.ckpt"
    # With the config of the checkpoint; its quality is not measured here.
    options = ["--model.test_samples=3", "--quality.every_n_epochs=0", "--trainer.accelerator=cpu"]
    answer = lightning("test", checkpoint, *options)
    assert answer.code == 0, answer.err
    assert "test/nll" in answer.out and "test/bits_per_dimension" in answer.out
    assert "dequantised by noise U(-0.0039, 0.0039), by 3 samples of q" in answer.out
    assert lightning("predict", checkpoint, *options).code == 0
    with np.load("runs/whole/version_0/predictions.npz") as predicted:
        assert predicted["log_prob"].shape == (180,)
        assert np.isfinite(predicted["log_prob"]).all()
    assert lightning("sample", checkpoint, "-n=4", "--out=grid.png").code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.likelihood.spread=none"], "expected one of 'fixed', 'shared', 'each'"),
        (["--model.likelihood.spread=each"], "decoder.outputs is 1"),
        (["--model.beta=-1"], "model.beta is -1"),
        (["--model.decoder.latent_dim=3"], "latent_dim 16, model.decoder 3"),
        (["--data.image_size=48"], "autoencoders take 28, 32, 64, 128"),
        (["--reconstructions.n=0"], "reconstructions.n is 0"),
    ],
)
def test_bad_input_gets_one_message(lightning, options, message):
    answer = lightning("fit", *TINY, "--trainer.max_steps=1", *options)
    assert answer.code == 2
    assert message in answer.err and "Traceback" not in answer.err


class Kept(Callback):
    """The first stage's weights, and samples of the prior, when it ends."""

    def on_train_epoch_end(self, trainer, model):
        if trainer.current_epoch == 2:
            self.first = copy.deepcopy((model.encoder.state_dict(), model.generator.state_dict()))
            self.prior = model.prior(4, torch.Generator().manual_seed(0))


def test_a_second_stage_learns_where_the_latents_lie():
    torch.manual_seed(0)
    networks = MLPEncoder((1, 8, 8), 2, (32,)), MLPDecoder((1, 8, 8), 2, (32,))
    second = MLPEncoder((2,), 2, (32,)), MLPDecoder((2,), 2, (32,))

    def quick(parameters):
        return torch.optim.Adam(parameters, lr=1e-2)

    model = TwoStageVAE(
        *networks,
        Gaussian(0.5),
        beta=0.1,  # so that the prior is far from the latents
        first_epochs=3,
        second_encoder=second[0],
        second_decoder=second[1],
        encoder_optimizer=quick,
        decoder_optimizer=quick,
        second_encoder_optimizer=quick,
        second_decoder_optimizer=quick,
    )
    data, kept = Digits(image_size=8, batch_size=64), Kept()
    fit(model, data, 13 * 22, callbacks=[kept])
    assert_close(kept.prior, torch.randn(4, 2, generator=torch.Generator().manual_seed(0)))
    after = model.encoder.state_dict(), model.generator.state_dict()
    assert_close(after, kept.first, rtol=0, atol=0)
    assert model.second_moves == 10 * 22

    events = torch.cat([events for events, _ in data.train_dataloader()])
    mean, log_variance = model.posterior(events)
    latents = mean + torch.randn_like(mean) * (log_variance / 2).exp()
    with torch.no_grad():
        made = model.prior(5000, torch.Generator().manual_seed(0))
    assert not 0.8 < latents.var(0).min() < 1.25
    assert_close(made.mean(0), latents.mean(0), rtol=0, atol=0.2 * latents.std().item())
    assert_close(made.T.cov(), latents.T.cov(), rtol=0, atol=0.25 * latents.var(0).max().item())
    assert model.sample(3).shape == (3, 1, 8, 8)


def test_latents_of_the_second_stage_have_its_laws_noise():
    """A decoder that says one mean, whatever it is told: what is drawn about it is the noise."""
    networks = MLPEncoder((2,), 2), MLPDecoder((2,), 2), Gaussian()
    second = {"second_encoder": MLPEncoder((2,), 2), "second_decoder": MLPDecoder((2,), 2)}
    model = TwoStageVAE(*networks, **second, first_epochs=1)
    with torch.no_grad():
        for parameter in second["second_decoder"].parameters():
            parameter.zero_()
        second["second_decoder"].layers[-2].bias.copy_(torch.tensor([5.0, -1.0]))
        model.second_generator.law.log_scale.fill_(math.log(3.0))
        model.second_moves += 1
        made = model.prior(40_000, torch.Generator().manual_seed(0))
    assert_close(made.mean(0), torch.tensor([5.0, -1.0]), rtol=0, atol=0.06)
    assert_close(made.T.cov(), 9 * torch.eye(2), rtol=0, atol=0.25)


def test_a_second_stage_must_be_as_wide():
    networks = MLPEncoder((2,), 3), MLPDecoder((2,), 3), Gaussian()
    second = {"second_encoder": MLPEncoder((3,), 3), "second_decoder": MLPDecoder((2,), 3)}
    with pytest.raises(InputError, match=r"second_decoder has the event_shape \(2,\)"):
        TwoStageVAE(*networks, **second, first_epochs=1)
