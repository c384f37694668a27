"""A user's own folder of images."""

import os
from pathlib import Path

import torch

from lightning_gans.data.decode import EXTENSIONS
from lightning_gans.data.files import Files
from lightning_gans.data.images import Labels, split_in_three
from lightning_gans.types import InputError

__all__ = ["Folder"]

_FEWEST = 3


class Folder(Files):
    """Your own folder of image files of any size and kind, with a folder for each class or without.

    Each image is turned as its EXIF orientation says, cropped to the centre square and resized;
    16 bits are scaled to 8, and transparency is laid on white. The top-level folders that hold
    images are the classes; images beside them form the class ``.``; without folders there are no
    classes. A tenth is held out for validation and a tenth for testing, at random by ``seed``.
    Files that are broken or no images are skipped with a warning.

    Args:
        root: The folder.
        image_size: Height and width.
        channels: 1 for grey, 3 for RGB, whatever the files hold.
        batch_size: Images in a batch of one process.
        flip: Mirror training images left to right with probability 1/2.
        keep: Share of the training images to keep of each class named, 0 to 1.
        seed: Seed of the splits, the order of the batches, the flips and ``keep``.
        num_workers: Processes that decode when streaming. None: one less than there are cores,
            at least 1 and at most 8.
        in_memory_gib: Decode all images once into memory if they take at most so many GiB;
            otherwise stream them.

    Raises:
        InputError: The folder is missing or holds fewer than 3 images, ``channels`` is neither 1
            nor 3, or as for all images.
    """

    def __init__(
        self,
        root: str,
        image_size: int = 64,
        channels: int = 3,
        batch_size: int = 64,
        flip: bool = False,
        keep: dict[str, float] | None = None,
        seed: int = 0,
        num_workers: int | None = None,
        in_memory_gib: float = 1.0,
    ) -> None:
        if channels not in (1, 3):
            raise InputError(f"data.channels is {channels}; it must be 1 (grey) or 3 (RGB)")
        self.channels = channels
        self._list(Path(root).expanduser())
        super().__init__(image_size, batch_size, root, flip, keep, seed, num_workers, in_memory_gib)
        held_out = max(1, len(self._paths) // 10)
        self._index = split_in_three(len(self._paths), held_out, seed)

    def files(self, split: str) -> tuple[list[str], Labels]:
        """Paths of the images of ``split``, and labels (n,)."""
        index = self._index[split]
        return [self._paths[i] for i in index.tolist()], self._labels[index]

    def ignored(self) -> list[str]:
        """Files without the ending of an image."""
        return self._ignored

    def _list(self, root: Path) -> None:
        """Find images by their ending, in an order that does not depend on the disk."""
        if not root.is_dir():
            raise InputError(f"data.root is {root}, which is no folder; it must hold images")
        found, self._ignored = [], []
        for folder, folders, names in os.walk(root, followlinks=True):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(name for name in names if not name.startswith(".")):
                path = Path(folder, name)
                if path.suffix.lower() in EXTENSIONS:
                    inner = path.relative_to(root).parts[:-1]
                    found.append((str(path), inner[0] if inner else "."))
                else:
                    self._ignored.append(str(path))
        if len(found) < _FEWEST:
            raise InputError(
                f"{root} holds {len(found)} images; at least {_FEWEST} are needed, "
                f"ending in {', '.join(sorted(EXTENSIONS))}"
            )
        self._paths = [path for path, _ in found]
        names = sorted({name for _, name in found})
        self.class_names = () if names == ["."] else tuple(names)
        self._labels = torch.tensor([names.index(name) for _, name in found])
