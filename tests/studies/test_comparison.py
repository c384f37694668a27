"""What the documentation says of the studies is what their numbers say."""

import re
import runpy

import pytest

from lightning_gans.studies.collect import from_csv
from lightning_gans.studies.report import markdown_of
from lightning_gans.studies.schema import read_study
from tests.conftest import ROOT

PAGE = ROOT / "docs/comparison.md"
RESULTS = sorted((ROOT / "docs/studies").glob("*.csv"))
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")


def numbers(text):
    """Every number in a text, without its sign and separators; those inside names are none."""
    return {found.rstrip(",").replace(",", "") for found in NUMBER.findall(text)}


def said(text):
    """A page without code, links' targets and what is generated."""
    text = re.sub(r"<!-- (\w+) -->.*?<!-- end -->", "", text, flags=re.DOTALL)
    return re.sub(r"`[^`]*`|\]\([^)]*\)|^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def held(results):
    """The numbers of a study: its tables', those of the file that says what was run, its cost."""
    lines = (ROOT / f"configs/studies/{results.stem}.yaml").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("#") or line.startswith("# Cost:")]
    return numbers(markdown_of(results.read_text())) | numbers("\n".join(kept))


def called(models):
    """What models are called in a text: by name, or by its first word if that is no name."""
    names = {model: {model} for model in models}
    for model in models:
        first = re.split("[ ,]", model)[0]
        for short in {first, first.lower()} - set(models):
            names.setdefault(short, set()).add(model)
    return names


def misquoted(text, block):
    """What a text tells of a model that the tables and statements in ``block`` do not.

    A mean with its interval, a difference with its own, and a number that follows a name are told
    of the model that is named last before them.
    """
    rows = [
        [cell.strip("* ") for cell in line.strip("|").split("|")]
        for line in block.splitlines()
        if line.startswith("| ") and not line.startswith("| model")
    ]
    names = called(dict.fromkeys(row[0] for row in rows))
    spoken = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    one = r"\d++(?:[.,]\d++)*+"
    claim = re.compile(
        rf"(?<![\w-])(?P<name>{spoken})(?![\w-])(?: (?P<number>{one})(?! ±|(?: \w+)? \())?"
        rf"|(?P<mean>{one} ± {one})"
        rf"|(?P<size>{one})(?: \w+)? \((?P<ends>-?[\d.e-]+ to [^()]+)\)"
    )
    wrong = []
    for part in re.split(r"\n(?=\* )|\n\n", text):
        who = set()
        for found in claim.finditer(" ".join(part.split())):
            if found["name"]:
                who = names[found["name"]]
            if cell := found["number"] or found["mean"]:
                right = any(row[0] in who and cell in row[1:] for row in rows)
            elif found["size"]:
                size, ends = re.escape(found["size"]), re.escape(found["ends"])
                told = rf"{size}(?: better| worse)? \({ends}[,)]"
                own = (rf"(?<![\w-]){re.escape(name)} {told}" for name in who)
                right = any(re.search(pattern, block) for pattern in own)
            else:
                continue
            if not right:
                wrong.append(f"{' or '.join(who)}: {found[0]}")
    return wrong


def section(name):
    """What the page says of a study, with its tables."""
    parts = re.split(r"^(?=## )", PAGE.read_text(), flags=re.MULTILINE)
    return next(part for part in parts if f"<!-- {name} -->" in part)


def test_numbers_are_told_from_names():
    assert numbers("R3GAN, a 2-D set: 1,024 samples, 0.5 ± 1e-05 (p 0.01), G 128.") == (
        {"2", "1024", "0.5", "1e-05", "0.01", "128"}
    )
    assert numbers(said("12 `13` [14](15.md)\n<!-- toy -->\n16\n<!-- end -->\n17")) == (
        {"12", "14", "17"}
    )


BLOCK = """
| model | js ↓ (0.01) | captured_chi2 ↑ (8) |
|---|---|---|
| GAN | **0.30 ± 0.05** | 8 |
| R3GAN | 0.50 ± 0.02 | **7** |
| Mixture (K known) | **0.1** | 3 |

* **js**: GAN 0.30 ± 0.05
  * worse by: R3GAN 0.2 (0.1 to 0.3, p 0.01)
"""


@pytest.mark.parametrize(
    "text, wrong",
    [
        ("GAN 0.30 ± 0.05, R3GAN 0.50 ± 0.02, which is 0.2 more (0.1 to 0.3, p 0.01)", 0),
        ("The mixture 3, R3GAN 7 and the GAN 8; R3GAN's 7 of 8", 0),
        ("GAN 0.50 ± 0.02, R3GAN 0.30 ± 0.05", 2),
        ("R3GAN 8", 1),
        ("* R3GAN is here,\n* but these 0.50 ± 0.02 are nobody's", 1),
        ("R3GAN 0.3 more (0.1 to 0.3, p 0.01)", 1),
        ("R3GAN 0.2 more (0.1 to 0.3, p 0.001)", 1),
        ("GAN 0.2 more (0.1 to 0.3, p 0.01)", 1),
    ],
)
def test_what_is_told_of_the_wrong_model_is_found(text, wrong):
    assert len(misquoted(text, BLOCK)) == wrong


@pytest.mark.parametrize("results", RESULTS, ids=lambda path: path.stem)
def test_results_name_what_they_come_from(results):
    """The config as it is now, its command, and the commit: one, and a clean one."""
    (_, *head), found = from_csv(results.read_text())
    told = dict(line.split(": ", 1) for line in head)
    file = f"configs/studies/{results.stem}.yaml"
    assert told["study"] == f"{file}, settings {read_study(str(ROOT / file)).digest}"
    assert told["command"].startswith(f"lightning compare {file} ")
    assert re.fullmatch(r"[0-9a-f]{12}", told["commit"])
    assert found and all(number.run.startswith("runs/studies/") for number in found)


@pytest.mark.parametrize("results", RESULTS, ids=lambda path: path.stem)
def test_the_page_has_the_tables_of_the_results(results):
    block = f"<!-- {results.stem} -->\n{markdown_of(results.read_text())}<!-- end -->"
    assert block in PAGE.read_text()


@pytest.mark.parametrize("results", RESULTS, ids=lambda path: path.stem)
def test_every_number_of_a_conclusion_is_in_its_results(results):
    text = said(section(results.stem))
    stale = numbers(text) - held(results)
    assert not stale, f"in no table of {results.stem}: {sorted(stale)}"
    assert not misquoted(text, markdown_of(results.read_text()))


def test_every_study_on_the_page_has_results():
    assert set(re.findall(r"<!-- (\w+) -->", PAGE.read_text())) - {"end"} == (
        {path.stem for path in RESULTS}
    )


def test_the_front_door_shows_the_results():
    made = runpy.run_path(str(ROOT / "benchmarks/comparison.py"))["headline"]()
    assert made in (ROOT / "README.md").read_text()


def test_every_number_of_the_advice_is_in_some_results():
    known = set().union(*map(held, RESULTS))
    text = said((ROOT / "docs/which_model.md").read_text())
    stale = numbers(text) - known
    assert not stale, f"in no table: {sorted(stale)}"
    blocks = "\n".join(markdown_of(results.read_text()) for results in RESULTS)
    wrong = [told for row in text.splitlines() for told in misquoted(row, blocks)]
    assert not wrong
