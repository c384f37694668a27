from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

from lightning_gans import data

FOLDER = Path(__file__).parents[2] / "configs" / "data"
NAMES = ["cifar10", "digits", "fashion", "folder", "kmnist", "mnist"]


def test_every_overlay_is_known():
    assert sorted(path.stem for path in FOLDER.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_overlays_say_what_they_are_and_can_be_read(name):
    text = (FOLDER / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    content = yaml.safe_load(text)
    assert set(content) <= {"data", "model"}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(data.Data, "data")
    parsed = parser.parse_object({"data": content["data"]})
    assert parsed.data.class_path == content["data"]["class_path"]
    kind = content["data"]["class_path"].removeprefix("lightning_gans.data.")
    assert kind in data.__all__


def test_every_set_says_in_one_line_what_it_is():
    for name in data.__all__:
        first, *rest = getattr(data, name).__doc__.splitlines()
        assert first.endswith(".")
        assert not rest or not rest[0].strip()
