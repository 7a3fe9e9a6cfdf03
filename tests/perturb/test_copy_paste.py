"""Boxes and mixtures against the authors' figures, and what every box must be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from mednoisy.data.counter_based_random import Draw
from mednoisy.losses.segmentation import mixed_loss
from mednoisy.perturb.copy_paste import BoxRule, outside, paste
from tests.reference import arrays_of

PUBLISHED = BoxRule(last_included=False)


@dataclass
class Legacy:
    """The generator that the reference used, by the name of numpy's present one."""

    state: np.random.RandomState

    def integers(self, low: int, high: int) -> int:
        return self.state.randint(low, high)


def legacy(seed: int) -> Legacy:
    return Legacy(np.random.RandomState(seed))


def corners(box) -> list[int]:
    return [axis.start for axis in box] + [axis.stop for axis in box]


@pytest.mark.parametrize(
    ("name", "shape", "rule"),
    [
        ("boxes_left_atrium_112x112x80_ratio_2_3", (112, 112, 80), PUBLISHED),
        ("boxes_pancreas_96_patch64", (96, 96, 96), PUBLISHED),
        ("boxes_acdc_256", (256, 256), PUBLISHED),
        ("boxes_acdc_64", (64, 64), PUBLISHED),
    ],
)
def test_published_boxes(golden, name, shape, rule):
    """The same draws give the same boxes, and the mask is false in as many voxels."""
    for row in arrays_of(golden("copy_paste_boxes.npz"))[name].tolist():
        seed, index, *expected, voxels = row
        generator = legacy(seed)
        box = [rule(shape, generator) for _ in range(index + 1)][-1]
        assert corners(box) == expected
        assert int((~outside(shape, box)).sum()) == voxels


def test_limits_of_another_shape(golden):
    """The left atrium code draws for 112x112x80 whatever the patch; boxes are cut and may be empty."""
    rule, generator = BoxRule(last_included=False, drawn_for=(112, 112, 80)), legacy(0)
    for row in arrays_of(golden("copy_paste_boxes.npz"))["quirk_left_atrium_rule_on_32cube_seed0_20draws"].tolist():
        *expected, voxels = row
        box = rule((32, 32, 32), generator)
        assert int((~outside((32, 32, 32), box)).sum()) == voxels
        assert voxels == 0 or corners(box) == expected


@pytest.mark.parametrize("shape", [(3, 2), (64, 64), (17, 9, 30), (1, 5, 5)])
def test_boxes_lie_inside_and_reach_both_ends(shape):
    """A box of the wanted size fits the image; first and last position both occur."""
    rule, starts = BoxRule(), set()
    for number in range(300):
        box = rule(shape, Draw(0, "method", number).generator("box"))
        for size, axis in zip(shape, box, strict=True):
            assert 0 <= axis.start < axis.stop <= size
            assert axis.stop - axis.start == max(int(size * 2 / 3), 1)
        starts.add(box[1].start)
    assert starts == set(range(shape[1] - max(int(shape[1] * 2 / 3), 1) + 1))


def test_a_whole_image_may_be_the_box():
    """Ratio 1 replaces everything; a ratio of 0 is refused."""
    box = BoxRule(ratio=1.0, last_included=False)((4, 6), Draw(0, "method", 0).generator())
    assert box == (slice(0, 4), slice(0, 6))
    with pytest.raises(ValueError, match=r"ratio is 0; a box takes a share in \(0, 1\]"):
        BoxRule(ratio=0)


def test_paste_changes_the_box_only():
    """Inside comes from the patch, outside from the background, and neither input is changed."""
    background, patch = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    box = (slice(1, 3), slice(0, 2))
    mixed = paste(background, patch, box)
    assert torch.equal(mixed[0, 0] == 0, outside((4, 4), box))
    assert mixed.sum() == 8
    assert background.sum() == 0
    with pytest.raises(ValueError, match="they must agree"):
        paste(background, patch[:1], box)


