"""The digits that come with scikit-learn: a real image set without any download."""

import torch

from lightning_gans.data.images import Bytes, Images, Labels, split_in_three

__all__ = ["Digits"]


class Digits(Images):
    """The 1,797 handwritten digits inside scikit-learn (UCI, 8 x 8, 17 greys), no download.

    Split at random by ``seed`` into 1,437 training, 180 validation and 180 test images. ``root``
    is not used.
    """

    channels = 1
    _GREYS = 17
    class_names = tuple("0123456789")

    @property
    def bin_width(self) -> float:
        """At their own size values are one of 17 greys apart; resized ones are bytes."""
        return 2 / (self._GREYS - 1) if self.image_size == 8 else super().bin_width

    def read(self, split: str) -> dict[str, tuple[Bytes, Labels]]:
        """Bytes (n, 1, 8, 8) and labels (n,) of every split."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(digits.images * (255 / 16)).round().byte()[:, None]
        labels = torch.from_numpy(digits.target).long()
        parts = split_in_three(len(images), 180, self.seed)
        return {name: (images[index], labels[index]) for name, index in parts.items()}
