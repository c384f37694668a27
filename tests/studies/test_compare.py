"""`lightning compare FILE` as a user types it: a study that is killed, one that fails."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml
from PIL import Image

from lightning_gans.runs import Records
from lightning_gans.studies.collect import from_csv
from lightning_gans.studies.markdown import RULES, mean_text
from lightning_gans.studies.plan import StudyPlan, cells, sweep_of
from lightning_gans.studies.report import markdown, markdown_of
from lightning_gans.studies.schema import read_study
from lightning_gans.studies.statistics import mean_interval
from lightning_gans.studies.tables import tables
from tests.studies.page import Page

RING = {"modes": 4, "batch_size": 16, "batches_per_epoch": 4}
POINTS = "lightning_gans.networks.MLP"
STUDY = {
    "title": "Small?",
    "seeds": 2,
    "budget": {"samples": 128},
    "metrics": ["high_quality_chi2", "reverse_kl"],
    "common": {
        "trainer": {"accelerator": "cpu", "log_every_n_steps": 4},
        "run": {"wandb": "disabled"},
        "modes": {"n": 64},
        "samples": {"n": 4},
    },
    "data": {
        "Ring": {
            "config": {"data": {"class_path": "lightning_gans.data.Ring", "init_args": RING}},
            "values": {"shape": [2]},
            "redraw": True,
        }
    },
    "models": {
        "Mixture": {
            "model": {
                "class_path": "lightning_gans.models.GaussianMixture",
                "init_args": {"event_shape": "${values.shape}", "components": 4},
            }
        },
        "GAN": {
            "model": {
                "class_path": "lightning_gans.models.GAN",
                "init_args": {
                    side: {
                        "class_path": f"{POINTS}{side.title()}",
                        "init_args": {"event_shape": "${values.shape}", "hidden": [4]},
                    }
                    for side in ("generator", "discriminator")
                },
            }
        },
    },
}


def start(*args):
    return subprocess.Popen(
        [sys.executable, "-m", "lightning_gans", "compare", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def lines_of(table: str) -> str:
    """A report without what its head says and what a run costs, which the clock decides."""
    return table[table.index("Means over seeds") : table.index("## Cost")]


def test_a_killed_study_goes_on_with_more_seeds_and_gives_the_same_table_again(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    folder = Path("runs/studies/study")
    killed = start("study.yaml", "--jobs=2", "--seeds=1")
    for _ in range(2400):
        if any(folder.glob("*/version_0/checkpoints/final.ckpt")):
            break
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    first = next(folder.glob("*/version_0/checkpoints/final.ckpt"))
    written = first.stat().st_mtime_ns

    said, _ = start("study.yaml").communicate()
    assert "study has begun already; --resume goes on with it" in said
    said, _ = start("study.yaml", "--jobs=2", "--resume").communicate()
    assert "| Mixture |" in said and "4 of 4 runs" in said, said
    assert first.stat().st_mtime_ns == written  # what had ended is not run again
    again, _ = start("study.yaml", "--jobs=2", "--name=again").communicate()
    assert lines_of(said) == lines_of(again)

    # Each mean is that of what the runs themselves wrote down.
    for model in ("mixture", "gan"):
        runs = [folder / f"ring_{model}_seed{seed}/version_0" for seed in range(2)]
        rows = [Records(run / "modes.jsonl").rows[-1]["metrics"] for run in runs]
        values = [row["high_quality_chi2"]["value"] for row in rows]
        assert mean_text(mean_interval(values)) in said
        config = yaml.safe_load((runs[1] / "config.yaml").read_text())
        assert config["seed_everything"] == config["data"]["init_args"]["seed"] == 1
        assert config["trainer"]["max_steps"] == 8

    page = Page((folder / "report.html").read_text())
    assert len(page.all_ids) == len(page.ids) == 2
    for link in page.links:
        assert link[1:] in page.ids if link.startswith("#") else (folder / link).is_dir(), link
    assert page.loaded and all(src.startswith("data:image/webp;") for src in page.loaded)
    for sheet in ("numbers", "samples"):
        with Image.open(folder / f"{sheet}.png") as picture:
            assert len(picture.convert("RGB").getcolors(2**24)) > 20
        assert (folder / f"{sheet}.svg").read_text().startswith("<?xml")

    # The table of all numbers gives the report again.
    head, numbers = from_csv((folder / "numbers.csv").read_text())
    found = tables(numbers, STUDY["metrics"])
    assert markdown(head[0], head[1:], found) == (folder / "comparison.md").read_text()
    part = markdown_of((folder / "numbers.csv").read_text())
    assert part.replace("####", "##") in said.replace(RULES + "\n\n", "")


def test_a_run_that_fails_is_told_and_is_in_no_mean(lightning):
    study = {**STUDY, "models": {**STUDY["models"]}, "seeds": 1, "metrics": ["reverse_kl"]}
    study["models"]["Broken"] = {
        **STUDY["models"]["GAN"],
        "trainer": {"callbacks": [{"class_path": "lightning_gans.callbacks.Inpainting"}]},
    }
    Path("study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    process = start("study.yaml", "--jobs=2")
    said, _ = process.communicate()
    assert process.returncode == 2 and "1 of 3 runs failed; the report says why" in said
    assert "* failed: Broken on Ring, seed 0: " in said and "| Broken | – |" in said, said
    page = Path("runs/studies/study/report.html").read_text()
    assert "Failed runs" in page and "Broken" in page


def test_data_of_one_set_are_drawn_anew_only_where_the_law_is_known(tmp_path):
    """Another split is another classifier, so numbers of two seeds could not be compared."""
    study = {**STUDY, "data": {**STUDY["data"], "Same": {**STUDY["data"]["Ring"], "redraw": False}}}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    read = read_study(str(path))
    runs = {cell.experiment: cell for cell in cells(read)}
    plan = StudyPlan(sweep_of(read, list(runs.values())), tmp_path / "s", 1, "last", [], read, runs)
    for name, of_data in (("ring_gan_seed1", 1), ("same_gan_seed1", 0)):
        options = plan.options(0, {"run": name}, 0)
        assert {"--seed_everything=1", f"--data.seed={of_data}"} <= set(options)
