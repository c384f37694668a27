"""Classifiers of ImageNet from torchvision, as extractors."""

import hashlib
import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lightning_gans.data.batches import to_bytes
from lightning_gans.errors import InputError, meant
from lightning_gans.metrics.features import ImageNetwork, named_after
from lightning_gans.types import Events

__all__ = ["ImageNet"]

_OTHERS = ("auto", "inception", "identity")
_SIZE = 224
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageNet(ImageNetwork):
    """What goes into the last dense layer of one of torchvision's classifiers, and what comes out.

    Images are rounded to bytes, resized to 224 pixels (bilinear, antialiased) and normalised as
    ImageNet's are; grey ones are repeated to three channels.

    Args:
        model: Its name there, e.g. resnet50.
        weights: A file with its state_dict; None takes torchvision's default weights, downloaded
            if they are not here.

    Raises:
        InputError: There is no such model, or the weights cannot be had or are another model's.
    """

    resize = "bytes-bilinear-antialias-224"

    def __init__(self, model: str, weights: Path | None = None) -> None:
        import torchvision.models
        from torchvision.models import get_model, get_model_weights, list_models

        if model not in (known := list_models(module=torchvision.models)):
            raise InputError(
                f"the extractor is {model!r}; it must be auto, inception, identity or a classifier "
                f"of torchvision.models such as resnet50{meant(model, (*_OTHERS, *known))}"
            )
        # The first weights, which are replaced, are drawn from the global generator.
        with torch.random.fork_rng(devices=[]):
            network = get_model(model, weights=None)
        if weights is None:
            default = get_model_weights(model).DEFAULT
            try:
                state = default.get_state_dict(check_hash=True)
            except Exception as error:  # no network, a full disk, a wrong digest
                raise InputError(
                    f"the weights of {model} are not here and cannot be downloaded from "
                    f"{default.url} ({error}); name a copy of the file with --weights (of a run "
                    "--quality.weights)"
                ) from error
        else:
            state = _read(weights)
        try:
            network.load_state_dict(state)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise InputError(f"{weights} holds no weights of {model}") from error
        self.network = network.eval().requires_grad_(False)
        content = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            content.update(name.encode())
            content.update(tensor.contiguous().numpy())
        self.name, self.digest = model, content.hexdigest()
        dense = [part for part in network.modules() if isinstance(part, nn.Linear)]
        if not dense:
            raise InputError(f"{model} has no dense layer at its end to take features from")
        last = dense[-1]
        self.num_features = last.in_features
        last.register_forward_pre_hook(self._keep)

    @property
    def metrics(self) -> dict[str, str]:
        """fd_resnet50, kd_resnet50 and the like."""
        return named_after(self.name)

    def _keep(self, layer: nn.Module, inputs: tuple[Tensor]) -> None:
        self._kept = inputs[0]

    def look(self, images: Events) -> tuple[Tensor, Tensor]:
        """What goes into the last layer, and logits (n, 1000)."""
        images = to_bytes(images).float().div(255).expand(-1, 3, -1, -1)
        images = interpolate(images, (_SIZE, _SIZE), mode="bilinear", antialias=True)
        mean, std = (torch.tensor(v, device=self.device)[:, None, None] for v in (_MEAN, _STD))
        logits = self.network((images - mean) / std)
        return self._kept, logits


def _read(path: Path) -> dict[str, Tensor]:
    """A state_dict; code in the file is refused."""
    try:
        return torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"the weights {path} cannot be read: {error.strerror}") from error
    except Exception as error:  # a damaged file fails wherever its bytes are first used
        raise InputError(f"{path} is damaged, or no file of weights") from error
