"""The two-stage VAE of Dai and Wipf (2019): a second one learns where the first's latents lie."""

import torch
from torch import Tensor, nn

from lightning_gans.models.game import OptimizerFactory
from lightning_gans.models.observed import Observed, drawn, wide
from lightning_gans.models.rounds import Round
from lightning_gans.models.vae import VAE
from lightning_gans.objectives import Gaussian
from lightning_gans.objectives.likelihood import kl_to_prior
from lightning_gans.schedules import Stages
from lightning_gans.seeds import Stream, seeded
from lightning_gans.types import Decoder, Encoder, InputError, Player

__all__ = ["TwoStageVAE"]


class TwoStageVAE(VAE):
    """Two-stage VAE (Dai and Wipf, 2019): a VAE, then one of its latents, then samples of both.

    The posteriors of a VAE with a learned variance do not add up to the prior N(0, I) that it is
    sampled from. When it is trained it is held fixed, and a second VAE, as wide in its latents,
    learns what they add up to; its latents do fill the prior. The second one is Gaussian with one
    learned variance, and a sample has its noise. Likelihoods are those of the first stage alone,
    under its prior.

    Args:
        second_encoder: From the first stage's latents to as many of the second.
        second_decoder: From these back.
        first_epochs: Epochs of the first stage; the rest is the second.
        second_encoder_optimizer: In which direction the second encoder moves.
        second_decoder_optimizer: In which direction the second decoder moves.

    Raises:
        InputError: The parts do not fit together, or a number is out of range.
    """

    shared = (*VAE.shared, ("second_encoder", "second_decoder"))

    def __init__(
        self,
        *args,
        second_encoder: Encoder,
        second_decoder: Decoder,
        first_epochs: int,
        second_encoder_optimizer: OptimizerFactory = torch.optim.Adam,
        second_decoder_optimizer: OptimizerFactory = torch.optim.Adam,
        **kwargs,
    ) -> None:
        super().__init__(*args, schedule=Stages(first_epochs), **kwargs)
        width = self.generator.latent_dim
        for name, network in {"encoder": second_encoder, "decoder": second_decoder}.items():
            if network.event_shape != (width,) or network.latent_dim != width:
                raise InputError(
                    f"model.second_{name} has the event_shape {network.event_shape} and the "
                    f"latent_dim {network.latent_dim}; they must be [{width}] and {width}, as many "
                    "as the first stage has latents"
                )
        self.second_encoder = second_encoder
        self.second_generator = Observed(second_decoder, Gaussian(1.0, "shared"), True)
        self._optimizers |= {
            "second_encoder": second_encoder_optimizer,
            "second_decoder": second_decoder_optimizer,
        }
        self.register_buffer("second_moves", torch.tensor(0))

    @property
    def players(self) -> dict[Player, nn.Module]:
        """Those of both stages."""
        return super().players | {
            "second_encoder": self.second_encoder,
            "second_decoder": self.second_generator,
        }

    def loss(self, player: Player, played: Round, attached: bool = False) -> Tensor:
        """The mean loss () of ``player``'s stage on a round at the present weights."""
        if player in self.shared[0]:
            return super().loss(player, played, attached)
        with torch.no_grad():
            noise = self.latents(played.batch_size, played.batch)[played.part]
            # The first stage stays as it is: batch norm, too, goes by what it has learned.
            self.encoder.eval()
            latents = drawn(*self.posterior(played.events), noise)
            self.encoder.train()
        # Numbers that no other stage of this batch has drawn.
        keys = (self.seed, self.global_rank, played.batch, 1)
        source = seeded(self._latent_source, Stream.LATENTS, *keys)
        shape = played.batch_size, latents.shape[1]
        noise = torch.randn(shape, device=self.device, generator=source)[played.part]
        mean, log_variance = map(wide, self.second_encoder(latents))
        missed = -self.second_generator.log_prob(latents, drawn(mean, log_variance, noise)).mean()
        return missed + kl_to_prior(mean, log_variance).sum(1).mean()

    def moved(self, player: Player) -> None:
        """Take notice of a decoder that has moved."""
        super().moved(player)
        if player == "second_decoder":
            self.second_moves += 1

    def prior(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Latents (n, latent_dim) by the second stage; N(0, I) while the first is trained."""
        latents = super().prior(n, generator)
        if self.second_moves == 0:
            return latents
        return self.second_generator.sample(latents, generator)
