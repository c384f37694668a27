"""The network of FID: TensorFlow's Inception of 2015 in torch-fidelity's architecture."""

import hashlib
import io
import os
from pathlib import Path

import torch
from torch import Tensor

from lightning_gans.data.batches import to_bytes
from lightning_gans.metrics.features import ImageNetwork, named_after
from lightning_gans.types import Events, InputError

__all__ = ["Inception", "inception_weights"]

_SHA256 = "6726825d"
_FILE = "weights-inception-2015-12-05-6726825d.pth"


def inception_weights() -> Path | None:
    """Where the weights are: LIGHTNING_GANS_INCEPTION, else where torch-fidelity keeps them."""
    if given := os.environ.get("LIGHTNING_GANS_INCEPTION"):
        return Path(given).expanduser()
    kept = Path(torch.hub.get_dir(), "checkpoints", _FILE)
    return kept if kept.is_file() else None


class Inception(ImageNetwork):
    """TF-Inception (Szegedy et al., 2016), which FID, KID and IS are defined by.

    Images are rounded to bytes, grey ones repeated to three channels, and resized to 299 pixels
    as TensorFlow 1 did it (bilinear, without half-pixel centres).

    Args:
        weights: The file of the weights; None downloads them (91 MB).
        any_digest: Take weights that are not the original ones; then nothing is called FID.

    Raises:
        InputError: torch-fidelity is missing, or the file is missing, damaged or another one.
    """

    resize = "tf1-bilinear-299"
    num_features = 2048

    def __init__(self, weights: Path | None = None, any_digest: bool = False) -> None:
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import (
                URL_INCEPTION_V3,
                FeatureExtractorInceptionV3,
            )
        except ModuleNotFoundError as error:
            raise InputError(
                "TF-Inception needs torch-fidelity: pip install 'lightning-gans[fid]'"
            ) from error
        if weights is None:
            weights = Path(torch.hub.get_dir(), "checkpoints", _FILE)
            if not weights.is_file():
                _download(URL_INCEPTION_V3, weights)
        content = _read(weights)
        self.digest = hashlib.sha256(content).hexdigest()
        original = self.digest.startswith(_SHA256)
        if not original and not any_digest:
            raise InputError(
                f"{weights} has the sha256 {self.digest[:8]}..., the Inception weights "
                f"{_SHA256}...: it is damaged, or another file"
            )
        self.name = "inception" if original else f"inception-{self.digest[:8]}"
        try:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            # The library would unpickle the file; what it reads here is written by us.
            torch.save(state, own := io.BytesIO())
            own.seek(0)
            # Its first weights, which are replaced, are drawn from the global generator.
            with torch.random.fork_rng(devices=[]):
                self.network = FeatureExtractorInceptionV3(
                    "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=own
                )
        except Exception as error:  # a damaged file fails wherever its bytes are first used
            raise InputError(f"{weights} holds no Inception weights") from error

    @property
    def metrics(self) -> dict[str, str]:
        """fid, kid and is, by the original weights alone."""
        if self.name != "inception":
            return named_after(self.name)
        return {"frechet": "fid", "kernel": "kid", "score": "is"}

    def look(self, images: Events) -> tuple[Tensor, Tensor]:
        """Features (n, 2048), and logits (n, 1008) without bias."""
        return self.network(to_bytes(images).expand(-1, 3, -1, -1))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the Inception weights {path} cannot be read: {error.strerror}"
        ) from error


def _download(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=_SHA256)
    except Exception as error:  # no network, a full disk, a wrong digest
        raise InputError(
            f"the Inception weights are not here and cannot be downloaded from {url} ({error}); "
            "name a copy of the file with LIGHTNING_GANS_INCEPTION"
        ) from error
