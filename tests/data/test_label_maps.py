from __future__ import annotations

from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from mednoisy.data.images import write_nifti
from mednoisy.data.label_maps import read_label_map, read_reference
from mednoisy.errors import UserError

ROWS, COLUMNS = np.mgrid[:48, :64]
DISC = np.hypot(ROWS - 24, COLUMNS - 30) < 14
SOFT = np.clip(255 * (14.5 - np.hypot(ROWS - 24, COLUMNS - 30)) / 4 + 128, 0, 255).astype(np.uint8)  # edge of 4 pixels


def picture(folder: Path, array: np.ndarray, suffix: str = ".png", **options) -> Path:
    Picture.fromarray(array).save(folder / f"a{suffix}", **options)
    return folder / f"a{suffix}"


def volume(folder: Path, array: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1, 2, 3, 1])), folder / "a.nii.gz")
    return folder / "a.nii.gz"


def with_values(*values: float) -> np.ndarray:
    array = np.zeros((3, 4, 5), dtype=np.array(values).dtype)
    array.flat[: len(values)] = values
    return array


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        (with_values(1, 2).astype(np.int16), np.uint8),
        (with_values(1.0, 2.0), np.uint8),
        (with_values(0.9995, 2.0004).astype(np.float32), np.uint8),
        (with_values(1, 300).astype(np.int32), np.uint16),
        (with_values(1, 70000).astype(np.int32), np.uint32),
    ],
)
def test_whole_numbers_stay_in_the_smallest_type(tmp_path, stored, kind):
    labels = read_label_map(volume(tmp_path, stored))
    np.testing.assert_array_equal(labels.image.array, np.rint(stored))
    assert labels.image.array.dtype == kind
    assert labels.image.spacing == (1, 2, 3)
    assert labels.notes == ()


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (with_values(1.0, 0.25, 0.75), r"E223 case 'p7': .*a.nii.gz holds 0.25, which is no label code. Store whole"),
        (with_values(1, 0.002), r"E223 case 'p7': .*a.nii.gz holds 0.002, which"),
        (with_values(1e20, 2.0), r"E223 case 'p7': .*a.nii.gz holds 1e.20, which"),
        (
            with_values(1, -3).astype(np.int16),
            r"E223 case 'p7': .*a.nii.gz holds -3, which is no label code. Store code",
        ),
        (with_values(np.nan, 1), r"E203 case 'p7': .*a.nii.gz has 1 NaN"),
    ],
)
def test_what_is_no_code_is_refused(tmp_path, stored, message):
    with pytest.raises(UserError, match=message):
        read_label_map(volume(tmp_path, stored), case="p7")


def test_the_label_of_an_hdf5_file_is_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"], file["label"] = np.ones((2, 2, 2)), with_values(1, 2)
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.h5").image.array, with_values(1, 2))


def test_all_unknown_codes_are_named(tmp_path):
    path = volume(tmp_path, with_values(1, 7, 3, 9).astype(np.uint8))
    message = r"E206 case 'p7': .*a.nii.gz holds 3, 7, 9; known codes are 0, 1. Mend .*--map OLD=NEW.*--labels"
    with pytest.raises(UserError, match=message):
        read_label_map(path, [1], case="p7")
    read_label_map(path, [1, 3, 7, 9])


def test_mapping_comes_first_and_all_at_once(tmp_path):
    """Codes can be exchanged, and mended before they are checked; a code may grow beyond its type."""
    path = volume(tmp_path, with_values(1, 2, 3, -1).astype(np.int8))
    labels = read_label_map(path, [1, 2, 1000], {1: 2, 2: 1, 3: 1000, -1: 0, 77: 5})
    np.testing.assert_array_equal(labels.image.array, with_values(2, 1, 1000, 0))
    assert labels.image.array.dtype == np.uint16


@pytest.mark.parametrize("codes", [None, [1], [0, 1]])
@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_white_is_one(tmp_path, codes, suffix, channels):
    white = DISC.astype(np.uint8) * 255
    labels = read_label_map(picture(tmp_path, white if channels == 1 else np.dstack([white] * 3), suffix), codes)
    np.testing.assert_array_equal(labels.image.array, DISC)
    assert labels.notes == ("white (255) read as code 1",)


@pytest.mark.parametrize(
    ("array", "codes"),
    [
        (DISC, None),
        (DISC.astype(np.uint8) * 2, None),
        (DISC.astype(np.uint8) * 254, None),
        (DISC.astype(np.uint8) * 255, [1, 255]),
        (np.where(DISC, 255, (COLUMNS > 50) * 128).astype(np.uint8), [128, 255]),
        (np.where(DISC, 700, (COLUMNS > 50) * 255).astype(np.uint16), None),
        (np.zeros((8, 8), np.uint8), [1]),
    ],
)
def test_codes_in_pictures_stay(tmp_path, array, codes):
    labels = read_label_map(picture(tmp_path, array), codes)
    np.testing.assert_array_equal(labels.image.array, array)
    assert labels.notes == ()


def test_soft_edges_are_cut_and_said_to_be(tmp_path):
    assert np.count_nonzero((SOFT > 0) & (SOFT < 255)) > 100
    labels = read_label_map(picture(tmp_path, SOFT), [1])
    np.testing.assert_array_equal(labels.image.array, SOFT > 127)
    assert labels.notes == ("greys thresholded at 127",)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_cut_whatever_its_name(tmp_path, name, channels):
    white = DISC.astype(np.uint8) * 255
    path = picture(tmp_path, white if channels == 1 else np.dstack([white] * 3), ".jpg", quality=90)
    assert len(np.unique(np.asarray(Picture.open(path).convert("L")))) > 2
    labels = read_label_map(path.rename(tmp_path / name), [1])
    np.testing.assert_array_equal(labels.image.array, DISC)
    assert labels.notes[0] == "greys thresholded at 127"


