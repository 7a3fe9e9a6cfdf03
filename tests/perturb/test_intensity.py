"""Changes of intensity against formulas, SciPy and MONAI's transforms of the same numbers."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import AdjustContrast, RandSimulateLowResolution
from scipy.ndimage import gaussian_filter

from mednoisy.errors import UserError
from mednoisy.perturb import (
    Gamma,
    GaussianBlur,
    GaussianNoise,
    Holes,
    Intensity,
    LocalEqualisation,
    Look,
    LowResolution,
    MedianFilter,
    MotionBlur,
    OneOf,
    ScaleIntensity,
    ShiftIntensity,
    StrongView,
    equalised_locally,
    median_of_neighbours,
    motion_blurred,
)

IN_ANY_DIMENSION = (GaussianNoise, GaussianBlur, ScaleIntensity, ShiftIntensity, Gamma, LowResolution, Look, Holes)
OF_PICTURES = (MotionBlur, MedianFilter, LocalEqualisation)
KINDS = [(kind, shape) for kind in IN_ANY_DIMENSION for shape in ((1, 9, 7), (3, 16, 16), (1, 7, 6, 9))]
KINDS += [(kind, shape) for kind in OF_PICTURES for shape in ((1, 9, 7), (3, 16, 16))]


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 4 - 2


def drawn_by(change: Any, shape: tuple[int, ...], count: int) -> np.ndarray:
    return np.stack([np.asarray(change.draw(np.random.default_rng(seed), shape), float) for seed in range(count)])


@pytest.mark.parametrize(("kind", "shape"), KINDS)
def test_a_batch_is_its_images_one_by_one(kind, shape):
    change, images = kind(), image(5, *shape)
    numbers = drawn_by(change, shape, 5)
    together = change.apply(images, numbers)
    assert torch.equal(images, image(5, *shape))
    assert together.shape == images.shape
    for row in range(5):
        alone = change.apply(images[row : row + 1], numbers[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], atol=2e-6, rtol=1e-6)
    last = torch.channels_last if len(shape) == 3 else torch.channels_last_3d
    other = change.apply(images.contiguous(memory_format=last), numbers)
    torch.testing.assert_close(other, together, atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize(("kind", "shape"), KINDS)
def test_nothing_is_read_back_from_the_device(kind, shape, monkeypatch):
    """PyTorch's device `meta` has shapes and no values: whatever the host wanted to know of these would fail."""
    monkeypatch.setattr(torch, "autocast", lambda *rest, **named: nullcontext())  # which it does not know
    chain = Intensity([kind(probability=0.5)])
    drawn = [chain.draw(np.random.default_rng(seed), shape) for seed in range(6)]
    assert {numbers[0] is None for numbers in drawn} == {True, False}
    found = chain.apply(image(6, *shape).to("meta"), drawn)
    assert found.shape == (6, *shape)
    assert found.is_meta


@pytest.mark.parametrize(("kind", "shape"), KINDS)
def test_the_same_draw_is_the_same_change(kind, shape):
    first, again = (kind().draw(np.random.default_rng(4), shape) for _ in range(2))
    assert np.array_equal(first, again)
    assert len(first) == len(kind().draw(np.random.default_rng(5), shape))


def test_only_drawn_images_change():
    chain, images = Intensity([ShiftIntensity(), GaussianNoise()]), image(3, 1, 6, 6)
    found = chain.apply(images, [(None, None), (np.array([0.5]), None), (None, None)])
    assert torch.equal(found[[0, 2]], images[[0, 2]])
    assert torch.equal(found[1], images[1] + 0.5)
    assert chain.apply(images, [(None, None)] * 3) is images


def test_changes_follow_in_order():
    chain = Intensity([ScaleIntensity(), [OneOf([ShiftIntensity(), []])]])
    found = chain.apply(torch.ones(1, 1, 2, 2), [(np.array([3.0]), np.array([0.25]))])
    assert torch.equal(found, torch.full((1, 1, 2, 2), 3.25))


def test_noise_has_its_deviation():
    found = GaussianNoise().apply(torch.zeros(2, 1, 100, 100), np.array([[0.5, 3], [0.01, 3]]))
    assert found[0].std().item() == pytest.approx(0.5, rel=0.03)
    torch.testing.assert_close(found[0] / 50, found[1])


