"""Extractors: what they see, what they are called, and the files of weights they refuse."""

import builtins
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision.models import resnet18

from lightning_gans.data import Arrays, Digits, Ring, StackedDigits
from lightning_gans.data.batches import normalise, to_bytes
from lightning_gans.errors import InputError
from lightning_gans.metrics.defaults import extractors_for, own_extractor
from lightning_gans.metrics.features import ClassifierFeatures, Flat
from lightning_gans.metrics.imagenet import ImageNet
from lightning_gans.metrics.inception import Inception, inception_weights
from lightning_gans.metrics.oracles import oracle


def images(n=4, channels=3, size=20):
    source = torch.Generator().manual_seed(1)
    return torch.rand(n, channels, size, size, generator=source) * 2 - 1


def test_bytes_are_rounded_and_cut_off_not_wrapped():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_bytes(levels.float() / 127.5 - 1), levels)
    beyond = torch.tensor([-1.01, 1.008, 5.0, -5.0, -1 + 0.49 / 127.5, -1 + 0.51 / 127.5])
    assert to_bytes(beyond.view(1, 1, 1, 6)).flatten().tolist() == [0, 255, 255, 0, 0, 1]


def test_a_classifier_gives_its_hidden_layer_and_logits():
    data = Digits(image_size=16)
    extractor = own_extractor(data)
    assert isinstance(extractor, ClassifierFeatures) and extractor.name == "digits16"
    assert extractor.metrics["frechet"] == "fd_digits" and extractor.num_features == 84
    events = images(7, 1, 16)
    values, logits = extractor(events)
    known = oracle(data)
    assert extractor.digest == known.digest
    rounded = normalise(to_bytes(events))
    torch.testing.assert_close(values, known.network.features(rounded))
    torch.testing.assert_close(logits, known.network(rounded))
    assert not values.requires_grad
    with pytest.raises(InputError, match=r"digits16 looks at images of shape \(1, 16, 16\)"):
        extractor(images(2, 1, 20))


def test_points_have_no_extractor_but_themselves():
    assert own_extractor(Ring()) is None and own_extractor(StackedDigits()) is None
    (extractor,) = extractors_for(Ring(), "identity", None)
    assert isinstance(extractor, Flat) and extractor.metrics["kernel"] == "kd_points"
    assert Flat((3, 4, 4)).metrics["frechet"] == "fd_pixels"
    events = images(3, 3, 4)
    assert torch.equal(extractor(events[:, 0, 0, :2]).values, events[:, 0, 0, :2])
    # Images are seen as a file holds them: one of 256 greys, the nearest one.
    pixels = Flat((3, 4, 4))(events).values
    assert (pixels - events.flatten(1)).abs().max() == pytest.approx(1 / 255, rel=0.05)
    torch.testing.assert_close((pixels + 1) * 127.5, ((pixels + 1) * 127.5).round())


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    """Random weights in the right shape: the original ones cannot be had everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "load", lambda *args, **options: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        theirs = FeatureExtractorInceptionV3(
            "random", ["2048", "logits_unbiased"], feature_extractor_weights_path="none"
        )
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(theirs.state_dict(), path)
    return path, theirs


@pytest.mark.parametrize("channels", [1, 3])
def test_inception_sees_what_torch_fidelity_sees(inception_file, channels):
    path, theirs = inception_file
    state = torch.get_rng_state()
    extractor = Inception(path, any_digest=True)
    assert torch.equal(torch.get_rng_state(), state)
    events = images(3, channels, 20)
    values, logits = extractor(events)
    expected = theirs(to_bytes(events).expand(-1, 3, -1, -1))
    torch.testing.assert_close(values, expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits, expected[1], rtol=1e-5, atol=1e-5)
    assert values.std() > 0
    # Only the original weights may be called by its name.
    assert "fid" not in extractor.metrics.values()
    assert extractor.digest[:8] in extractor.metrics["frechet"]


def test_other_weights_than_inceptions_are_refused(inception_file, tmp_path, monkeypatch):
    path, _ = inception_file
    with pytest.raises(InputError, match="has the sha256 .* it is damaged, or another file"):
        Inception(path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        Inception(tmp_path / "none.pth")
    (tmp_path / "cut.pth").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="holds no Inception weights"):
        Inception(tmp_path / "cut.pth", any_digest=True)
    monkeypatch.setenv("LIGHTNING_GANS_INCEPTION", str(path))
    assert inception_weights() == path
    # What was not asked for is told, and left out.
    with pytest.warns(UserWarning, match="not measured by TF-Inception: .* sha256"):
        assert len(extractors_for(Digits(16), "auto", None)) == 1
    with pytest.raises(InputError, match="sha256"):
        extractors_for(Digits(16), "inception", None)


def test_images_too_small_for_a_classifier_are_told_and_left_out():
    with pytest.warns(UserWarning, match="not measured by the data's classifier: image_size is 4"):
        assert extractors_for(Digits(4), "auto", None) == []


def test_inception_says_what_to_install(monkeypatch):
    load = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("torch_fidelity"):
            raise ModuleNotFoundError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"pip install 'lightning-gans\[fid\]'"):
        Inception()


def test_a_classifier_of_torchvision_gives_what_its_last_layer_gets(tmp_path):
    network = resnet18().eval()
    torch.save(network.state_dict(), path := tmp_path / "resnet18.pth")
    state = torch.get_rng_state()
    extractor = ImageNet("resnet18", path)
    assert torch.equal(torch.get_rng_state(), state)
    values, logits = extractor(images(2, 1, 30))
    assert values.shape == (2, 512) == (2, extractor.num_features)
    torch.testing.assert_close(network.fc(values), logits)
    assert extractor.metrics["frechet"] == "fd_resnet18"
    with pytest.raises(InputError, match="holds no weights of resnet34"):
        ImageNet("resnet34", path)
    with pytest.raises(InputError, match="'resnet'; it must be auto, inception, .* mean 'resnet"):
        ImageNet("resnet", path)
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    with pytest.raises(InputError, match="is damaged"):
        ImageNet("resnet18", tmp_path / "bad.pth")


def test_without_a_network_it_is_said_which_file_is_missing(monkeypatch, tmp_path):
    def unreachable(*args, **options):
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(InputError, match="resnet50-.*pth .*no route.*; name a copy .* --weights"):
        ImageNet("resnet50")
    with pytest.raises(InputError, match="6726825d.pth .*no route.* LIGHTNING_GANS_INCEPTION"):
        Inception()


def test_weights_of_nobody_are_refused(tmp_path):
    with pytest.raises(InputError, match="whose weights are .* Name the extractor"):
        extractors_for(Digits(16), "auto", tmp_path / "some.pth")


def test_unlabelled_images_have_no_extractor_of_their_own(tmp_path):
    np.savez(tmp_path / "own.npz", images=np.zeros((10, 8, 8), dtype=np.uint8))
    assert extractors_for(Arrays(str(tmp_path / "own.npz"), 8), "auto", None) == []
