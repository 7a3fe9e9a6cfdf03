from __future__ import annotations

import gzip
import subprocess
import sys

import h5py
import nibabel
import numpy as np
import pytest

from mednoisy.data.image_pairs import check_pair
from mednoisy.data.images import Image, case_name, check_image, read_image, write_nifti, write_nifti_like, write_picture
from mednoisy.errors import UserError


def volume(array: np.ndarray, spacing: float = 1.0) -> Image:
    return Image(array, np.diag([spacing] * 3 + [1.0]), (spacing,) * 3)


def test_what_is_written_is_read(tmp_path):
    """Values, geometry and the smallest fitting type survive."""
    affine = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 1], [0, 0, 0, 1]])
    for array, kind in ((np.arange(24.0), np.float32), (np.arange(24), np.uint8), (np.arange(24) - 300, np.int16)):
        write_nifti(tmp_path / "a.nii.gz", array.reshape(2, 3, 4), affine)
        image = read_image(tmp_path / "a.nii.gz")
        np.testing.assert_array_equal(image.array, array.reshape(2, 3, 4))
        np.testing.assert_allclose(image.affine, affine)
        assert image.array.dtype == kind
        assert image.spacing == pytest.approx((1.5, 2.0, 3.0))
        assert list(tmp_path.iterdir()) == [tmp_path / "a.nii.gz"]


def test_stored_scale_is_applied(tmp_path):
    """A NIfTI of bytes with slope 0.5 and intercept 10 reads as 10 + value / 2."""
    stored = nibabel.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4))
    stored.header.set_data_dtype(np.uint8)
    stored.header.set_slope_inter(0.5, 10)
    nibabel.save(stored, tmp_path / "a.nii.gz")
    raw = bytearray(gzip.decompress((tmp_path / "a.nii.gz").read_bytes()))
    raw[-8:] = range(8)
    (tmp_path / "a.nii").write_bytes(raw)
    assert sorted(read_image(tmp_path / "a.nii").array.ravel()) == [10 + n / 2 for n in range(8)]


def test_hdf5_geometry_comes_from_attributes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"], file["label"] = np.ones((2, 3, 4), np.float64), np.ones((2, 3, 4), np.uint8)
        file["label"].attrs["spacing"] = [1.0, 2.0, 3.0]
    assert read_image(tmp_path / "a.h5").spacing == (1.0, 1.0, 1.0)
    assert read_image(tmp_path / "a.h5").array.dtype == np.float32
    label = read_image(tmp_path / "a.h5", "label")
    assert label.spacing == (1.0, 2.0, 3.0)
    assert label.array.dtype == np.uint8


def test_published_hdf5(shared_data):
    """The published file holds a z-scored crop of 148x141x88 and a binary label."""
    path = shared_data("raw_samples/h5/8M99G0JLAXG9GLPV0O8G/mri_norm2.h5")
    image, label = read_image(path), read_image(path, "label")
    assert image.shape == (148, 141, 88)
    check_pair(image, label, (0, 1))
    same = read_image(shared_data("left_atrium/images/8M99G0JLAXG9GLPV0O8G.nii.gz"))
    np.testing.assert_allclose(same.array, image.array, atol=1e-5)


def test_pictures(tmp_path):
    """Colour is (rows, columns, 3); a mask of one bit holds 0 and 1."""
    colour = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    write_picture(tmp_path / "a.png", colour)
    write_picture(tmp_path / "b.png", colour[..., 0] > 127)
    image, mask = read_image(tmp_path / "a.png"), read_image(tmp_path / "b.png")
    np.testing.assert_array_equal(image.array, colour)
    np.testing.assert_array_equal(mask.array, colour[..., 0] > 127)
    assert image.shape == mask.shape == (5, 7)
    check_pair(image, mask, (0, 1))


def test_case_name():
    assert [case_name(f"x/{n}") for n in ("a.1.nii.gz", "b.nii", "c.h5", "d")] == ["a.1", "b", "c", "d"]


