"""Published sets, from tiny files in their formats and, where there, the real ones."""

import gzip
import hashlib
import os
import pickle
import socket
import struct
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_gans.data import (
    CIFAR10,
    CIFAR100,
    EMNIST,
    KMNIST,
    MNIST,
    STL10,
    SVHN,
    CelebA,
    FashionMNIST,
)
from lightning_gans.data.idx import read_idx
from lightning_gans.data.images import SPLITS
from lightning_gans.types import InputError

REAL = os.environ.get("LIGHTNING_GANS_DATA")
SOURCE = np.random.default_rng(0)


def idx(array, kind=8):
    header = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    return header + array.tobytes()


def images(*shape):
    return SOURCE.integers(0, 256, shape, dtype=np.uint8)


def rows(found):
    return sorted(tuple(row) for row in found.reshape(len(found), -1).tolist())


def write_idx(folder, names, n, labels, packed):
    """Random images and the given labels; returns the images."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = images(n, 28, 28)
    for name, array in zip(names, (pixels, labels), strict=True):
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))
    return torch.from_numpy(pixels)


def check(data, train, test, labels):
    """Whether ``data`` holds these images, the training ones split 9 to 1, with these labels."""
    held_out = len(train) // 10
    sizes = [len(train) - held_out, held_out, len(test)]
    assert [data.count(split) for split in SPLITS] == sizes
    parts = [data.arrays(split) for split in SPLITS]
    found = torch.cat([parts[0][0], parts[1][0]])
    assert rows(found) == rows(train)
    assert torch.equal(parts[2][0], test.reshape(parts[2][0].shape))
    own = {tuple(row): int(k) for row, k in zip(train.flatten(1).tolist(), labels, strict=True)}
    found_labels = torch.cat([parts[0][1], parts[1][1]])
    assert [own[tuple(row)] for row in found.flatten(1).tolist()] == found_labels.tolist()


@pytest.mark.parametrize("packed", [True, False])
def test_idx_is_read_packed_and_unpacked(tmp_path, packed):
    array = images(3, 4, 5)
    path = tmp_path / ("a.gz" if packed else "a")
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    assert np.array_equal(read_idx(path), array)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_idx_says_what_is_wrong(tmp_path):
    array = images(3, 4)
    for name, content, message in [
        ("a", idx(array)[:-1], "holds 11 values instead of 12"),
        ("a", idx(array) + b"0", "holds 13 values instead of 12"),
        ("a", idx(array, kind=13), "starts with 00000d02"),
        ("a", b"\0\0", "cannot be read as idx"),
        ("a.gz", gzip.compress(idx(array))[:-9], "cannot be read as idx"),
        ("a.gz", b"no gzip", "cannot be read as idx"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_idx(tmp_path / name)


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST, KMNIST])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_family(tmp_path, kind, packed):
    folder, labels = tmp_path / kind.__name__ / "raw", np.arange(40, dtype=np.uint8) % 10
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    train = write_idx(folder, names, 40, labels, packed)
    names = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    test = write_idx(folder, names, 10, labels[:10], packed)
    data = kind(28, 4, str(tmp_path))
    check(data, train, test, labels)
    assert data.event_shape == (1, 28, 28)
    assert len(data.class_names) == 10


@pytest.mark.parametrize(("split", "classes", "first"), [("letters", 26, 1), ("balanced", 47, 0)])
def test_emnist_is_turned_upright_and_counts_from_zero(tmp_path, split, classes, first):
    labels = np.arange(60, dtype=np.uint8) % classes + first
    parts = []
    for part, n in (("train", 60), ("test", 5)):
        names = [f"emnist-{split}-{part}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        parts.append(write_idx(tmp_path / "EMNIST" / "raw", names, n, labels[:n], True))
    data = EMNIST(split, 28, 4, str(tmp_path))
    check(data, parts[0].mT, parts[1].mT, labels - first)
    assert len(data.class_names) == len(set(data.class_names)) == classes


def test_emnist_class_names_are_those_of_torchvision():
    from torchvision.datasets import EMNIST as PUBLISHED

    for split, names in PUBLISHED.classes_split_dict.items():
        assert list(EMNIST(split).class_names) == [name for name in names if name != "N/A"]
    with pytest.raises(InputError, match="data.split is 'greek'; it must be one of byclass"):
        EMNIST("greek")


def test_idx_files_that_do_not_match_are_refused(tmp_path):
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    write_idx(tmp_path / "MNIST" / "raw", names, 4, np.zeros(3, np.uint8), True)
    with pytest.raises(InputError, match=r"\(4, 28, 28\) and \(3,\)"):
        MNIST(root=str(tmp_path)).official("train")


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def pickled(path, **content):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return [path.name, md5(path)]


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """Tiny CIFAR sets whose sums torchvision takes for the published ones."""
    from torchvision import datasets

    def write(kind, key, meta):
        published = getattr(datasets, kind.__name__)
        folder = tmp_path / published.base_folder
        pixels, labels = images(30, 3, 32, 32), [i % 10 for i in range(20)]
        flat = pixels.reshape(30, -1)
        train = pickled(folder / "one", **{"data": flat[:20], key: labels})
        test = pickled(folder / "two", **{"data": flat[20:], key: labels[:10]})
        names = pickled(folder / "meta", **{meta: ["a"] * 10})
        monkeypatch.setattr(published, "train_list", [train])
        monkeypatch.setattr(published, "test_list", [test])
        about = {"filename": "meta", "key": meta, "md5": names[1]}
        monkeypatch.setattr(published, "meta", about)
        return folder, torch.from_numpy(pixels), labels

    return write


@pytest.mark.parametrize(
    ("kind", "key", "meta", "classes"),
    [(CIFAR10, "labels", "label_names", 10), (CIFAR100, "fine_labels", "fine_label_names", 100)],
)
def test_cifar(tmp_path, cifar, kind, key, meta, classes):
    _, pixels, labels = cifar(kind, key, meta)
    data = kind(32, 4, str(tmp_path))
    check(data, pixels[:20], pixels[20:], labels)
    assert data.event_shape == (3, 32, 32)
    assert len(set(data.class_names)) == classes


@pytest.fixture
def offline(monkeypatch):
    """No address can be reached; the socket timeouts met on the way are noted."""
    timeouts = []

    def refuse(*args, **kwargs):
        timeouts.append(socket.getdefaulttimeout())
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(300)
    yield timeouts
    socket.setdefaulttimeout(before)


class Harm:
    """Leaves a mark when unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_cifar_file_that_was_changed_is_never_unpickled(tmp_path, cifar, offline):
    folder, _, _ = cifar(CIFAR10, "labels", "label_names")
    mark = tmp_path / "mark"
    (folder / "one").write_bytes(pickle.dumps(Harm(mark)))
    with pytest.raises(InputError, match="CIFAR10 is missing or damaged"):
        CIFAR10(root=str(tmp_path)).arrays("train")
    assert not mark.exists()
    pickle.loads((folder / "one").read_bytes())
    assert mark.exists()


