"""Sequences: known chains have their law, files are read as written or refused in one line."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from lightning_gans.data import CategoricalChain, GaussianChain, Sequences
from lightning_gans.data.chains import draw_states
from lightning_gans.data.sequences import lengths_of
from lightning_gans.errors import InputError

TRANSITION = [[0.9, 0.1, 0.0], [0.0, 0.8, 0.2], [0.5, 0.5, 0.0]]


def near(actual, expected, atol):
    assert_close(actual, expected, rtol=0, atol=atol)


def test_states_follow_the_law_and_never_a_forbidden_step():
    transition = torch.tensor(TRANSITION, dtype=torch.float64)
    initial = torch.tensor([0.25, 0.75, 0.0], dtype=torch.float64)
    states = draw_states(initial, transition, 4000, 30, torch.Generator().manual_seed(0))
    near(states[:, 0].bincount(minlength=3) / 4000, initial.float(), 0.03)
    pairs = (states[:, :-1] * 3 + states[:, 1:]).flatten().bincount(minlength=9).view(3, 3)
    near((pairs / pairs.sum(1, keepdim=True)).double(), transition, 0.01)
    assert not pairs[transition == 0].any()


def test_a_known_chain_has_its_law_and_is_the_same_every_time():
    means, stds = [[0.0, 5.0], [9.0, 0.0], [-9.0, 0.0]], [[1.0, 2.0], [0.5, 0.5], [1.0, 1.0]]
    options = {"sequences": 2000, "length": 20, "shortest": 3, "initial": [1.0, 0.0, 0.0]}
    data = GaussianChain(TRANSITION, means, stds, **options)
    events, labels = data.arrays("train")
    assert events.shape == (2000, 20, 2) and events.dtype == torch.float32
    assert not labels.any() and data.count("val") == data.count("test") == 200
    lengths = lengths_of(events)
    assert lengths.min() == 3 and lengths.max() == 20
    near(events[:, 0].double().mean(0), data.means[0], 0.15)
    near(events[:, 0].double().std(0), data.stds[0], 0.1)
    again = GaussianChain(TRANSITION, means, stds, **options)
    assert data.fingerprint("train") == again.fingerprint("train")
    other = GaussianChain(TRANSITION, means, stds, **options, seed=1)
    assert data.fingerprint("train") != other.fingerprint("train")
    assert data.fingerprint("val") != data.fingerprint("test")


def test_known_symbols_have_their_frequencies():
    symbols = [[0.5, 0.5, 0.0], [0.0, 0.1, 0.9], [1.0, 0.0, 0.0]]
    data = CategoricalChain(TRANSITION, symbols, [0.0, 1.0, 0.0], sequences=3000, length=2)
    first = data.arrays("train")[0][:, 0, 0].long().bincount(minlength=3) / 3000
    near(first.double(), data.symbols[1], 0.03)
    assert data.event_shape == (2, 1) and data.bin_width == 1.0


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"transition": [[0.5, 0.6], [0.5, 0.5]]}, "data.transition must be probabilities"),
        ({"transition": [[1.5, -0.5], [0.5, 0.5]]}, "data.transition must be probabilities"),
        ({"transition": [[1.0], [1.0]]}, r"they must be \(states, states\)"),
        ({"transition": [[1.0, 0.0], [1.0]]}, "data.transition must be lists of numbers"),
        ({"means": []}, "data.means must be a list, one for each state"),
        ({"initial": [1.0]}, r"they must be \(states, states\)"),
        ({"means": [[0.0]]}, "data.means and data.stds .* each of 2 states"),
        ({"stds": [[1.0], [0.0]]}, "data.stds be above 0"),
        ({"stds": -1.0}, "data.stds be above 0"),
        ({"sequences": 0}, "data.sequences is 0; it must be at least 1"),
        ({"length": 5, "shortest": 6}, "data.shortest is 6; it must be 1 to data.length 5"),
        ({"shortest": 0}, "data.shortest is 0"),
    ],
)
def test_a_chain_that_cannot_be_is_refused(options, answer):
    given = {"transition": [[0.5, 0.5], [0.5, 0.5]], "means": [[0.0], [1.0]]} | options
    with pytest.raises(InputError, match=answer):
        GaussianChain(**given)


RAGGED = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]], [[7.0, 8.0], [9.0, 0.0], [1.0, 1.0]]]
PADDED = np.full((3, 3, 2), np.nan)
for i, rows in enumerate(RAGGED):
    PADDED[i, : len(rows)] = rows
STEPS = {"steps": np.concatenate([np.array(rows) for rows in RAGGED]), "lengths": [2, 1, 3]}
CSV = "name,x,y\na,1,2\na,3,4\nb b,5,6\n7,7,8\n7,9,0\n7,1,1\n"


def as_written(data):
    """All sequences, by their length."""
    parts = [data.arrays(split)[0] for split in ("train", "val", "test")]
    return torch.cat(sorted(parts, key=lambda part: lengths_of(part).item()))


@pytest.mark.parametrize("kind", ["padded", "steps", "csv"])
def test_a_file_is_read_as_it_was_written(tmp_path, kind):
    path = tmp_path / ("x.csv" if kind == "csv" else "x.npz")
    if kind == "csv":
        path.write_text(CSV)
    else:
        np.savez(path, **({"sequences": PADDED} if kind == "padded" else STEPS))
    data = Sequences(str(path))
    assert data.event_shape == (3, 2) and data.class_names == ()
    expected = torch.from_numpy(PADDED[[1, 0, 2]]).float()
    assert_close(as_written(data), expected, equal_nan=True)


def test_labels_and_whole_numbers_are_read(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, sequences=np.arange(40).reshape(20, 2), labels=np.arange(20) % 3)
    data = Sequences(str(path), bin_width=1.0)
    assert data.event_shape == (2, 1) and data.class_names == ("0", "1", "2")
    assert [data.count(split) for split in ("train", "val", "test")] == [16, 2, 2]
    events, labels = data.arrays("train")
    assert torch.equal(events[:, 0, 0].long() // 2 % 3, labels) and data.bin_width == 1.0


def changed(where, what):
    array = PADDED.copy()
    array[where] = what
    return {"sequences": array}


@pytest.mark.parametrize(
    ("arrays", "answer"),
    [
        ({"images": PADDED}, "must hold sequences, or steps and lengths; it holds images"),
        ({}, "it holds nothing"),
        ({"sequences": PADDED[0, 0]}, r"sequences .* must be numbers \(n, time\)"),
        ({"sequences": PADDED[:, :0]}, r"sequences .* is float64 \(3, 0, 2\)"),
        ({"sequences": np.array([["a", "b"]] * 3)}, "sequences .* must be numbers"),
        ({"sequences": np.array([[{}]] * 3)}, "cannot be read as .npz"),
        ({"sequences": PADDED[:2]}, "has 2 sequences; it must have at least 3"),
        (changed(1, np.nan), r"x.npz: sequence 1 \(from 0\) has no step"),
        (changed((2, 1, 0), np.nan), "sequence 2 .* nan or infinite"),
        (changed((0, 0, 0), np.inf), "sequence 0 .* nan or infinite"),
        (STEPS | {"lengths": [2, 0, 4]}, "lengths .* each at least 1"),
        (STEPS | {"lengths": [2, 1, 4]}, "add up to the 6 steps"),
        (STEPS | {"lengths": [2.0, 1.0, 3.0]}, "lengths .* must be whole numbers"),
        (STEPS | {"steps": STEPS["steps"] * np.nan}, "nan or infinity at step 0"),
        ({"sequences": PADDED, "labels": [0, 1]}, r"labels .* of shape \(3,\)"),
        ({"sequences": PADDED, "labels": [0, 1, -1]}, "labels .* whole numbers from 0"),
    ],
)
def test_an_archive_of_another_kind_is_refused(tmp_path, arrays, answer):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=answer):
        Sequences(str(tmp_path / "x.npz"))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", "must have a first line that names at least two columns"),
        ("name,x,y\n", "below it rows of as many"),
        ("name,x\n" + CSV.split("\n", 1)[1], "line 2: 3 cells; the first line names 2"),
        (CSV + "8,1\n", "line 8: 2 cells; the first line names 3"),
        (CSV + "8,1,one\n", "line 8 must hold numbers: .*'one'"),
        (CSV + "8,,1\n", "line 8 must hold numbers"),
        ("a,1.5,-2\n" + CSV.split("\n", 1)[1], "begins with numbers"),
        (CSV + "8,nan,1\n", "nan or infinity at step 6"),
        (CSV + "a,1,1\n", "the rows of each sequence must be together"),
        ("name,x\na,1\na,2\n", "has 1 sequences; it must have at least 3"),
    ],
)
def test_a_table_of_another_kind_is_refused(tmp_path, text, answer):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=answer):
        Sequences(str(tmp_path / "x.csv"))


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "x.txt").write_text("1")
    (tmp_path / "x.csv").write_bytes(b"name,x\n\xff\xfe,1\n")
    for name, answer in {
        "x.npz": "cannot be read as .npz",
        "x.csv": "cannot be read as .csv",
        "x.txt": "must be a .npz or .csv file that exists",
        "y.npz": "must be a .npz or .csv file that exists",
    }.items():
        with pytest.raises(InputError, match=answer):
            Sequences(str(tmp_path / name))
    np.savez(tmp_path / "z.npz", sequences=PADDED)
    with pytest.raises(InputError, match="data.bin_width is 0.0; it must be above 0"):
        Sequences(str(tmp_path / "z.npz"), bin_width=0.0)
