"""Oracles: trained once, always the same, kept safely, and noticed by nothing around them."""

import dataclasses
import logging
import math
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.nn.functional import pad
from torch.testing import assert_close

from lightning_gans.data import Arrays, Digits
from lightning_gans.data.batches import CountedBatches, TensorBatches, normalise
from lightning_gans.errors import InputError
from lightning_gans.metrics import oracles
from lightning_gans.metrics.oracles import digit_classes, oracle
from lightning_gans.models.classifier import Classifier, confusion, shifted
from tests.conftest import ROOT


def digits(**settings):
    return Digits(image_size=16, **settings)


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """An oracle of the digits, really trained, and the cache that holds it."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTNING_GANS_CACHE", str(cache))
        return oracle(digits()), cache


@pytest.fixture
def cached(kept, monkeypatch):
    """The oracle of the digits, where training is forbidden and the cache is its own."""
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(kept[1]))
    monkeypatch.setattr(oracles, "train_classifier", forbidden)
    return kept[0]


def forbidden(*_):
    raise AssertionError("trained")


@pytest.fixture
def file(kept, monkeypatch, tmp_path):
    """A copy of the file of the digits in a cache of its own."""
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path / "copy"))
    (original,) = kept[1].glob("oracles/*.pt")
    copied = tmp_path / "copy/oracles" / original.name
    copied.parent.mkdir(parents=True)
    copied.write_bytes(original.read_bytes())
    return copied


def arrays(folder, labels=None, n=60, **settings):
    """Dark images of class 0 and bright ones of class 1, 8 x 8, or with other labels."""
    bright = np.arange(n) % 2
    images = np.random.default_rng(0).integers(0, 60, (n, 8, 8)) + 190 * bright[:, None, None]
    labels = bright if labels is None else labels
    np.savez(folder / "set.npz", images=images.astype(np.uint8), labels=labels)
    return Arrays(str(folder / "set.npz"), image_size=8, **settings)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """An empty cache."""
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path / "fresh"))
    return tmp_path / "fresh"


def held_out(data):
    (val, val_labels), (test, test_labels) = data.arrays("val"), data.arrays("test")
    return normalise(torch.cat([val, test])), torch.cat([val_labels, test_labels])


def generators():
    """The state of torch's and NumPy's global generators.

    Python's own is looked at where no types are checked: the checker draws from it.
    """
    return torch.get_rng_state().tolist(), str(np.random.get_state())


def test_it_tells_digits_that_it_has_not_seen(kept):
    found = kept[0]
    images, labels = held_out(digits())
    assert (found.name, found.classes, found.num_features) == ("digits16", 10, 84)
    told = found.classify(images)
    counted = torch.zeros(10, 10, dtype=torch.long)
    for true, one in zip(labels.tolist(), told.tolist(), strict=True):
        counted[true, one] += 1
    assert_close(found.confusion, counted)
    assert found.confusion.sum(1).tolist() == labels.bincount().tolist()
    assert found.confusion.sum() == 360
    assert found.accuracy == (told == labels).double().mean().item()
    assert 0.96 < found.accuracy < 1.0


def test_a_second_call_reads_and_draws_nothing(cached):
    before = generators()
    again = oracle(digits())
    assert generators() == before
    assert (again.name, again.digest) == (cached.name, cached.digest)
    assert_close(again.confusion, cached.confusion)
    images, _ = held_out(digits())
    assert not again.network.training and not cached.network.training
    assert not any(p.requires_grad for p in again.network.parameters())
    assert_close(again.features(images), cached.features(images), rtol=0, atol=0)


def test_what_training_is_kept_from_is_learnt_all_the_same(cached):
    """The oracle of a set with classes left out, or mirrored, is that of the whole set."""
    assert oracle(digits(keep={"7": 0.1, "3": 0.0}, flip=True)).digest == cached.digest
    assert oracle(digits(batch_size=3)).digest == cached.digest


def test_another_set_has_another_oracle(cached, tmp_path):
    others = [digits(seed=1), Digits(image_size=17), arrays(tmp_path, n=62)]
    for other in others:
        with pytest.raises(AssertionError, match="trained"):
            oracle(other)


class Outer(LightningModule):
    """A model of its own that draws random numbers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layer = torch.nn.Linear(4, 1)
        self.found = None

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def training_step(self, batch):
        return (self.layer(torch.randn(5, 4)) - 1).square().mean()


