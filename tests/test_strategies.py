"""Two processes train what one process trains on their joined batches."""

import warnings
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch import Trainer
from torch import distributed
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
MANY = 100
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

IDENTICAL = {
    "GAN, batch norm": GAN,
    "LSGAN": LSGAN,
    "WGAN-GP": WGANGP,
    "DRAGAN": DRAGAN,
    "R3GAN": R3GAN,
    "GEAN, batch norm": partial(GEAN, window=3),
    "GEAN, phased, batch norm": partial(GAN, schedule=Phased(window=2)),
}
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
        32, batch_size=BATCH // 2
    )


class Played(NamedTuple):
    """What a process has at the end: state, bytes averaged, bytes of all messages by their kind."""

    state: dict[str, torch.Tensor]
    averaged: int = 0
    sent: dict[str, int] | None = None


class Counted:
    """Counts what torch.distributed carries, whoever asks for it."""

    def __init__(self) -> None:
        self.sent: dict[str, int] = {}

    def __enter__(self):
        self._reduce = distributed.all_reduce

        def counted(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            kind = str(tensor.dtype).removeprefix("torch.")
            self.sent[kind] = self.sent.get(kind, 0) + tensor.nbytes
            return self._reduce(tensor, *args, **kwargs)

        distributed.all_reduce = counted
        return self.sent

    def __exit__(self, *_: Any) -> None:
        distributed.all_reduce = self._reduce


def fit(model, data, world, precision, batches):
    """Train for so many batches."""
    data.batch_size //= world
    options = {}
    if world > 1:
        options = {"strategy": Replicas(cluster_environment=LightningEnvironment())}
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The phases are past")
        trainer = Trainer(
            max_steps=batches,
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
        with Counted() as sent:
            trainer.fit(model, datamodule=data)
    state = model.state_dict()
    if world == 1:
        return Played(state)
    trainer.strategy.check_alike(state)
    last = list(state)[-1]
    if distributed.get_rank() == 0:
        state[last].add_(1e-3)
    with pytest.raises(Interrupted, match=f"no longer hold the same {last},"):
        trainer.strategy.check_alike(state)
    distributed.broadcast(state[last], 1)
    return Played(model.state_dict(), trainer.strategy.bytes_averaged, sent)


def everything(_, world):
    """All cases, by name."""
    torch.set_num_threads(1)
    cases = {name: (perceptrons(*case), "64-true", BATCHES) for name, case in EQUAL.items()}
    if world > 1:
        cases |= {name: (convolutions(make), "32-true", MANY) for name, make in IDENTICAL.items()}
    cases |= {name: (made(), "32-true", MANY) for name, made in LIKELIHOODS.items()}
    return {name: fit(*case, world, *rest) for name, (case, *rest) in cases.items()}


@pytest.fixture(scope="module")
def played(pair):
    """Every case as played by the first of two processes, by the second, and by one alone."""
    return *pair(everything, 2), everything(0, 1)


@pytest.mark.parametrize("name", [*EQUAL, *IDENTICAL, *LIKELIHOODS])
def test_processes_hold_the_same_weights_and_buffers_to_the_bit(name, played):
    first, second, _ = played
    assert_close(first[name].state, second[name].state, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["mixture", "VAE"])
def test_each_process_draws_noise_of_its_own(name, played):
    first, _, alone = (plays[name].state for plays in played)
    assert any(not torch.equal(alone[key], first[key]) for key in alone)


@pytest.mark.parametrize("name", [*EQUAL, "HMM"])
def test_two_processes_are_one_with_the_joined_batch(name, played):
    first, _, alone = (plays[name].state for plays in played)
    assert_close(first, alone, rtol=0, atol=1e-9)


def test_only_the_movers_gradients_and_its_loss_are_sent(played):
    """And, every batch, whole numbers to agree on: nothing else is reduced."""
    model, _ = perceptrons(*EQUAL["GAN"])
    numbers = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    for name, moves in {"GAN": BATCHES, "GEAN, accumulated": BATCHES // 3}.items():
        _, averaged, sent = played[0][name]
        assert averaged == sent["float64"] == 8 * moves * (numbers + 2)
        assert sent.keys() == {"float64", "int64"} and sent["int64"] < 16 * BATCHES + 1000