def test_svhn(tmp_path, monkeypatch):
    from scipy.io import savemat
    from torchvision import datasets

    pixels, labels = images(30, 3, 32, 32), np.arange(30) % 10
    sums = {}
    for part, own in (("train", slice(20)), ("test", slice(20, 30))):
        path = tmp_path / f"{part}_32x32.mat"
        # The files count the digit 0 as 10, and hold (height, width, channels, n).
        digits = np.where(labels[own] == 0, 10, labels[own]).astype(np.uint8)[:, None]
        savemat(path, {"X": pixels[own].transpose(2, 3, 1, 0), "y": digits})
        sums[part] = ["nowhere", path.name, md5(path)]
    monkeypatch.setattr(datasets.SVHN, "split_list", sums)
    data = SVHN(32, 4, str(tmp_path))
    own = torch.from_numpy(pixels)
    check(data, own[:20], own[20:], labels[:20])


def test_stl10(tmp_path, monkeypatch):
    from torchvision import datasets

    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    pixels, labels = images(30, 3, 96, 96), np.arange(30, dtype=np.uint8) % 10
    for part, own in (("train", slice(20)), ("test", slice(20, 30))):
        # The files hold columns before rows, and count classes from 1.
        (folder / f"{part}_X.bin").write_bytes(pixels[own].transpose(0, 1, 3, 2).tobytes())
        (folder / f"{part}_y.bin").write_bytes((labels[own] + 1).tobytes())
    monkeypatch.setattr(datasets.STL10, "_check_integrity", lambda self: True)
    data = STL10(96, 4, str(tmp_path))
    own = torch.from_numpy(pixels)
    check(data, own[:20], own[20:], labels[:20])


