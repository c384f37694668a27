"""A folder or an archive of images as one set, none of them held out: to be compared as it is."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lightning_gans.data.batches import normalise
from lightning_gans.data.decode import EXTENSIONS, decode_all
from lightning_gans.data.images import resize
from lightning_gans.types import Events, InputError

__all__ = ["FEWEST", "Whole", "read_whole"]

FEWEST = 10
_AT_ONCE = 512
_ROUNDING = 1e-3
_ARRAYS = ("samples", "images", "arr_0")


class Whole(NamedTuple):
    """All events of a set.

    Attributes:
        stored: (n, *event_shape): bytes of images, or floats as they were given.
        cropped: Images that were no squares, of which only the centre square is here.
    """

    stored: Tensor
    cropped: int = 0

    def events(self) -> Iterator[Events]:
        """Float events, some at a time; images in [-1, 1]."""
        for part in self.stored.split(_AT_ONCE):
            yield normalise(part) if part.dtype == torch.uint8 else part


def read_whole(path: Path, image_size: int | None = None, channels: int | None = None) -> Whole:
    """All events in a folder of image files, or in an .npz archive.

    An archive holds one array named samples, images or arr_0: bytes (n, height, width) or
    (n, height, width, channels), or floats (n, *event_shape), images in [-1, 1] as `lightning
    sample` writes them.

    Args:
        path: The folder, searched with those in it, or the archive.
        image_size: Resize images to squares of this size after their centre square is cut out;
            None takes them as they are, if they are squares.
        channels: Of image files, 1 (grey) or 3; None: 1 if all of them are grey.

    Raises:
        InputError: There is nothing such, fewer than 10 events, images of several sizes and no
            ``image_size``, or images that cannot be read.
    """
    if path.is_dir():
        whole = _folder(path, image_size, channels)
    elif path.suffix == ".npz":
        whole = _archive(path, image_size)
    else:
        raise InputError(f"{path} is neither a folder of images nor an .npz file")
    if (n := len(whole.stored)) < FEWEST:
        raise InputError(f"{path} holds {n} events; at least {FEWEST} are needed")
    return whole


def _folder(path: Path, image_size: int | None, channels: int | None) -> Whole:
    paths = sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(path, followlinks=True)
        for name in names
        if Path(name).suffix.lower() in EXTENSIONS
    )
    if not paths:
        raise InputError(f"{path} holds no images ({', '.join(sorted(EXTENSIONS))})")
    kinds = Counter(_kind(Path(file)) for file in paths)
    sizes = Counter(size for size, _ in kinds.elements())
    if image_size is None:
        if len(sizes) > 1 or len(set(next(iter(sizes)))) > 1:
            shown = ", ".join(f"{w} x {h} ({n})" for (w, h), n in sizes.most_common(3))
            raise InputError(
                f"{path} holds images of {len(sizes)} sizes or that are no squares: {shown}; "
                "choose one with --image_size"
            )
        image_size = next(iter(sizes))[0]
    channels = channels or (1 if all(grey for _, grey in kinds) else 3)
    images, readable = decode_all(paths, image_size, channels)
    if not bool(readable.all()):
        first = paths[int((~readable).nonzero()[0])]
        raise InputError(f"{int((~readable).sum())} images cannot be read, the first is {first}")
    return Whole(images, sum(n for (width, height), n in sizes.items() if width != height))


def _kind(path: Path) -> tuple[tuple[int, int], bool]:
    """Width and height, and whether it is grey, from the file's head alone."""
    try:
        with Image.open(path) as image:
            return image.size, image.mode in ("1", "L", "I", "I;16")
    except Exception as error:  # Pillow meets a broken file with whatever its parsing stumbles over
        raise InputError(f"{path} cannot be read as an image: {error}") from error


def _archive(path: Path, image_size: int | None) -> Whole:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            named = [name for name in _ARRAYS if name in archive.files]
            if not named:
                raise InputError(
                    f"{path} has no array named {' or '.join(_ARRAYS)}; it has: "
                    f"{', '.join(archive.files)}"
                )
            array = archive[named[0]]
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except InputError:
        raise
    except Exception as error:  # a damaged archive fails wherever its bytes are first used
        raise InputError(f"{path} cannot be read as .npz: {error}") from error
    if array.dtype == np.uint8:
        return _images(path, array, image_size)
    if array.dtype.kind != "f" or array.ndim not in (2, 4):
        raise InputError(
            f"{named[0]} in {path} is {array.dtype} {array.shape}; it must be uint8 (n, height, "
            "width[, channels]), or float (n, d) or (n, channels, height, width)"
        )
    events = torch.from_numpy(array.astype(np.float32))
    if array.ndim == 4 and not (array.shape[1] in (1, 3) and events.abs().amax() <= 1 + _ROUNDING):
        raise InputError(
            f"{named[0]} in {path} is {array.shape} from {array.min():.3g} to {array.max():.3g}; "
            "float images must be (n, 1 or 3, height, width) in [-1, 1]"
        )
    return Whole(events)


def _images(path: Path, array: np.ndarray, image_size: int | None) -> Whole:
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[3] not in (1, 3):
        raise InputError(
            f"the bytes in {path} have the shape {array.shape}; they must be (n, height, width) or "
            "(n, height, width, 1 or 3)"
        )
    images = torch.from_numpy(array).permute(0, 3, 1, 2).contiguous()
    if image_size is None:
        return Whole(images)
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = images[..., top : top + side, left : left + side]
    return Whole(resize(square, image_size), len(images) if height != width else 0)
