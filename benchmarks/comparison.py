"""Takes finished studies into the documentation: their numbers, figures and tables.

    lightning compare configs/studies/toy.yaml --jobs 2
    python benchmarks/comparison.py toy ...

Of each study runs/studies/<name>/numbers.csv becomes docs/studies/<name>.csv, its figures lie
beside it, and the part of docs/comparison.md between <!-- <name> --> and <!-- end --> is written
anew. What is said of it outside these marks is not: a test tells which numbers there are stale.
README.md's <!-- headline --> is made of all that there are then.
"""

import argparse
import re
import shutil
from pathlib import Path

from PIL import Image

from lightning_gans.studies.collect import from_csv
from lightning_gans.studies.markdown import entry_text, head_text
from lightning_gans.studies.report import markdown_of
from lightning_gans.studies.tables import tables

DOCS = Path(__file__).parents[1] / "docs"
WIDTH = 1700
"""Of a figure, in pixels, at most."""

COLUMNS = (
    ("toy", "Grid", "captured_chi2", "grid: modes kept"),
    ("toy", "Grid", "high_quality_chi2", "grid: good samples"),
    ("toy", "Unequal", "total_variation", "unequal: error of shares"),
    ("digits", "32 pixels", "fd_digits", "digits, 32 pixels: distance"),
    ("mnist", "MNIST", "fd_mnist", "MNIST: distance"),
)
"""Of the headline: study, data and metric, and what the column is called."""
ROWS = {
    "GAN": ("GAN",),
    "LSGAN": ("LSGAN",),
    "GEAN": ("GEAN",),
    "R3GAN": ("R3GAN",),
    "WGAN-GP": ("WGAN-GP",),
    "VAE": ("VAE",),
    "mixture of 100": ("Mixture (K = 100)",),
    "mixture of the true number": ("Mixture (K known)",),
    "mixture of factor analysers": ("Mixture of factor analysers",),
    "HMM of rows": ("HMM of rows",),
}
"""Of the headline: the names that studies give to a model."""


def block(name: str, table: str) -> str:
    """What stands between the marks of a study."""
    return f"<!-- {name} -->\n{markdown_of(table)}<!-- end -->"


def headline() -> str:
    """The first numbers of the studies that there are, side by side."""
    found = []
    for study, data, metric, called in COLUMNS:
        if (results := DOCS / f"studies/{study}.csv").is_file():
            _, numbers = from_csv(results.read_text())
            table = next(t for t in tables(numbers, [metric]) if t.data == data)
            found.append((called, table.columns[0]))
    heads = (head_text(column).replace(column.metric, called) for called, column in found)
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(found) + 1) + "|"]
    for label, names in ROWS.items():
        cells = []
        for _, column in found:
            entry = next((column.entries[name] for name in names if name in column.entries), None)
            text = "–" if entry is None else entry_text(entry)
            cells.append(f"**{text}**" if entry and entry.good else text)
        if set(cells) != {"–"}:
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "<!-- headline -->\n" + "\n".join(lines) + "\n<!-- end -->"


def take(name: str, runs: Path) -> None:
    """Take a finished study in."""
    folder, kept = runs / name, DOCS / "studies"
    shutil.copy(folder / "numbers.csv", kept / f"{name}.csv")
    for sheet in ("numbers", "samples"):
        with Image.open(folder / f"{sheet}.png") as picture:
            picture = picture.convert("RGB")
            picture.thumbnail((WIDTH, 10 * WIDTH))
            picture.quantize(256).save(kept / f"{name}_{sheet}.png", optimize=True)


def write(name: str) -> None:
    """Write the tables of a study that was taken in."""
    page = DOCS / "comparison.md"
    text, table = page.read_text(), (DOCS / f"studies/{name}.csv").read_text()
    marks = re.compile(rf"<!-- {name} -->\n.*?<!-- end -->", re.DOTALL)
    if not marks.search(text):
        raise SystemExit(f"{page} has no <!-- {name} --> ... <!-- end --> yet")
    page.write_text(marks.sub(lambda _: block(name, table), text))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--runs", type=Path, default=Path("runs/studies"), help="of the studies")
    parser.add_argument("--again", action="store_true", help="of what was taken in, the tables")
    options = parser.parse_args()
    for name in options.names:
        if not options.again:
            take(name, options.runs)
        write(name)
    front = DOCS.parent / "README.md"
    marks = re.compile("<!-- headline -->\n.*?<!-- end -->", re.DOTALL)
    front.write_text(marks.sub(lambda _: headline(), front.read_text()))
