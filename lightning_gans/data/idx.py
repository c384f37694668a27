"""The idx format of the MNIST family: a magic number, the sizes, then the bytes."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from lightning_gans.types import InputError

__all__ = ["find_idx", "read_idx"]

_UNSIGNED_BYTE = 0x08


def find_idx(folder: Path, name: str) -> Path | None:
    """The file ``name`` or ``name.gz`` of ``folder``, if there is one."""
    paths = (folder / name, folder / f"{name}.gz")
    return next((path for path in paths if path.is_file()), None)


def read_idx(path: Path) -> np.ndarray:
    """The bytes of an idx file in their shape, read straight through gzip if it ends in .gz.

    Raises:
        InputError: The file is not idx, does not hold bytes, or is cut short.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zero, kind, dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise InputError(f"{path} cannot be read as idx ({error}); download it again") from error
    if zero or kind != _UNSIGNED_BYTE:
        raise InputError(
            f"{path} starts with {content[:4].hex()}; an idx file of bytes starts with 000008"
        )
    start = 4 + 4 * dimensions
    if len(content) - start != math.prod(shape):
        raise InputError(
            f"{path} holds {len(content) - start} values instead of {math.prod(shape)}; "
            "download it again"
        )
    # A copy, as torch takes only arrays that can be written.
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()
