"""``lightning list``: what can be named in a config, read from the source without importing it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from lightning_gans.errors import InputError
from lightning_gans.paths import CONFIGS

__all__ = ["STAGES", "configs", "public_names", "show"]

_PACKAGE = Path(__file__).parent
STAGES = ("models", "data", "networks", "objectives", "schedules")


def public_names(stage: str) -> Iterator[tuple[str, str]]:
    """What a config can name of ``stage``, with the first line of its docstring."""
    exported = ast.parse((_PACKAGE / stage / "__init__.py").read_text())
    names = {
        alias.name
        for node in exported.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for file in sorted((_PACKAGE / stage).glob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if (
                isinstance(node, ast.ClassDef | ast.FunctionDef)
                and node.name in names
                and not _cannot_be_named(node)
            ):
                yield node.name, (ast.get_docstring(node) or "").split("\n")[0]


def _cannot_be_named(node: ast.ClassDef | ast.FunctionDef) -> bool:
    """Whether this is a base or a record, which no config names."""
    bases = getattr(node, "bases", [])
    return bool({ast.unparse(base) for base in bases} & {"ABC", "NamedTuple"})


def configs() -> Iterator[tuple[str, str]]:
    """Each shipped config, with the first line of its header."""
    for file in sorted(CONFIGS.rglob("*.yaml"), key=lambda file: (len(file.parts), file)):
        first = file.read_text().split("\n")[0]
        yield f"configs/{file.relative_to(CONFIGS)}", first.lstrip("# ")


def show(args: list[str]) -> None:
    """Print the catalogue, or the part named in ``args``.

    Raises:
        InputError: There is no such part.
    """
    parts = (*STAGES, "configs")
    if args and args[0] in ("-h", "--help"):
        print(f"usage: lightning list [{'|'.join(parts)}]")
        return
    if unknown := [arg for arg in args if arg not in parts]:
        raise InputError(f"list knows {', '.join(parts)}, not {unknown[0]!r}")
    for part in args or parts:
        entries = list(configs() if part == "configs" else public_names(part))
        prefix = "" if part == "configs" else f"lightning_gans.{part}."
        width = max(len(prefix + name) for name, _ in entries)
        print(part)
        for name, line in entries:
            print(f"  {prefix + name:{width}}  {line}")
        print()
