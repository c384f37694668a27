"""The pages of the documentation: their links, and the names that they refer to."""

import ast
import re
from functools import cache

from tests.conftest import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/RESULTS.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def links(page):
    """Text, file and heading of each link of a page that stays in the project."""
    found = re.findall(r"\[([^\[\]]*)\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text())
    return [(text, (page.parent / path) if path else page, anchor) for text, path, anchor in found]


@cache
def defined(path):
    """Names that a module defines, methods as Class.method."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
            inner = node.body if isinstance(node, ast.ClassDef) else []
            names |= {f"{node.name}.{m.name}" for m in inner if isinstance(m, ast.FunctionDef)}
    return names


@cache
def headings(path):
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
