"""The documentation: links lead to what they name, and shown files and commands are there."""

import re

import pytest

from lightning_gans.__main__ import HELP
from tests.conftest import ROOT
from tests.pages import PAGES, defined, headings, links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_what_it_names(page):
    missing = []
    for text, path, anchor in links(page):
        name = re.fullmatch(r"`([\w.]+)`", text)
        if not path.exists():
            missing.append(f"{text}: no file {path}")
        elif anchor and anchor not in headings(path):
            missing.append(f"{text}: no heading {anchor} in {path}")
        elif path.suffix == ".py" and not (
            name and (name[1] == path.name or name[1] in defined(path))
        ):
            missing.append(f"{text}: not defined in {path}")
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shown_configs_and_commands_are_there(page):
    text = page.read_text()
    files = {name for name in re.findall(r"\bconfigs/[\w/]+\.yaml", text)}
    assert not [name for name in files if not (ROOT / name).is_file()]
    commands = set(re.findall(r"^lightning (\w+)", text, re.MULTILINE))
    known = set(re.findall(r"^  (\w+)  ", HELP, re.MULTILINE))
    assert commands <= known


def test_every_page_can_be_reached_from_the_readme():
    reached, new = set(), {ROOT / "README.md"}
    while new:
        reached |= new
        new = {
            path.resolve() for page in new for _, path, _ in links(page) if path.suffix == ".md"
        } - reached
    assert set(PAGES) <= reached
