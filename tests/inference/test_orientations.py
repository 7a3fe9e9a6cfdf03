"""One scan, however it is stored and at whatever spacing, gives one prediction."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monai.transforms import Compose, NormalizeIntensityd
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation
from torch import nn

from mednoisy.data.load_case import LoadCased
from mednoisy.data.orienting import Orientedd, OrientedSlicesd
from mednoisy.data.resizing import ResizedInPlaned, Spacedd
from mednoisy.inference.prediction import predict_files
from mednoisy.inference.slice_wise import SliceWise
from mednoisy.inference.sliding_window import SlidingWindow
from tests.stored_orders import ORDERS, SOME_ORDERS, name_of, stored, upright

HEADER = ("qform_code", "sform_code", "pixdim", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x", "xyzt_units")


def scan(spacing: tuple[float, ...] = (0.9, 1.1, 3.0)) -> nibabel.Nifti1Image:
    """Smooth noise on an oblique grid, unlike its mirror images."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", (8, -12, 15), degrees=True).as_matrix() @ np.diag(spacing)
    affine[:3, 3] = (-20.0, 15.5, 40.0)
    noise = gaussian_filter(np.random.default_rng(3).normal(size=(20, 17, 9)), 1.0).astype(np.float32)
    image = nibabel.Nifti1Image(noise, affine)
    image.header.set_xyzt_units("mm", "sec")
    return image


def network(axes: int) -> nn.Module:
    """Random weights, so that it sees each direction in its own way."""
    torch.manual_seed(0)
    kind = {2: nn.Conv2d, 3: nn.Conv3d}[axes]
    return nn.Sequential(kind(1, 4, 3, padding=1), nn.ReLU(), kind(4, 3, 3, padding=1))


LOADED = LoadCased("image", axes=3)
BRIGHT = NormalizeIntensityd("image")
WINDOW = SlidingWindow((16, 16, 8), (8, 8, 4))
IN_SLICES = SliceWise((16, 16), (16, 16))
CHAINS = {
    "volumes": (Compose([LOADED, Orientedd("image"), BRIGHT]), WINDOW, 3),
    "volumes at 1.5 mm": (Compose([LOADED, Orientedd("image"), Spacedd("image", (1.5, 1.5, 1.5)), BRIGHT]), WINDOW, 3),
    "slices": (
        Compose([LOADED, OrientedSlicesd("image", "LPS"), ResizedInPlaned("image", [16, 16, -1]), BRIGHT]),
        IN_SLICES,
        2,
    ),
}


def predicted(image: nibabel.Nifti1Image, folder, preprocessing, window, axes: int) -> nibabel.Nifti1Image:
    nibabel.save(image, folder / "scan.nii.gz")
    case = {"id": "scan", "image": str(folder / "scan.nii.gz")}
    paths = predict_files([case], {"a": network(axes)}, preprocessing, window, folder / "out")
    return nibabel.load(paths["scan"]["a"])


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> dict[str, np.ndarray]:
    """The prediction of the scan as it is nearest to RAS."""
    folder = tmp_path_factory.mktemp("reference")
    return {name: upright(predicted(scan(), folder, *chain)) for name, chain in CHAINS.items()}


@pytest.mark.parametrize("order", ORDERS, ids=name_of)
@pytest.mark.parametrize("chain", CHAINS)
def test_all_48_orders_give_the_same_labels_in_space(tmp_path, reference, chain, order):
    """Voxel for voxel, with the header of each one's own file."""
    image = stored(scan(), order)
    found = predicted(image, tmp_path, *CHAINS[chain])
    assert np.array_equal(upright(found), reference[chain])
    assert len(np.unique(reference[chain])) == 3
    source = nibabel.load(tmp_path / "scan.nii.gz").header
    for name in HEADER:
        np.testing.assert_array_equal(found.header[name], source[name], err_msg=name)
    itk = [SimpleITK.ReadImage(path) for path in (tmp_path / "scan.nii.gz", tmp_path / "out" / "a" / "scan.nii.gz")]
    for question in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(itk[0], question)() == getattr(itk[1], question)(), question


def test_without_turning_they_would_differ(tmp_path, reference):
    """Else the tests above would say nothing."""
    as_stored = Compose([LOADED, Orientedd("image", None), BRIGHT])
    found = [upright(predicted(stored(scan(), order), tmp_path, as_stored, WINDOW, 3)) for order in SOME_ORDERS[1:]]
    assert all((one != reference["volumes"]).mean() > 0.05 for one in found)


class Threshold(nn.Module):
    """Class 1 where the image is above 0."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(image), image], dim=1)


def ball(spacing: tuple[float, ...]) -> nibabel.Nifti1Image:
    """70 x 66 x 60 mm: an ellipsoid whose brightness falls to 0 at its surface, sampled at a spacing."""
    extent = np.array([70.0, 66.0, 60.0])
    shape = np.rint(extent / spacing).astype(int)
    axes = [(np.arange(size) + 0.5) * step for size, step in zip(shape, spacing, strict=True)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    distance = np.linalg.norm((places - extent / 2) / (1.0, 0.9, 0.8), axis=-1)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.array(spacing) / 2
    return nibabel.Nifti1Image((26 - distance).astype(np.float32), affine)


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Dice."""
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 2.5), (0.8, 1.3, 1.0), (2.0, 2.0, 2.0)])
def test_three_spacings_give_the_labels_of_the_network_s_own(tmp_path, spacing):
    """Dice of .995 at least with the surface where it is, and of .985 with the prediction on the network's own grid,
    brought to each grid linearly (which itself has .989 with the surface)."""
    preprocessing = Compose([LOADED, Orientedd("image"), Spacedd("image", (1.2, 1.2, 1.2))])

    def labels(image: nibabel.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
        nibabel.save(image, tmp_path / "scan.nii.gz")
        case = {"id": "scan", "image": str(tmp_path / "scan.nii.gz")}
        window = SlidingWindow((32, 32, 32), (32, 32, 32))
        found = predict_files([case], {"a": Threshold()}, preprocessing, window, tmp_path / "out")["scan"]["a"]
        return np.asarray(nibabel.load(found).dataobj) == 1, image.affine

    own, own_affine = labels(ball((1.2, 1.2, 1.2)))
    for order in SOME_ORDERS[:3]:
        image = stored(ball(spacing), order)
        found, affine = labels(image)
        places = np.stack([*np.meshgrid(*map(np.arange, found.shape), indexing="ij"), np.ones(found.shape)])
        in_own = np.tensordot(np.linalg.inv(own_affine) @ affine, places, axes=1)[:3]
        expected = map_coordinates(own.astype(np.float32), in_own, order=1, mode="nearest") > 0.5
        assert agreement(found, expected) >= 0.985
        assert agreement(found, np.asarray(image.dataobj) > 0) >= 0.995
        if order is SOME_ORDERS[0]:
            first = found
        assert np.array_equal(upright(nibabel.Nifti1Image(found.astype(np.uint8), affine)), first)
