"""What headers state of size, place and unit; what contradicts itself; and what cannot be."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image as Picture

from mednoisy.data.image_pairs import check_pair, pair_notes
from mednoisy.data.images import Image, read_image
from mednoisy.errors import UserError

CODES = np.random.default_rng(0).integers(0, 2, (6, 5, 4)).astype(np.uint8)


def without_codes(path: Path, array: np.ndarray = CODES, step: float = 1.25) -> Path:
    """As the abdominal scans of BTCV are: a voxel size, but neither qform nor sform."""
    image = nibabel.Nifti1Image(array, None)
    image.header.set_zooms((step,) * 3)
    nibabel.save(image, path)
    return path


def patched(path: Path, place: int, payload: bytes) -> Path:
    raw = bytearray(path.read_bytes())
    raw[place : place + len(payload)] = payload
    path.write_bytes(raw)
    return path


def test_nifti_without_codes_states_sizes_and_no_place(tmp_path):
    image = read_image(without_codes(tmp_path / "a.nii.gz"))
    assert (image.located, image.placed, image.oriented) == (True, False, False)
    assert image.spacing == (1.25, 1.25, 1.25)


def test_a_label_that_another_program_placed_fits_an_image_without_place(tmp_path):
    """ITK writes codes and an origin for the same voxels; the label takes the image's place, not its own."""
    image = read_image(without_codes(tmp_path / "image.nii.gz"))
    written = SimpleITK.GetImageFromArray(CODES.T.copy())
    written.CopyInformation(SimpleITK.ReadImage(tmp_path / "image.nii.gz"))
    SimpleITK.WriteImage(written, tmp_path / "label.nii.gz")
    label = read_image(tmp_path / "label.nii.gz")
    assert np.abs(label.affine - image.affine).max() > 1
    fitted = check_pair(image, label, (0, 1))
    np.testing.assert_array_equal(fitted.array, CODES)
    np.testing.assert_array_equal(fitted.affine, image.affine)
    assert pair_notes(image, label) == ["were compared by size alone, for the image does not say where it lies"]
    other = read_image(without_codes(tmp_path / "other.nii.gz", step=1.5))
    with pytest.raises(UserError, match=r"E205 .* image has voxels of 1.25x1.25x1.25 mm, label of 1.5x1.5x1.5 mm"):
        check_pair(image, other, (0, 1), case="p7")


def hdf5(path: Path, **attributes: object) -> Path:
    with h5py.File(path, "w") as file:
        file["image"] = CODES
        file.attrs.update(attributes)
    return path


def nrrd(path: Path, more: str) -> Path:
    header = f"NRRD0004\ntype: uint8\ndimension: 3\n{more}sizes: 6 5 4\nencoding: raw\n\n"
    path.write_bytes(header.encode() + CODES.tobytes(order="F"))
    return path


def meta(path: Path, more: str) -> Path:
    header = f"ObjectType = Image\nNDims = 3\nBinaryData = True\n{more}DimSize = 6 5 4\nElementType = MET_UCHAR\n"
    path.write_bytes(f"{header}ElementDataFile = LOCAL\n".encode() + CODES.tobytes(order="F"))
    return path


SPACE = "space: left-posterior-superior\nspace directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (0,0,0)\n"


@pytest.mark.parametrize(
    ("write", "more", "located", "placed"),
    [
        (nrrd, "", False, False),
        (nrrd, "spacings: 2 3 4\n", True, False),
        (nrrd, 'spacings: 1 1 1\nunits: "mm" "mm" "mm"\n', True, False),
        (nrrd, SPACE, True, True),
        (meta, "", False, False),
        (meta, "ElementSpacing = 2 3 4\n", True, False),
        (meta, "ElementSpacing = 2 3 4\nOffset = 1 2 3\n", True, True),
        (meta, "ElementSpacing = 2 3 4\nTransformMatrix = 1 0 0 0 1 0 0 0 1\n", True, True),
    ],
)
def test_what_a_header_says_of_size_and_place(tmp_path, write, more, located, placed):
    image = read_image(write(tmp_path / ("a.nrrd" if write is nrrd else "a.mha"), more))
    np.testing.assert_array_equal(image.array, CODES)
    assert (image.located, image.placed) == (located, placed)


def test_what_hdf5_says_of_size_and_place(tmp_path):
    said = [{}, {"spacing": 2.0}, {"affine": np.diag([2.0, 2, 2, 1])}]
    images = [read_image(hdf5(tmp_path / "a.h5", **attributes)) for attributes in said]
    assert [(image.located, image.placed) for image in images] == [(False, False), (True, False), (True, True)]


