"""What the documentation says of the studies is what their numbers say."""

import re

import pytest

from lightning_gans.studies.collect import from_csv
from lightning_gans.studies.report import markdown_of
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
    """The numbers of a study: its tables', and those of the file that says what was run."""
    study = ROOT / f"configs/studies/{results.stem}.yaml"
    return numbers(markdown_of(results.read_text())) | numbers(study.read_text())


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


@pytest.mark.parametrize("results", RESULTS, ids=lambda path: path.stem)
def test_results_name_what_they_come_from(results):
    """The config as it lies in the project, its command, and the commit: one, and a clean one."""
    (_, *head), found = from_csv(results.read_text())
    told = dict(line.split(": ", 1) for line in head)
    assert told["study"] == f"configs/studies/{results.stem}.yaml"
    assert (ROOT / told["study"]).is_file() and told["study"] in told["command"]
    assert re.fullmatch(r"[0-9a-f]{12}", told["commit"])
    assert found and all(number.run.startswith("runs/studies/") for number in found)


@pytest.mark.parametrize("results", RESULTS, ids=lambda path: path.stem)
def test_the_page_has_the_tables_of_the_results(results):
    block = f"<!-- {results.stem} -->\n{markdown_of(results.read_text())}<!-- end -->"
    assert block in PAGE.read_text()


@pytest.mark.parametrize("results", RESULTS, ids=lambda path: path.stem)
def test_every_number_of_a_conclusion_is_in_its_results(results):
    stale = numbers(said(section(results.stem))) - held(results)
    assert not stale, f"in no table of {results.stem}: {sorted(stale)}"


def test_every_study_on_the_page_has_results():
    assert set(re.findall(r"<!-- (\w+) -->", PAGE.read_text())) - {"end"} == (
        {path.stem for path in RESULTS}
    )
