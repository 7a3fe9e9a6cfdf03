from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, ResizeWithPadOrCropd
from PIL import Image as Picture

from mednoisy.data.resizing import ResizedInPlaned, Spacedd, SpacedInPlaned

SHAPES = {"picture": (40, 56), "volume": (40, 56, 3)}
SIZES = {"picture": [16, 21], "volume": [16, 21, -1]}


def image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", SHAPES)
def test_a_flat_image_stays_flat_to_its_borders(kind):
    """Nothing beyond the border is mixed in, and no slice into another."""
    flat = torch.full((1, *SHAPES[kind]), 100.0) + 7 * torch.arange(SHAPES[kind][-1]) * (kind == "volume")
    resized = ResizedInPlaned("image", SIZES[kind])({"image": MetaTensor(flat)})["image"].as_tensor()
    assert resized.shape == (1, 16, 21, *SHAPES[kind][2:])
    torch.testing.assert_close(resized, flat[:, :16, :21])


@pytest.mark.parametrize("size", [[16, 21], [80, 100]])
def test_pixels_are_those_of_pillow(size):
    """Smaller and larger, Pillow's bilinear filter is a second implementation (in floats)."""
    array = image(40, 56)
    resized = ResizedInPlaned("image", size)({"image": MetaTensor(array[None])})["image"][0]
    expected = Picture.fromarray(array.numpy()).resize(size[::-1], Picture.Resampling.BILINEAR)
    np.testing.assert_allclose(resized.numpy(), np.asarray(expected), atol=1e-5)


@pytest.mark.parametrize("kind", SHAPES)
def test_nothing_shifts_there_and_back(kind):
    """A ramp along each axis in plane comes back as it was, but for the outermost new pixel, on the source's grid."""
    for axis in (1, 2):
        shape = [1] * (1 + len(SHAPES[kind]))
        shape[axis] = -1
        ramp = torch.arange(SHAPES[kind][axis - 1], dtype=torch.float32).reshape(shape).expand(1, *SHAPES[kind]).clone()
        chain = Compose([ResizedInPlaned("image", SIZES[kind])])
        item = chain({"image": MetaTensor(ramp, affine=np.diag([2.0, 3.0, 5.0, 1.0]))})
        item["pred"] = item["image"].clone()
        back = Invertd("pred", chain, orig_keys="image", nearest_interp=False)(item)["pred"]
        np.testing.assert_allclose(back.affine, np.diag([2.0, 3.0, 5.0, 1.0]), atol=1e-6)
        inner = (slice(None), slice(4, -4), slice(4, -4))
        torch.testing.assert_close(back.as_tensor()[inner], ramp[inner], atol=0.05, rtol=0)


def test_labels_take_the_code_of_largest_share():
    """Three of four pixels decide, not the one that happens to lie nearest; a missing label is left out."""
    quarters = [[0, 0, 3, 3], [0, 2, 3, 0], [1, 1, 0, 2], [2, 1, 2, 2]]
    item = {"image": MetaTensor(image(1, 4, 4)), "label": MetaTensor(torch.tensor([quarters], dtype=torch.uint8))}
    transform = ResizedInPlaned(["image", "label"], [2, 2], allow_missing_keys=True)
    assert transform(item)["label"][0].tolist() == [[0, 3], [1, 2]]
    assert set(transform({"image": MetaTensor(image(1, 4, 4))})) == {"image"}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_label_mirrored_is_resized_to_the_mirrored_label(kind, factor):
    """No side is preferred, as the nearest pixel prefers the right one at even factors."""
    label = (image(1, *(12 * factor, 8 * factor), *SHAPES[kind][2:]) > 0.5).to(torch.uint8)
    label = label.float().cumsum(1).sub(3 * factor).clamp(0, 2).to(torch.uint8)  # three codes, with ragged edges
    size = [12, 8, -1][: len(SHAPES[kind])]
    resized = [
        ResizedInPlaned("label", size)({"label": MetaTensor(array)})["label"].as_tensor()
        for array in (label, label.flip(1, 2))
    ]
    differs = resized[0] != resized[1].flip(1, 2)
    assert differs.float().mean() < 0.02  # pixels with equal shares


