"""Strong views against other implementations, closed forms and what must not change."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from mednoisy.data.counter_based_random import Draw
from mednoisy.perturb.strong_views import AppearanceChange, StrongView, appearance_changed, blurred, drop_channels

SHAPES = [(3, 1, 12, 10), (2, 3, 12, 10), (2, 5, 9, 8), (2, 1, 8, 7, 6), (2, 3, 8, 7, 6)]


def look(count: int = 1, **changes: float) -> AppearanceChange:
    """The same look for each image; nothing is changed but what is named."""
    fields = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0, "sigma": 0.0} | changes
    return AppearanceChange(**{name: np.full(count, value) for name, value in fields.items()})


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES)
def test_any_channels_and_dimensions(shape):
    """Views have shape and type of the images, stay within their range, and leave them as they are."""
    images = noise(*shape) * 100 - 30
    kept = images.clone()
    view = StrongView(jitter=1.0, blur=1.0)(images, Draw(0, "view", 0).generator())
    assert view.shape == images.shape
    assert view.dtype == images.dtype
    assert torch.equal(images, kept)
    for one, of_view in zip(images, view, strict=True):
        assert one.min() - 1e-3 <= of_view.min() < of_view.max() <= one.max() + 1e-3
        assert not torch.equal(one, of_view)


@pytest.mark.parametrize("shape", SHAPES)
def test_units_do_not_matter(shape):
    """Another unit and zero of intensity give the same view in that unit."""
    images = noise(*shape)
    of_view, of_other = (
        StrongView(jitter=1.0, blur=1.0)(each, Draw(0, "view", 1).generator()) for each in (images, 50 * images + 1000)
    )
    torch.testing.assert_close(of_other, 50 * of_view + 1000, rtol=1e-5, atol=1e-2)


def test_nothing_drawn_changes_nothing():
    images = noise(4, 1, 6, 6)
    assert torch.equal(StrongView(jitter=0.0, blur=0.0)(images, Draw(0, "view", 0).generator()), images)
    assert torch.equal(appearance_changed(images, look(4)), images)


def test_images_are_looked_at_one_by_one():
    """Of a batch only the image whose look says so is changed, and as it would be alone."""
    images = noise(3, 1, 6, 6)
    several = look(3)
    several.brightness[1], several.sigma[1] = 0.5, 1.0
    view = appearance_changed(images, several)
    assert torch.equal(view[[0, 2]], images[[0, 2]])
    torch.testing.assert_close(view[1:2], appearance_changed(images[1:2], look(brightness=0.5, sigma=1.0)))


def test_brightness_and_contrast_by_hand():
    """Between black (0) and white (8): brightness multiplies, contrast moves from the mean, both are cut off."""
    image = torch.tensor([0.0, 2.0, 4.0, 8.0]).reshape(1, 1, 2, 2)
    assert appearance_changed(image, look(brightness=0.5)).flatten().tolist() == pytest.approx([0, 1, 2, 4])
    assert appearance_changed(image, look(brightness=1.5)).flatten().tolist() == pytest.approx([0, 3, 6, 8])
    assert appearance_changed(image, look(contrast=0.5)).flatten().tolist() == pytest.approx([1.75, 2.75, 3.75, 5.75])
    assert appearance_changed(image, look(contrast=1.5)).flatten().tolist() == pytest.approx([0, 1.25, 4.25, 8])


@pytest.mark.parametrize("turn", [-0.25, 0.1, 0.5])
def test_hue_turns_as_in_colorsys(turn):
    """On the circle of hue, saturation, value; black and white are in the image, so its range is 0 to 1."""
    colours = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(2))
    colours[0, :, 0, 0], colours[0, :, 0, 1], colours[0, :, 0, 2] = 0, 1, 0.5
    view = appearance_changed(colours, look(hue=turn))
    for before, after in zip(colours[0].flatten(1).T.tolist(), view[0].flatten(1).T.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        assert after == pytest.approx(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value), abs=1e-5)


def test_saturation_moves_to_grey_and_back():
    """At 0 all channels are the luma; grey images of one channel, or in 3D, know no colours."""
    colours = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(3))
    colours[0, :, 0, 0], colours[0, :, 0, 1] = 0, 1
    luma = 0.299 * colours[:, 0] + 0.587 * colours[:, 1] + 0.114 * colours[:, 2]
    grey = appearance_changed(colours, look(saturation=0.0))
    for channel in range(3):
        torch.testing.assert_close(grey[:, channel], luma)
    for shape in ((1, 1, 4, 5), (1, 3, 4, 5, 6), (1, 2, 4, 5)):
        torch.testing.assert_close(appearance_changed(noise(*shape), look(saturation=0.5, hue=0.2)), noise(*shape))


@pytest.mark.parametrize("shape", [(2, 2, 20, 15), (2, 1, 14, 9, 11)])
def test_blur_is_scipys(shape):
    """The same Gaussian along all axes, each image its own, with the border repeated, cut after three deviations."""
    images, sigmas = noise(*shape).double(), (1.7, 0.6)
    ours = blurred(images, sigmas)
    for image, of_view, sigma in zip(images, ours, sigmas, strict=True):
        for channel, of_channel in zip(image.numpy(), of_view.numpy(), strict=True):
            expected = gaussian_filter(channel, sigma, mode="nearest", radius=math.ceil(3 * sigma))
            np.testing.assert_allclose(of_channel, expected, atol=1e-12)


def test_blur_limits():
    """Constant images stay, a very narrow Gaussian changes nothing, bfloat16 autocast does not round."""
    images = noise(2, 1, 9, 8, 7)
    torch.testing.assert_close(blurred(torch.full_like(images, 3.5), [2.0, 0.3]), torch.full_like(images, 3.5))
    torch.testing.assert_close(blurred(images, [1e-3, 0.05]), images)
    expected = blurred(images, [1.0, 2.0])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(blurred(images, [1.0, 2.0]), expected)


def test_constant_images_stay():
    """An empty slice has no range to jitter in."""
    images = torch.full((2, 3, 5, 5), -1.25)
    view = StrongView(jitter=1.0, blur=1.0)(images, Draw(0, "view", 0).generator())
    torch.testing.assert_close(view, images)


def test_what_is_drawn():
    """Ranges and shares over many images; without jitter or blur an image keeps 1, 0 and 0."""
    drawn = StrongView().draw(4000, Draw(0, "view", 2).generator())
    jittered = drawn.brightness != 1
    assert jittered.mean() == pytest.approx(0.8, abs=0.02)
    for values, limits in ((drawn.brightness, (0.5, 1.5)), (drawn.contrast, (0.5, 1.5)), (drawn.hue, (-0.25, 0.25))):
        assert limits[0] <= values.min() < limits[0] + 0.01
        assert limits[1] - 0.01 < values.max() <= limits[1]
        assert np.array_equal(values != (1 if limits[0] > 0 else 0), jittered)
    blurs = drawn.sigma[drawn.sigma > 0]
    assert len(blurs) / 4000 == pytest.approx(0.5, abs=0.03)
    assert 0.1 <= blurs.min() < 0.11 < 1.99 < blurs.max() <= 2.0


def test_equal_draws_are_equal():
    images = noise(2, 1, 8, 8)
    first, again, other = (StrongView(jitter=1.0)(images, Draw(0, "view", n).generator()) for n in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_dropped_channels():
    """Whole channels are zero in the wanted share, the others doubled; gradients flow through what is kept."""
    maps = torch.ones(50, 40, 3, 2, requires_grad=True)
    dropped = drop_channels(maps, Draw(0, "features", 0).torch_generator(), 0.5)
    per_channel = dropped.flatten(2)
    assert torch.equal(per_channel.amin(2), per_channel.amax(2))
    assert set(per_channel.flatten().tolist()) == {0.0, 2.0}
    assert (per_channel == 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    dropped.sum().backward()
    assert torch.equal(maps.grad, dropped.detach())
    assert torch.equal(drop_channels(maps, torch.Generator(), 0.0), maps)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blur": -0.1}, r"blur is -0.1; it must lie in 0..1"),
        ({"hue": 0.6}, r"hue is 0.6; it must lie in 0..0.5"),
        ({"sigma": (2.0, 0.1)}, r"sigma is \(2.0, 0.1\); it must rise from 0 or more"),
    ],
)
def test_unknown_ranges(arguments, message):
    with pytest.raises(ValueError, match=message):
        StrongView(**arguments)