@pytest.mark.parametrize(
    ("kind", "file", "source", "folder"),
    [
        (MNIST, "train-images-idx3-ubyte.gz", "https://ossci-datasets", "MNIST/raw"),
        (EMNIST, "emnist-balanced-test-labels-idx1-ubyte.gz", "gzip.zip", "EMNIST/raw"),
        (CIFAR10, "cifar-10-python.tar.gz", "https://www.cs.toronto.edu", ""),
        (SVHN, "train_32x32.mat", "http://ufldl.stanford.edu", ""),
        (STL10, "stl10_binary.tar.gz", "http://ai.stanford.edu", ""),
        (CelebA, "img_align_celeba.zip", "https://mmlab", "celeba"),
    ],
)
def test_missing_files_are_named_with_their_source_and_place(
    tmp_path, offline, monkeypatch, kind, file, source, folder
):
    monkeypatch.setitem(__import__("sys").modules, "gdown", None)
    with pytest.raises(InputError) as raised:
        kind(root=str(tmp_path)).prepare_data()
    message = str(raised.value)
    place = str(tmp_path / folder)
    for part in (kind.__name__, file, source, place, "--data.root", "LIGHTNING_GANS_DATA"):
        assert part in message
    assert socket.getdefaulttimeout() == 300
    assert all(seconds is not None and seconds <= 30 for seconds in offline)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_download_is_checked_and_left_packed(tmp_path, monkeypatch):
    from torchvision import datasets

    contents, resources = {}, []
    for part, n in (("train", 20), ("t10k", 5)):
        for name, array in (
            (f"{part}-images-idx3-ubyte.gz", images(n, 28, 28)),
            (f"{part}-labels-idx1-ubyte.gz", images(n) % 10),
        ):
            contents[name] = gzip.compress(idx(array))
            digest = hashlib.md5(contents[name], usedforsecurity=False).hexdigest()
            resources.append((name, digest))
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    asked = []

    def answer(url, root, name, sum_wanted):
        asked.append(url)
        Path(root, name).write_bytes(contents[name])
        if url.startswith(datasets.MNIST.mirrors[0]):
            raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", answer)
    data = MNIST(28, 4, str(tmp_path))
    assert [data.count(split) for split in SPLITS] == [18, 2, 5]
    assert len(asked) == 8
    found = {path.name for path in (tmp_path / "MNIST" / "raw").iterdir()}
    assert found == set(contents)


@pytest.mark.skipif(not REAL, reason="LIGHTNING_GANS_DATA is not set")
@pytest.mark.parametrize(
    ("kind", "mean", "counts"),
    [
        (MNIST, 33.3184, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        (FashionMNIST, 72.9404, [6000] * 10),
    ],
)
def test_real_files(kind, mean, counts):
    data = kind(28, 64)
    if not data.folder.is_dir():
        pytest.skip(f"{kind.__name__} is not in LIGHTNING_GANS_DATA")
    (train, labels), (val, val_labels), (test, _) = (data.arrays(split) for split in SPLITS)
    assert [len(part) for part in (train, val, test)] == [50_000, 10_000, 10_000]
    assert (labels.bincount() + val_labels.bincount()).tolist() == counts
    total = train.sum(dtype=torch.long) + val.sum(dtype=torch.long)
    assert total.item() / (60_000 * 784) == pytest.approx(mean, abs=1e-3)
