"""A classifier of images, trained to tell what generators make."""

import logging
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int64
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from lightning_gans.data.batches import CountedBatches, TensorBatches
from lightning_gans.data.images import Labels
from lightning_gans.networks import LeNet

__all__ = [
    "Classifier",
    "Confusion",
    "Labelled",
    "accuracy",
    "confusion",
    "shifted",
    "train_classifier",
]

_SEED = 0
_BATCH = 128
_JUDGED_AT_ONCE = 512
_SHOWN_AFTER = 2.0

Confusion = Int64[Tensor, "classes classes"]
"""How often each true class (row) was told to be each class (column)."""

Labelled = tuple[Tensor, Tensor]
"""Bytes (n, channels, size, size) and labels (n,)."""

_Images = Float[Tensor, "batch channels height width"]


def confusion(labels: Labels, told: Labels, classes: int) -> Confusion:
    """Counts (classes, classes) of the pairs of a true class (row) and the one told (column)."""
    return (labels * classes + told).bincount(minlength=classes**2).view(classes, classes)


def accuracy(counts: Confusion) -> float:
    """Share of the samples counted that were told rightly, 0 to 1."""
    return counts.trace().item() / counts.sum().item()


def shifted(images: _Images, reach: int) -> _Images:
    """Each image moved by up to ``reach`` pixels up or down and left or right; edges are repeated.

    The shifts are drawn with torch's global generator.
    """
    batch, _, height, width = images.shape
    moves = torch.randint(-reach, reach + 1, (2, batch, 1), device=images.device)
    rows = (torch.arange(height, device=images.device) + moves[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + moves[1]).clamp(0, width - 1)
    which = torch.arange(batch, device=images.device)
    # Indices around a slice put their own dimensions first.
    picked = images[which[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


class Classifier(LightningModule):
    """LeNet by cross-entropy: Adam in one cycle (Smith and Topin, 2019), randomly shifted images.

    Images are moved by up to a pixel for every 16 of their size. Validation counts ``confusion``.

    Args:
        network: The classifier.
        steps: Batches of the whole training; the cycle is that long.
        peak: Largest learning rate.
    """

    def __init__(self, network: LeNet, steps: int, peak: float = 4e-3) -> None:
        super().__init__()
        self.network, self.steps, self.peak = network, steps, peak
        self.confusion = torch.zeros(network.classes, network.classes, dtype=torch.long)

    def configure_optimizers(self) -> dict[str, object]:
        """Adam, its rate up for three tenths of the steps and down to nothing in the rest."""
        optimizer = torch.optim.Adam(self.network.parameters())
        cycle = OneCycleLR(optimizer, self.peak, total_steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Mean cross-entropy () of a batch."""
        images, labels = batch
        return cross_entropy(self.network(shifted(images, images.shape[-1] // 16)), labels)

    def on_validation_epoch_start(self) -> None:
        """Count anew."""
        self.confusion = torch.zeros_like(self.confusion)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Count what the images of a batch are told to be."""
        images, labels = batch
        told = self.network(images).argmax(1)
        self.confusion += confusion(labels, told, self.network.classes).cpu()

    @property
    def accuracy(self) -> float:
        """Share told rightly of the images of the last validation, 0 to 1."""
        return accuracy(self.confusion)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Lightning tells of devices and limits, which are none of the user's here."""
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PossibleUserWarning)
        warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.* is deprecated")
        logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            logger.setLevel(level)


def train_classifier(
    train: Labelled, held_out: Sequence[Labelled], classes: int, title: str
) -> Classifier:
    """A classifier trained on the CPU for 6 sqrt(n) batches of 128 images, n in the training set.

    So a small set is seen often (1,437 images: 20 times) and a large one seldom (50,000: 3.4). It
    is always the same one, and no random number generator is touched.

    Args:
        train: Training images and labels.
        held_out: Pairs of images and labels that ``confusion`` is counted on.
        classes: Number of classes.
        title: Of the images, for the progress bar.

    Returns:
        The classifier, in evaluation mode, its confusion counted.
    """
    images, labels = train
    steps = math.ceil(6 * len(images) ** 0.5)
    judged = [torch.cat(tensors) for tensors in zip(*held_out, strict=True)]
    bar = tqdm(
        total=steps,
        desc=f"training the classifier of {title}",
        unit="batch",
        leave=False,
        delay=_SHOWN_AFTER,
        mininterval=0.5 if sys.stderr.isatty() else 30.0,
        dynamic_ncols=True,
    )

    def step(*_: Any) -> None:
        bar.update()

    # The caller may have switched gradients off, as Lightning does for validation.
    with isolate_rng(), torch.inference_mode(False), _quiet(), bar:
        torch.manual_seed(_SEED)
        network = LeNet(images.shape[-1], images.shape[1], classes)
        classifier = Classifier(network, steps)
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            precision="32-true",
            # Under SLURM, Lightning would save and queue this training as if it were the job.
            plugins=LightningEnvironment(),
            max_steps=steps,
            max_epochs=-1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            callbacks=[LambdaCallback(on_train_batch_end=step)],
        )
        order = CountedBatches(len(images), _BATCH, _SEED, drop_last=False)
        trainer.fit(classifier, TensorBatches(images, labels, order))
        order = CountedBatches(len(judged[0]), _JUDGED_AT_ONCE, shuffle=False, drop_last=False)
        trainer.validate(classifier, TensorBatches(*judged, order), verbose=False)
    return classifier.eval().requires_grad_(False)