@pytest.mark.parametrize(
    ("name", "write", "more"),
    [
        ("a.nrrd", nrrd, SPACE + 'space units: "um" "um" "um"\n'),
        ("a.nrrd", nrrd, 'spacings: 2 3 4\nunits: "microns" "microns" "microns"\n'),
        ("a.mha", meta, "ElementSpacing = 2 3 4\nDistanceUnits = um\n"),
    ],
)
def test_units_of_length_become_millimetres(tmp_path, name, write, more):
    image = read_image(write(tmp_path / name, more))
    assert image.spacing == pytest.approx((0.002, 0.003, 0.004))


def test_the_unit_of_an_hdf5_file_is_heeded(tmp_path):
    assert read_image(hdf5(tmp_path / "a.h5", spacing=2.0, spacing_unit="cm")).spacing == (20, 20, 20)
    affine = np.diag([2.0, 2, 2, 1])
    assert read_image(hdf5(tmp_path / "a.h5", affine=affine, spacing_unit="um")).spacing == pytest.approx((0.002,) * 3)
    with pytest.raises(UserError, match=r"E202 .* its spacing_unit is 'furlong'; known are m, cm, mm"):
        read_image(hdf5(tmp_path / "a.h5", spacing=2.0, spacing_unit="furlong"))


def test_a_header_that_contradicts_itself_is_noted_with_both_values(tmp_path):
    nibabel.save(nibabel.Nifti1Image(CODES, np.diag([2.0, 3.0, 4.0, 1.0])), tmp_path / "a.nii")
    assert read_image(tmp_path / "a.nii").notes == ()
    patched(tmp_path / "a.nii", 80, struct.pack("<3f", 1, 1, 5))
    note = "contradicts itself: its pixdim says 1x1x5 mm a voxel, its sform 2x3x4 mm, which was taken"
    assert read_image(tmp_path / "a.nii").notes == (note,)
    both = hdf5(tmp_path / "a.h5", affine=np.diag([2.0, 3, 4, 1]), spacing=(1.0, 3, 4))
    note = "contradicts itself: its spacing says 1x3x4 mm a voxel, its affine 2x3x4 mm, which was taken"
    assert read_image(both).notes == (note,)
    sizes = meta(tmp_path / "a.mha", "ElementSize = 1 1 1\nElementSpacing = 2 3 4\n")
    assert "its ElementSize says 1x1x1 mm a voxel, its ElementSpacing 2x3x4 mm" in read_image(sizes).notes[0]


@pytest.mark.parametrize(("codes", "told"), [((1, 1), True), ((1, 4), False)])
def test_two_forms_of_one_space_that_differ_are_noted(tmp_path, codes, told):
    """Of two spaces, scanner and atlas, they may differ."""
    image = nibabel.Nifti1Image(CODES, np.eye(4))
    image.set_qform(np.eye(4), codes[0])
    moved = np.eye(4)
    moved[0, 3] = 7
    image.set_sform(moved, codes[1])
    nibabel.save(image, tmp_path / "a.nii.gz")
    notes = read_image(tmp_path / "a.nii.gz").notes
    assert notes == (
        ("contradicts itself: qform and sform of one space put a corner 7 mm apart, the sform was taken",)
        if told
        else ()
    )


