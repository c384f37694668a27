"""What a comparison leaves: its numbers, tables, figures and page."""

from collections.abc import Sequence
from pathlib import Path

from PIL.Image import Image

from lightning_gans.errors import InputError
from lightning_gans.runs import goal
from lightning_gans.runs.files import write_whole
from lightning_gans.runs.reading import read_sittings
from lightning_gans.studies.collect import (
    FAILED,
    Number,
    Run,
    from_csv,
    numbers_of,
    to_csv,
    without_number,
)
from lightning_gans.studies.markdown import RULES, costs, legend, statements, table_text
from lightning_gans.studies.tables import Table, tables

__all__ = ["markdown", "markdown_of", "measured", "provenance", "write_report"]

_METRICS = "metrics: "


def measured(runs: Sequence[Run]) -> list[Number]:
    """All numbers of these runs, as a table of them would give them back."""
    found = [number for run in runs for number in numbers_of(run)]
    return from_csv(to_csv(found, ()))[1]


def provenance(runs: Sequence[Run]) -> list[str]:
    """The versions and commits that the runs were made by, in a line each."""
    lines = []
    for what in ("version", "commit"):
        told = {
            str(sitting[what])
            for run in runs
            for sitting in read_sittings(Path(run.path))
            if sitting.get(what)
        }
        if told:
            lines.append(f"{what}: {', '.join(sorted(told))}")
    return lines


def markdown(title: str, head: Sequence[str], found: Sequence[Table]) -> str:
    """The whole comparison, but for its pictures."""
    return f"# {title}\n\n{_lines(head)}\n\n{RULES}\n\n{_sections(found, '##')}\n"


def markdown_of(table: str) -> str:
    """The comparison that a numbers.csv holds, two headings lower and without title and rules.

    Raises:
        InputError: It is no such table.
    """
    (_, *head), numbers = from_csv(table)
    metrics = next((line for line in head if line.startswith(_METRICS)), "").removeprefix(_METRICS)
    if not metrics:
        raise InputError("its head does not say which metrics it has")
    return f"{_lines(head)}\n\n{_sections(tables(numbers, metrics.split(', ')), '####')}\n"


def _lines(head: Sequence[str]) -> str:
    return "\n".join(f"* {line}" for line in head)


def _sections(found: Sequence[Table], mark: str) -> str:
    parts = []
    for table in found:
        parts += [f"{mark} {table.data}", table_text(table), statements(table), legend(table)]
    parts += [f"{mark} Cost of a run", costs(found)]
    return "\n\n".join(part for part in parts if part)


def write_report(
    folder: Path,
    title: str,
    head: Sequence[str],
    runs: Sequence[Run],
    metrics: Sequence[str] | None,
) -> tuple[list[Path], str]:
    """Write numbers.csv, comparison.md, two figure sheets and report.html.

    Returns their paths, and what no run has measured, in words.

    Args:
        folder: Where.
        title: Of the comparison.
        head: What is told of it first.
        runs: All, the failed ones too, in the order of the models.
        metrics: What is compared, the most important first; None: all of which it is known which
            values are good.

    Raises:
        InputError: There is nothing to compare, or a file cannot be written.
    """
    from lightning_gans.studies.figures import draw_numbers, draw_samples, picture_of
    from lightning_gans.studies.html import report

    numbers = measured(runs)
    known = list(dict.fromkeys(n.metric for n in numbers if n.metric != FAILED))
    if metrics is None:
        metrics = [name for name in known if goal(name) is not None]
    missing = [name for name in metrics if name not in known]
    wanted = ", ".join(missing) or "anything of which it is known what is good"
    unmeasured = f"no run has measured {wanted}; measured were {', '.join(known) or 'none'}"
    if len(missing) == len(metrics):
        raise InputError(unmeasured)
    head = [*head, *provenance(runs)]
    head += [f"no run has measured {name}" for name in missing]
    metrics = [name for name in metrics if name in known]
    compared = [number for number in numbers if number.metric in (*metrics, FAILED)]
    counted = {number.run for number in compared}
    compared += [without_number(r, "nothing was measured") for r in runs if r.path not in counted]
    head += [
        f"failed: {n.model} on {n.data}, seed {n.seed}: {n.protocol}"
        for n in compared
        if n.metric == FAILED
    ]
    head.append(f"{_METRICS}{', '.join(metrics)}")
    found = tables(compared, metrics)
    if any(len({round(mean.value) for mean in table.samples.values()}) > 1 for table in found):
        head.append("not all runs saw as many training samples: see the cost of a run")
    models = list(dict.fromkeys(run.model for run in runs))
    pictures: dict[str, dict[str, Image]] = {}
    for run in runs:
        row = pictures.setdefault(run.data, {})
        if run.state == "complete" and run.model not in row:
            if picture := picture_of(Path(run.path)):
                row[run.model] = picture
    pictures = {data: row for data, row in pictures.items() if row}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "numbers.csv", to_csv(compared, [title, *head]))
        write_whole(folder / "comparison.md", markdown(title, head, found))
        sheets = [folder / f"numbers.{kind}" for kind in ("png", "svg")]
        draw_numbers(found, models, sheets)
        figures = {"Numbers": sheets[0]}
        if pictures:
            sheets = [folder / f"samples.{kind}" for kind in ("png", "svg")]
            draw_samples(pictures, models, sheets)
            figures["Samples, of each model's first complete run"] = sheets[0]
        page = report(title, head, found, runs, numbers, figures, folder)
        write_whole(folder / "report.html", page)
    except OSError as error:
        raise InputError(
            f"{error.filename or folder} cannot be written: {error.strerror}"
        ) from error
    names = ("comparison.md", "numbers.csv", "numbers.png", "samples.png", "report.html")
    return [folder / name for name in names if (folder / name).is_file()], (
        unmeasured if missing else ""
    )
