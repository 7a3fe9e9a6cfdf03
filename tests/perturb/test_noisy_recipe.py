"""The recipe `noisy` on crops that show a disc, whose label must go where the image goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mednoisy.composition import compose

CHOICES = [("dermoscopy", name) for name in ("optical", "grid", "elastic", "holes", "none")]
CHOICES += [("acdc", "optical"), ("left_atrium", "grid"), ("left_atrium", "holes")]


def chain(bundle: str, distortion: str, name: str) -> Any:
    """The chain `spatial` or `intensity` of the recipe, for a patch of 48 voxels a side."""
    sides = [48] * (3 if bundle == "left_atrium" else 2)
    parser = (
        compose(bundle, "supervised", "noisy", overrides={"patch_size": sides, "distortion": distortion})
        .workflow()
        .parser
    )
    parser.parse(reset=True)
    return parser.get_parsed_content(f"train#{name}")


def disc(dimensions: int) -> torch.Tensor:
    places = torch.meshgrid([torch.arange(48.0)] * dimensions, indexing="ij")
    return sum((place - 20) ** 2 for place in places)[None].lt(12**2)


@pytest.mark.parametrize(("bundle", "distortion"), CHOICES)
def test_the_label_follows_the_image(bundle, distortion):
    label = disc(3 if bundle == "left_atrium" else 2).expand(4, *disc(3 if bundle == "left_atrium" else 2).shape[1:])
    spatial = chain(bundle, distortion, "spatial")
    drawn = [spatial.draw(np.random.default_rng(seed), (1, *label.shape[1:])) for seed in range(4)]
    images, labels = spatial.apply(label.float().unsqueeze(1), label.to(torch.uint8), drawn)
    assert images.shape[2:] == labels.shape[1:] == label.shape[1:]
    for image, found, before in zip(images[:, 0], labels, label, strict=True):
        assert (
            (image > 0.5) != (found > 0)
        ).sum() / before.sum() < 0.06  # the rim, by nearest and linear interpolation
    assert ((labels > 0) != label).sum() / label.sum() > 0.1


@pytest.mark.parametrize(("bundle", "distortion"), CHOICES)
def test_the_draw_decides_the_noise(bundle, distortion):
    shape = (3 if bundle == "dermoscopy" else 1, *disc(3 if bundle == "left_atrium" else 2).shape[1:])
    images = torch.rand(shape).expand(3, *shape)
    noise = chain(bundle, distortion, "intensity")
    first, again, other = noise.apply(images, [noise.draw(np.random.default_rng(seed), shape) for seed in (1, 1, 2)])
    assert first.shape == shape
    torch.testing.assert_close(first, again, rtol=0, atol=1e-6)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("bundle", "distortion"), [("dermoscopy", "opticel"), ("left_atrium", "optical")])
def test_a_distortion_that_is_not_there(bundle, distortion):
    with pytest.raises(RuntimeError) as refused:
        chain(bundle, distortion, "spatial")
    assert f"there is no '{distortion}' here" in str(refused.value.__cause__)
