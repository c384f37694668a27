"""Mode diagnostics in real runs: numbers, pictures, films, one warning, no side effects."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from lightning_gans.callbacks import ModeDiagnostics
from lightning_gans.callbacks.known import known_modes
from lightning_gans.callbacks.mode_pictures import (
    discriminator_of,
    draw_film,
    draw_history,
    draw_occupancy,
    draw_plane,
    standardised,
)
from lightning_gans.data import CelebA, Digits, Mixture, Ring, StackedDigits
from lightning_gans.errors import InputError
from lightning_gans.metrics import GaussianModes, Measured
from lightning_gans.models import GAN
from lightning_gans.runs import MetricsFile, Records
from lightning_gans.sampling import load_model
from lightning_gans.seeds import Stream, mix
from tests.conftest import TINY_IMAGES

RING = [
    "fit",
    "--config=configs/ring.yaml",
    "--trainer.accelerator=cpu",
    "--data.batches_per_epoch=3",
    "--data.batch_size=32",
    "--trainer.max_epochs=4",
    "--modes.every_n_epochs=1",
]
LAST = ["--ckpt_path=last"]
CPU = torch.device("cpu")
# What a generator of twelve batches serves, it serves by chance.
by_chance = pytest.mark.filterwarnings("ignore:Mode collapse")


def rows_of(run: str) -> list[dict]:
    return [json.loads(line) for line in Path(run, "modes.jsonl").read_text().splitlines()]


@by_chance
def test_a_run_counts_its_modes_and_shows_them(lightning):
    answer = lightning(*RING, "--modes.every_n_epochs=2")
    assert answer.code == 0, answer.err
    run = Path("runs/ring/version_0")
    rows = rows_of(run)
    assert [row["batch"] for row in rows] == [6, 12]
    assert all(row["protocol"] == "ring8_r1_std0.01" and row["n"] == 2500 for row in rows)
    model = load_model(run / "checkpoints/final.ckpt")
    source = torch.Generator().manual_seed(mix(Stream.EVALUATION, 0, 0))
    metric = GaussianModes(Ring().law)
    metric.update(model.sample(2500, source))
    measured = {key: list(value) for key, value in metric.compute().items()}
    assert {key: list(value.values()) for key, value in rows[-1]["metrics"].items()} == measured
    assert rows[-1]["counts"] == metric.counts.tolist() and sum(rows[-1]["counts"]) == 2500
    _, logged = MetricsFile(run / "metrics.csv").series(
        "samples_seen", "modes/ring8_r1_std0.01_n2500/reverse_kl"
    )
    assert logged == pytest.approx([row["metrics"]["reverse_kl"]["value"] for row in rows])
    assert sorted(p.name for p in (run / "modes").iterdir()) == [row["picture"] for row in rows]
    with Image.open(run / "modes.gif") as film:
        assert film.n_frames == 2
    with Image.open(run / "modes.png") as curves:
        assert curves.width > 600
    assert f"{measured['captured_chi2'][0]:.0f} of 8 modes" in answer.out
    tested = lightning("test", f"--ckpt_path={run}/checkpoints/final.ckpt")
    assert tested.code == 0, tested.err
    row = next(line for line in tested.out.splitlines() if "/reverse_kl " in line)
    assert row.split()[1:] == [f"{measured['reverse_kl'][0]:.4g}", "-", "0.00143", "2,500"]


def test_evaluating_changes_nothing(lightning):
    """With batch norm, whose statistics know of each pass, and a penalty of random points."""
    for every in ("0", "1"):
        options = ["--model.penalties+=GradientPenalty", "--modes.labelled=true", "--modes.n=90"]
        options += ["--trainer.max_epochs=3", "--trainer.limit_train_batches=2"]
        options += [f"--modes.every_n_epochs={every}", f"--run.experiment=m{every}"]
        answer = lightning("fit", *TINY_IMAGES, *options)
        assert answer.code == 0, answer.err
    one, other = (
        torch.load(f"runs/m{every}/version_0/checkpoints/final.ckpt", weights_only=True)
        for every in "01"
    )
    assert any("running_mean" in name for name in one["state_dict"])
    for name, tensor in one["state_dict"].items():
        assert torch.equal(tensor, other["state_dict"][name]), name
    assert torch.equal(one["rng_state"][0]["cpu"], other["rng_state"][0]["cpu"])
    assert len(rows_of("runs/m1/version_0")) == 3
    assert not Path("runs/m0/version_0/modes").exists()
    assert not Path("runs/m0/version_0/modes.jsonl").exists()


@by_chance
def test_a_resumed_run_has_the_rows_of_one_that_was_not_stopped(lightning):
    whole = [*RING, "--run.experiment=whole"]
    assert lightning(*whole).code == 0
    assert lightning(*RING, "--run.experiment=parts", "--trainer.max_epochs=2").code == 0
    run = Path("runs/parts/version_0")
    # Pictures and rows of later than the checkpoint, as a kill would leave them.
    (run / "modes/epoch_00009_samples_000099999.png").touch()
    late = {**rows_of(run)[-1], "samples_seen": 99_999}
    with (run / "modes.jsonl").open("a") as file:
        file.write(json.dumps(late) + '\n{"samples_seen"')
    answer = lightning(*RING, "--run.experiment=parts", "--ckpt_path=last")
    assert answer.code == 0, answer.err
    assert rows_of(run) == rows_of("runs/whole/version_0")
    pictures = {path.name for path in (run / "modes").iterdir()}
    assert pictures == {row["picture"] for row in rows_of(run)}


@by_chance
def test_a_resumed_run_has_no_row_that_was_out_of_turn(lightning):
    every = "--modes.every_n_epochs=3"
    for name, epochs, resume in (("whole", 6, []), ("parts", 4, []), ("parts", 6, LAST)):
        options = [f"--run.experiment={name}", f"--trainer.max_epochs={epochs}", *resume]
        answer = lightning(*RING, every, *options)
        assert answer.code == 0, answer.err
        if epochs == 4:
            assert [row["batch"] for row in rows_of("runs/parts/version_0")] == [9, 12]
    rows = rows_of("runs/parts/version_0")
    assert rows == rows_of("runs/whole/version_0") and [row["batch"] for row in rows] == [9, 18]


@by_chance
def test_a_run_killed_at_the_end_of_an_epoch_evaluates_it_when_it_goes_on(lightning):
    """The checkpoint of an epoch's last batch is older than the epoch's evaluation."""
    assert lightning(*RING, "--run.experiment=whole").code == 0
    run = Path("runs/parts/version_0")
    assert lightning(*RING, "--run.experiment=parts", "--trainer.max_epochs=2").code == 0
    last = run / "checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    assert content["modes"]["_evaluated_at"] == content["clock"]["samples_seen"]
    content["modes"]["_evaluated_at"] //= 2
    torch.save(content, last)
    assert lightning(*RING, "--run.experiment=parts", *LAST).code == 0
    assert rows_of(run) == rows_of("runs/whole/version_0")


def test_classes_are_told_by_a_trained_classifier(lightning):
    options = ["--modes.labelled=true", "--modes.n=300", "--trainer.max_steps=2"]
    answer = lightning("fit", *TINY_IMAGES, *options)
    assert answer.code == 0, answer.err
    (row,) = rows_of("runs/dcgan/version_0")
    assert row["oracle"]["name"] == "digits32" and 0.96 < row["oracle"]["accuracy"] <= 1
    assert len(row["oracle"]["digest"]) == 64
    assert row["protocol"] == "digits32" and len(row["counts"]) == 10 and sum(row["counts"]) == 300
    corrected = row["metrics"]["corrected"]
    assert 0 <= corrected["low"] <= corrected["value"] <= corrected["high"] <= 10
    with Image.open(Path("runs/dcgan/version_0/modes", row["picture"])) as picture:
        assert picture.width >= 400


def test_stacked_digits_have_a_thousand_modes(lightning):
    networks = [
        f"--model.init_args.{n}.init_args.channels=3" for n in ("generator", "discriminator")
    ]
    overlay = Path("stacked.yaml")
    overlay.write_text(
        yaml.safe_dump({"data": {"class_path": "lightning_gans.data.StackedDigits"}})
    )
    options = [*networks, "--modes.n=400", "--trainer.max_steps=2"]
    answer = lightning("fit", *TINY_IMAGES, f"--config={overlay}", *options)
    assert answer.code == 0, answer.err
    (row,) = rows_of("runs/dcgan/version_0")
    assert row["protocol"] == "stacked_digits32"
    assert len(row["counts"]) == 1000 and sum(row["counts"]) == 400


def test_real_stacked_digits_are_counted_almost_all():
    """The perfect sampler of the laboratory itself: real images through the classifier."""
    data = StackedDigits(batch_size=2000, triples=6000)
    known = known_modes(data, CPU, labelled=False)
    assert known.n == 26_000
    for images, _ in data.train_dataloader():
        known.update(images)
    measured = known.metric.compute()
    for name in ("captured", "reverse_kl"):
        value, ideal = measured[name].value, measured[name].ideal
        assert value == pytest.approx(ideal, rel=0.1), name


class Collapsing(GAN):
    """A perfect sampler of the ring, of whose modes only three are left after some time."""

    at = 200

    def sample(self, n, generator=None):
        points, modes = Ring().law.sample(n, generator)
        lost = (modes >= 3) & (self.samples_seen > self.at)
        return torch.where(lost[:, None], Ring().law.means[0].float(), points)


@pytest.mark.filterwarnings("always:Mode collapse")
def test_a_loss_of_modes_is_told_once(lightning):
    options = ["--model=tests.test_mode_diagnostics.Collapsing", "--trainer.max_epochs=6"]
    answer = lightning(*RING, *options)
    assert answer.code == 0, answer.err
    assert answer.err.count("Mode collapse") == 1
    assert (
        "Mode collapse: 3 of 8 modes are served after 384 samples (by chance 3 to 3)" in answer.err
    )
    assert "where there were 8" in answer.err
    captured = [
        row["metrics"]["captured_3sigma"]["value"] for row in rows_of("runs/ring/version_0")
    ]
    assert captured == [8, 8, 3, 3, 3, 3]
    # A run that goes on knows that it has told already.
    last = "--ckpt_path=last"
    answer = lightning(*RING, *options[:1], "--trainer.max_epochs=7", last)
    assert answer.code == 0 and "Mode collapse" not in answer.err


def test_a_mixture_of_more_dimensions_is_drawn_as_a_histogram(tmp_path):
    data = Mixture([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]], weights=[1.0, 3.0])
    known = known_modes(data, CPU, labelled=False)
    points, modes = data.law.sample(400, torch.Generator().manual_seed(0))
    known.update(points)
    assert torch.equal(known.metric.counts, modes.bincount())
    known.draw(points, None, "title", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > picture.height


def test_a_film_keeps_its_last_frame_and_its_length(tmp_path):
    frames = []
    for shade in range(0, 250):
        frames.append(tmp_path / f"{shade}.png")
        Image.new("RGB", (4, 4), (shade, shade, shade)).save(frames[-1])
    draw_film(frames, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        assert 80 <= film.n_frames <= 100
        film.seek(film.n_frames - 1)
        assert film.convert("RGB").getpixel((0, 0)) == (249, 249, 249)


def test_records_drop_what_was_cut_and_what_came_later(tmp_path):
    path = tmp_path / "a.jsonl"
    records = Records(path)
    for seen in (1, 2, 3):
        records.append({"samples_seen": seen})
    path.write_text(path.read_text() + '{"samples_se')
    again = Records(path)
    assert [row["samples_seen"] for row in again.rows] == [1, 2, 3]
    again.append({"samples_seen": 4, "metrics": {"kl": float("nan"), "n": 5, "high": float("inf")}})
    assert again.rows[-1]["metrics"] == {"kl": None, "n": 5, "high": None}
    again.keep(lambda row: row["samples_seen"] <= 2)
    assert Records(path).rows == again.rows == [{"samples_seen": 1}, {"samples_seen": 2}]


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        ("--modes.every_n_epochs=-1", "modes.every_n_epochs is -1"),
        ("--modes.n=0", "modes.n is 0"),
        ("--data.modes=0", "data.modes is 0; it must be above 0"),
        ("--data.std=0.0", "data.std is 0.0; it must be above 0"),
    ],
)
def test_bad_numbers_are_refused(lightning, option, answer):
    told = lightning(*RING, option)
    assert told.code == 2 and answer in told.err and "Traceback" not in told.err
    assert not Path("runs/ring").exists() or not list(Path("runs/ring").iterdir())


def test_images_that_are_not_finite_are_in_no_class():
    known = known_modes(Digits(), CPU, labelled=True)
    images = torch.zeros(6, 1, 32, 32)
    images[:4] = torch.nan
    known.update(images)
    assert known.metric.counts.sum() == 2 and known.metric.compute()["captured"].n == 6
    known.metric.reset()
    known.update(images[:4])
    measured = known.metric.compute()
    assert measured["captured"].value == measured["corrected"].value == 0
    assert measured["reverse_kl"].value != measured["reverse_kl"].value


def test_a_class_that_was_left_out_has_a_finite_divergence():
    known = known_modes(Digits(keep={"3": 0.0}), CPU, labelled=True)
    known.metric.update(torch.arange(10)[:, None])
    assert 0 < known.metric.compute()["reverse_kl"].value < 10


def test_a_scatter_shows_the_whole_law(tmp_path):
    """Wherever it lies: the red of generated points is in every corner."""
    centres = [[100.0, 100.0], [100.0, 104.0], [104.0, 100.0], [104.0, 104.0]]
    known = known_modes(Mixture(centres, stds=0.1), CPU, labelled=False)
    points, _ = known.law.sample(400, torch.Generator().manual_seed(0))
    known.draw(points, lambda points: points.sum(1), "title", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        red, green, blue = np.asarray(picture.convert("RGB"), dtype=int).transpose(2, 0, 1)
    marked = (red > green + 60) & (red > blue + 60)
    # The legend is in the upper right corner, with one red point of its own.
    height, width = (size // 2 for size in marked.shape)
    for part in (marked[:height, :width], marked[height:, :width], marked[height:, width:]):
        assert part.sum() > 30


@pytest.fixture
def figures(monkeypatch):
    """The figures that are written, as matplotlib knows them."""
    drawn = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda self, *_, **__: drawn.append(self)
    )
    return drawn


@pytest.mark.parametrize("axis", [0, 1])
def test_a_scatter_has_the_field_and_the_ellipses_of_the_law(figures, tmp_path, axis):
    covariances = [[[0.04, 0.0], [0.0, 0.01]], [[0.01, 0.0], [0.0, 0.01]]]
    law = Mixture([[0.0, 0.0], [3.0, 1.0]], covariances=covariances).law
    points, _ = law.sample(50, torch.Generator().manual_seed(0))
    draw_plane(law, points, points + 1, lambda points: points[:, axis], "title", tmp_path / "a.png")
    axes = figures[0].axes[0]
    field, drawn = axes.images[0], axes.images[0].get_array()
    assert field.origin == "lower" and field.get_cmap().name == "cividis"  # from blue to yellow
    slopes = [np.diff(drawn, axis=place) for place in (1, 0)]
    assert (slopes[axis] > 0).all() and (slopes[1 - axis] == 0).all()
    left, right, bottom, top = field.get_extent()
    assert (left, right) == axes.get_xlim() and (bottom, top) == axes.get_ylim()
    for ellipse, mean, deviations in zip(
        axes.patches, law.means.tolist(), [(0.2, 0.1), (0.1, 0.1)], strict=True
    ):
        assert ellipse.get_center() == mean and ellipse.get_angle() % 180 == 0
        assert (ellipse.width, ellipse.height) == pytest.approx(tuple(6 * d for d in deviations))
    real, made = (scatter.get_offsets() for scatter in axes.collections)
    assert np.allclose(real, points) and np.allclose(made, points + 1)


def test_curves_are_values_between_their_ends(figures, tmp_path):
    measured = [
        {"captured": {"value": v, "low": v - 1, "high": v + 2, "ideal": 8.0}} for v in (3.0, 6.0)
    ]
    records = [
        {"samples_seen": 10 * (i + 1), "metrics": metrics} for i, metrics in enumerate(measured)
    ]
    draw_history(records, ["captured"], tmp_path / "a.png")
    axes = figures[0].axes[0]
    curve, ideal = axes.lines
    assert curve.get_xydata().tolist() == [[10, 3], [20, 6]]
    assert set(ideal.get_ydata()) == {8.0}
    corners = {tuple(corner) for corner in axes.collections[0].get_paths()[0].vertices.tolist()}
    assert corners == {(10, 2), (10, 5), (20, 5), (20, 8)}


def test_a_triple_is_drawn_at_its_digits(figures, tmp_path):
    counts = torch.zeros(4, 4, 4, dtype=torch.int64)
    counts[1, 2, 3] = 7
    draw_occupancy(counts, ["a", "b", "c", "d"], "title", tmp_path / "a.png")
    square = next(axes for axes in figures[0].axes if axes.get_title() == "b * *")
    shown = square.images[0].get_array()
    assert shown[2, 3] == 7 and np.isnan(np.ma.filled(shown, np.nan)).sum() == 15
    others = [axes for axes in figures[0].axes if axes.images and axes is not square]
    assert all(np.isnan(np.ma.filled(axes.images[0].get_array(), np.nan)).all() for axes in others)


def test_triples_are_compared_with_equal_shares():
    """As in the papers, though digits are not equally frequent."""
    known = known_modes(StackedDigits(), CPU, labelled=False)
    known.metric.update(torch.cartesian_prod(*[torch.arange(10)] * 3))
    assert known.metric.compute()["reverse_kl"].value == pytest.approx(0, abs=1e-12)


@by_chance
@pytest.mark.parametrize("minibatch", ["std", "discrimination"])
def test_a_discriminator_of_batches_has_no_field(lightning, minibatch):
    """Nor is it asked for the logits of 9,000 points at once."""
    options = [f"--model.discriminator.minibatch={minibatch}", "--trainer.max_epochs=1"]
    answer = lightning(*RING, *options)
    assert answer.code == 0 and "failed" not in answer.err, answer.err
    assert rows_of("runs/ring/version_0")[-1]["picture"]
    model = load_model(Path("runs/ring/version_0/checkpoints/final.ckpt"))
    with discriminator_of(model) as judge:
        assert judge is None


@by_chance
@pytest.mark.filterwarnings("always:ModeDiagnostics failed")
def test_what_was_counted_outlives_its_picture(lightning, monkeypatch):
    def broken(*_):
        raise RuntimeError("no ink")

    monkeypatch.setattr("lightning_gans.callbacks.known.draw_plane", broken)
    answer = lightning(*RING)
    assert answer.code == 0 and "ModeDiagnostics failed (RuntimeError: no ink)" in answer.err
    rows = rows_of("runs/ring/version_0")
    assert [row["batch"] for row in rows] == [3, 6, 9, 12]
    assert all(row["picture"] is None and sum(row["counts"]) == 2500 for row in rows)


def test_all_processes_know_of_a_loss_and_one_tells(monkeypatch):
    callback = ModeDiagnostics()
    callback.known, callback._best = known_modes(Ring(), CPU, labelled=False), (8.0, 8.0)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        callback._tell_loss(Measured(3.0, 8.0, 2500, 3.0, 3.0), 100)
    assert callback._warned


def test_a_film_leaves_out_what_was_removed(tmp_path):
    draw_film([tmp_path / "gone.png"], tmp_path / "film.gif")
    assert not (tmp_path / "film.gif").exists()


def test_a_discriminator_without_an_opinion_has_no_slope():
    assert standardised(torch.zeros(3, 3)).unique().tolist() == [0.0]
    assert standardised(torch.tensor([5.0, -1.0, 5.0, 9.0])).tolist() == [0.5, 0.0, 0.5, 1.0]


def test_labels_that_are_missing_are_named(tmp_path):
    with pytest.raises(InputError, match="labels missing: CelebA has 0 classes"):
        known_modes(CelebA(root=str(tmp_path)), CPU, labelled=True)


def test_unlabelled_images_are_left_alone():
    assert known_modes(Digits(), CPU, labelled=False) is None
