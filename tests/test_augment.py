"""Augmentation against loops over samples, pixel by pixel, and its gradients."""

import math

import pytest
import torch
from torch.testing import assert_close

from lightning_gans.networks import DiffAugment, InstanceNoise
from lightning_gans.networks.augment import color, cutout, translation
from lightning_gans.types import InputError

SHAPES = [(2, 1, 28, 28), (6, 3, 7, 5), (6, 4, 8, 8), (6, 3, 1, 2)]


def images(shape=(6, 3, 7, 5)):
    return 2 * torch.rand(shape, dtype=torch.float64) - 1


def moved(image, down, right):
    """``image`` (c, h, w) moved by whole pixels, one pixel at a time."""
    result = torch.zeros_like(image)
    _, height, width = image.shape
    for i in range(height):
        for j in range(width):
            if 0 <= i - down < height and 0 <= j - right < width:
                result[:, i, j] = image[:, i - down, j - right]
    return result


@pytest.mark.parametrize("shape", SHAPES)
def test_color_is_the_formula_with_the_drawn_numbers(shape):
    before = images(shape)
    torch.manual_seed(5)
    after = color(before)
    torch.manual_seed(5)
    drawn = torch.rand(3, shape[0], 1, 1, 1, dtype=torch.float64).flatten(1).T.tolist()
    for image, result, (b, s, c) in zip(before, after, drawn, strict=True):
        x = image + b - 0.5
        x = (x - x.mean(0)) * (2 * s) + x.mean(0)
        x = (x - x.mean()) * (c + 0.5) + x.mean()
        assert_close(result, x)


def test_color_has_the_papers_ranges():
    """Recovered from the images: brightness from their means, the rest from their spreads."""
    n = 4000
    before = images((1, 3, 4, 4)).expand(n, 3, 4, 4)
    after = color(before)
    brightness = (after - before).mean((1, 2, 3))
    grey, grey_before = after.mean(1), before.mean(1)
    contrast = grey.std((1, 2)) / grey_before.std((1, 2))
    hue, hue_before = after - grey[:, None], before - grey_before[:, None]
    saturation = hue.std((1, 2, 3)) / hue_before.std((1, 2, 3)) / contrast
    for values, low, high in ((brightness, -0.5, 0.5), (contrast, 0.5, 1.5), (saturation, 0, 2)):
        span = high - low
        assert low <= values.min() < low + 0.01 * span
        assert high - 0.01 * span < values.max() <= high
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.02 * span)
        assert values.std().item() == pytest.approx(span / math.sqrt(12), abs=0.01 * span)


def test_saturation_does_nothing_to_one_channel():
    before = images((1, 1, 4, 4)).expand(50, 1, 4, 4)
    after = color(before)
    centred, centred_before = (x - x.mean((1, 2, 3), keepdim=True) for x in (after, before))
    contrast = centred.std((1, 2, 3), keepdim=True) / centred_before.std((1, 2, 3), keepdim=True)
    assert_close(centred, contrast * centred_before)
    assert contrast.min() >= 0.5


@pytest.mark.parametrize("shape", SHAPES)
def test_translation_moves_whole_images_by_up_to_an_eighth(shape):
    far = [int(size / 8 + 0.5) for size in shape[2:]]
    offsets = [(i, j) for i in range(-far[0], far[0] + 1) for j in range(-far[1], far[1] + 1)]
    before = images(shape)
    for image, result in zip(before, translation(before), strict=True):
        assert sum(torch.equal(result, moved(image, *offset)) for offset in offsets) == 1


