"""`lightning compare` on runs that are there, and how what is compared is shown."""

import csv
import io
import math
from pathlib import Path

import pytest
from PIL import Image

from lightning_gans.runs import Records
from lightning_gans.studies.collect import Run, numbers_of
from lightning_gans.studies.figures import draw_samples
from lightning_gans.studies.markdown import mean_text
from lightning_gans.studies.statistics import Mean
from tests.run_folders import make_run
from tests.studies.page import Page


def test_finished_runs_are_told_apart_by_their_settings(lightning):
    for seed in range(3):
        make_run(Path(f"runs/slow/version_{seed}"), seed=seed, lr=1e-4)
        make_run(Path(f"runs/fast/version_{seed}"), seed=seed, lr=1e-2)
    make_run(Path("runs/fast/version_3"), seed=3, lr=1e-2, outcome=None)
    answer = lightning("compare", "runs/slow", "runs/fast")
    assert answer.code == 0, answer.err
    assert "runs/fast/version_3 is left out: running" in answer.out
    assert "| slow | **0.9** |" in answer.out and "| fast | **0.9** |" in answer.out
    assert "no difference shown: fast 0 (-0.000406 to 0.000406, p 1)" in answer.out
    rows = Path("comparison/numbers.csv").read_text().splitlines()
    numbers = list(csv.DictReader(io.StringIO("\n".join(r for r in rows if r[0] != "#"))))
    assert len(numbers) == 6 and {row["protocol"] for row in numbers} == {
        "ring8_r1_std0.01, n=2500"
    }
    page = Page(Path("comparison/report.html").read_text())
    assert {link for link in page.links if link.startswith("../runs/")} == {
        f"../runs/{name}/version_{seed}/" for name in ("slow", "fast") for seed in range(3)
    }
    one = lightning("compare", "runs", "--out", "all")  # one folder of all runs is the same
    assert one.code == 0 and Path("all/comparison.md").is_file()


def test_the_runs_that_are_left_are_not_ranked(lightning):
    """Of slow, one failed; of odd, one was never looked at; of fast all are there."""
    for name, rate in (("slow", 1e-4), ("fast", 1e-2), ("odd", 1e-3)):
        for seed in range(3):
            failed = (name, seed) == ("slow", 2)
            outcome = "failed" if failed else "finished"
            run = make_run(Path(f"runs/{name}/version_{seed}"), seed=seed, lr=rate, outcome=outcome)
            if failed:
                make_run(Path(f"runs/{name}/version_9"), seed=seed, lr=rate, outcome="failed")
    (run / "modes.jsonl").unlink()
    answer = lightning("compare", "runs")
    assert answer.code == 0, answer.err
    for said in (
        "| slow | 0.9 (2 of 3 runs) |",
        "| odd | 0.9 (2 of 3 runs) |",
        "| fast | **0.9** |",
    ):
        assert said in answer.out
    page = Path("comparison/comparison.md").read_text()
    assert "* failed: slow on Ring, seed 2: " in page
    assert "* failed: odd on Ring, seed 2: nothing was measured" in page
    assert "version_2 is left out: " in page  # of the two that failed


def test_whose_images_a_discriminator_tells_is_in_the_protocol(tmp_path):
    found = []
    for name, digest in (("a", "a" * 64), ("b", "b" * 64)):
        run = make_run(tmp_path / name / "version_0")
        told = {"digest": "c" * 64, "resize": "bytes", "data": "Folder", "data_digest": digest}
        row = {"samples_seen": 9, "protocols": {"x32": told | {"n_real": 100, "n": 50}}}
        measured = {"value": 0.6, "low": 0.5, "high": 0.7, "ideal": 0.5, "n": 150}
        Records(run / "quality.jsonl").append(row | {"metrics": {"membership_auc": measured}})
        numbers = numbers_of(Run("d", "m", "0", str(run)))
        found += [n.protocol for n in numbers if n.metric == "membership_auc"]
    assert found == ["Folder aaaaaaaa, train 100, n=150", "Folder bbbbbbbb, train 100, n=150"]