class Validated(Outer):
    def validation_step(self, batch):
        pass


class Asks(Callback):
    def __init__(self, data):
        self.data = data

    def on_fit_start(self, trainer, pl_module):
        pl_module.found = oracle(self.data)

    def on_validation_start(self, trainer, pl_module):
        self.on_fit_start(trainer, pl_module)


def outer_trainer(callbacks=()):
    return Trainer(
        accelerator="cpu",
        max_steps=3,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )


def batches():
    images = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    return TensorBatches(images, torch.zeros(6).long(), CountedBatches(6, 2))


def test_training_inside_a_run_is_the_same_and_leaves_the_run_alone(kept, fresh, capfd):
    alone = Outer()
    outer_trainer().fit(alone, batches())

    seen, said = [], []
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level, handler = logger.level, logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())

    class Watches(Asks):
        def on_fit_start(self, trainer, pl_module):
            logger.addHandler(handler)
            signals = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
            before = generators(), signals, dict(os.environ), torch.is_grad_enabled()
            capfd.readouterr()
            with torch.no_grad():
                super().on_fit_start(trainer, pl_module)
                assert not torch.is_grad_enabled()
            signals = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
            seen.append((generators(), signals, dict(os.environ), torch.is_grad_enabled()))
            assert seen == [before]
            logger.removeHandler(handler)

    model, trainer = Outer(), outer_trainer([Watches(digits())])
    trainer.fit(model, batches())
    assert trainer.global_step == 3 and model.trainer is trainer
    assert seen and said == [] and logger.level == level
    assert_close(model.state_dict(), alone.state_dict(), rtol=0, atol=0)
    assert model.found.digest == kept[0].digest
    assert_close(model.found.confusion, kept[0].confusion)
    (path,) = fresh.glob("oracles/*")
    out, err = capfd.readouterr()
    *bar, line = re.split(r"[\r\n]+", err.strip())
    assert out == "" and re.fullmatch(
        r"trained the classifier of Digits \(16 x 16\): accuracy 0\.9\d{3} on 360 held-out "
        rf"images, \d+ s; kept in {path}",
        line.strip(),
    )
    assert all(re.match(r"training the classifier of Digits|\s*$", part) for part in bar)


def test_training_inside_validation(fresh, tmp_path):
    """Lightning validates in inference mode, in which nothing can be trained."""
    model, data = Validated(), arrays(tmp_path)
    outer_trainer([Asks(data)]).validate(model, batches(), verbose=False)
    assert model.found.accuracy == 1.0
    assert len(list(fresh.glob("oracles/*"))) == 1


def test_the_length_of_training_follows_the_size_of_the_set(fresh, tmp_path, monkeypatch):
    trained = []

    def train(*args):
        trained.append(real(*args))
        return trained[-1]

    real = oracles.train_classifier
    monkeypatch.setattr(oracles, "train_classifier", train)
    found = oracle(arrays(tmp_path))
    (classifier,) = trained
    assert classifier.steps == math.ceil(6 * math.sqrt(48)) == 42
    assert classifier.trainer.global_step == 42
    assert classifier.accuracy == found.accuracy == 1.0
    assert not any(p.requires_grad for p in found.network.parameters())
    assert not found.network.training


def stub(found, calls):
    """In the place of training: what was trained already."""

    def train(*args):
        calls.append(args)
        classifier = Classifier(found.network, 1)
        classifier.confusion = found.confusion
        return classifier

    return train


