"""A body that lies at the patient's right, front and top is at the borders that pictures say so of."""

from __future__ import annotations

import base64
import io

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from mednoisy.data.images import write_nifti
from mednoisy.report.pictures.case_arrays import SIDES, CaseArrays, largest_slice, read_case, slice_of
from mednoisy.report.pictures.case_pictures import plane_pictures
from mednoisy.report.pictures.shown_cases import with_images

SHAPE = (24, 22, 20)


def turned(*order_and_signs: tuple[int, int], degrees: float = 0.0) -> np.ndarray:
    """An affine of voxels of 1 mm whose axes run along world axes with a sign; turned around the long axis."""
    affine = np.zeros((4, 4))
    for axis, (world, sign) in enumerate(order_and_signs):
        affine[world, axis] = sign
    angle = np.radians(degrees)
    affine[:2] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ affine[:2]
    affine[3, 3] = 1
    return affine


AFFINES = {
    "right, front, up": turned((0, 1), (1, 1), (2, 1)),
    "left, back, up": turned((0, -1), (1, -1), (2, 1)),
    "up, right, back": turned((2, 1), (0, 1), (1, -1)),
    "front, up, left": turned((1, 1), (2, 1), (0, -1)),
    "oblique": turned((0, -1), (1, 1), (2, 1), degrees=25),
}


def bodies(affine: np.ndarray) -> dict[str, np.ndarray]:
    """A ball in the middle, and an image that is bright at the patient's right and front, by world coordinates."""
    middle = affine[:3, :3] @ (np.array(SHAPE) - 1) / 2
    world = np.einsum("ij,jxyz->ixyz", affine[:3, :3], np.indices(SHAPE)) - middle[:, None, None, None]
    ball = ((world**2).sum(axis=0) < 30).astype(np.uint8)
    return {"image": ((world[0] > 2) | (world[1] > 2)).astype(np.float32), "reference": ball, "prediction": ball}


def as_nifti(folder, affine, oriented=True):
    files = {}
    for part, array in bodies(affine).items():
        files[part] = folder / f"{part}.nii.gz"
        if oriented:
            write_nifti(files[part], array, affine)
        else:
            image = nibabel.Nifti1Image(array, affine)
            image.set_sform(None, 0)
            nibabel.save(image, files[part])
    return files


def as_itk(folder, affine, suffix):
    """ITK's positions are left, back, up."""
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3, :3]
    files = {}
    for part, array in bodies(affine).items():
        image = SimpleITK.GetImageFromArray(array.T)
        image.SetDirection(lps.ravel().tolist())
        files[part] = folder / f"{part}.{suffix}"
        SimpleITK.WriteImage(image, files[part])
    return files


def as_hdf5(folder, **attributes):
    files = {}
    for part, array in bodies(np.eye(4)).items():
        files[part] = folder / f"{part}.h5"
        with h5py.File(files[part], "w") as file:
            file["image" if part == "image" else "label"] = array
            file.attrs.update(attributes)
    return files


def halves(picture):
    """Brightness of the left and of the right quarter, between the corners."""
    content = base64.b64decode(picture.address.split(",")[1])
    shown = np.asarray(Image.open(io.BytesIO(content)).convert("L")).astype(float)
    return shown[100:140, 10:50].mean(), shown[100:140, -50:-10].mean()


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("kind", ["nii.gz", "nrrd", "mha"])
def test_the_side_that_is_marked_is_the_patients(tmp_path, affine, kind):
    files = as_nifti(tmp_path, affine) if kind == "nii.gz" else as_itk(tmp_path, affine, kind)
    case = read_case(files, "c")
    assert case.oriented
    for picture in plane_pictures(case, "c", 200, [1]):
        assert picture.sides == SIDES[picture.plane]
        at_left, at_right = halves(picture)
        assert at_left > 4 * at_right, picture.plane  # right (axial, coronal) and front (sagittal) are bright
        side = {"R": "the patient's right", "A": "the front"}[picture.sides[0]]
        assert picture.words == f"c, {picture.plane} plane, {side} at the left"


def test_nothing_is_said_where_no_file_states_an_orientation(tmp_path):
    for number, files in enumerate(
        (
            lambda folder: as_nifti(folder, np.eye(4), oriented=False),
            as_hdf5,
            lambda folder: as_hdf5(folder, spacing=1.0),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        case = read_case(files(folder), "c")
        assert not case.oriented
        for picture in plane_pictures(case, "c", 200, [1]):
            assert picture.sides is None
            assert picture.words == f"c, {picture.plane} plane"


def test_reference_and_image_both_have_to_state_it(tmp_path):
    """A prediction need not: it lies where the reference does."""
    silent, stated = tmp_path / "silent", tmp_path / "stated"
    silent.mkdir()
    stated.mkdir()
    silent, stated = as_hdf5(silent), as_hdf5(stated, affine=np.eye(4))
    assert read_case(stated | {"prediction": silent["prediction"]}, "c").oriented
    assert not read_case(stated | {"image": silent["image"]}, "c").oriented
    assert not read_case(stated | {"reference": silent["reference"]}, "c").oriented


@pytest.mark.parametrize("giver", [True, False])
def test_an_image_of_another_run_brings_its_own_orientation(giver):
    mask = np.ones((2, 2, 2), np.uint8)
    bare = CaseArrays(None, mask, mask, (1.0, 1.0, 1.0), oriented=True)
    rich = CaseArrays(mask, mask, mask, (1.0, 1.0, 1.0), oriented=giver)
    assert with_images({"bare": bare, "rich": rich})["bare"].oriented is giver


def test_slices_are_the_largest_and_upright():
    mask = np.zeros((4, 5, 6), np.uint8)
    mask[1, 2:5, 3:6] = 1
    mask[2, 4, 5] = 1
    case = CaseArrays(None, mask, mask, (1.0, 2.0, 3.0))
    assert [largest_slice(mask, plane) for plane in ("axial", "coronal", "sagittal")] == [5, 4, 1]
    assert largest_slice(np.zeros_like(mask), "axial") == 3
    flat = slice_of(case, "sagittal", 1)
    assert flat.spacing == (3.0, 2.0)
    assert np.array_equal(flat.reference, [[1, 1, 1, 0, 0]] * 3 + [[0] * 5] * 3)
