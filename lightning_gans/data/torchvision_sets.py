"""Colour sets read through torchvision, which checks their MD5 sums first, and held in memory."""

import string
from collections.abc import Callable
from typing import TypeVar

import torch

from lightning_gans.data.images import Bytes, Labels
from lightning_gans.data.official import OfficialImages, download

__all__ = ["CIFAR10", "CIFAR100", "STL10", "SVHN"]


Found = TypeVar("Found")


def _found(images: OfficialImages, load: Callable[[bool], Found], file: str, url: str) -> Found:
    """What ``load(download)`` finds, without a download if the files are there and whole."""
    try:
        return load(False)
    # What torchvision raises when a file is missing or its MD5 sum is wrong.
    except RuntimeError:
        download(type(images).__name__, lambda: load(True), [file], url, images.root)
        return load(False)


class _Cifar(OfficialImages):
    """A CIFAR set in ``<root>``, in the Python version of its files."""

    channels = 3
    published: str

    def official(self, part: str) -> tuple[Bytes, Labels]:
        """Bytes (n, 3, 32, 32) and labels (n,)."""
        from torchvision import datasets

        published = getattr(datasets, self.published)

        # The files are pickles, which can run code when read: torchvision reads them only after
        # their MD5 sums match the published ones.
        def load(download: bool) -> datasets.CIFAR10:
            return published(self.root, part == "train", download=download)

        file = f"{published.filename}, unpacked to {published.base_folder},"
        found = _found(self, load, file, published.url)
        images = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
        return images, torch.tensor(found.targets)


class CIFAR10(_Cifar):
    """CIFAR-10: small photos in ten classes, RGB, 32 x 32; 45,000 train, 5,000 val, 10,000 test."""

    published = "CIFAR10"
    class_names = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )


class CIFAR100(_Cifar):
    """CIFAR-100: small photos in 100 classes, RGB, 32 x 32; sizes as CIFAR-10."""

    published = "CIFAR100"
    class_names = tuple(
        """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
        butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
        crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
        keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
        mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain
        plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
        skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
        television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman
        worm""".split()
    )


class SVHN(OfficialImages):
    """SVHN: street-view house numbers, RGB, 32 x 32; 65,932 train, 7,325 val, 26,032 test."""

    channels = 3
    class_names = tuple(string.digits)

    def official(self, part: str) -> tuple[Bytes, Labels]:
        """Bytes (n, 3, 32, 32) and labels (n,)."""
        from torchvision import datasets

        def load(download: bool) -> datasets.SVHN:
            return datasets.SVHN(self.root, part, download=download)

        url, file, _ = datasets.SVHN.split_list[part]
        found = _found(self, load, file, url)
        return torch.from_numpy(found.data).contiguous(), torch.from_numpy(found.labels).long()


class STL10(OfficialImages):
    """STL-10: labelled photos in ten classes, RGB, 96 x 96; 4,500 train, 500 val, 8,000 test.

    The 100,000 unlabelled photos are not used.
    """

    channels = 3
    class_names = (
        "airplane",
        "bird",
        "car",
        "cat",
        "deer",
        "dog",
        "horse",
        "monkey",
        "ship",
        "truck",
    )

    def official(self, part: str) -> tuple[Bytes, Labels]:
        """Bytes (n, 3, 96, 96) and labels (n,)."""
        from torchvision import datasets

        def load(download: bool) -> datasets.STL10:
            return datasets.STL10(self.root, part, download=download)

        file = f"{datasets.STL10.filename}, unpacked to {datasets.STL10.base_folder},"
        found = _found(self, load, file, datasets.STL10.url)
        return torch.from_numpy(found.data).contiguous(), torch.from_numpy(found.labels).long()
