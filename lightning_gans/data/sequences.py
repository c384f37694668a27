"""Sequences in memory: what every set of them shares, and a user's own in one file."""

import csv
import re
import zipfile
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lightning_gans.data.batches import Batches, CountedBatches
from lightning_gans.data.images import Labels, split_in_three
from lightning_gans.data.module import Data
from lightning_gans.types import InputError

__all__ = ["Padded", "SequenceSet", "Sequences", "lengths_of", "padded"]

Padded = Float[Tensor, "n time dimension"]
"""Sequences side by side, nan after the end of those that are shorter than the longest."""


def lengths_of(sequences: Padded) -> Int64[Tensor, " n"]:
    """Steps (n,) of each sequence, nan being what follows its end.

    Raises:
        InputError: A sequence has no step, or a number before its end is not finite.
    """
    given = ~sequences.isnan()
    lengths = given.any(2).sum(1)
    within = torch.arange(sequences.shape[1], device=lengths.device) < lengths[:, None]
    broken = ((given != within[..., None]) | sequences.isinf()).flatten(1).any(1)
    if (wrong := broken | (lengths == 0)).any():
        index = int(wrong.nonzero()[0])
        what = "no step" if lengths[index] == 0 else "a number that is nan or infinite"
        raise InputError(
            f"sequence {index} (from 0) has {what}; a sequence has at least one step and finite "
            "numbers, and nan only after its end"
        )
    return lengths


def padded(steps: Float[Tensor, "steps dimension"], lengths: Int64[Tensor, " n"]) -> Padded:
    """Sequences that lie one after the other, side by side."""
    parts = steps.split(lengths.tolist())
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=torch.nan)


