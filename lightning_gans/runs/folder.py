"""The folder of a run, and its tables: one row a report, one JSON object an evaluation."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lightning_gans.errors import InputError
from lightning_gans.runs.files import finite, read_lines, to_json, write_whole

__all__ = [
    "MetricsFile",
    "Records",
    "RunOptions",
    "claim",
    "discard_unstarted",
    "run_of",
    "runs_of",
]


@dataclass(frozen=True)
class RunOptions:
    """Where a run is kept and how it is reported.

    Args:
        folder: Folder of all runs.
        experiment: The run is kept in <folder>/<experiment>/version_<n>; None: the name of the
            first config file.
        wandb: auto is online with credentials and offline without; disabled reports nothing.
        project: Project of the Weights & Biases run.
        group: Group of the Weights & Biases run.
        tags: Tags of the Weights & Biases run.
        artifact: Keep the weights that are sampled from (the averaged generator) in the Weights &
            Biases run at the end.
        force: Go on with a checkpoint although settings or code have changed since; what is
            given now counts.
    """

    folder: str = "runs"
    experiment: str | None = None
    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "lightning_gans"
    group: str | None = None
    tags: Sequence[str] = ()
    artifact: bool = False
    force: bool = False


def claim(folder: Path) -> Path:
    """A new folder ``folder``/version_<n> with the next free n, safe among parallel runs.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = [int(p.name[8:]) for p in folder.glob("version_*") if p.name[8:].isdigit()]
        n = max(taken, default=-1) + 1
        while True:
            try:
                (version := folder / f"version_{n}").mkdir()
                return version
            except FileExistsError:
                n += 1
    except OSError as error:
        raise InputError(
            f"the run folder {folder} cannot be written ({error.strerror}); "
            "choose another with --run.folder"
        ) from error


def discard_unstarted(run: Path) -> None:
    """Remove the folder of a run that saved and reported nothing."""
    if not (run / "metrics.csv").exists() and not any(run.glob("checkpoints/*.ckpt")):
        shutil.rmtree(run)


def runs_of(experiment: Path) -> list[Path]:
    """The run folders of an experiment, the latest first."""
    found = [path for path in experiment.glob("version_*") if path.name[8:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[8:]), reverse=True)


def run_of(checkpoint: Path) -> Path | None:
    """The run folder that ``checkpoint`` lies in, None when it lies elsewhere."""
    run = checkpoint.resolve().parent.parent
    in_run = checkpoint.resolve().parent.name == "checkpoints" and (run / "config.yaml").is_file()
    return run if in_run else None


def _text(value: int | float) -> str:
    """Whole numbers whole, others with the nine digits that a float32 can tell apart."""
    return str(value) if isinstance(value, int) else f"{value:.9g}"


class MetricsFile:
    """metrics.csv: one row a report, columns added as they appear, gone back on resume.

    Args:
        path: The file; an existing one is read and appended to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        self.columns: list[str] = []
        if path.exists():
            text = path.read_text()
            # A row that a crash cut short has no end of line: it never was.
            whole = text[: text.rfind("\n") + 1]
            reader = csv.DictReader(io.StringIO(whole))
            self.columns, self.rows = list(reader.fieldnames or []), list(reader)
            if whole != text:
                self._rewrite()

    def append(self, row: Mapping[str, int | float]) -> None:
        """Write ``row``, into the last one if that is of the same step and denies nothing of it.

        New columns rewrite the file once.
        """
        text = {key: _text(value) for key, value in row.items()}
        last = self.rows[-1] if self.rows else {}
        replaced = 0
        if last.get("step") == text["step"] and all(
            last.get(key) in (None, "", value) for key, value in text.items()
        ):
            replaced = len(self._line(last))
            last.update(text)
        else:
            self.rows.append(text)
        if new := [key for key in text if key not in self.columns]:
            self.columns += new
            self._rewrite()
        else:
            with self.path.open("ab") as file:
                file.truncate(max(file.tell() - replaced, 0))
                file.write(self._line(self.rows[-1]).encode())

    def go_back_to(self, samples: int) -> None:
        """Drop the rows after ``samples`` seen, which a resumed run will write again."""
        kept = [row for row in self.rows if int(row["samples_seen"]) <= samples]
        if len(kept) < len(self.rows):
            self.rows = kept
            self._rewrite()

    def series(self, x: str, y: str) -> tuple[list[float], list[float]]:
        """The values of two columns in the rows that have both."""
        pairs = [(row[x], row[y]) for row in self.rows if row.get(x) and row.get(y)]
        return [float(a) for a, _ in pairs], [float(b) for _, b in pairs]

    def _line(self, row: Mapping[str, str]) -> str:
        self._writer(line := io.StringIO()).writerow(row)
        return line.getvalue()

    def _writer(self, file) -> csv.DictWriter:
        return csv.DictWriter(file, self.columns, restval="", lineterminator="\n")

    def _rewrite(self) -> None:
        writer = self._writer(text := io.StringIO())
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.path, text.getvalue())


def _record(line: str) -> dict:
    if not isinstance(row := json.loads(line), dict):
        raise ValueError("no JSON object")
    return row


class Records:
    """A file of one JSON object a line, in the order of their ``samples_seen``.

    Args:
        path: The file; an existing one is read and appended to, damaged lines are left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict] = read_lines(path, _record)

    def append(self, row: Mapping) -> None:
        """Write ``row``; numbers that are not finite, which JSON does not know, become null."""
        row = finite(row)
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(to_json(row) + "\n")

    def keep(self, wanted: Callable[[dict], bool]) -> None:
        """Drop the other rows, which a resumed run will write again or would not have written."""
        self.rows = [row for row in self.rows if wanted(row)]
        write_whole(self.path, "".join(to_json(row) + "\n" for row in self.rows))
