"""Folders of images of every kind, from memory and streamed."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gans.data import CelebA, Folder
from lightning_gans.data.decode import decode
from lightning_gans.data.images import SPLITS
from lightning_gans.types import InputError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return str(path)


def noise(path, n, size=(10, 10), start=0):
    """``n`` images that can be told apart, as PNG."""
    for i in range(start, start + n):
        pixels = np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)
        save(Image.fromarray(pixels), path / f"{i:03}.png")
    return str(path)


def colours(image):
    return image.flatten(1).T.unique(dim=0).tolist()


@pytest.mark.parametrize(("mode", "value"), [("L", 77), ("RGB", (10, 200, 30)), ("1", 255)])
def test_plain_images_keep_their_values(tmp_path, mode, value):
    path = save(Image.new(mode, (9, 9), value), tmp_path / "plain.png")
    expected = list(value) if mode == "RGB" else [value] * 3
    assert colours(decode(path, 9, 3)) == [expected]
    assert colours(decode(path, 4, 3)) == [expected]


def test_the_same_size_is_identity(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    path = save(Image.fromarray(pixels), tmp_path / "own.png")
    assert np.array_equal(decode(path, 12, 3).permute(1, 2, 0).numpy(), pixels)


def test_colour_becomes_grey_by_brightness(tmp_path):
    path = save(Image.new("RGB", (8, 8), (0, 255, 0)), tmp_path / "green.png")
    assert decode(path, 8, 1).unique().tolist() == [150]


def test_transparency_is_laid_on_white(tmp_path):
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 4, 8))
    found = decode(save(image, tmp_path / "clear.png"), 8, 3)
    assert colours(found[..., :4]) == [list(BLUE)]
    assert colours(found[..., 4:]) == [[255, 255, 255]]
    half = save(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), tmp_path / "half.png")
    assert decode(half, 8, 1).unique().tolist() == [127]
    grey = save(Image.new("LA", (8, 8), (0, 0)), tmp_path / "grey.png")
    assert decode(grey, 8, 1).unique().tolist() == [255]


def test_palettes_are_looked_up(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([*RED, *BLUE])
    assert colours(decode(save(image, tmp_path / "a.png"), 8, 3)) == [list(BLUE)]
    clear = save(image, tmp_path / "b.png", transparency=1)
    assert colours(decode(clear, 8, 3)) == [[255, 255, 255]]


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, ending):
    values = np.array([0, 257, 12850, 254 * 257, 65535], np.uint16)
    pixels = np.tile(values, (5, 1))
    path = save(Image.fromarray(pixels), tmp_path / f"deep.{ending}")
    assert decode(path, 5, 1)[0].tolist() == [[0, 1, 50, 254, 255]] * 5


@pytest.mark.parametrize("size", [(16, 8), (8, 16)])
def test_the_centre_square_is_cut_out(tmp_path, size):
    image = Image.new("RGB", size, RED)
    left, top = ((side - 8) // 2 for side in size)
    image.paste(BLUE, (left, top, left + 8, top + 8))
    path = save(image, tmp_path / "long.png")
    assert colours(decode(path, 8, 3)) == [list(BLUE)]
    assert colours(decode(path, 4, 3)) == [list(BLUE)]


def test_exif_orientation_is_respected(tmp_path):
    image = Image.new("L", (16, 16), 0)
    image.paste(255, (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(save(image, tmp_path / "turned.jpg", exif=exif, quality=95), 16, 1)
    # Orientation 6: what is stored on top is seen on the right.
    assert turned[..., 9:].float().mean().item() == pytest.approx(255, abs=3)
    assert turned[..., :7].float().mean().item() == pytest.approx(0, abs=3)


def test_a_large_jpeg_is_decoded_small_to_the_same_picture(tmp_path):
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    path = save(Image.fromarray(np.tile(ramp, (512, 1))), tmp_path / "large.jpg", quality=95)
    expected = torch.from_numpy(ramp.reshape(16, 32).mean(1)).float()
    assert decode(path, 16, 1)[0].float().sub(expected).abs().max().item() < 4


def test_top_folders_are_classes(tmp_path):
    noise(tmp_path / "dogs" / "small", 5)
    noise(tmp_path / "cats", 6, start=5)
    (tmp_path / "empty").mkdir()
    data = Folder(str(tmp_path), image_size=10, batch_size=2)
    assert data.class_names == ("cats", "dogs")
    labels = torch.cat([data.arrays(split)[1] for split in SPLITS])
    assert labels.bincount().tolist() == [6, 5]
    noise(tmp_path, 1, start=11)
    assert Folder(str(tmp_path)).class_names == (".", "cats", "dogs")


def test_a_flat_folder_has_no_classes_and_is_split_whole(tmp_path):
    data = Folder(noise(tmp_path, 20), image_size=10, batch_size=2)
    assert data.class_names == ()
    assert [data.count(split) for split in SPLITS] == [16, 2, 2]
    found = torch.cat([data.arrays(split)[0] for split in SPLITS])
    expected = torch.stack([decode(str(path), 10, 3) for path in tmp_path.iterdir()])
    assert sorted(found.flatten(1).tolist()) == sorted(expected.flatten(1).tolist())


def test_broken_files_are_named_in_one_warning(tmp_path):
    noise(tmp_path, 12)
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    (tmp_path / "notes.txt").write_text("no image")
    data = Folder(str(tmp_path), image_size=10, batch_size=2)
    with pytest.warns(UserWarning, match="skipped 3 of the files") as told:
        assert sum(data.count(split) for split in SPLITS) == 12
    assert len(told) == 1
    for name in ("text.png", "cut.jpg", "notes.txt"):
        assert name in str(told[0].message)


def test_a_cut_off_jpeg_is_skipped(tmp_path):
    noise(tmp_path, 5)
    path = save(Image.effect_noise((200, 200), 80), tmp_path / "cut.jpg")
    content = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    data = Folder(str(tmp_path), image_size=10, batch_size=2)
    with pytest.warns(UserWarning, match="cut.jpg"):
        data.arrays("train")
    assert sum(data.count(split) for split in SPLITS) == 5
    assert path.endswith("cut.jpg")


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(InputError, match="is no folder"):
        Folder(str(tmp_path / "missing"))
    with pytest.raises(InputError, match="holds 0 images; at least 3"):
        Folder(str(tmp_path))
    for i in range(4):
        (tmp_path / f"{i}.png").write_text("no image")
    for limit in (1.0, 0.0):
        with pytest.raises(InputError, match="none of the 4 image files can be read: .*png"):
            Folder(str(tmp_path), in_memory_gib=limit).count("train")
    with pytest.raises(InputError, match="data.channels is 2"):
        Folder(str(tmp_path), channels=2)
    with pytest.raises(InputError, match="data.num_workers is -1"):
        Folder(str(tmp_path), num_workers=-1)


def passes(data, epochs=2, skip=0):
    """All training batches of ``epochs`` epochs of one loader, the first after ``skip`` batches."""
    loader = data.train_dataloader()
    loader.batch_sampler.skip = skip * data.batch_size
    found = []
    for epoch in range(epochs):
        loader.batch_sampler.sampler.set_epoch(epoch)
        found.extend(loader)
    return found


def equal(first, second):
    return len(first) == len(second) and all(
        torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
        for one, two in zip(first, second, strict=True)
    )


def test_streaming_gives_the_batches_of_memory(tmp_path):
    noise(tmp_path / "a", 20, size=(12, 14))
    noise(tmp_path / "b", 20, size=(9, 9), start=20)

    def data(**options):
        return Folder(
            str(tmp_path), image_size=8, batch_size=5, flip=True, keep={"b": 0.5}, **options
        )

    memory = data()
    expected = passes(memory)
    assert not memory.streamed
    assert len(expected) == 2 * (memory.count("train") // 5) >= 6
    assert not torch.equal(expected[0][0], expected[len(expected) // 2][0])
    for workers in (0, 2):
        streamed = data(in_memory_gib=0.0, num_workers=workers)
        assert streamed.streamed
        assert streamed.count("train") == memory.count("train")
        state = torch.get_rng_state()
        assert equal(passes(streamed), expected)
        assert torch.equal(torch.get_rng_state(), state)
        assert equal(passes(streamed, skip=2), expected[2:])
    assert equal(
        list(data(in_memory_gib=0.0, num_workers=0).val_dataloader()), list(memory.val_dataloader())
    )


def test_a_broken_file_is_replaced_when_streaming(tmp_path):
    # A class for each image, so that labels tell images apart.
    for i in range(20):
        noise(tmp_path / f"{i:02}", 1, start=i)
    data = Folder(str(tmp_path), image_size=8, batch_size=4, in_memory_gib=0.0, num_workers=1)
    expected = passes(data)
    paths, _ = data.files("train")
    with open(paths[3], "w") as file:
        file.write("no image")
    with pytest.warns(UserWarning, match="cannot be read") as told:
        found = passes(data)
    assert len(told) == 1
    assert paths[3].rsplit("/", 1)[-1] in str(told[0].message)
    samples, was = (torch.cat([batch for batch, _ in part]) for part in (found, expected))
    other = (samples != was).flatten(1).any(1)
    order = torch.cat([*data.train_dataloader().batch_sampler])
    assert other[:16].nonzero().flatten().tolist() == (order == 3).nonzero().flatten().tolist()
    assert torch.equal(samples[:16][order == 3], samples[:16][order == 4])
    labels = torch.cat([own for _, own in found])[:16]
    assert torch.equal(labels[order == 3], labels[order == 4])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert equal(passes(data), found)


def faces(root, rows):
    folder = root / "celeba"
    for name, _ in rows:
        image = Image.new("RGB", (178, 218), RED)
        image.paste(BLUE, (0, 20, 178, 198))
        save(image, folder / "img_align_celeba" / name)
    lines = "".join(f"{name} {part}\n" for name, part in rows)
    (folder / "list_eval_partition.txt").write_text(lines)


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_celeba_has_its_own_splits_and_crop(tmp_path, limit):
    faces(tmp_path, [(f"{i}.png", part) for i, part in enumerate([0, 0, 2, 1, 0, 2])])
    data = CelebA(16, 3, str(tmp_path), num_workers=0, in_memory_gib=limit)
    assert [data.count(split) for split in SPLITS] == [3, 1, 2]
    [(samples, labels)] = list(data.train_dataloader())
    assert colours(samples[0].add(1).mul(127.5).round()) == [list(BLUE)]
    assert labels.tolist() == [0, 0, 0]
