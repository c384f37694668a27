"""How the files of sweeps and studies are found and read: every mistake names the file."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lightning_gans.errors import InputError, meant
from lightning_gans.paths import CONFIGS

__all__ = ["alternatives", "read_checked"]

_Said = TypeVar("_Said")


def read_checked(name: str, kind: str, folder: str, check: Callable[[Path, Any], _Said]) -> _Said:
    """What ``check`` makes of a file, as given or, if there is none, among the shipped ones.

    Args:
        name: The file's.
        kind: What it is, in a word.
        folder: Of the shipped ones, in configs/.
        check: From the file and its content to what it says.

    Raises:
        InputError: There is no such file, or something in it is wrong; the message says what.
    """
    file = _found(name, kind, folder)
    try:
        return check(file, yaml.load(file.read_text(), _UniqueKeys))
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not YAML: {' '.join(str(error).split())}") from error


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that a mapping has twice, of which YAML's own loader takes the last."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """A mapping, of whose keys none comes twice."""
        node = super().compose_mapping_node(anchor)
        seen = set[str]()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise InputError(f"line {key.start_mark.line + 1} has {key.value} once more")
            seen.add(key.value)
        return node


def alternatives(wrong: str, known: Collection[str]) -> str:
    """What may have been meant, in words, or what there is."""
    return meant(wrong, known) or f"; there are {', '.join(known)}"


def _found(name: str, kind: str, folder: str) -> Path:
    for path in (Path(name), CONFIGS / name.removeprefix("configs/")):
        if path.is_file():
            return path
    known = [f"configs/{folder}/{file.name}" for file in sorted(CONFIGS.glob(f"{folder}/*.yaml"))]
    raise InputError(f"there is no {kind} file {name}{alternatives(name, known)}")
