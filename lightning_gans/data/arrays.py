"""A user's own images in one NumPy archive."""

import zipfile
from pathlib import Path

import numpy as np
import torch

from lightning_gans.data.images import Bytes, Images, Labels, split_in_three
from lightning_gans.types import InputError

__all__ = ["Arrays"]


class Arrays(Images):
    """Your own images in an .npz file: ``images`` and, if you have them, ``labels``.

    ``images`` are bytes (n, height, width) or (n, height, width, channels) with 1 or 3 channels;
    others than squares are cropped to their centre. ``labels`` are whole numbers (n,) from 0. A
    tenth is held out for validation and a tenth for testing, at random by ``seed``.

    Args:
        path: The .npz file.
        image_size: Height and width after resizing (bilinear, antialiased).
        batch_size: Images in a batch of one process.
        flip: Mirror training images left to right with probability 1/2.
        keep: Share of the training images to keep of each label named, 0 to 1, e.g. {"7": 0.1}.
        seed: Seed of the splits, the order of the batches, the flips and ``keep``.

    Raises:
        InputError: The file is missing or no .npz, or an array in it is missing or of another kind.
    """

    def __init__(
        self,
        path: str,
        image_size: int = 32,
        batch_size: int = 64,
        flip: bool = False,
        keep: dict[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.path = Path(path).expanduser()
        if not self.path.is_file():
            raise InputError(f"data.path is {path}, which is no file; it must be an .npz file")
        shape = self._header()
        self.labels = self._read_labels(shape[0])
        self.channels = shape[3] if len(shape) == 4 else 1
        known = int(self.labels.max()) + 1 if self._labelled else 0
        self.class_names = tuple(str(label) for label in range(known))
        super().__init__(image_size, batch_size, None, flip, keep, seed)

    def read(self, split: str) -> dict[str, tuple[Bytes, Labels]]:
        """Bytes (n, channels, height, width) and labels (n,) of every split."""
        with np.load(self.path, allow_pickle=False) as archive:
            images = torch.from_numpy(archive["images"])
        height, width = images.shape[1:3]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        images = images.reshape(len(images), height, width, self.channels).permute(0, 3, 1, 2)
        images = images[..., top : top + side, left : left + side].contiguous()
        parts = split_in_three(len(images), max(1, len(images) // 10), self.seed)
        return {name: (images[index], self.labels[index]) for name, index in parts.items()}

    def _header(self) -> tuple[int, ...]:
        """The shape of ``images``, checked, without reading them."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                names = set(archive.namelist())
                if "images.npy" not in names:
                    found = ", ".join(sorted(name.removesuffix(".npy") for name in names))
                    raise InputError(f"{self.path} has no array named images; it has: {found}")
                with archive.open("images.npy") as file:
                    version = np.lib.format.read_magic(file)
                    first = version == (1, 0)
                    read = "read_array_header_1_0" if first else "read_array_header_2_0"
                    shape, _, dtype = getattr(np.lib.format, read)(file)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{self.path} cannot be read as .npz: {error}") from error
        self._labelled = "labels.npy" in names
        grey_or_colour = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
        if dtype != np.uint8 or not grey_or_colour or shape[0] < 3 or 0 in shape:
            raise InputError(
                f"images in {self.path} is {dtype} {shape}; it must be uint8, "
                "(n, height, width) or (n, height, width, 1 or 3), and n at least 3"
            )
        return shape

    def _read_labels(self, n: int) -> Labels:
        """The labels (n,), checked; zeros without any."""
        if not self._labelled:
            return torch.zeros(n, dtype=torch.long)
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                labels = archive["labels"]
        # NumPy's word for an array of objects, which only a pickle can hold.
        except ValueError as error:
            raise InputError(f"labels in {self.path} cannot be read: {error}") from error
        if labels.shape != (n,) or labels.dtype.kind not in "iu" or labels.min() < 0:
            raise InputError(
                f"labels in {self.path} is {labels.dtype} {labels.shape}; "
                f"it must be whole numbers from 0, of shape ({n},)"
            )
        return torch.from_numpy(labels.astype(np.int64))
