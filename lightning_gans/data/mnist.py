"""The MNIST family, read from idx files as they are published, packed or not."""

import os
import string
import tempfile
from pathlib import Path

import torch

from lightning_gans.data.idx import find_idx, read_idx
from lightning_gans.data.images import Bytes, Labels
from lightning_gans.data.official import OfficialImages, download
from lightning_gans.types import InputError

__all__ = ["EMNIST", "KMNIST", "MNIST", "FashionMNIST"]


class IdxImages(OfficialImages):
    """Grey 28 x 28 images in ``<root>/<set>/raw``, as idx files unpacked or gzipped.

    ``published`` is the name in ``torchvision.datasets``, which knows the addresses and checksums.
    """

    channels = 1
    published: str

    def official(self, part: str) -> tuple[Bytes, Labels]:
        """Bytes (n, 1, 28, 28) and labels (n,)."""
        names = self.files(part)
        if any(find_idx(self.folder, name) is None for name in names):
            self.fetch()
        paths = [find_idx(self.folder, name) for name in names]
        images, labels = (torch.from_numpy(read_idx(path)) for path in paths)
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise InputError(
                f"{paths[0]} and {paths[1]} have the shapes {tuple(images.shape)} and "
                f"{tuple(labels.shape)}; they must be (n, height, width) and (n,)"
            )
        return images[:, None], labels.long()

    @property
    def folder(self) -> Path:
        """Where the files belong."""
        return self.root / self.published / "raw"

    def files(self, part: str) -> tuple[str, str]:
        """Names, unpacked, of the files of images and labels of ``part``."""
        prefix = "train" if part == "train" else "t10k"
        return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"

    def fetch(self) -> None:
        """Download the missing files from the first mirror that answers."""
        from torchvision import datasets
        from torchvision.datasets.utils import download_url

        published = getattr(datasets, self.published)

        def attempt() -> None:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, md5 in published.resources:
                if find_idx(self.folder, name.removesuffix(".gz")) is None:
                    fetch_one(name, md5)

        def fetch_one(name: str, md5: str) -> None:
            # Checked in a folder of its own: a download cut short must not look like the file.
            with tempfile.TemporaryDirectory(dir=self.folder) as unchecked:
                for mirror in published.mirrors:
                    try:
                        download_url(mirror + name, unchecked, name, md5)
                        break
                    except (OSError, RuntimeError):
                        if mirror == published.mirrors[-1]:
                            raise
                os.replace(Path(unchecked, name), self.folder / name)

        names = [name for name, _ in published.resources]
        download(self.published, attempt, names, published.mirrors[0], self.folder)


class MNIST(IdxImages):
    """MNIST: handwritten digits, grey, 28 x 28; 50,000 train, 10,000 validation, 10,000 test."""

    published = "MNIST"
    class_names = tuple(string.digits)


class FashionMNIST(IdxImages):
    """Fashion-MNIST: pictures of clothing in ten classes, grey, 28 x 28; sizes as MNIST."""

    published = "FashionMNIST"
    class_names = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )


class KMNIST(IdxImages):
    """Kuzushiji-MNIST: cursive Japanese characters in ten classes, grey, 28 x 28; as MNIST."""

    published = "KMNIST"
    class_names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


_UNMERGED = "".join(sorted(set(string.ascii_lowercase) - set("cijklmopsuvwxyz")))
_EMNIST = {
    "byclass": tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase),
    "bymerge": tuple(string.digits + string.ascii_uppercase + _UNMERGED),
    "balanced": tuple(string.digits + string.ascii_uppercase + _UNMERGED),
    "letters": tuple(string.ascii_lowercase),
    "digits": tuple(string.digits),
    "mnist": tuple(string.digits),
}


class EMNIST(IdxImages):
    """EMNIST: handwritten digits and letters, grey, 28 x 28, in six ways to class them.

    Args:
        split: One of byclass (62 classes), bymerge (47), balanced (47), letters (26), digits (10)
            and mnist (10).
        image_size: Height and width after resizing (bilinear, antialiased).
        batch_size: Images in a batch of one process.
        root: Folder that holds the set. None: the environment variable LIGHTNING_GANS_DATA,
            else ``data``.
        flip: Mirror training images left to right with probability 1/2.
        keep: Share of the training images to keep of each class named, 0 to 1.
        seed: Seed of the splits, the order of the batches, the flips and ``keep``.

    Raises:
        InputError: ``split`` is none of the six, or as for all images.
    """

    published = "EMNIST"

    def __init__(
        self,
        split: str = "balanced",
        image_size: int = 32,
        batch_size: int = 64,
        root: str | None = None,
        flip: bool = False,
        keep: dict[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        if split not in _EMNIST:
            raise InputError(f"data.split is {split!r}; it must be one of {', '.join(_EMNIST)}")
        self.split, self.class_names = split, _EMNIST[split]
        super().__init__(image_size, batch_size, root, flip, keep, seed)

    def official(self, part: str) -> tuple[Bytes, Labels]:
        """Bytes (n, 1, 28, 28), upright, and labels (n,) from 0."""
        images, labels = super().official(part)
        # The files hold each image with rows and columns swapped, and count letters from 1.
        return images.mT.contiguous(), labels - int(self.split == "letters")

    def files(self, part: str) -> tuple[str, str]:
        """Names, unpacked, of the files of images and labels of ``part``."""
        prefix = f"emnist-{self.split}-{part}"
        return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"

    def fetch(self) -> None:
        """Download and unpack the one archive that holds all six."""
        from torchvision import datasets

        def attempt() -> None:
            datasets.EMNIST(self.root, self.split, download=True)

        names = [f"{name}.gz" for part in ("train", "test") for name in self.files(part)]
        source = f"{datasets.EMNIST.url} (folder gzip inside)"
        download("EMNIST", attempt, names, source, self.folder)
