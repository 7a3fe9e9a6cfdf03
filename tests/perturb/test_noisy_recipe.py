"""The recipe `noisy` on crops that show a disc, whose label must go where the image goes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mednoisy.composition import compose

CHOICES = [("dermoscopy", name) for name in ("optical", "grid", "elastic", "holes", "none")]
CHOICES += [("acdc", "optical"), ("left_atrium", "grid"), ("left_atrium", "holes")]


def step(bundle: str, distortion: str, name: str) -> Callable:
    """The step `spatial` or `intensity` of the recipe, for a patch of 48 voxels a side."""
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
    label = disc(3 if bundle == "left_atrium" else 2)
    spatial, moved = step(bundle, distortion, "spatial"), 0
    for seed in range(4):
        spatial.set_random_state(seed=seed)
        changed = spatial({"image": label.float(), "label": label.to(torch.uint8)})
        assert changed["image"].shape == changed["label"].shape == label.shape
        apart = ((changed["image"] > 0.5) != (changed["label"] > 0)).sum() / label.sum()
        assert apart < 0.06  # the rim, where nearest and linear interpolation differ
        moved += ((changed["label"] > 0) != label).sum() / label.sum() > 0.1
    assert moved


@pytest.mark.parametrize(("bundle", "distortion"), CHOICES)
def test_the_random_state_decides_the_noise(bundle, distortion):
    image = torch.rand(3 if bundle == "dermoscopy" else 1, *disc(3 if bundle == "left_atrium" else 2).shape[1:])
    noise = step(bundle, distortion, "intensity")
    first, again, other = (noise.set_random_state(seed=s)({"image": image.clone()})["image"] for s in (1, 1, 2))
    assert first.shape == image.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_holes_hide_a_part_and_nothing_else():
    """With the other changes left out, voxels are as before or 0, in 2D in up to six holes of a fifth of a side."""
    noise = step("dermoscopy", "holes", "intensity")
    holes = noise.transforms[2]
    holes.prob = 1.0
    changed = holes.set_random_state(seed=1)({"image": torch.ones(3, 48, 48)})["image"]
    assert set(changed.unique().tolist()) == {0.0, 1.0}
    assert 0 < (changed == 0).float().mean() < 6 / 25


@pytest.mark.parametrize(("bundle", "distortion"), [("dermoscopy", "opticel"), ("left_atrium", "optical")])
def test_a_distortion_that_is_not_there(bundle, distortion):
    with pytest.raises(RuntimeError) as refused:
        step(bundle, distortion, "spatial")
    assert f"there is no '{distortion}' here" in str(refused.value.__cause__)