def test_the_third_axis_cannot_be_resized():
    with pytest.raises(ValueError, match=r"spatial_size is \[8, 8, 8\]; it must be two numbers"):
        ResizedInPlaned("image", [8, 8, 8])


@pytest.mark.parametrize(("spacing", "size"), [(2.0, (40, 84)), (4.0, (20, 42)), (1.5, (53, 112)), (500.0, (1, 1))])
def test_pixels_come_at_the_spacing_that_is_asked_for(spacing, size):
    """40 pixels of 2 mm and 56 of 3 mm, whatever way the volume lies; slices stay as they are."""
    turned = np.diag([2.0, 3.0, 5.0, 1.0])
    turned[:2, :2] = np.array([[0.6, -0.8], [0.8, 0.6]]) @ turned[:2, :2]
    for affine in (np.diag([2.0, 3.0, 5.0, 1.0]), turned):
        spaced = SpacedInPlaned("image", spacing)({"image": MetaTensor(image(1, 40, 56, 3), affine=affine)})["image"]
        assert spaced.shape == (1, *size, 3)
        steps = np.linalg.norm(np.asarray(spaced.affine)[:3, :3], axis=0)
        np.testing.assert_allclose(steps, [80 / size[0], 168 / size[1], 5.0], rtol=1e-6)