def damaged(folder, kind):
    """The path of a file with one fault."""
    path = folder / ("a.h5" if "hdf5" in kind else "a.nii.gz")
    array = np.random.default_rng(0).standard_normal((8, 8, 8)).astype(np.float32)
    if kind in ("nan", "infinite"):
        array[1, 2, 3] = np.nan if kind == "nan" else np.inf
    if "hdf5" in kind:
        with h5py.File(path, "w") as file:
            file["picture" if kind == "hdf5 key" else "image"] = array[:0] if kind == "no voxels, hdf5" else array
            file.attrs["affine"] = np.eye(4) * (kind != "singular, hdf5")
    elif kind != "missing":
        nibabel.save(nibabel.Nifti1Image(np.resize(array, (8, 8, 4, 2)) if kind == "4d" else array, np.eye(4)), path)
    if kind == "empty file":
        path.write_bytes(b"")
    if "truncated" in kind:
        path.write_bytes(path.read_bytes()[:-500])
    if kind == "text":
        path.write_text("no image")
    return path.rename(folder / "a.doc") if kind == "suffix" else path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "E201 case 'p7': .*a.nii.gz does not exist. Restore the file"),
        ("empty file", "E202 case 'p7': .*a.nii.gz is empty \\(0 bytes\\). Copy the file again"),
        ("truncated", "E202 case 'p7': .*a.nii.gz cannot be read: .*Copy or export the file again"),
        ("truncated, hdf5", "E202 case 'p7': .*a.h5 cannot be read: .*truncated"),
        ("text", "E202 case 'p7': .*a.nii.gz cannot be read"),
        ("hdf5 key", "E202 case 'p7': .*a.h5 holds no dataset 'image'. Name the datasets"),
        ("suffix", "E202 case 'p7': .*a.doc is of no known format. Known: .nii, "),
        ("no voxels, hdf5", "E202 case 'p7': .*a.h5 has no voxels \\(0x8x8\\)"),
        ("nan", "E203 case 'p7': .*a.nii.gz has 1 NaN or infinite voxels. Replace them"),
        ("infinite", "E203 case 'p7': .*a.nii.gz has 1 NaN or infinite voxels"),
        ("4d", "E208 case 'p7': .*a.nii.gz has 4 axes \\(8x8x4x2\\), wanted two or three. Store one volume"),
        ("singular, hdf5", "E209 case 'p7': .*a.h5 has an affine that is singular"),
    ],
)
def test_a_damaged_file_is_one_line_that_names_case_and_cure(tmp_path, kind, message):
    with pytest.raises(UserError, match=message) as fault:
        read_image(damaged(tmp_path, kind), case="p7")
    assert "\n" not in str(fault.value)
    assert fault.value.exit_code == 2


@pytest.mark.parametrize("step", [5e-5, 1.0, 1e5])
def test_an_affine_is_singular_whatever_its_unit(tmp_path, step):
    """Voxels of 50 nm are sound; two axes along one line are not."""
    affine = np.diag([step, step, step, 1.0])
    write_nifti(tmp_path / "a.nii", np.eye(3)[..., np.newaxis], affine)
    image = read_image(tmp_path / "a.nii")
    assert image.spacing == pytest.approx((step,) * 3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = np.ones((2, 2, 2))
        file.attrs["affine"] = affine + np.array([[0, step, 0, 0], [0, -step, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    with pytest.raises(UserError, match=r"E209 .* singular"):
        read_image(tmp_path / "a.h5")


def test_an_image_of_one_value_is_empty():
    with pytest.raises(UserError, match=r"E202 case 'p7': the image is empty: every voxel is 3.0"):
        check_image(volume(np.full((2, 2, 2), 3.0)), case="p7")


def test_no_torch_is_loaded():
    modules = ", ".join(f"mednoisy.data.{name}" for name in ("images", "datalist", "phantoms"))
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_arrays_of_pictures_can_be_written_to(tmp_path):
    """PyTorch warns of tensors over read-only memory, which is what Pillow gives."""
    write_picture(tmp_path / "mask.png", np.eye(4, dtype=np.uint8))
    array = read_image(tmp_path / "mask.png").array
    array[0, 0] = 7
    assert array[0, 0] == 7


def test_channels_of_a_volume_come_back(tmp_path):
    """Written as NIfTI's vectors; a fourth axis is time unless channels are asked for."""
    array = np.arange(2 * 3 * 4 * 2, dtype=np.float32).reshape(2, 3, 4, 2)
    write_nifti(tmp_path / "a.nii.gz", array, np.diag([1.0, 2, 3, 1]))
    image = read_image(tmp_path / "a.nii.gz")
    assert (image.shape, image.spacing) == ((2, 3, 4), (1, 2, 3))
    np.testing.assert_array_equal(image.array, array)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "b.nii.gz")
    with pytest.raises(UserError, match="E208"):
        read_image(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "b.nii.gz", channels=True).array, array)


@pytest.mark.parametrize("stored", ["vector", "fourth axis"])
def test_a_label_map_like_an_image_of_channels_has_its_header_without_them(tmp_path, stored):
    array, affine = np.ones((2, 3, 4, 2), np.float32), np.diag([1.0, 2, 3, 1])
    write_nifti(tmp_path / "a.nii.gz", array, affine)
    if stored != "vector":
        nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / "a.nii.gz")
    write_nifti_like(tmp_path / "b.nii.gz", np.full((2, 3, 4), 3), tmp_path / "a.nii.gz")
    image = read_image(tmp_path / "b.nii.gz")
    assert image.shape == (2, 3, 4)
    assert (image.array == 3).all()
    np.testing.assert_array_equal(image.affine, affine)
