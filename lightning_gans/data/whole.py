"""A folder or an archive of images as one set, none of them held out: to be compared as it is."""

import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lightning_gans.data.batches import normalise, to_bytes
from lightning_gans.data.decode import EXTENSIONS, decode_all
from lightning_gans.data.images import Bytes, resize
from lightning_gans.types import Events, InputError

__all__ = ["FEWEST", "Whole", "read_whole"]

FEWEST = 10
_AT_ONCE = 512
_ROUNDING = 1e-3
_ARRAYS = ("samples", "images", "arr_0")


class Whole(NamedTuple):
    """All events of a set.

    Attributes:
        stored: (n, *event_shape): bytes of images, floats of points. Images without colour have
            one channel, whatever the files have.
        cropped: Images that were no squares, of which only the centre square is here.
    """

    stored: Tensor
    cropped: int = 0

    def events(self) -> Iterator[Events]:
        """Float events, some at a time; images in [-1, 1]."""
        for part in self.stored.split(_AT_ONCE):
            yield normalise(part) if part.dtype == torch.uint8 else part


def read_whole(path: Path, image_size: int | None = None) -> Whole:
    """All events in a folder of image files, or in an .npz archive.

    An archive holds one array named samples, images or arr_0: images as bytes (n, height, width[,
    1 or 3]) or as floats (n, 1 or 3, height, width) in [-1, 1], as `lightning sample` writes them,
    or points as floats (n, d).

    Args:
        path: The folder, searched with those in it, or the archive.
        image_size: Resize images to squares of this size after their centre square is cut out;
            None takes them as they are, if they are squares.

    Raises:
        InputError: There is nothing such, fewer than 10 events, images of several sizes and no
            ``image_size``, images that cannot be read, or numbers that are not finite or in another
            range.
    """
    if path.is_dir():
        whole = _folder(path, image_size)
    elif path.suffix == ".npz":
        whole = _archive(path, image_size)
    else:
        raise InputError(f"{path} is neither a folder of images nor an .npz file")
    if (n := len(whole.stored)) < FEWEST:
        raise InputError(f"{path} holds {n} events; at least {FEWEST} are needed")
    return whole if _coloured(whole.stored) else whole._replace(stored=whole.stored[:, :1].clone())


def _coloured(stored: Tensor) -> bool:
    """Whether channels differ anywhere; False of images of three equal ones alone."""
    if stored.ndim != 4 or stored.shape[1] == 1:
        return True
    return any(bool((part != part[:, :1]).any()) for part in stored.split(_AT_ONCE))


def _folder(path: Path, image_size: int | None) -> Whole:
    if (path / "checkpoints").is_dir():
        raise InputError(f"{path} is a run folder; name one of {path / 'checkpoints'}/*.ckpt")
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
    grey = all(grey for _, grey in kinds)
    images, readable = decode_all(paths, image_size, 1 if grey else 3)
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
    if path.is_file() and not zipfile.is_zipfile(path):
        raise InputError(f"{path} is no .npz archive, as numpy.savez writes, or is damaged")
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
    if array.dtype == np.uint8 and array.ndim == 3:
        array = array[..., None]
    if array.dtype == np.uint8 and array.ndim == 4 and array.shape[3] in (1, 3):
        images = torch.from_numpy(array).permute(0, 3, 1, 2).contiguous()
        return _squares(images, image_size)
    if array.dtype.kind == "f" and array.ndim in (2, 4):
        events = torch.from_numpy(array.astype(np.float32))
        if broken := int((~events.flatten(1).isfinite().all(1)).sum()):
            raise InputError(f"{broken} of the {len(events)} events in {path} are not finite")
        return Whole(events) if array.ndim == 2 else _squares(_rounded(path, events), image_size)
    raise InputError(
        f"{named[0]} in {path} is {array.dtype} {array.shape}; it must be uint8 (n, height, "
        "width[, 1 or 3]), or float (n, d) or (n, 1 or 3, height, width)"
    )


def _rounded(path: Path, images: Events) -> Bytes:
    """Floats in [-1, 1] as bytes; those from 0 towards 1, none below, are in another range."""
    low, high = (end.item() for end in images.aminmax())
    outside = low < -1 - _ROUNDING or high > 1 + _ROUNDING or (low >= 0 and high > 0.5)
    if images.shape[1] not in (1, 3) or outside:
        raise InputError(
            f"the floats in {path} have the shape {tuple(images.shape)} and are from {low:.3g} to "
            f"{high:.3g}; images must be (n, 1 or 3, height, width) in [-1, 1], black to white"
        )
    return to_bytes(images)


def _squares(images: Bytes, image_size: int | None) -> Whole:
    if image_size is None:
        return Whole(images)
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = images[..., top : top + side, left : left + side]
    return Whole(resize(square, image_size), len(images) if height != width else 0)