def test_training_that_differs_is_no_seed(lightning):
    """Nor is another batch size another data set."""
    make_run(Path("runs/a/version_0"), trainer={"max_epochs": 8, "accelerator": "auto"})
    make_run(Path("runs/a/version_1"), trainer={"max_epochs": 8, "accelerator": "cpu"}, seed=1)
    make_run(Path("runs/a/version_2"), trainer={"max_epochs": 8, "limit_train_batches": 0.1})
    data = {"class_path": "lightning_gans.data.Ring", "init_args": {"modes": 8, "batch_size": 9}}
    make_run(Path("runs/b/version_0"), data=data)
    answer = lightning("compare", "runs")
    assert answer.code == 0 and answer.out.count("\n## ") == 2, answer.out  # a data set, and costs
    rows = Path("comparison/numbers.csv").read_text().splitlines()
    models = [row["model"] for row in csv.DictReader(r for r in rows if r[0] != "#")]
    assert len(set(models)) == 3 and len(models) == 4, models


@pytest.mark.parametrize("difference", [{"data_digest": "b" * 64}, {"digest": "c" * 64}])
def test_other_data_or_another_extractor_is_another_protocol(difference, tmp_path):
    told = {"digest": "a" * 64, "resize": "bytes", "data": "Folder", "data_digest": "a" * 64}
    told |= {"n_real": 100, "n": 50}
    protocols = []
    for name, own in (("a", {}), ("b", difference)):
        measured = {"value": 1.0, "low": None, "high": math.inf, "ideal": math.nan, "n": 50}
        row = {"samples_seen": 9, "protocols": {"x32": {**told, **own}}}
        run = make_run(tmp_path / name / "version_0")
        Records(run / "quality.jsonl").append(row | {"metrics": {"x32/fid": measured}})
        numbers = numbers_of(Run("d", "m", "0", str(run)))
        protocols += [n.protocol for n in numbers if n.metric == "fid"]
        assert all(number.high is number.ideal is None for number in numbers[1:])
    assert len(set(protocols)) == 2


def test_the_last_evaluation_counts_by_its_own_classifier(tmp_path):
    found = []
    for name in "ab":
        run = make_run(tmp_path / name / "version_0")
        measured = {"value": 0.25, "low": 0.2, "high": 0.3, "ideal": 1.0, "n": 9}
        own = {"samples_seen": 10**6, "oracle": {"digest": name * 64}}
        Records(run / "modes.jsonl").append(own | {"metrics": {"corrected": measured}})
        found += numbers_of(Run("d", "m", "0", str(run)))
    assert [(n.metric, n.value, n.samples) for n in found] == 2 * [("corrected", 0.25, 10**6)]
    assert [n.protocol for n in found] == ["told by aaaaaaaa, n=9", "told by bbbbbbbb, n=9"]


def test_mirrored_images_are_another_protocol(tmp_path):
    told = {"digest": "a" * 64, "resize": "bytes", "data": "Folder", "data_digest": "a" * 64}
    found = []
    for orientations in (1, 2):
        own = told | {"n_real": 100, "n": 50, "orientations": orientations}
        run = make_run(tmp_path / str(orientations) / "version_0")
        row = {"samples_seen": 9, "protocols": {"x32": own}}
        measured = {"value": 1.0, "low": None, "high": None, "ideal": None, "n": 50}
        Records(run / "quality.jsonl").append(row | {"metrics": {"x32/fid": measured}})
        numbers = numbers_of(Run("d", "m", "0", str(run)))
        found += [n.protocol for n in numbers if n.metric == "fid"]
    assert found[1] == found[0].replace(", n=50", ", both orientations, n=50")