def test_volumes_of_other_sizes_do_not_follow_one_another():
    """One transform serves all cases."""
    spaced = SpacedInPlaned(["image", "label"], 2.0, allow_missing_keys=True)
    for pixels in (40, 20, 40):
        volume = MetaTensor(image(1, pixels, 30, 2), affine=np.eye(4))
        item = spaced({"image": volume, "label": MetaTensor((volume.as_tensor() > 0.5).float(), affine=np.eye(4))})
        assert item["image"].shape == item["label"].shape == (1, pixels // 2, 15, 2)


@pytest.mark.parametrize("patch", [[32, 32, -1], [64, 24, -1]])
def test_what_is_cut_or_filled_comes_back_on_the_sources_grid(patch):
    """Scores of a label's own prediction: inside the patch the ramp comes back, beyond it there is nothing."""
    ramp = torch.arange(40.0).reshape(1, -1, 1, 1).expand(1, 40, 56, 3).clone() + 1
    affine = np.diag([2.0, 1.5, 5.0, 1.0])
    chain = Compose([SpacedInPlaned("image", 2.0), ResizeWithPadOrCropd("image", patch, mode="edge")])
    item = chain({"image": MetaTensor(ramp, affine=affine)})
    assert item["image"].shape == (1, *patch[:2], 3)
    item["pred"] = item["image"].clone()
    back = Invertd("pred", chain, orig_keys="image", nearest_interp=False)(item)["pred"]
    assert back.shape == ramp.shape
    np.testing.assert_allclose(back.affine, affine, atol=1e-6)
    inner = (slice(None), slice(8, 32), slice(16, 40))
    torch.testing.assert_close(back.as_tensor()[inner], ramp[inner], atol=0.05, rtol=0)
    if patch[0] == 32:
        assert back.as_tensor()[:, :3].abs().max() == 0


@pytest.mark.parametrize("spacing", [0.0, -1.0, float("nan")])
def test_a_spacing_that_is_none_is_refused(spacing):
    with pytest.raises(ValueError, match=r"plane_spacing is .*; it must be above 0 mm"):
        SpacedInPlaned("image", spacing)


@pytest.mark.parametrize(
    ("spacing", "size"),
    [((2.0, 3.0, 5.0), (40, 56, 6)), ((4.0, 1.5, 2.5), (20, 112, 12)), ((3.0, 3.0, 90.0), (27, 56, 1))],
)
def test_volumes_come_at_the_spacing_that_is_asked_for(spacing, size):
    """40 x 56 x 6 voxels of 2 x 3 x 5 mm; the edges of the field of view stay."""
    turned = np.diag([2.0, 3.0, 5.0, 1.0])
    turned[:2, :2] = np.array([[0.6, -0.8], [0.8, 0.6]]) @ turned[:2, :2]
    spaced = Spacedd("image", spacing)({"image": MetaTensor(image(1, 40, 56, 6), affine=turned)})["image"]
    assert spaced.shape == (1, *size)
    affine = np.asarray(spaced.affine)
    np.testing.assert_allclose(
        np.linalg.norm(affine[:3, :3], axis=0) * size, [80, 168, 30], rtol=1e-9
    )  # as long as it was
    edge = turned @ [-0.5, -0.5, -0.5, 1]
    np.testing.assert_allclose(affine @ [-0.5, -0.5, -0.5, 1], edge, atol=1e-9)


def test_a_volume_at_its_spacing_is_not_copied():
    volume = MetaTensor(image(1, 8, 9, 10), affine=np.diag([2.0, 2.0, 3.0, 1.0]))
    spaced = Spacedd(["image", "label"], (2, 2, 3.1))({"image": volume})["image"]
    assert spaced.data_ptr() == volume.data_ptr()
    assert spaced.applied_operations == []


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("spacing", [(1.4, 1.4, 1.4), (0.5, 0.6, 0.7), (2.0, 0.6, 3.0)])
def test_nothing_shifts_in_space_there_and_back(axis, spacing):
    """A ramp shows the position of each voxel, and comes back as it was but for the outermost voxels."""
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    ramp = torch.arange(24.0).reshape(shape).expand(1, 24, 24, 24).clone()
    chain = Compose([Spacedd("image", spacing)])
    item = chain({"image": MetaTensor(ramp, affine=np.eye(4))})
    spaced = item["image"]
    positions = np.asarray(spaced.affine)[axis - 1, axis - 1] * np.arange(spaced.shape[axis])
    positions = positions + np.asarray(spaced.affine)[axis - 1, 3]
    along = spaced.as_tensor().movedim(axis, 0).flatten(1).mean(dim=1).numpy()
    np.testing.assert_allclose(along[3:-3], positions[3:-3], atol=0.05)  # weights of a tent, cut at whole voxels
    item["pred"] = spaced.clone()
    back = Invertd("pred", chain, orig_keys="image", nearest_interp=False)(item)["pred"]
    np.testing.assert_allclose(back.affine, np.eye(4), atol=1e-9)
    inner = (slice(None), *(slice(6, -6),) * 3)
    torch.testing.assert_close(back.as_tensor()[inner], ramp[inner], atol=0.06, rtol=0)


def test_labels_of_volumes_take_the_code_of_largest_share():
    """Of eight voxels that become one, five decide."""
    codes = torch.tensor([3, 3, 3, 3, 3, 1, 1, 2]).reshape(1, 2, 2, 2).repeat(1, 4, 3, 2).to(torch.uint8)
    item = {"image": MetaTensor(codes.float(), affine=np.eye(4)), "label": MetaTensor(codes, affine=np.eye(4))}
    spaced = Spacedd(["image", "label"], (2, 2, 2))(item)["label"]
    assert spaced.shape == (1, 4, 3, 2)
    assert spaced.dtype == torch.uint8
    assert set(spaced.as_tensor()[:, 1:-1].unique().tolist()) == {3}


@pytest.mark.parametrize("spacing", [1.0, "111", [1, 1], [1, 1, 0], [1, 1, float("inf")], [1, 1, None], {}])
def test_what_is_no_spacing_is_refused(spacing):
    with pytest.raises(ValueError, match=r"spacing is .*; it must be three numbers above 0"):
        Spacedd("image", spacing)