def enlarged(blocks: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """Values per block of 8x8x8 voxels as a full image."""
    for axis in (-3, -2, -1):
        blocks = blocks.repeat(8, axis=axis)
    return torch.from_numpy(blocks).to(dtype)


LEFT_ATRIUM, PANCREAS = "copy_paste_left_atrium.npz", "copy_paste_pancreas.npz"
# Published name, then what lies outside and inside the box, with the weight of the labels.
MIXTURES_3D = [
    (LEFT_ATRIUM, "sdcl", "l", ("unlabeled_a", 0.5), ("labeled_b", 1.0)),
    (LEFT_ATRIUM, "sdcl", "u", ("labeled_a", 1.0), ("unlabeled_b", 0.5)),
    (LEFT_ATRIUM, "bcp", "l", ("labeled_a", 1.0), ("unlabeled_a", 0.5)),
    (LEFT_ATRIUM, "bcp", "u", ("unlabeled_b", 0.5), ("labeled_b", 1.0)),
    (PANCREAS, "sdcl", "l", ("unlabeled_a", 0.5), ("labeled_b", 1.0)),
    (PANCREAS, "sdcl", "u", ("labeled_a", 1.0), ("unlabeled_b", 0.5)),
]


def label_keys(*streams: str) -> list[str]:
    return [("pseudo_label_" if stream.startswith("un") else "label_") + stream[-1] for stream in streams]


@pytest.mark.parametrize(("file", "method", "short", "background", "patch"), MIXTURES_3D)
def test_published_mixtures_in_3d(golden, file, method, short, background, patch):
    """Mixed images, and value and gradient of the loss on them, at the published sizes."""
    figures = arrays_of(golden(file))
    images = [enlarged(figures[f"blocks_image_{stream}"], torch.float32) for stream, _ in (background, patch)]
    keys = label_keys(background[0], patch[0])
    labels = [enlarged(figures[f"blocks_{key}"], torch.int64) for key in keys]
    box = PUBLISHED(images[0].shape[2:], legacy(int(figures["mask_seed"])))
    assert corners(box) == figures["mask_box"].tolist()
    assert np.array_equal(paste(*images, box).numpy(), figures[f"{method}_mixed_{short}"])

    logits = enlarged(figures[f"blocks_logits_{short}"], torch.float64).requires_grad_()
    mask = outside(images[0].shape[2:], box)
    loss = sum(mixed_loss(logits, paste(*labels, box), mask, background[1], patch[1])) / 2
    loss.backward()
    name = f"{method}_mix_loss_{short}"
    assert loss.item() == pytest.approx(float(figures[f"value__{name}"]), rel=1e-10)
    at_centres = logits.grad[:, :, 4::8, 4::8, 4::8].numpy()
    np.testing.assert_allclose(at_centres, figures[f"gradblock__{name}"], rtol=1e-10, atol=1e-18)
    assert logits.grad.abs().sum().item() == pytest.approx(float(figures[f"grad_abs_sum__{name}"]), rel=1e-10)


@pytest.mark.parametrize(
    ("short", "background", "patch"),
    [("l", ("unlabeled_a", 0.5), ("labeled_b", 1.0)), ("u", ("labeled_a", 1.0), ("unlabeled_b", 0.5))],
)
def test_published_mixtures_in_2d(golden, short, background, patch):
    """The same with four classes."""
    figures = arrays_of(golden("copy_paste_acdc.npz"))
    images = [torch.from_numpy(figures[f"image_{stream}"]) for stream, _ in (background, patch)]
    keys = label_keys(background[0], patch[0])
    labels = [torch.from_numpy(figures[key]).long() for key in keys]
    box = PUBLISHED((48, 48), legacy(int(figures["mask_seed"])))
    assert np.array_equal(paste(*images, box).numpy(), figures[f"mixed_{short}"])
    logits = torch.from_numpy(figures[f"logits_{short}"]).double().requires_grad_()
    dice, ce = mixed_loss(logits, paste(*labels, box), outside((48, 48), box), background[1], patch[1], "batch_squared")
    ((dice + ce) / 2).backward()
    assert dice.item() == pytest.approx(float(figures[f"value__dice_{short}"]), rel=1e-10)
    assert ce.item() == pytest.approx(float(figures[f"value__ce_{short}"]), rel=1e-10)
    np.testing.assert_allclose(logits.grad.numpy(), figures[f"grad_half_sum_{short}"], rtol=1e-6, atol=1e-12)
