"""Distances and volumes where axes do not stand at right angles."""

from __future__ import annotations

import csv

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from mednoisy.cli import main
from mednoisy.evaluation.metrics import case_metrics

TILTED = np.array([[0.5, 0, 0], [0, 0.5, -1.8], [0, 0, 5.0]])  # a gantry tilt of 20 degrees, slices 5 mm apart


def masks(axes: int) -> tuple[np.ndarray, np.ndarray]:
    reference = np.zeros((10, 12, 9)[:axes], np.uint8)
    reference[(slice(3, 7),) * axes] = 1
    return np.roll(reference, (0, 3, 1)[:axes], tuple(range(axes))), reference


def by_every_pair(prediction: np.ndarray, reference: np.ndarray, steps: np.ndarray) -> dict[str, float]:
    """The figures from the distances of all pairs of surface voxels."""
    one, other = (
        np.argwhere(mask & ~binary_erosion(mask, border_value=0)) @ steps.T for mask in (prediction > 0, reference > 0)
    )
    apart = np.linalg.norm(one[:, None] - other, axis=2)
    forth, back = apart.min(axis=1), apart.min(axis=0)
    pooled = np.concatenate([forth, back])
    return {
        "hd95": float(np.percentile(pooled, 95)),
        "hd": float(pooled.max()),
        "asd": float(forth.mean()),
        "assd": float(pooled.mean()),
        "nsd": float((pooled <= 1).mean()),
        "volume_reference": float(reference.sum() * abs(np.linalg.det(steps)) / (1000 if reference.ndim == 3 else 1)),
    }


@pytest.mark.parametrize("steps", [TILTED, TILTED[1:, 1:], np.array([[1, 0.4], [0, 2.0]])])
def test_figures_go_through_the_whole_affine(steps):
    prediction, reference = masks(len(steps))
    found = case_metrics(prediction, reference, steps)[1]
    for name, value in by_every_pair(prediction, reference, steps).items():
        assert found[name] == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize("axes", [2, 3])
def test_right_angles_give_what_spacing_gives(axes):
    spacing = (0.7, 1.3, 4.0)[:axes]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(axes, axes))).Q
    by_spacing = case_metrics(*masks(axes), spacing)[1]
    by_steps = case_metrics(*masks(axes), turn @ np.diag(spacing))[1]
    assert by_steps == pytest.approx(by_spacing, rel=1e-9)


def test_an_empty_mask_has_no_distances():
    found = case_metrics(masks(3)[0] * 0, masks(3)[1], TILTED)[1]
    assert np.isnan(found["hd95"])
    assert found["dice"] == 0


def test_steps_that_span_no_grid_are_our_mistake():
    with pytest.raises(ValueError, match="must be 3 columns that span the grid"):
        case_metrics(*masks(3), np.ones((3, 3)))


def test_evaluate_heeds_a_tilt_and_says_so(tmp_path):
    prediction, reference = masks(3)
    affine = np.eye(4)
    affine[:3, :3] = TILTED
    for name, array in (("p", prediction), ("r", reference)):
        (tmp_path / name).mkdir()
        nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / name / "a.nii.gz")
    folders = ["--predictions", str(tmp_path / "p"), "--references", str(tmp_path / "r")]
    assert main(["evaluate", *folders, "--output", str(tmp_path / "o"), "--workers", "1"]) == 0
    with open(tmp_path / "o" / "metrics.csv", newline="") as file:
        row = next(csv.DictReader(file))
    for name, value in by_every_pair(prediction, reference, TILTED).items():
        assert float(row[name]) == pytest.approx(value, rel=1e-6), name
    assert "19.8 degrees off right angles, which is heeded: a" in (tmp_path / "o" / "summary.json").read_text()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_evaluate_takes_a_volume_of_one_slice_for_a_slice(tmp_path, axis):
    """Whichever axis has length one; in 3D every voxel would be surface."""
    prediction, reference = masks(2)
    steps = [0.8, 1.2]
    steps.insert(axis, 5.0)
    for name, array in (("p", prediction), ("r", reference)):
        (tmp_path / name).mkdir()
        image = nibabel.Nifti1Image(np.expand_dims(array, axis), np.diag([*steps, 1]))
        nibabel.save(image, tmp_path / name / "a.nii.gz")
    folders = ["--predictions", str(tmp_path / "p"), "--references", str(tmp_path / "r")]
    assert main(["evaluate", *folders, "--output", str(tmp_path / "o"), "--workers", "1"]) == 0
    with open(tmp_path / "o" / "metrics.csv", newline="") as file:
        row = next(csv.DictReader(file))
    for name, value in by_every_pair(prediction, reference, np.diag([0.8, 1.2])).items():
        assert float(row[name]) == pytest.approx(value, rel=1e-6), name
