"""Takes finished studies into the documentation: their numbers, figures and tables.

    lightning compare configs/studies/toy.yaml --jobs 2
    python benchmarks/comparison.py toy ...

Of each study runs/studies/<name>/numbers.csv becomes docs/studies/<name>.csv, its figures lie
beside it, and the part of docs/comparison.md between <!-- <name> --> and <!-- end --> is written
anew. What is said of it outside these marks is not: a test tells which numbers there are stale.
"""

import argparse
import re
import shutil
from pathlib import Path

from PIL import Image

from lightning_gans.studies.report import markdown_of

DOCS = Path(__file__).parents[1] / "docs"
WIDTH = 1600
"""Of a figure, in pixels, at most."""


def block(name: str, table: str) -> str:
    """What stands between the marks of a study."""
    return f"<!-- {name} -->\n{markdown_of(table)}<!-- end -->"


def take(name: str, runs: Path) -> None:
    """Take a finished study in."""
    folder, kept = runs / name, DOCS / "studies"
    kept.mkdir(exist_ok=True)
    shutil.copy(folder / "numbers.csv", kept / f"{name}.csv")
    for sheet in ("numbers", "samples"):
        with Image.open(folder / f"{sheet}.png") as picture:
            picture = picture.convert("RGB")
            picture.thumbnail((WIDTH, 10 * WIDTH))
            picture.quantize(128).save(kept / f"{name}_{sheet}.png", optimize=True)
    page = DOCS / "comparison.md"
    text, table = page.read_text(), (kept / f"{name}.csv").read_text()
    marks = re.compile(rf"<!-- {name} -->\n.*?<!-- end -->", re.DOTALL)
    if not marks.search(text):
        raise SystemExit(f"{page} has no <!-- {name} --> ... <!-- end --> yet")
    page.write_text(marks.sub(lambda _: block(name, table), text))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--runs", type=Path, default=Path("runs/studies"))
    options = parser.parse_args()
    for name in options.names:
        take(name, options.runs)
