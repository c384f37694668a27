"""Mixtures on the command line, and what they refuse."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gans.errors import Diverged, InputError
from lightning_gans.models import (
    GaussianMixture,
    GaussianMixtureByGradient,
    MixtureOfFactorAnalysers,
    likelihood,
)
from lightning_gans.objectives.covariances import Diagonal, Spherical
from lightning_gans.objectives.matrices import Full, Tied
from tests.mixtures import (
    DOUBLE,
    Held,
    clusters,
    train,
)


def constant():
    return torch.cat([clusters(), torch.ones(600, 1, **DOUBLE)], 1)


def spoiled():
    points = clusters()
    points[5] = math.nan
    return points


@pytest.mark.parametrize(
    "make, points, told",
    [
        (lambda: GaussianMixture((4,), 601), clusters, "components is 601, but there are 600"),
        (lambda: MixtureOfFactorAnalysers((4,), 601, 2), clusters, "choose at most 600"),
        (lambda: GaussianMixture((4,), 3), spoiled, "1 of the first 600 events are not finite"),
        (lambda: GaussianMixture((4,), 3, initial_events=5), spoiled, "log-likelihood is nan"),
        (
            lambda: MixtureOfFactorAnalysers((4,), 2, 2, initial_events=5),
            spoiled,
            "log-likelihood is nan",
        ),
        *(
            (lambda c=c: GaussianMixture((5,), 3, c, reg_covar=0.0), constant, "is singular")
            for c in (Diagonal(), Full(), Tied())
        ),
        (
            lambda: GaussianMixture((4,), 300, Spherical(), reg_covar=0.0),
            clusters,
            "component .* is singular",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:1 of 5 values are the same in all events")
def test_data_that_cannot_be_fitted_get_one_message(make, points, told):
    with pytest.raises(InputError, match=told):
        train(make(), Held(points(), 100), 20)


def test_what_is_not_a_number_is_not_told():
    with pytest.raises(Diverged, match="of 1 of 3 events is not a number"):
        likelihood.told(torch.tensor([0.0, math.nan, -math.inf]))
    model = GaussianMixture((4,), 3)
    train(model, Held(clusters()), 2)
    missing = torch.tensor([True, False, False, False])
    assert model.inpaint(spoiled()[6:9], missing).isfinite().all()
    with pytest.raises(InputError, match="1 of 3 events have values that are no numbers"):
        model.inpaint(spoiled()[4:7], missing)


def test_constant_values_are_no_spikes_where_variances_have_a_floor():
    for model in (GaussianMixture((5,), 3), MixtureOfFactorAnalysers((5,), 3, 2)):
        with pytest.warns(UserWarning, match="1 of 5 values are the same in all events"):
            train(model, Held(constant()), 20)
        assert model.log_prob(constant()).isfinite().all()


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda: GaussianMixture((4,), 0), "components is 0"),
        (lambda: GaussianMixture((4, 0), 2), "event_shape is 0"),
        (lambda: GaussianMixture((4,), 2, restarts=0), "restarts is 0"),
        (lambda: GaussianMixture((4,), 2, reg_covar=-1.0), "reg_covar is -1.0"),
        (lambda: GaussianMixture((4,), 2, window=0), "window is 0"),
        (lambda: GaussianMixture((4,), 2, decay=0.5), "decay is 0.5"),
        (lambda: GaussianMixture((4,), 2, tolerance=-1.0), "tolerance is -1.0"),
        (lambda: GaussianMixture((4,), 2, initial_events=0), "initial_events is 0"),
        (lambda: GaussianMixtureByGradient((4,), 2, initial_events=0), "initial_events is 0"),
        (lambda: MixtureOfFactorAnalysers((4,), 2, 4), "factors is 4; it must be 1 to 3"),
        (lambda: MixtureOfFactorAnalysers((4,), 2, 1, least_noise=0.0), "least_noise is 0.0"),
    ],
)
def test_numbers_out_of_range_are_refused(make, told):
    with pytest.raises(InputError, match=told):
        make()


def test_the_command_fits_tests_predicts_and_fills_gaps(lightning, tmp_path):
    options = ["--trainer.max_epochs=2", "--trainer.accelerator=cpu", "--quality.every_n_epochs=0"]
    answer = lightning("fit", "--config=configs/mixture_digits.yaml", *options)
    assert answer.code == 0, answer.err
    run = tmp_path / "runs/mixture_digits/version_0"
    with Image.open(run / "inpainted.png") as picture:
        assert picture.size == (4 * 34 + 2, 8 * 34 + 2)  # gap, mean, draw, truth, of eight images
    checkpoint = f"--ckpt_path={run / 'checkpoints/final.ckpt'}"
    answer = lightning("test", checkpoint, *options[1:])
    assert answer.code == 0, answer.err
    for told in ("test/bic", "test/bits_per_dimension", "nats an event, of the density of values"):
        assert told in answer.out
    assert lightning("predict", checkpoint, *options[1:]).code == 0
    with np.load(run / "predictions.npz") as found:
        assert found["responsibilities"].shape == (180, 20)
        np.testing.assert_allclose(found["responsibilities"].sum(1), 1, atol=1e-5)


def test_what_fills_no_gaps_has_no_picture_of_them(lightning):
    callback = "--trainer.callbacks=lightning_gans.callbacks.Inpainting"
    for config in ("gan_mlp", "mixture"):
        answer = lightning("fit", f"--config=configs/{config}.yaml", callback)
        assert answer.code == 2 and "fills no gaps in images" in answer.err
    share = "--trainer.callbacks.share=0"
    answer = lightning("fit", "--config=configs/mixture.yaml", callback, share)
    assert answer.code == 2 and "Inpainting.share is 0" in answer.err
