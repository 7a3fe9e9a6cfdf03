"""Which files say where the patient's right is, and which have axes by convention alone."""

from __future__ import annotations

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK

from data_prep.jobs import VolumeJob
from mednoisy.data.images import read_image, write_nifti

ARRAY = np.arange(120, dtype=np.uint8).reshape(4, 5, 6)


def nifti(path, codes):
    image = nibabel.Nifti1Image(ARRAY, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.set_qform(np.diag([2.0, 2.0, 2.0, 1.0]), codes[0])
    image.set_sform(np.diag([2.0, 2.0, 2.0, 1.0]), codes[1])
    nibabel.save(image, path)


def hdf5(path, **attributes):
    with h5py.File(path, "w") as file:
        file["image"] = file["label"] = ARRAY
        file.attrs.update(attributes)


def nrrd(path, space):
    header = f"NRRD0004\ntype: uint8\ndimension: 3\n{space}sizes: 4 5 6\nencoding: raw\n"
    if space:
        header += "space directions: (2,0,0) (0,2,0) (0,0,2)\nspace origin: (0,0,0)\n"
    path.write_bytes(f"{header}\n".encode() + ARRAY.tobytes(order="F"))


def meta_image(path, entries):
    header = f"ObjectType = Image\nNDims = 3\nBinaryData = True\n{entries}ElementSpacing = 2 2 2\nDimSize = 4 5 6\n"
    header += "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    path.write_bytes(header.encode() + ARRAY.tobytes(order="F"))


@pytest.mark.parametrize(
    ("name", "write", "stated", "expected"),
    [
        ("a.nii.gz", nifti, (1, 0), True),
        ("a.nii.gz", nifti, (0, 2), True),
        ("a.nii.gz", nifti, (0, 0), False),
        ("a.h5", lambda path, affine: hdf5(path, affine=affine), np.eye(4), True),
        ("a.h5", lambda path, spacing: hdf5(path, spacing=spacing), 2.0, False),
        ("a.nrrd", nrrd, "space: left-posterior-superior\n", True),
        ("a.nrrd", nrrd, "space: RAS\n", True),
        ("a.nrrd", nrrd, "space: scanner-xyz\n", False),
        ("a.nrrd", nrrd, "space dimension: 3\n", False),
        ("a.nrrd", nrrd, "", False),
        ("a.mha", meta_image, "TransformMatrix = 1 0 0 0 1 0 0 0 1\n", True),
        ("a.mha", meta_image, "Orientation = -1 0 0 0 1 0 0 0 1\n", True),
        ("a.mha", meta_image, "", False),
    ],
)
def test_orientation_is_known_where_the_file_states_it(tmp_path, name, write, stated, expected):
    write(tmp_path / name, stated)
    image = read_image(tmp_path / name)
    assert np.array_equal(image.array, ARRAY)
    assert image.oriented is expected


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_what_itk_writes_is_oriented(tmp_path, name):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(ARRAY), tmp_path / name)
    assert read_image(tmp_path / name).oriented


@pytest.mark.parametrize("oriented", [True, False])
def test_nifti_keeps_an_affine_whose_directions_are_a_convention(tmp_path, oriented):
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    write_nifti(tmp_path / "a.nii.gz", ARRAY, affine, oriented=oriented)
    image = read_image(tmp_path / "a.nii.gz")
    assert np.array_equal(image.affine, affine)
    assert image.oriented is oriented
    assert image.located


@pytest.mark.parametrize("spacing_mm", [None, 4.0])
def test_preparing_states_no_orientation_that_the_source_does_not_have(tmp_path, spacing_mm):
    """The published left atria are HDF5 without geometry, of a known spacing."""
    hdf5(tmp_path / "a.h5")
    source = str(tmp_path / "a.h5")
    job = VolumeJob("a", source, source, str(tmp_path), tuple(range(120)), spacing_mm, 2.0)
    job.prepare()
    for path in job.outputs().values():
        image = read_image(path)
        assert not image.oriented
        assert image.spacing == pytest.approx((spacing_mm or 2.0,) * 3)
