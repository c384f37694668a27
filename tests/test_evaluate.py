"""``lightning evaluate``: folders, archives, data sets and checkpoints, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import shufflenet_v2_x0_5

from lightning_gans.callbacks.drawing import drawn
from lightning_gans.data import Digits
from lightning_gans.data.batches import normalise
from lightning_gans.data.whole import read_whole
from lightning_gans.errors import InputError
from lightning_gans.metrics.functional import frechet_distance, kernel_distance
from lightning_gans.sampling import load_model, write_samples

IDENTITY = ["--extractor", "identity"]


def pixels(n, seed=0, size=8):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size), dtype=np.uint8)


def folder(path, images):
    path.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(path / f"{i:03d}.png")
    return path


def test_a_folder_an_archive_and_samples_are_read_alike(tmp_path):
    images = pixels(12)
    np.savez(tmp_path / "bytes.npz", images=images)
    np.savez(tmp_path / "floats.npz", samples=normalise(torch.from_numpy(images))[:, None].numpy())
    # As torchvision's save_image writes grey images.
    three = np.stack([images] * 3, -1)
    np.savez(tmp_path / "three.npz", arr_0=three)
    folder(tmp_path / "three", three)
    whole = read_whole(folder(tmp_path / "folder", images))
    # A quarter of the memory: floats are made some at a time.
    assert whole.stored.dtype == torch.uint8 and whole.cropped == 0
    assert torch.equal(whole.stored, torch.from_numpy(images)[:, None])
    (events,) = whole.events()
    assert torch.equal(events, normalise(whole.stored)) and events.min() >= -1
    for name in ("bytes.npz", "floats.npz", "three.npz", "three"):
        assert torch.equal(read_whole(tmp_path / name).stored, whole.stored), name
    coloured = three.copy()
    coloured[-1, 3, 3, 1] ^= 128  # one pixel of one image
    assert read_whole(folder(tmp_path / "colours", coloured)).stored.shape == (12, 3, 8, 8)
    assert read_whole(tmp_path / "colours", 4).stored.shape == (12, 3, 4, 4)


def test_numbers_are_those_of_the_formulas(lightning, tmp_path):
    real, fake = pixels(40), pixels(30, 1) // 2
    np.savez("real.npz", images=real)
    folder(tmp_path / "fake", fake)
    answer = lightning(
        *("evaluate", "--real", "real.npz", "--fake", "fake", *IDENTITY, "--out", "numbers.json")
    )
    assert answer.code == 0, answer.err
    report = json.loads(Path("numbers.json").read_text())
    found = report["metrics"]["pixels64"]
    one, two = (normalise(torch.from_numpy(part)).flatten(1) for part in (real, fake))
    assert found["fd_pixels"]["value"] == pytest.approx(frechet_distance(one, two), rel=1e-6)
    assert found["kd_pixels"]["value"] == pytest.approx(kernel_distance(one, two).value, rel=1e-6)
    assert report["protocols"]["pixels64"]["n_real"] == 40
    assert found["fd_pixels"]["n"] == report["protocols"]["pixels64"]["n"] == 30
    # Nothing is held out of a folder.
    assert found["fd_pixels"]["ideal"] is None and "c_t" not in found
    assert f"{found['fd_pixels']['value']:.4g}" in answer.out


def test_a_checkpoint_against_its_data(lightning, trained):
    answer = lightning(
        *("evaluate", "--real", "Digits", "--fake", str(trained / "checkpoints/final.ckpt")),
        *(
            "-n",
            "100",
            "--image_size",
            "32",
            "--metrics",
            "frechet",
            "neighbours",
            "--out",
            "q.json",
        ),
    )
    assert answer.code == 0, answer.err
    found = json.loads(Path("q.json").read_text())["metrics"]["digits32"]
    assert found["fd_digits"]["n"] == 100 and found["fd_digits"]["ideal"] > 0
    assert found.keys() == {"fd_digits", "precision", "recall", "density", "coverage"}


def test_real_images_are_near_themselves(lightning, tmp_path):
    images, _ = Digits(image_size=8).arrays("test")
    folder(tmp_path / "test", images[:, 0].numpy())
    answer = lightning(*("evaluate", "--real", "Digits", "--fake", "test", "--image_size", "8"))
    assert answer.code == 0, answer.err
    row = next(line.split() for line in answer.out.splitlines() if line.startswith("fd_digits"))
    # 180 test images against the training set, beside 180 others that were held out.
    assert 0.4 < float(row[1]) / float(row[3]) < 2.5


def bad_cases(path):
    folder(path / "two", pixels(2))
    mixed = folder(path / "mixed", pixels(11))
    Image.fromarray(pixels(1, size=16)[0]).save(mixed / "large.png")
    broken = folder(path / "broken", pixels(11))
    (broken / "bad.png").write_bytes(b"no image")
    folder(path / "good", pixels(11))
    folder(path / "larger", pixels(11, size=9))
    (path / "empty").mkdir()
    np.savez(path / "none.npz", other=np.zeros(3))
    np.savez(path / "whole.npz", images=np.zeros((20, 8, 8), dtype=np.int64))
    floats = np.linspace(-1, 1, 20 * 64, dtype=np.float32).reshape(20, 1, 8, 8)
    np.savez(path / "last.npz", samples=floats.reshape(20, 8, 8, 1))
    np.savez(path / "unit.npz", samples=floats / 2 + 0.5)
    np.savez(path / "bright.npz", samples=0.3 * floats + 0.3)
    np.savez(path / "wide.npz", samples=1.1 * floats)
    floats[3, 0, 2, 2] = np.nan
    np.savez(path / "nan.npz", samples=floats)
    (path / "cut.npz").write_bytes((path / "none.npz").read_bytes()[:50])
    (path / "text.npz").write_text("no numbers")
    (path / "text.txt").write_text("no numbers")
    folder(path / "coloured", np.stack([pixels(11, seed) for seed in range(3)], -1))
    (path / "run/checkpoints").mkdir(parents=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["two", "good"], "two holds 2 events; at least 10 are needed"),
        (["mixed", "good"], "mixed holds images of 2 sizes"),
        (["broken", "good"], "bad.png cannot be read as an image"),
        (["empty", "good"], "empty holds no images"),
        (["good", "larger"], "--real has events of shape (1, 8, 8), --fake of (1, 9, 9)"),
        (["good", "none.npz"], "has no array named samples or images or arr_0; it has: other"),
        (["good", "whole.npz"], "is int64 (20, 8, 8); it must be uint8"),
        (["good", "cut.npz"], "cut.npz is no .npz archive, as numpy.savez writes, or is damaged"),
        (["text.npz", "good"], "text.npz is no .npz archive"),
        (["text.txt", "good"], "text.txt is neither a folder of images nor an .npz file"),
        (["good", "nowhere.npz"], "--fake nowhere.npz is no folder, .npz file or data set"),
        (["nowhere", "good"], "--real nowhere is no folder, .npz file or data set"),
        (["Digitz", "good"], "(`lightning list data`); did you mean 'Digits'?"),
        (["good", "mnist"], "--fake mnist is no folder"),
        (["good", "mnist"], "did you mean 'MNIST'?"),
        (["good", "run"], "run is a run folder; name one of run/checkpoints/*.ckpt"),
        (["good", "nan.npz"], "1 of the 20 events in nan.npz are not finite"),
        (["good", "unit.npz"], "are from 0 to 1; images must be"),
        (["good", "bright.npz"], "are from 0 to 0.6; images must be"),
        (["good", "wide.npz"], "are from -1.1 to 1.1; images must be"),
        (["good", "coloured"], "grey and the generated ones coloured, which pixels64 cannot"),
        (["good", "good", "--extractr", "identity"], "no option --extractr; did you mean '--extr"),
        (["good", "good", "-n", "12"], "-n is 12, but good holds 11 events"),
        (["good", "good", "-n", "5"], "-n is 5; it must be at least 10"),
        (["good", "good", "--device", "foo"], "--device foo:"),
        (["good", "last.npz"], "(20, 8, 8, 1) and are from -1 to 1; images must be (n, 1 or 3, "),
        (["Folder", "good"], "--real Folder"),
        (["good", "no.ckpt"], "there is no checkpoint no.ckpt"),
    ],
)
def test_bad_input_gets_one_message(lightning, tmp_path, given, message):
    bad_cases(tmp_path)
    real, fake, *more = given
    answer = lightning("evaluate", "--real", real, "--fake", fake, *IDENTITY, *more)
    assert answer.code == 2 and message in answer.err, answer.err
    assert "Traceback" not in answer.err and answer.err.count("\n") <= 2


def test_folders_need_an_extractor(lightning, tmp_path, monkeypatch):
    monkeypatch.delenv("LIGHTNING_GANS_INCEPTION", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "none"))
    folder(tmp_path / "good", pixels(11))
    answer = lightning("evaluate", "--real", "good", "--fake", "good")
    assert answer.code == 2 and "choose --extractor inception, resnet50" in answer.err


def test_an_archive_of_objects_is_refused(tmp_path):
    np.savez(tmp_path / "pickled.npz", samples=np.array([{"a": 1}] * 12, dtype=object))
    with pytest.raises(InputError, match="cannot be read as .npz"):
        read_whole(tmp_path / "pickled.npz")


def test_our_own_samples_are_grey_where_the_data_are(lightning, trained):
    checkpoint = str(trained / "checkpoints/final.ckpt")
    assert lightning("sample", "--ckpt_path", checkpoint, "-n", "20", "--out", "drawn").code == 0
    with Image.open("drawn/000019.png") as image:
        assert image.mode == "L"
    for fake in ("drawn", "Digits"):
        options = ["--image_size", "32", "--metrics", "frechet", "memorisation", "--out", "q.json"]
        answer = lightning("evaluate", "--real", "Digits", "--fake", fake, *options)
        assert answer.code == 0, answer.err
        json.loads(Path("q.json").read_text(), parse_constant=pytest.fail)  # NaN is no JSON


def test_archives_are_resized(tmp_path):
    np.savez(tmp_path / "large.npz", images=pixels(12, size=16))
    assert read_whole(tmp_path / "large.npz", 8).stored.shape == (12, 1, 8, 8)


def test_images_that_are_no_squares_are_cropped_and_told(lightning, tmp_path):
    wide = np.random.default_rng(0).integers(0, 256, (12, 8, 14), dtype=np.uint8)
    np.savez("wide.npz", images=wide)
    np.savez("centre.npz", images=wide[:, :, 3:11])
    files = folder(tmp_path / "files", wide[:11])
    Image.fromarray(wide[11, :, 3:11]).save(files / "last.png")
    expected = read_whole(tmp_path / "centre.npz").stored
    archive, found = read_whole(tmp_path / "wide.npz", 8), read_whole(files, 8)
    assert torch.equal(archive.stored, expected) and archive.cropped == 12
    assert torch.equal(found.stored[:11], expected[:11]) and found.cropped == 11
    options = ["--real", "wide.npz", "--fake", "files", "--image_size", "8", "--out", "q.json"]
    answer = lightning("evaluate", *options, "--metrics", "frechet", *IDENTITY)
    assert answer.code == 0, answer.err
    assert "wide.npz: 12 images are no squares; only their centres are compared" in answer.out
    assert "files: 11 images are no squares" in answer.out
    assert json.loads(Path("q.json").read_text())["cropped"] == {"real": 12, "fake": 11}


def test_pixels_of_large_images_are_refused(lightning, tmp_path):
    np.savez("large.npz", images=pixels(12, size=65))
    answer = lightning("evaluate", "--real", "large.npz", "--fake", "large.npz", *IDENTITY)
    assert answer.code == 2 and "at most 4,096 numbers" in answer.err
    assert "(1, 65, 65) have 4,225: choose smaller images" in answer.err


def numbers(lightning, real, fake, *options):
    answer = lightning("evaluate", "--real", real, "--fake", fake, *options, "--out", "q.json")
    assert answer.code == 0, answer.err
    return json.loads(Path("q.json").read_text()), answer.out


def test_grey_images_beside_coloured_ones_are_repeated_and_told(lightning, tmp_path):
    grey = pixels(12, size=9)
    colours = np.stack([pixels(12, seed, 9) for seed in (1, 2, 3)], -1)
    np.savez("grey.npz", images=grey)
    np.savez("colours.npz", images=colours)
    only = ["--metrics", "frechet", *IDENTITY]
    told = "grey.npz: grey images are compared with coloured ones, repeated to 3 channels"
    report, out = numbers(lightning, "colours.npz", "grey.npz", *only)
    assert report["repeated"] == {"real": False, "fake": True} and told in out
    one = normalise(torch.from_numpy(colours)).movedim(-1, 1).flatten(1)
    other = normalise(torch.from_numpy(grey)).repeat(1, 3, 1).flatten(1)
    found = report["metrics"]["pixels243"]["fd_pixels"]["value"]
    assert found == pytest.approx(frechet_distance(one, other), rel=1e-6)
    # Networks for coloured images take grey ones on either side.
    torch.save(shufflenet_v2_x0_5().state_dict(), path := tmp_path / "shuffle.pth")
    only = ["--metrics", "frechet", "--extractor", "shufflenet_v2_x0_5", "--weights", str(path)]
    both = []
    for real, fake, repeated in (("grey", "colours", "real"), ("colours", "grey", "fake")):
        report, out = numbers(lightning, f"{real}.npz", f"{fake}.npz", *only)
        assert [side for side, is_so in report["repeated"].items() if is_so] == [repeated]
        assert told in out
        both.append(report["metrics"]["shufflenet_v2_x0_5"]["fd_shufflenet_v2_x0_5"]["value"])
    assert both[0] == pytest.approx(both[1], rel=1e-9) and both[0] > 0


def test_a_test_and_an_evaluation_give_the_same_numbers(lightning, trained):
    """To the last bit, whether samples come from the checkpoint, as floats or as image files."""
    checkpoint = str(trained / "checkpoints/final.ckpt")
    model = load_model(Path(checkpoint))
    samples = torch.cat(list(drawn(model.sample, 360, 0)))
    write_samples(samples, Path("drawn"))
    write_samples(samples, Path("drawn.npz"))
    expected, out = numbers(lightning, "Digits", checkpoint)
    assert len(expected["metrics"]["digits32"]) == 13
    for fake in ("drawn", "drawn.npz"):
        assert numbers(lightning, "Digits", fake)[0]["metrics"] == expected["metrics"]
    answer = lightning("test", f"--ckpt_path={checkpoint}")
    assert answer.code == 0, answer.err
    (protocol,) = [line for line in out.splitlines() if line.startswith("digits32")]
    assert protocol in answer.out
    rows = [line.split()[:2] for line in answer.out.splitlines() if line.startswith("digits32/")]
    assert len(rows) == 13
    for name, value in rows:
        number = expected["metrics"]["digits32"][name.removeprefix("digits32/")]["value"]
        assert value == ("nan" if number is None else f"{number:.4g}"), name