_NUMBER = re.compile(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?")


class _SequenceBatches(Batches):
    """Batches ``(sequences, labels)`` indexed from tensors in memory."""

    def __init__(self, sequences: Padded, labels: Labels, batches: CountedBatches) -> None:
        self.sequences, self.labels = sequences, labels
        self.batch_sampler = batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of sequences (batch, time, dimension) and labels (batch,)."""
        for index in self.batch_sampler:
            yield self.sequences[index], self.labels[index]


class SequenceSet(Data):
    """Sequences (longest, dimension) in memory; shorter ones are filled up with nan."""

    class_names: tuple[str, ...] = ()

    def __init__(self, batch_size: int, seed: int) -> None:
        super().__init__(batch_size, seed)
        self._splits: dict[str, tuple[Padded, Labels]] = {}

    @abstractmethod
    def read(self) -> dict[str, tuple[Padded, Labels]]:
        """Sequences and labels of every split."""

    def arrays(self, split: str) -> tuple[Padded, Labels]:
        """Sequences (n, longest, dimension) and labels (n,), read once."""
        if not self._splits:
            self._splits = self.read()
        return self._splits[split]

    def count(self, split: str) -> int:
        """Number of sequences of ``split``."""
        return len(self.arrays(split)[1])

    def batches(self, split: str, order: CountedBatches) -> Batches:
        """Batches of ``split`` in ``order``."""
        return _SequenceBatches(*self.arrays(split), order)


class Sequences(SequenceSet):
    """Your own sequences of numbers, in an .npz or a .csv file.

    An .npz holds ``sequences`` (n, time) or (n, time, dimension), nan after the end of shorter
    ones; or ``steps`` (all steps,) or (all steps, dimension), one sequence after the other, and
    ``lengths`` (n,). It may hold ``labels``, whole numbers (n,) from 0.

    A .csv names its columns in the first line. The first column says which sequence a row is a
    step of; its rows are together and in order. The other columns are numbers.

    A tenth of the sequences is held out for validation and a tenth for testing, by ``seed``.

    Args:
        path: The file.
        batch_size: Sequences in a batch of one process.
        bin_width: Distance of neighbouring values if they are on a grid, e.g. 1 for whole numbers;
            None if they are not.
        seed: Seed of the splits and of the order of the batches.

    Raises:
        InputError: The file is missing or of another kind, or there are fewer than 3 sequences, or
            an empty one, or a number is not finite.
    """

    def __init__(
        self, path: str, batch_size: int = 64, bin_width: float | None = None, seed: int = 0
    ) -> None:
        super().__init__(batch_size, seed)
        if bin_width is not None and not bin_width > 0:
            raise InputError(f"data.bin_width is {bin_width}; it must be above 0, or null")
        self.path, self.bin_width = Path(path).expanduser(), bin_width
        readers = {".npz": _read_npz, ".csv": _read_csv}
        if self.path.suffix not in readers or not self.path.is_file():
            raise InputError(f"data.path is {path}; it must be a .npz or .csv file that exists")
        self._sequences, self._labels = readers[self.path.suffix](self.path)
        try:
            lengths_of(self._sequences)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error
        if len(self._sequences) < 3:
            raise InputError(
                f"{self.path} has {len(self._sequences)} sequences; it must have at least 3, for "
                "training, validation and testing"
            )
        self.event_shape = tuple(self._sequences.shape[1:])
        if self._labels.any():
            self.class_names = tuple(str(i) for i in range(int(self._labels.max()) + 1))

    def read(self) -> dict[str, tuple[Padded, Labels]]:
        """Sequences (n, longest, dimension) and labels (n,) of every split."""
        parts = split_in_three(len(self._sequences), max(1, len(self._sequences) // 10), self.seed)
        return {name: (self._sequences[i], self._labels[i]) for name, i in parts.items()}


def _read_npz(path: Path) -> tuple[Padded, Labels]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    # NumPy's words for a damaged archive, and for objects, which only a pickle can hold.
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as .npz: {error}") from error
    if "sequences" in arrays:
        sequences = _numbers(path, "sequences", arrays["sequences"], 2)
    elif arrays.keys() >= {"steps", "lengths"}:
        steps, lengths = _numbers(path, "steps", arrays["steps"], 1), arrays["lengths"]
        whole = lengths.ndim == 1 and lengths.dtype.kind in "iu"
        if not whole or lengths.min(initial=1) < 1 or lengths.sum() != len(steps):
            raise InputError(
                f"lengths in {path} must be whole numbers (n,), each at least 1, that add up to "
                f"the {len(steps)} steps; they are {lengths.dtype} {lengths.shape}, the least "
                f"{lengths.min(initial=len(steps))}, and add up to {lengths.sum()}"
            )
        sequences = _side_by_side(path, steps, torch.from_numpy(lengths.astype(np.int64)))
    else:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise InputError(f"{path} must hold sequences, or steps and lengths; it holds {found}")
    labels = arrays.get("labels", np.zeros(len(sequences), np.int64))
    n = len(sequences)
    if labels.shape != (n,) or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        raise InputError(
            f"labels in {path} is {labels.dtype} {labels.shape}; it must be whole numbers from 0, "
            f"of shape ({n},)"
        )
    return sequences, torch.from_numpy(labels.astype(np.int64))


def _numbers(path: Path, name: str, array: np.ndarray, axes: int) -> Tensor:
    """Numbers in 32 bits, with an axis for the dimension if there is none."""
    if array.dtype.kind not in "fiu" or array.ndim not in (axes, axes + 1) or 0 in array.shape:
        shape = "(n, time) or (n, time, dimension)" if axes == 2 else "(n,) or (n, dimension)"
        raise InputError(
            f"{name} in {path} is {array.dtype} {array.shape}; it must be numbers {shape}"
        )
    numbers = torch.from_numpy(array.astype(np.float32))
    return numbers if numbers.ndim == axes + 1 else numbers[..., None]


def _side_by_side(path: Path, steps: Tensor, lengths: Tensor) -> Padded:
    """As `padded`, of finite numbers: nan at a sequence's end would shorten it."""
    if not (finite := steps.isfinite().all(1)).all():
        row = int((~finite).nonzero()[0])
        raise InputError(f"{path} holds nan or infinity at step {row} (from 0, of all sequences)")
    return padded(steps, lengths)


def _read_csv(path: Path) -> tuple[Padded, Labels]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            first, *rows = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as .csv: {error}") from error
    if len(first) > 1 and all(_NUMBER.fullmatch(name.strip()) for name in first[1:]):
        raise InputError(f"{path} begins with numbers; its first line must name the columns")
    if len(first) < 2 or not rows:
        raise InputError(
            f"{path} must have a first line that names at least two columns, and below it rows of "
            "as many, with commas"
        )
    values: list[list[float]] = []
    for line, row in enumerate(rows, 2):
        if len(row) != len(first):
            raise InputError(
                f"{path}, line {line}: {len(row)} cells; the first line names {len(first)}"
            )
        try:
            values.append([float(cell) for cell in row[1:]])
        except ValueError as error:
            raise InputError(f"{path}, line {line} must hold numbers: {error}") from error
    names = np.array([row[0] for row in rows])
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    if len(np.unique(names)) != len(starts):
        raise InputError(f"{path}: the rows of each sequence must be together, in order")
    lengths = torch.from_numpy(np.diff(np.append(starts, len(names))))
    sequences = _side_by_side(path, torch.tensor(values, dtype=torch.float32), lengths)
    return sequences, torch.zeros(len(sequences), dtype=torch.long)
