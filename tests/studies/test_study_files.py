"""Study files: what they mean, and that every wrong part of them is named."""

import copy
import re

import pytest
import yaml

from lightning_gans.errors import InputError
from lightning_gans.studies.plan import cells, config_of
from lightning_gans.studies.schema import read_study
from lightning_gans.sweeps.probe import probe
from tests.conftest import ROOT

SHIPPED = sorted(ROOT.glob("configs/studies/*.yaml"))
RING = {"class_path": "lightning_gans.data.Ring", "init_args": {"batch_size": 50}}
GOOD = {
    "title": "Which?",
    "seeds": 2,
    "budget": {"samples": 1000},
    "metrics": ["coverage"],
    "data": {"ring": {"config": {"data": RING}, "values": {"shape": [2]}}},
    "models": {"one": {"model": {"class_path": "X", "init_args": {"s": "${values.shape}"}}}},
}


def written(tmp_path, change):
    content = copy.deepcopy(GOOD)
    change(content)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


def test_a_budget_of_samples_is_divided_by_each_batch_size(tmp_path):
    def change(content):
        wide = {"class_path": RING["class_path"], "init_args": {"batch_size": 200}}
        content["data"]["wide"] = {"config": {"data": wide}, "values": {"shape": [2]}}
        content["models"]["one"]["model"]["init_args"]["fade"] = "${values.batches}"

    study = read_study(written(tmp_path, change))
    for data, batches in (("ring", 20), ("wide", 5)):
        config = config_of(study, data, "one")
        assert config["trainer"] == {"max_epochs": -1, "max_steps": batches}
        assert config["model"]["init_args"] == {"s": [2], "fade": batches}
        assert set(config) == {"data", "model", "trainer"}


def test_a_budget_of_time_is_the_trainers(tmp_path):
    def change(content):
        content["budget"] = {"seconds": 90061}
        content["models"]["longer"] = {**content["models"]["one"], "times": 2}

    study = read_study(written(tmp_path, change))
    for model, time in (("one", "01:01:01:01"), ("longer", "02:02:02:02")):
        config = config_of(study, "ring", model)
        assert config["trainer"]["max_time"] == time and "times" not in config


def test_a_seed_of_all_comes_after_another_and_more_seeds_come_last(tmp_path):
    def change(content):
        content["models"]["two"] = {"model": "Y"}
        content["data"]["grid"] = content["data"]["ring"]
        content["skip"] = {"grid": "two"}

    study = read_study(written(tmp_path, change))
    assert [cell.experiment for cell in cells(study)] == [
        *("ring_one_seed0", "ring_two_seed0", "grid_one_seed0"),
        *("ring_one_seed1", "ring_two_seed1", "grid_one_seed1"),
    ]


def put(*path, value):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c.pop("budget"), "it needs budget"),
        (put("metric", value=["x"]), "there is no key 'metric'; did you mean 'metrics'?"),
        (put("seeds", value=0), "seeds is 0; it must be a whole number, 1 to 1,000"),
        (put("budget", value={"samples": 1, "seconds": 1}), "either samples or seconds"),
        (put("budget", value={"sample": 1}), "budget: there is no key 'sample'; did you mean"),
        (put("budget", value={"samples": 0}), "budget.samples is 0; it must be a whole number"),
        (put("metrics", value="coverage"), "metrics is 'coverage'; it must be a list"),
        (put("metrics", value=["coverge"]), "'coverge' it is not known which values are good; did"),
        (put("metrics", value=["coverage", "coverage"]), "metrics has coverage twice"),
        (put("title", value="two\nlines"), "it must be a text of one line"),
        (put("data", "ring", "redraw", value="yes please"), "redraw is 'yes please'; it must be"),
        (put("data", "ring", value={}), "data.ring.config must hold keys, not None"),
        (put("data", "ring", "config", value={"model": {}}), "data.ring.config needs data"),
        (put("data", "ring", "vals", value={}), "data.ring: there is no key 'vals'; did you mean"),
        (put("data", "ring", "values", "batches", value=3), "batches are those of the budget"),
        (put("models", "one", value={"modle": 1}), "models.one: there is no key 'modle'; did you"),
        (put("models", "one", value={"times": 1}), "models.one needs model"),
        (
            put("models", "one", "trainer", value={"max_steps": 1}),
            "one.trainer.max_steps: how long",
        ),
        (put("common", value={"seed_everything": 3}), "common: there is no key 'seed_everything'"),
        (put("budget", value={"samples": 10}), "is less than a batch of ring"),
        (put("skip", value={"ring": "one"}), "skip leaves no run"),
        (put("models", "one", "times", value=0), "models.one.times is 0; it must be at least 1"),
        (put("models", value={"a/../b\n": GOOD["models"]["one"]}), "is no name"),
        (put("skip", value={"rings": "one"}), "skip: there is no data set 'rings'; did you mean"),
        (put("skip", value={"ring": "two"}), "skip.ring: there is no model 'two'"),
        (
            lambda c: c["data"]["ring"].pop("values"),
            "one on ring: Interpolation key 'values.shape'",
        ),
        (
            put("data", "ring", "config", "data", "init_args", value={}),
            "data.ring.config needs data.init_args.batch_size",
        ),
        (put("models", "One", value=GOOD["models"]["one"]), "would both be kept in ring_one_seed0"),
    ],
)
def test_what_is_wrong_is_named(change, message, tmp_path):
    with pytest.raises(InputError, match="study.yaml") as raised:
        study = read_study(written(tmp_path, change))
        for cell in cells(study):
            config_of(study, cell.data, cell.model)
    assert message in str(raised.value)


def test_a_name_that_a_file_has_twice_is_refused(tmp_path):
    path = tmp_path / "study.yaml"
    text = yaml.safe_dump(GOOD, sort_keys=False)
    path.write_text(text.replace("models:\n", "models:\n  one:\n    model: Y\n"))
    with pytest.raises(InputError, match="has one once more"):
        read_study(str(path))


def test_a_file_that_is_not_there_has_a_suggestion():
    with pytest.raises(InputError, match=r"did you mean 'configs/studies/toy.yaml'"):
        read_study("configs/studies/tory.yaml")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_study_has_a_header_and_configs(path):
    lines = path.read_text().splitlines()
    words = [line.split(":")[0] for line in lines[1:9] if line.startswith("# ")]
    assert {"# Paper", "# Cost", "# Expect", "# Run"} <= set(words)
    assert f"lightning compare configs/studies/{path.name}" in "\n".join(lines[:9])
    study = read_study(str(path))
    for cell in cells(study):
        assert config_of(study, cell.data, cell.model)["trainer"]["max_steps"] > 0


def test_fit_takes_every_model_and_every_data_set_of_the_shipped_studies(tmp_path):
    """And of the one that the documentation shows."""
    options, example = [], tmp_path / "example.yaml"
    page = (ROOT / "docs/compare.md").read_text()
    example.write_text(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    for path in (*SHIPPED, example):
        study = read_study(str(path))
        seen = set()
        for cell in cells(study):
            if {cell.data, cell.model} <= seen:
                continue
            seen |= {cell.data, cell.model}
            file = tmp_path / f"{path.stem}_{cell.name}.yaml"
            file.write_text(yaml.safe_dump(config_of(study, cell.data, cell.model)))
            options.append([f"--config={file}", "--data.seed=1"])
    assert len(options) > 4 * len(SHIPPED)
    probe(options)
