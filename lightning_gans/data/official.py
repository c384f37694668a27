"""Sets published in a training and a test part: splits, downloads, and what to do without one."""

import socket
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning_gans.data.images import Bytes, Images, Labels, split_off
from lightning_gans.types import InputError

__all__ = ["OfficialImages", "download"]

_SECONDS = 10.0


@contextmanager
def _impatient():
    """Sockets opened inside wait ``_SECONDS`` at most, not for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def download(
    name: str, attempt: Callable[[], object], files: Sequence[str], source: str, folder: Path
) -> None:
    """Run ``attempt`` to download a missing set; if it fails, say how to do it by hand.

    Args:
        name: Of the set.
        attempt: Downloads all files into ``folder``.
        files: What is needed.
        source: Where the files are published.
        folder: Where the files belong.

    Raises:
        InputError: The download failed, for whatever reason.
    """
    try:
        with _impatient():
            attempt()
    # No network, a full or read-only disk, a server gone: the user's way out is the same.
    except Exception as error:
        raise InputError(
            f"{name} is missing or damaged in {folder}, and downloading it failed "
            f"({type(error).__name__}: {str(error).strip() or 'no reason given'}). "
            f"Download {', '.join(files)} from {source} and put them into {folder}; or, if you "
            "have them elsewhere, point --data.root or the environment variable "
            "LIGHTNING_GANS_DATA to the folder that holds the sets"
        ) from error


class OfficialImages(Images):
    """Images whose test set is the published one, and whose validation set is held out by ``seed``.

    10,000 of 60,000 training images are held out, 10 percent of any other number.
    """

    @abstractmethod
    def official(self, part: str) -> tuple[Bytes, Labels]:
        """The published ``train`` or ``test`` part, downloaded if missing."""

    def prepare_data(self) -> None:
        """Download what is missing; Lightning asks one process of each machine to."""
        self.arrays("train")
        self.arrays("test")

    def read(self, split: str) -> dict[str, tuple[Bytes, Labels]]:
        """The test set, or the training and the validation set."""
        if split == "test":
            return {"test": self.official("test")}
        images, labels = self.official("train")
        held_out = 10_000 if len(images) == 60_000 else len(images) // 10
        train, val = split_off(len(images), held_out, self.seed)
        return {"train": (images[train], labels[train]), "val": (images[val], labels[val])}
