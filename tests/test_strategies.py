"""Two processes train what one process trains on their joined batches."""

import os
import pickle
import socket
import warnings
from unittest import mock

import pytest
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch import Trainer
from torch import distributed, multiprocessing
from torch.testing import assert_close

from lightning_gans.data import Digits, GaussianChain
from lightning_gans.errors import Interrupted
from lightning_gans.models import (
    DRAGAN,
    GAN,
    GEAN,
    HMM,
    LSGAN,
    R3GAN,
    VAE,
    WGANGP,
    DiagonalGaussian,
    GaussianMixture,
)
from lightning_gans.networks import (
    DCGANDiscriminator,
    DCGANGenerator,
    MLPDecoder,
    MLPDiscriminator,
    MLPEncoder,
    MLPGenerator,
)
from lightning_gans.objectives import R1, Bernoulli
from lightning_gans.schedules import (
    Alternating,
    Consensus,
    Phased,
    Simultaneous,
    Unrolled,
    extragradient,
)
from lightning_gans.seeds import Stream, seeded
from lightning_gans.strategies import Replicas

BATCHES = 7
BATCH = 16


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3, betas=(0.5, 0.99))


class SharedOut:
    """Draws the latents of all processes and keeps this one's: one process alone keeps all."""

    def latents(self, n, batch):
        world, rank = self.trainer.world_size, self.global_rank
        source = seeded(torch.Generator(), Stream.LATENTS, self.seed, 0, batch, 0)
        latents = torch.randn(n * world, self.generator.latent_dim, generator=source)
        return latents[n * rank : n * (rank + 1)].double()


class Joined(SharedOut, GAN):
    """A GAN whose processes share out one process's latents."""


class JoinedGEAN(SharedOut, GEAN):
    """As `Joined`."""


EQUAL = {
    "GAN": (Joined, {}),
    "ratio 3": (Joined, {"schedule": Alternating(3)}),
    "R1, clipped": (Joined, {"penalties": [R1(1.0)], "clip_norm": 0.1}),
    "GEAN, accumulated": (JoinedGEAN, {"window": 3}),
    "GEAN, simultaneous": (JoinedGEAN, {"window": 3, "order": "simultaneous"}),
    "GEAN, phased": (Joined, {"schedule": Phased(window=2)}),
    "extragradient": (Joined, {"schedule": Simultaneous(), "update": extragradient}),
    "consensus": (Joined, {"schedule": Simultaneous(), "update": Consensus(1.0)}),
    "unrolled": (Joined, {"update": Unrolled(2, 0.1)}),
}
"""What must equal one process with the joined batch: no batch statistics, no noise."""


class FixedHMM(HMM):
    """Begins alike whatever its process sees first."""

    def initialise(self, events):
        source = torch.Generator().manual_seed(0)
        super().initialise(torch.randn(40, *self.event_shape, generator=source).double())


def chain():
    torch.manual_seed(1)
    law = {"transition": [[0.9, 0.1], [0.3, 0.7]], "means": [[0.0], [3.0]], "stds": [[1.0], [0.5]]}
    data = GaussianChain(**law, initial=[0.5, 0.5], sequences=96, length=9, batch_size=BATCH)
    return FixedHMM((9, 1), 2, DiagonalGaussian, tolerance=0.0), data


def digits_mixture():
    return GaussianMixture((1, 8, 8), 3, tolerance=0.0), Digits(8, batch_size=256)


def digits_vae():
    torch.manual_seed(1)
    encoder, decoder = MLPEncoder((1, 8, 8), 4, (16,)), MLPDecoder((1, 8, 8), 4, (16,))
    options = {"encoder_optimizer": adam, "decoder_optimizer": adam}
    return VAE(encoder, decoder, Bernoulli(), **options), Digits(8, batch_size=BATCH)


LIKELIHOODS = {"HMM": chain, "mixture": digits_mixture, "VAE": digits_vae}

IDENTICAL = {"LSGAN": LSGAN, "WGAN-GP": WGANGP, "DRAGAN": DRAGAN, "R3GAN": R3GAN}
"""With batch statistics in the generator, or noise: the processes must still be identical."""


