"""What was found once and is kept on disk: named arrays, whole or absent."""

import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from lightning_gans.metrics.oracles import cache

__all__ = ["Arrays", "kept"]

Arrays = dict[str, np.ndarray]


def kept(place: str, make: Callable[[], Arrays], needed: Iterable[str] = ()) -> Arrays:
    """The arrays in <cache>/``place`` (`oracles.cache`): read, or made and kept there.

    Runs side by side may write the same file. A damaged one is made anew.

    Args:
        place: Path of an .npz in the cache, with the digest of all that the arrays depend on.
        make: Finds them.
        needed: Names without which a file is damaged.
    """
    path = cache() / place
    found = _read(path, set(needed))
    if found is None:
        found = make()
        _write(path, found)
    return found


def _read(path: Path, needed: set[str]) -> Arrays | None:
    """What is kept in ``path``, None if nothing is that can be used."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
            if not arrays.keys() >= needed:
                raise ValueError(f"it lacks {', '.join(needed - arrays.keys())}")
            return arrays
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        warnings.warn(f"{path} is damaged ({type(error).__name__}); it is made anew", stacklevel=4)
        return None


def _write(path: Path, arrays: Arrays) -> None:
    """Keep them whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as unfinished:
            np.savez(partial := Path(unfinished, path.name), **arrays)
            os.replace(partial, path)
    except OSError as error:
        warnings.warn(
            f"features of real events cannot be kept in {path.parent} ({error.strerror}) and every "
            "run finds them anew; set LIGHTNING_GANS_CACHE to a folder that can be written",
            stacklevel=4,
        )