def test_a_sheared_volume_is_noted_and_has_a_matrix_of_steps(tmp_path):
    """A gantry tilt of 20 degrees."""
    affine = np.eye(4)
    affine[:3, :3] = [[0.5, 0, 0], [0, 0.5, -1.8], [0, 0, 5.0]]
    nibabel.save(nibabel.Nifti1Image(CODES, affine), tmp_path / "a.nii.gz")
    image = read_image(tmp_path / "a.nii.gz")
    assert image.notes == ("has axes that are 19.8 degrees off right angles, which is heeded",)
    steps = np.asarray(image.steps)
    np.testing.assert_allclose(steps.T @ steps, affine[:3, :3].T @ affine[:3, :3])
    assert abs(np.linalg.det(steps)) == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("place", "payload", "message"),
    [
        (40, struct.pack("<8h", 3, 6, -5, 4, 1, 1, 1, 1), r"claims a size of 6x-5x4 voxels"),
        (40, struct.pack("<8h", 9, 6, 5, 4, 1, 1, 1, 1), r"claims 9 axes; NIfTI has 1 to 7"),
        (40, struct.pack("<8h", 3, 6, 5, 3, 1, 1, 1, 1), r"claims 90 bytes of voxels, there are 120: a damaged header"),
        (108, struct.pack("<f", -4), r"voxels begin at byte -4; 352 is the first that can be"),
        (108, struct.pack("<f", 12), r"voxels begin at byte 12; 352"),
        (108, struct.pack("<f", np.nan), r"voxels begin at byte nan; 352"),
        (108, struct.pack("<f", 1e6), r"claims 120 bytes of voxels, there are 0: truncated"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_sizes_and_offsets_that_cannot_be_are_refused_with_the_cause(tmp_path, place, payload, message, packed):
    nibabel.save(nibabel.Nifti1Image(CODES, np.eye(4)), tmp_path / "b.nii")
    patched(tmp_path / "b.nii", place, payload)
    path = tmp_path / ("a.nii.gz" if packed else "a.nii")
    raw = (tmp_path / "b.nii").read_bytes()
    path.write_bytes(gzip.compress(raw) if packed else raw)
    if place == 108 and packed and "1,000,000" in message:
        message = "cannot unpack"
    with pytest.raises(UserError, match=rf"E202 case 'p7': .*{message}|cannot unpack to so many"):
        read_image(path, case="p7")


@pytest.mark.parametrize(
    ("made", "named", "message"),
    [
        ("a.nii.gz", "b.nii", r"it is NIfTI packed by gzip, not .*Rename it to b.nii.gz"),
        ("a.nii", "b.nii.gz", r"it is NIfTI, not .*Rename it to b.nii\."),
        ("a.nrrd", "b.nii.gz", r"it is NRRD, not .*Rename it to b.nrrd"),
        ("a.mha", "b.nrrd", r"it is MetaImage, not .*Rename it to b.mha"),
        ("a.h5", "b.nii", r"it is HDF5, not .*Rename it to b.h5"),
        ("a.png", "b.tif", None),  # both are Pillow's, which goes by content
        ("a.gif", "b.png", r"it is GIF, not .*Convert it; known are .nii"),
    ],
)
def test_a_sound_file_under_a_wrong_suffix_is_told_to_be_renamed(tmp_path, made, named, message):
    path = tmp_path / made
    if ".nii" in made:
        nibabel.save(nibabel.Nifti1Image(CODES, np.eye(4)), path)
    elif made == "a.h5":
        hdf5(path)
    elif made in ("a.nrrd", "a.mha"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(CODES), path)
    else:
        Picture.fromarray(CODES[..., 0] * 255).save(path)
    path.rename(tmp_path / named)
    if message is None:
        np.testing.assert_array_equal(read_image(tmp_path / named).array, CODES[..., 0] * 255)
        return
    with pytest.raises(UserError, match=rf"E202 case 'p7': .*{message}"):
        read_image(tmp_path / named, case="p7")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_of_length_one_makes_a_slice_whichever_it_is(axis):
    affine = np.diag([2.0, 3.0, 5.0, 1.0])
    plane = np.arange(20.0).reshape(4, 5)
    spacing = (2.0, 3.0, 5.0)
    flat = Image(np.expand_dims(plane, axis), affine, spacing).as_slice()
    np.testing.assert_array_equal(flat.array, plane)
    assert flat.spacing == tuple(step for place, step in enumerate(spacing) if place != axis)
    np.testing.assert_allclose(np.linalg.norm(flat.affine[:3, :2], axis=0), flat.spacing)
    mask = Image((plane > 3).astype(np.uint8), flat.affine, flat.spacing)
    stored = Image(np.expand_dims(plane, axis), affine, spacing)
    fitted = check_pair(stored, mask, (0, 1))
    assert fitted.shape == stored.shape
    np.testing.assert_array_equal(fitted.array.squeeze(), mask.array)


def test_values_that_stand_for_no_data_are_refused_by_case():
    from mednoisy.data.images import check_image

    for fill in (1e20, -3.4e38, np.int32(-(2**31))):
        array = np.random.default_rng(0).normal(100, 15, (6, 5, 4)).astype(np.float64)
        array[:2] = fill
        kind = np.int32 if isinstance(fill, np.integer) else np.float32
        with pytest.raises(UserError, match=r"E240 case 'p7': 40 voxels of the image are .*e\+.*Replace what stands"):
            check_image(Image(array.astype(kind), np.eye(4), (1.0,) * 3), case="p7")
    check_image(Image(array[2:].astype(np.float32) * 1e6, np.eye(4), (1.0,) * 3))