def test_damaged_files_are_told_or_left_out(lightning):
    """A picture cut short, a number that is none, an evaluation of nothing."""
    for name in ("a", "b"):
        run = make_run(Path(f"runs/{name}/version_0"), lr=1e-4 if name == "a" else 1e-2)
    picture = max(run.glob("samples/*.png"))
    picture.write_bytes(picture.read_bytes()[:40])
    none = dict.fromkeys(("value", "low", "high", "ideal", "n"))
    Records(run / "quality.jsonl").append({"samples_seen": 9, "metrics": {"fid": none, "js": 3}})
    answer = lightning("compare", "runs/a", "runs/b", "--metrics", "fid", "high_quality_chi2")
    assert answer.code == 0, answer.err
    assert "| a | – | 0.9 |" in answer.out and "| b | – | 0.9 |" in answer.out


def test_what_nobody_has_measured_is_an_error_that_loses_nothing(lightning):
    make_run(Path("runs/a/version_0"))
    answer = lightning("compare", "runs/a", "--metrics", "high_quality_chi2", "captured_chi3")
    assert answer.code == 2 and "| a | 0.9 |" in answer.out
    assert "error: no run has measured captured_chi3; measured were high_quality" in answer.err
    assert Path("comparison/report.html").is_file()


def test_what_failed_before_it_began_is_said(lightning):
    make_run(Path("runs/a_seed0/version_0"))
    Path("runs/b_seed0").mkdir()
    Path("runs/b_seed0/log.txt").write_text("error: nothing")
    said = (
        "runs/b_seed0 is left out: it ended before its first batch, runs/b_seed0/log.txt says why"
    )
    assert said in lightning("compare", "runs").out
    assert said in Path("comparison/comparison.md").read_text()


def test_runs_of_one_name_are_called_by_what_differs(lightning):
    make_run(Path("runs/a/version_0"), lr=1e-4)
    make_run(Path("runs/a/version_1"), lr=1e-2)
    answer = lightning("compare", "runs/a")
    assert "| a (lr=0.0001) |" in answer.out and "| a (lr=0.01) |" in answer.out


@pytest.mark.parametrize("order", ["abc", "cba", "bca"])
def test_what_is_named_first_is_what_the_others_are_told_against(order, lightning):
    """Whenever they were trained."""
    for rate, name in enumerate("abc"):
        make_run(Path(f"runs/{name}/version_0"), lr=10.0**-rate)
    answer = lightning("compare", *(f"runs/{name}" for name in order))
    rows = Path("comparison/numbers.csv").read_text().splitlines()
    models = [row["model"] for row in csv.DictReader(r for r in rows if r[0] != "#")]
    assert answer.code == 0 and "".join(dict.fromkeys(models)) == order


def test_a_model_on_two_data_sets_has_one_name(lightning):
    for modes, data in ((8, "ring"), (9, "wheel")):
        of = {"class_path": "lightning_gans.data.Ring", "init_args": {"modes": modes}}
        for rate, name in ((1e-4, "gan_slow"), (1e-2, "gan_fast")):
            make_run(Path(f"runs/{data}_{name}_seed0/version_0"), lr=rate, data=of)
    assert lightning("compare", "runs").code == 0
    rows = Path("comparison/numbers.csv").read_text().splitlines()
    rows = [row["model"] for row in csv.DictReader(r for r in rows if r[0] != "#")]
    assert sorted(rows) == ["gan_fast", "gan_fast", "gan_slow", "gan_slow"]


def test_a_folder_that_adds_nothing_is_an_error_that_loses_nothing(lightning):
    make_run(Path("runs/a/version_0"))
    make_run(Path("runs/b/version_0"), lr=1.0, outcome=None)
    answer = lightning("compare", "runs/a", "runs/b")
    assert answer.code == 2 and "| a | 0.9 |" in answer.out
    assert "error: nothing of runs/b is in the report" in answer.err