def test_translation_is_uniform_over_its_offsets():
    """A single pixel in the middle of 28 shows where it went: 9 x 9 places, equally often."""
    n = 16200
    before = torch.zeros(n, 1, 28, 28)
    before[:, :, 14, 14] = 1
    counts = translation(before).sum((0, 1))
    assert counts.sum() == n
    assert (counts > 0).sum() == 81 and (counts[10:19, 10:19] > 0).all()
    assert ((counts[10:19, 10:19] - 200).abs() < 5 * math.sqrt(200)).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_cutout_is_one_rectangle_of_half_the_size(shape):
    before = images(shape)
    after = cutout(before)
    height, width = shape[2:]
    half = int(height / 2 + 0.5), int(width / 2 + 0.5)
    for image, result in zip(before, after, strict=True):
        candidates = []
        for top in range(-(half[0] // 2), height - half[0] // 2 + 1 - half[0] % 2):
            for left in range(-(half[1] // 2), width - half[1] // 2 + 1 - half[1] % 2):
                cut = image.clone()
                rows, columns = (
                    slice(max(start, 0), start + size)
                    for start, size in ((top, half[0]), (left, half[1]))
                )
                cut[:, rows, columns] = 0
                candidates.append(cut)
        assert any(torch.equal(result, cut) for cut in candidates)
        assert (result == 0).any()


def test_cutout_is_centred_anywhere():
    """Of 28 rows, 14 are cut, starting at -7 to 21; what would lie outside the image does not."""
    n = 20000
    after = cutout(torch.ones(n, 1, 28, 28))
    rows = (after.amin((1, 3)) == 0).double().mean(0)
    columns = (after.amin((1, 2)) == 0).double().mean(0)
    starts = range(-7, 22)
    expected = [sum(start <= i < start + 14 for start in starts) / 29 for i in range(28)]
    expected = torch.tensor(expected, dtype=torch.float64)
    assert_close(rows, expected, rtol=0, atol=0.02)
    assert_close(columns, expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("part", [color, translation, cutout, DiffAugment()])
def test_each_image_has_its_own_random_numbers(part):
    same = images((1, 3, 16, 16)).expand(40, 3, 16, 16)
    assert len(part(same).flatten(1).unique(dim=0)) > 10


@pytest.mark.parametrize("policy", [["color"], ["translation"], ["cutout"], None])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_gradients_are_those_of_the_linear_map(policy, channels):
    """With its random numbers fixed, all is affine: f(x + d) - f(x) = J d for any d."""
    augment = DiffAugment() if policy is None else DiffAugment(policy)

    def fixed(x):
        torch.manual_seed(7)
        return augment(x)

    x, step = images((2, channels, 5, 4)), images((2, channels, 5, 4))
    moved, tangent = torch.autograd.functional.jvp(fixed, x, step)
    assert_close(fixed(x + step) - moved, tangent)
    assert torch.autograd.gradcheck(fixed, x.requires_grad_())
    assert torch.autograd.gradgradcheck(fixed, x)


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_and_dtype_are_kept(shape):
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        after = DiffAugment()(images(shape).to(dtype))
        assert after.shape == shape and after.dtype == dtype


def test_an_empty_policy_changes_nothing():
    before = images()
    assert torch.equal(DiffAugment(())(before), before)


def test_the_policy_is_followed_in_its_order():
    before = images()
    torch.manual_seed(2)
    expected = color(cutout(before))
    torch.manual_seed(2)
    assert torch.equal(DiffAugment(["cutout", "color"])(before), expected)


def test_an_unknown_policy_is_refused(monkeypatch):
    import lightning_gans.networks.augment as module

    with pytest.raises(Exception, match="policy|colour"):
        DiffAugment(["colour"])
    monkeypatch.setattr(module, "_POLICIES", {"color": color})
    with pytest.raises(InputError, match="DiffAugment.policy has 'cutout'; it may have color"):
        DiffAugment(["cutout"])


@pytest.mark.parametrize("shape", [(5000, 2), (500, 1, 4, 5)])
def test_instance_noise_is_normal_of_that_size(shape):
    before = images(shape)
    noise = (InstanceNoise(0.3)(before) - before).flatten()
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert noise.std().item() == pytest.approx(0.3, rel=0.03)
    assert (noise.abs() < 0.3).double().mean().item() == pytest.approx(0.6827, abs=0.02)
    assert len(noise.unique()) == len(noise)


def test_instance_noise_leaves_gradients_alone():
    x = images().requires_grad_()
    (gradient,) = torch.autograd.grad(InstanceNoise(0.5)(x).sum(), x)
    assert_close(gradient, torch.ones_like(x))
    assert torch.equal(InstanceNoise(0.0)(x), x)


@pytest.mark.parametrize("std", [-0.1, math.nan])
def test_negative_noise_is_refused(std):
    with pytest.raises(InputError, match=f"InstanceNoise.std is {std}; it must be at least 0"):
        InstanceNoise(std)
