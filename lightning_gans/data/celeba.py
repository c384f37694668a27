"""CelebA: faces, streamed from the aligned and cropped files."""

import csv

import torch

from lightning_gans.data.files import Files
from lightning_gans.data.images import SPLITS, Labels
from lightning_gans.data.official import download
from lightning_gans.types import InputError

__all__ = ["CelebA"]

_PARTITION = "list_eval_partition.txt"
_IMAGES = "img_align_celeba"
_SOURCE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


class CelebA(Files):
    """CelebA: aligned faces, RGB; 162,770 train, 19,867 validation, 19,962 test; no classes.

    The usual protocol: the centre 178 x 178 of 218 x 178, resized; the published splits.

    Args:
        image_size: Height and width after resizing (bilinear, antialiased).
        batch_size: Images in a batch of one process.
        root: Folder that holds ``celeba``. None: the environment variable LIGHTNING_GANS_DATA,
            else ``data``.
        flip: Mirror training images left to right with probability 1/2.
        seed: Seed of the order of the batches and the flips.
        num_workers: Processes that decode when streaming. None: one less than there are cores,
            at least 1 and at most 8.
        in_memory_gib: Decode all images once into memory if they take at most so many GiB;
            otherwise stream them. All of CelebA takes 2.3 GiB at 64 x 64.

    Raises:
        InputError: The set is missing and cannot be downloaded, or as for all images.
    """

    channels = 3
    class_names = ()

    def __init__(
        self,
        image_size: int = 64,
        batch_size: int = 64,
        root: str | None = None,
        flip: bool = True,
        seed: int = 0,
        num_workers: int | None = None,
        in_memory_gib: float = 0.0,
    ) -> None:
        super().__init__(image_size, batch_size, root, flip, None, seed, num_workers, in_memory_gib)
        self._files: dict[str, list[str]] = {}

    def prepare_data(self) -> None:
        """Download what is missing; Lightning asks one process of each machine to."""
        self.files("train")

    def files(self, split: str) -> tuple[list[str], Labels]:
        """Paths of the images of ``split``, and zeros for labels (n,)."""
        if not self._files:
            self._list()
        paths = self._files[split]
        return paths, torch.zeros(len(paths), dtype=torch.long)

    def _list(self) -> None:
        """Read which image is in which split."""
        folder = self.root / "celeba"
        if not (folder / _PARTITION).is_file() or not (folder / _IMAGES).is_dir():
            from torchvision import datasets

            download(
                "CelebA",
                lambda: datasets.CelebA(self.root, download=True),
                [f"{_IMAGES}.zip, unpacked to {_IMAGES},", _PARTITION],
                _SOURCE,
                folder,
            )
        with open(folder / _PARTITION, newline="") as file:
            rows = list(csv.reader(file, delimiter=" ", skipinitialspace=True))
        try:
            for number, split in enumerate(SPLITS):
                own = [name for name, part, *_ in rows if int(part) == number]
                self._files[split] = [str(folder / _IMAGES / name) for name in own]
        except ValueError as error:
            raise InputError(
                f"{folder / _PARTITION} must hold a file name and 0, 1 or 2 on each line: {error}"
            ) from error