def test_another_protocol_has_a_column_of_its_own(lightning):
    make_run(Path("runs/a/version_0"), lr=1e-4)
    run = make_run(Path("runs/b/version_0"), lr=1e-2)
    records = Records(run / "modes.jsonl")
    records.rows[-1]["protocol"] = "ring8_r2_std0.01"
    records.keep(lambda row: True)
    answer = lightning("compare", "runs/a", "runs/b")
    assert "| a | 0.9 | – |" in answer.out and "| b | – | 0.9 |" in answer.out
    assert "no difference" not in answer.out


@pytest.mark.parametrize(
    "args, message",
    [
        (["nowhere"], "nowhere is no folder; lightning compare takes run folders, or a study file"),
        (["empty"], "empty holds no runs"),
        (["runs/b"], "none of these runs has finished:\nruns/b/version_0 has failed ("),
        (
            ["runs/a", "--metrics", "fid"],
            "no run has measured fid; measured were high_quality_chi2",
        ),
        (["runs/a", "--jobs", "2"], "--jobs is for a study file"),
        (["configs/studies/toy.yaml", "--out", "x"], "--out is for finished runs"),
        (["configs/studies/toy.yaml", "--jobs", "0"], "--jobs is 0; it must be at least 1"),
        (["configs/studies/toy.yaml", "runs/a"], "a study is compared alone"),
        (["configs/studies/toy.yaml", "--name", "a/b"], "--name 'a/b' must be a plain name"),
        (["configs/studies/toy.yaml", "--name", ""], "--name '' must be a plain name"),
        (["configs/studies/toy.yaml", "--folder", "/proc/x"], "/proc/x/toy cannot be written"),
        (["--metrics", "js", "runs/a"], "required: what before --metrics"),
        (["configs/studies/toi.yaml"], "did you mean 'configs/studies/toy.yaml'?"),
        ([], "the following arguments are required"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_line(args, message, lightning):
    make_run(Path("runs/a/version_0"))
    make_run(Path("runs/b/version_0"), outcome="failed")
    Path("empty").mkdir()
    answer = lightning("compare", *args)
    assert answer.code == 2 and message in answer.err and answer.err.startswith("error: ")


@pytest.mark.parametrize(
    "values, text",
    [
        ((0.8531, 0.832, 0.8742), "0.853 ± 0.021"),
        ((1234.5, 1100.0, 1369.0), "1,234 ± 134"),
        ((8.0, 8.0, 8.0), "8"),
        ((2.5, -16.5, 21.5), "2.5 ± 19.0"),
        ((0.00138, None, None), "0.00138"),
    ],
)
def test_a_mean_shows_two_digits_of_its_doubt(values, text):
    assert mean_text(Mean(*values, 5)) == text


def test_pictures_of_one_data_set_are_drawn_to_one_scale_and_wide_ones_wider(tmp_path):
    """Each picture has a colour of its own, whose pixels are counted."""
    shapes = {"square": (200, 200), "wide": (800, 200)}
    models = [f"m{i}" for i in range(5)]
    colours = {
        (data, model): (50 * i, 100 + 50 * j, 200)
        for i, model in enumerate(models)
        for j, data in enumerate(shapes)
    }
    pictures = {
        data: {m: Image.new("RGB", size, colours[data, m]) for m in models if m != "m1"}
        for data, size in shapes.items()
    }
    draw_samples(pictures, models, [tmp_path / "sheet.png"])
    with Image.open(tmp_path / "sheet.png") as sheet:
        counts = {colour: n for n, colour in sheet.convert("RGB").getcolors(1 << 20)}
        width = sheet.width
    for data, across, shape in (("square", 4, 1.0), ("wide", 2, 4.0)):
        expected = (0.96 * width / across) ** 2 / shape
        for model in models:
            found = counts.get(colours[data, model], 0)
            assert found == pytest.approx(0 if model == "m1" else expected, rel=0.03)
