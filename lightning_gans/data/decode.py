"""From an image file of any kind to a square tensor of bytes."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

__all__ = ["EXTENSIONS", "decode", "decode_all", "try_decode"]

EXTENSIONS = frozenset(
    ".bmp .gif .jfif .jpeg .jpg .pbm .pgm .png .ppm .tga .tif .tiff .webp".split()
)
_MODES = {1: "L", 3: "RGB"}
_MANY = 300

Square = UInt8[Tensor, "channels size size"]


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """``image`` in ``mode`` (L or RGB): 16 bits scaled to 8, transparency on white."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed white")
    if image.mode.startswith("I"):
        # Pillow clips more than 8 bits to 255; 65535 / 257 is 255. Mode I is how it opens some
        # 16-bit files.
        wide = np.asarray(image).astype(np.float32)
        image = Image.fromarray(np.clip(np.rint(wide / 257), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == mode else image.convert(mode)


def decode(path: str, size: int, channels: int) -> Square:
    """The image at ``path`` as bytes (channels, size, size).

    Turned as its EXIF orientation says, the centre square cut out, resized (bilinear, antialiased),
    in 1 (grey) or 3 (RGB) channels; transparency is laid on white; of moving pictures the first.
    """
    with Image.open(path) as image:
        # A JPEG far larger than needed is decoded at a half, a quarter or an eighth: same picture,
        # a fraction of the time. Twice the size leaves the resizing something to average.
        image.draft(None, (2 * size, 2 * size))
        turned = ImageOps.exif_transpose(image)
        flat = _flat(turned, _MODES[channels])
    width, height = flat.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    # Not resize's own box: its filter would reach over the edge into what is cut away.
    square = flat.crop((left, top, left + side, top + side))
    square = square.resize((size, size), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(square))
    return pixels.reshape(size, size, channels).permute(2, 0, 1).contiguous()


def try_decode(path: str, size: int, channels: int) -> Square | None:
    """As ``decode``; None where the file is broken or no image."""
    try:
        return decode(path, size, channels)
    # Pillow's readers meet a broken file with whatever their parsing stumbles over.
    except Exception:
        return None


def decode_all(
    paths: Sequence[str], size: int, channels: int
) -> tuple[UInt8[Tensor, "n channels size size"], Tensor]:
    """All readable images (n, channels, size, size), and which of ``paths`` they are (paths,)."""
    from tqdm import tqdm

    images = torch.empty(len(paths), channels, size, size, dtype=torch.uint8)
    readable = torch.zeros(len(paths), dtype=torch.bool)

    def place(i: int) -> None:
        image = try_decode(paths[i], size, channels)
        if image is not None:
            images[i], readable[i] = image, True

    # Pillow decodes and resizes outside Python's lock, so threads share the work.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(place, range(len(paths)))
        shown = tqdm(done, "Reading images", len(paths), unit="image", disable=len(paths) < _MANY)
        for _ in shown:
            pass
    return images if bool(readable.all()) else images[readable], readable