def perceptrons(model, options):
    torch.manual_seed(1)
    generator = MLPGenerator((1, 8, 8), 4, (16,), "tanh")
    discriminator = MLPDiscriminator((1, 8, 8), (16,), "tanh")
    options = {"generator_optimizer": adam, "discriminator_optimizer": adam} | options
    return model(generator, discriminator, **options).double(), Digits(8, batch_size=BATCH)


def convolutions(model):
    torch.manual_seed(1)
    discriminator = DCGANDiscriminator(32, 1, 4, norm="none")
    networks = (DCGANGenerator(32, 1, 8, 4), discriminator)
    return model(*networks, generator_optimizer=adam, discriminator_optimizer=adam), Digits(
        32, batch_size=BATCH
    )


def fit(model, data, world, precision):
    """The state after some batches, and the bytes that were averaged."""
    data.batch_size //= world
    options = {}
    if world > 1:
        options = {"strategy": Replicas(cluster_environment=LightningEnvironment())}
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The phases are past")
        trainer = Trainer(
            max_steps=BATCHES,
            accelerator="cpu",
            devices=world,
            precision=precision,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            **options,
        )
        trainer.fit(model, datamodule=data)
    if world > 1:
        state = model.state_dict()
        trainer.strategy.check_alike(state)
        last = list(state)[-1]
        if distributed.get_rank() == 0:
            state[last].add_(1e-3)
        with pytest.raises(Interrupted, match=f"no longer hold the same {last},"):
            trainer.strategy.check_alike(state)
        distributed.broadcast(state[last], 1)
    return model.state_dict(), getattr(trainer.strategy, "bytes_averaged", 0)


def everything(world):
    """All cases, by name."""
    torch.set_num_threads(1)
    cases = {name: (perceptrons(*case), "64-true") for name, case in EQUAL.items()}
    cases |= {name: (convolutions(model), "32-true") for name, model in IDENTICAL.items()}
    cases |= {name: (made(), "32-true") for name, made in LIKELIHOODS.items()}
    return {name: fit(*case, world, precision) for name, (case, precision) in cases.items()}


def meet(rank, port):
    """Train as one of two processes that were started by hand."""
    told = {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2"}
    told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with mock.patch.dict(os.environ, told):
        os.environ.pop("PL_GLOBAL_SEED", None)  # of tests before: Lightning would seed again
        try:
            return everything(2)
        finally:
            distributed.destroy_process_group()


def other(_, port, path):
    path.write_bytes(pickle.dumps(meet(1, port)))


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Every case as played by the first of two processes, by the second, and by one alone."""
    if not distributed.is_gloo_available():
        pytest.skip("torch was built without gloo")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path_factory.mktemp("processes") / "second.pickle"
    started = multiprocessing.spawn(other, (port, path), nprocs=1, join=False)
    first = meet(0, port)
    while not started.join():
        pass
    return first, pickle.loads(path.read_bytes()), everything(1)


@pytest.mark.parametrize("name", [*EQUAL, *IDENTICAL, *LIKELIHOODS])
def test_processes_hold_the_same_weights_and_buffers_to_the_bit(name, played):
    (first, _), (second, _), (alone, _) = (plays[name] for plays in played)
    assert_close(first, second, rtol=0, atol=0)
    moved = [key for key in alone if not torch.equal(alone[key], first[key])]
    assert name in EQUAL or name == "HMM" or moved  # they saw other latents than one process alone


@pytest.mark.parametrize("name", [*EQUAL, "HMM"])
def test_two_processes_are_one_with_the_joined_batch(name, played):
    (first, _), _, (alone, _) = (plays[name] for plays in played)
    assert_close(first, alone, rtol=0, atol=1e-9)


def test_only_the_movers_gradients_and_its_loss_are_sent(played):
    _, sent = played[0]["GAN"]
    model, _ = perceptrons(*EQUAL["GAN"])
    numbers = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert sent == 8 * BATCHES * (numbers + 2)
    accumulated = played[0]["GEAN, accumulated"][1]
    assert accumulated == 8 * (BATCHES // 3) * (numbers + 2)