def test_white_of_a_jpeg_can_be_given_a_code(tmp_path):
    path = picture(tmp_path, DISC.astype(np.uint8) * 255, ".jpg")
    np.testing.assert_array_equal(read_label_map(path, [1, 2], {255: 2}).image.array, DISC * 2)


def test_an_empty_jpeg_is_empty(tmp_path):
    labels = read_label_map(picture(tmp_path, np.zeros((16, 16), np.uint8), ".jpg"), [1])
    assert not labels.image.array.any()


CODES_AND_MARK = np.where(DISC, 2, (COLUMNS > 50) * 255).astype(np.uint8)
CUP_AND_DISC = np.where(DISC, 128, (COLUMNS > 50) * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("array", "suffix", "codes", "message"),
    [
        (np.dstack([DISC * 255, DISC * 128, DISC * 0]), ".png", None, r"E224 case 'p7': .* is in colours, which"),
        (DISC * 100, ".jpg", None, r"E224 .* JPEG whose brightest grey is 1..: codes do not survive JPEG"),
        (DISC * 3, ".jpg", [1, 3], r"E224 .* JPEG whose brightest grey is .: codes do not survive JPEG"),
        (CODES_AND_MARK, ".png", None, r"E224 .* holds 2 beside white .255.: codes with a mark.*--map 255=0"),
        (CODES_AND_MARK, ".png", [1], r"E224 .* holds 2 beside white"),
        (CODES_AND_MARK, ".png", [1, 2], r"E206 .*holds 255; known codes are 0, 1, 2. Mend the file"),
        (DISC * 255, ".png", [1, 2], r"E206 .*holds 255; known codes are 0, 1, 2"),
        (DISC * 255, ".jpg", [1, 2], r"E206 .*holds 255; known codes are 0, 1, 2"),
        (DISC * 255, ".png", [2], r"E206 .*holds 255; known codes are 0, 2"),
        (
            CUP_AND_DISC,
            ".png",
            None,
            r"E224 .* has areas or lines of grey 128 that are no soft edge: more classes .*--map 128=CODE",
        ),
        (CUP_AND_DISC, ".jpg", [1], r"E224 .* has areas or lines of grey 12. that are no soft edge: more classes"),
        ((3 * COLUMNS + ROWS) % 200, ".png", None, r"E224 .* has 200 greys below white, which look like probabilities"),
    ],
)
def test_what_could_change_classes_unseen_is_refused(tmp_path, array, suffix, codes, message):
    path = picture(tmp_path, array.astype(np.uint8), suffix)
    with pytest.raises(UserError, match=message):
        read_label_map(path, codes, case="p7")


def test_a_mapping_settles_what_white_means(tmp_path):
    labels = read_label_map(picture(tmp_path, CODES_AND_MARK), None, {255: 0})
    np.testing.assert_array_equal(labels.image.array, DISC * 2)
    labels = read_label_map(picture(tmp_path, CUP_AND_DISC), [1, 2], {128: 1, 255: 2})
    np.testing.assert_array_equal(labels.image.array, np.where(DISC, 1, (COLUMNS > 50) * 2))


def test_published_masks(shared_data):
    """A JPEG mask of three channels, and a TIFF whose background holds greys around 11 beside black and white."""
    for name, share in (("kvasir_cju0qx73cjw570799j4n5cjze.jpg", 104_400), ("cvc_1.tif", 16_978)):
        path = shared_data(f"raw_samples/polyp/masks/{name}")
        greys = np.asarray(Picture.open(path).convert("L"))
        labels = read_label_map(path, [1])
        np.testing.assert_array_equal(labels.image.array, greys > 127)
        assert labels.image.array.sum() == share
        assert labels.notes[0] == "greys thresholded at 127"
    labels = read_label_map(shared_data("raw_samples/dermoscopy/masks/ISIC_0010459_segmentation.png"), [1])
    assert labels.notes == ("white (255) read as code 1",)


def test_geometry_is_kept(tmp_path):
    affine = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 1], [0, 0, 0, 1]])
    write_nifti(tmp_path / "a.nii.gz", with_values(1), affine)
    np.testing.assert_allclose(read_label_map(tmp_path / "a.nii.gz").image.affine, affine)


def test_the_sources_codes_become_classes(tmp_path):
    """A code that the source has not is refused, even where it is the number of a class."""
    array = np.zeros((4, 4, 2), np.uint8)
    array[0], array[1] = 2, 4
    write_nifti(tmp_path / "a.nii.gz", array, np.eye(4))
    found = read_reference(tmp_path / "a.nii.gz", (0, 1, 2), stored=(0, 2, 4)).array
    assert np.unique(found).tolist() == [0, 1, 2]
    assert (found[0] == 1).all()
    assert (found[1] == 2).all()
    array[2] = 1
    write_nifti(tmp_path / "a.nii.gz", array, np.eye(4))
    with pytest.raises(UserError, match=r"E206 case 'a': .* holds 1; known codes are 0, 2, 4"):
        read_reference(tmp_path / "a.nii.gz", (0, 1, 2), stored=(0, 2, 4), case="a")


@pytest.mark.parametrize("white", [254, 255])
def test_white_with_soft_edges_is_read_as_its_class(tmp_path, white):
    array = np.zeros((12, 12), np.uint8)
    array[3:9, 3:9], array[2, 3:9] = white, 90
    Picture.fromarray(array).save(tmp_path / "a.png")
    found = read_reference(tmp_path / "a.png", (0, 1), stored=(0, white)).array
    np.testing.assert_array_equal(found, array == white)
