"""The loaders inside a Lightning trainer: epoch by epoch, and going on in the middle of one."""

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image

from lightning_gans.data import Digits, Folder

pytestmark = [
    # Lightning's own use of a PyTorch name.
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
]


class Recorder(LightningModule):
    """Notes a number for each training batch it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, batch_idx):
        samples, labels = batch
        assert samples.dtype == torch.float32
        self.seen.append((samples.double().sum().item(), labels.tolist()))
        return self.weight * 0

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Saver(Callback):
    """Saves a checkpoint after every training step."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, trainer, *args):
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")


def train(data, epochs, saver=None, resume=None):
    model = Recorder()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[saver] if saver else [],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data, ckpt_path=resume)
    return model.seen


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(30):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    return str(folder)


def from_memory(pictures):
    return Folder(pictures, image_size=8, batch_size=5, flip=True)


def from_files(pictures):
    return Folder(pictures, image_size=8, batch_size=5, flip=True, in_memory_gib=0.0, num_workers=1)


def digits(pictures):
    return Digits(image_size=8, batch_size=300, flip=True)


@pytest.mark.parametrize("make", [from_memory, from_files, digits])
def test_a_run_cut_off_anywhere_goes_on_with_the_next_batch(tmp_path, pictures, make):
    whole = train(make(pictures), 3, Saver(tmp_path))
    each = len(whole) // 3
    assert each == 4
    assert len({batch[0] for batch in whole}) == len(whole)
    for step in (2, 4, 7, 11):
        tail = train(make(pictures), 3, resume=tmp_path / f"{step}.ckpt")
        assert tail == whole[step:], step


def test_streaming_and_memory_train_on_the_same(pictures):
    first = train(from_memory(pictures), 2)
    assert train(from_files(pictures), 2) == first