def test_blur_has_its_own_width_along_each_axis():
    found = GaussianBlur().apply(image(1, 1, 12, 9, 10), np.array([[0.5, 1.0, 0.7]]))
    expected = gaussian_filter(image(1, 1, 12, 9, 10)[0, 0].numpy(), (0.5, 1.0, 0.7), mode="nearest", radius=(2, 3, 3))
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.7, 1.5])
def test_gamma_is_monais_with_retained_statistics(gamma):
    images = image(2, 3, 8, 9)
    found = Gamma().apply(images, np.array([[gamma], [gamma]]))
    for before, after in zip(images, found, strict=True):
        torch.testing.assert_close(
            after, AdjustContrast(gamma, retain_stats=True)(before).as_tensor(), atol=1e-5, rtol=0
        )
        assert after.mean().item() == pytest.approx(before.mean().item(), abs=1e-5)


def test_an_even_image_has_no_gamma():
    even = torch.full((1, 1, 4, 4), 2.5)
    assert torch.equal(Gamma().apply(even, np.array([[1.3]])), even)


@pytest.mark.parametrize("shape", [(3, 17, 12), (1, 9, 8, 7)])
def test_low_resolution_is_monais(shape):
    zoomed = RandSimulateLowResolution(
        prob=1.0, zoom_range=(0.6, 0.6), upsample_mode="trilinear" if len(shape) == 4 else "bilinear"
    )
    kept = LowResolution(zoom=(0.6, 0.6)).draw(np.random.default_rng(0), shape)
    assert kept.tolist() == [round(0.6 * side) for side in shape[1:]]
    found = LowResolution().apply(image(1, *shape), kept[None])[0]
    torch.testing.assert_close(found, zoomed(image(*shape)).as_tensor())


def test_looks_are_those_of_the_view():
    images = image(2, 3, 6, 6)
    view = StrongView(jitter=1.0, blur=1.0)
    numbers = drawn_by(Look(view), (3, 6, 6), 2)
    expected = [view(images[row : row + 1], np.random.default_rng(row)) for row in range(2)]
    torch.testing.assert_close(Look(view).apply(images, numbers), torch.cat(expected), atol=1e-6, rtol=0)


def test_faults_of_pictures_are_their_functions():
    images = image(2, 3, 16, 16)
    found = MotionBlur().apply(images, np.array([[3, 0.2], [5, 1.0]]))
    torch.testing.assert_close(found[:1], motion_blurred(images[:1], [3], [0.2]))
    torch.testing.assert_close(found[1:], motion_blurred(images[1:], [5], [1.0]))
    assert torch.equal(MedianFilter().apply(images, np.empty((2, 0))), median_of_neighbours(images))
    equalised = LocalEqualisation().apply(images, np.array([[2.0], [3.0]]))
    assert torch.equal(equalised, equalised_locally(images, [2.0, 3.0]))


def test_motion_is_of_the_named_lengths():
    assert {MotionBlur(lengths=[3, 7]).draw(np.random.default_rng(n), (1, 9, 9))[0] for n in range(20)} == {3, 7}


def test_holes_are_where_drawn():
    numbers = np.array([[1, 0, 3, 3, 4, 2, 3, 5]])  # starts of two boxes, then their ends; the second has no rows
    found = Holes(count=(1, 2)).apply(torch.ones(1, 2, 6, 6), numbers)
    expected = torch.ones(2, 6, 6)
    expected[:, 1:4, 0:2] = 0
    assert torch.equal(found[0], expected)


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 20, 45), (1, 30, 10, 25)])
def test_holes_lie_within_and_are_small(shape):
    sides, counts, longest = np.array(shape[1:]), set(), np.zeros(len(shape) - 1, int)
    for seed in range(300):
        starts, ends = Holes().draw(np.random.default_rng(seed), shape).reshape(2, 6, -1)
        assert (starts >= 0).all()
        assert (ends <= sides).all()
        lengths = (ends - starts).astype(int)
        counts.add(int((lengths > 0).all(axis=1).sum()))
        longest = np.maximum(longest, lengths.max(axis=0))
    assert counts == set(range(1, 7))
    assert longest.tolist() == [max(1, side // 5) for side in sides.tolist()]


@pytest.mark.parametrize("kind", OF_PICTURES)
def test_volumes_are_no_pictures(kind):
    with pytest.raises(UserError, match=f"E232 crops have 3 axes, and {kind.__name__} in train#intensity"):
        Intensity([OneOf([[], kind()])]).check((1, 8, 8, 8))


def test_lines_of_even_length_and_odd_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"lengths are \[4\]; lines need a pixel in their middle"):
        MotionBlur(lengths=[4])
    with pytest.raises(ValueError, match="the probability of Gamma is 15, not in"):
        Intensity([Gamma(probability=15)])
    with pytest.raises(UserError, match=r"E230 builtins\.str cannot stand among changes of intensity"):
        Intensity(["Gamma"])