def cut_short(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def written_over(file):
    file.write_text("no weights")


def emptied(file):
    file.write_bytes(b"")


def one_weight_changed(file):
    record = torch.load(file, weights_only=True)
    record["weights"]["head.bias"][3] += 1e-3
    torch.save(record, file)


def one_part_missing(file):
    record = torch.load(file, weights_only=True)
    del record["confusion"]
    torch.save(record, file)


@pytest.mark.parametrize(
    "damage", [cut_short, written_over, emptied, one_weight_changed, one_part_missing]
)
def test_a_damaged_file_is_named_and_replaced(kept, file, monkeypatch, damage):
    calls = []
    monkeypatch.setattr(oracles, "train_classifier", stub(kept[0], calls))
    damage(file)
    with pytest.warns(UserWarning, match=rf"{re.escape(str(file))} is damaged .* trained anew"):
        assert oracle(digits()).digest == kept[0].digest
    assert len(calls) == 1
    assert oracle(digits()).digest == kept[0].digest
    assert len(calls) == 1
    assert os.listdir(file.parent) == [file.name]


def test_no_byte_gone_wrong_goes_unnoticed(kept, file):
    """A changed byte either makes the file unreadable or, in its padding, changes nothing."""
    whole = file.read_bytes()
    refused = 0
    for place in range(0, len(whole), 1499):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            read = oracles._read(file)
        except Exception:
            refused += 1
            continue
        assert read.digest == kept[0].digest == oracles._digest(read.network)
        assert_close(read.confusion, kept[0].confusion)
    assert refused > 50


def test_nothing_in_the_file_is_run(file):
    """It is read as tensors and names only."""
    torch.save({"weights": Outer()}, file)
    with pytest.raises(Exception, match="(?i)weights.only"):
        oracles._read(file)


def test_a_cache_that_cannot_be_written_is_told_and_done_without(monkeypatch, tmp_path, capfd):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("LIGHTNING_GANS_CACHE", str(tmp_path / "taken"))
    with pytest.warns(UserWarning, match="taken/oracles .*set LIGHTNING_GANS_CACHE"):
        found = oracle(arrays(tmp_path))
    assert found.accuracy == 1.0
    assert capfd.readouterr().err.strip().endswith("; not kept")


def test_an_oracle_that_tells_badly_is_warned_of(fresh, tmp_path):
    labels = np.random.default_rng(1).integers(0, 3, 60)
    data = arrays(tmp_path, labels)
    message = r"Arrays \(8 x 8\) tells only (0\.\d{4}) of .* wider intervals, and features tell"
    for _ in range(2):
        with pytest.warns(UserWarning, match=message) as warned:
            found = oracle(data)
        (one,) = warned
        assert re.search(message, str(one.message))[1] == f"{found.accuracy:.4f}"
        assert 0 < found.accuracy < 0.95


@pytest.mark.parametrize("labels", [None, np.zeros(60, int)])
def test_a_set_without_classes_is_refused(cached, tmp_path, labels):
    content = {"images": np.zeros((60, 8, 8), np.uint8)}
    np.savez(tmp_path / "set.npz", **content, **({} if labels is None else {"labels": labels}))
    with pytest.raises(InputError, match=r"labels missing: Arrays has [01] classes, .*at least 2"):
        oracle(Arrays(str(tmp_path / "set.npz")))


GROUP = """
import multiprocessing, os, random, sys, numpy, torch
from torch import distributed
from lightning_gans.data import Arrays
from lightning_gans.metrics import oracles

torch.set_num_threads(1)
folder = sys.argv[1]
real = oracles.train_classifier


def generators():
    return torch.get_rng_state().tolist(), random.getstate(), str(numpy.random.get_state())


def member(rank):
    # As in a job of two tasks under SLURM, which Lightning looks for.
    os.environ |= {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "job", "SLURM_PROCID": str(rank)}
    distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    trained = []
    oracles.train_classifier = lambda *args: [real(*args), trained.append(1)][0]
    before = generators()
    found = oracles.oracle(Arrays(f"{folder}/set.npz", image_size=8))
    assert generators() == before
    with open(f"{folder}/{rank}.txt", "w") as file:
        print(len(trained), found.digest, found.confusion.tolist(), file=file)
    distributed.destroy_process_group()


members = [multiprocessing.get_context("fork").Process(target=member, args=[i]) for i in (0, 1)]
for one in members:
    one.start()
for one in members:
    one.join()
sys.exit(any(one.exitcode for one in members))
"""


def test_in_a_group_of_processes_the_first_trains_for_all(fresh, tmp_path):
    data = arrays(tmp_path)
    command = [sys.executable, "-c", GROUP, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("trained the classifier of Arrays") == 1
    first, second = ((tmp_path / f"{rank}.txt").read_text() for rank in (0, 1))
    rest = f" {oracle(data).digest} {oracle(data).confusion.tolist()}\n"
    assert (first, second) == (f"1{rest}", f"0{rest}")


def test_images_are_told_in_batches_as_one_by_one(cached):
    images, _ = held_out(digits())
    many = torch.cat([images, images.flip(0)])[:700]  # two batches, the second not full
    before = {name: value.clone() for name, value in cached.network.state_dict().items()}
    told, features = cached(many), cached.features(many)
    assert (told.shape, told.dtype) == ((700,), torch.int64)
    assert (features.shape, features.dtype) == ((700, 84), torch.float32)
    assert_close(told, torch.cat([cached.classify(one[None]) for one in many]))
    ones = torch.cat([cached.features(one[None]) for one in many])
    assert_close(features, ones, rtol=1e-4, atol=1e-5)
    assert_close(cached.network.head(features).argmax(1), told)
    assert_close(cached.network.state_dict(), before, rtol=0, atol=0)
    assert cached(images[:0]).shape == (0,) and cached.features(images[:0]).shape == (0, 84)


def test_images_may_be_of_any_precision_and_part_of_a_graph(cached):
    images, _ = held_out(digits())
    for dtype in (torch.float64, torch.bfloat16):
        given = images[:40].to(dtype).requires_grad_()
        features = cached.features(given)
        assert_close(features, cached.features(given.detach().float()), rtol=0, atol=0)
        assert not features.requires_grad and not features.is_inference()
    assert torch.is_grad_enabled()


def test_a_model_that_holds_an_oracle_does_not_own_it(cached):
    model = Outer()
    before = set(model.state_dict())
    model.found = cached
    assert set(model.state_dict()) == before and len(list(model.parameters())) == 2
    model.train()
    assert not cached.network.training
    with pytest.raises(dataclasses.FrozenInstanceError):
        cached.digest = "another"


def test_elsewhere_is_a_copy(cached):
    there = cached.to("meta")
    assert (there.device.type, cached.device.type) == ("meta", "cpu")
    assert (there.digest, there.name, there.accuracy) == (
        cached.digest,
        cached.name,
        cached.accuracy,
    )


def test_each_channel_of_a_stack_is_told_by_itself(cached):
    images, labels = held_out(digits())
    stacked = torch.stack([images[:300, 0], images[30:330, 0], images[60:, 0]], 1)
    told = digit_classes(cached, stacked)
    expected = [cached(stacked[:, [channel]]) for channel in range(3)]
    assert_close(told, torch.stack(expected, 1))
    true = torch.stack([labels[:300], labels[30:330], labels[60:]], 1)
    assert 0.95 < (told == true).double().mean() < 1


def test_confusion_counts_pairs():
    labels, told = torch.randint(4, (2, 300))
    counted = confusion(labels, told, 5)
    assert counted.shape == (5, 5) and counted.sum() == 300
    for true in range(5):
        for one in range(5):
            assert counted[true, one] == ((labels == true) & (told == one)).sum()


def test_shifts_are_whole_pixels_each_way_equally_often():
    images, reach = torch.randn(2000, 2, 5, 4), 1
    moved = shifted(images, reach)
    framed = pad(images, (1, 1, 1, 1), mode="replicate")
    moves = [framed[:, :, y : y + 5, x : x + 4] for y in range(3) for x in range(3)]
    equal = torch.stack([(moved == one).flatten(1).all(1) for one in moves])
    assert (equal.sum(0) == 1).all()
    # Each of nine moves is made 222 times on average, with a standard deviation of 14.
    assert equal.sum(1).min() > 160 and equal.sum(1).max() < 290
    assert_close(shifted(images, 0), images, rtol=0, atol=0)
