from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK

from mednoisy.data.image_pairs import check_pair, pair_notes
from mednoisy.data.images import Image, read_image, write_picture
from mednoisy.errors import UserError


def volume(array: np.ndarray, spacing: float = 1.0) -> Image:
    return Image(array, np.diag([spacing] * 3 + [1.0]), (spacing,) * 3)


@pytest.mark.parametrize("shape", [(5, 7), (6, 6)])
def test_a_mask_of_a_picture_in_a_format_for_volumes_has_columns_as_x(tmp_path, shape):
    """As 3D Slicer saves what was drawn on a PNG; of a square picture its size tells nothing."""
    mask = np.zeros(shape, np.uint8)
    mask[1, 2:5] = 1
    write_picture(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8))
    write_picture(tmp_path / "mask.png", mask)
    SimpleITK.WriteImage(SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(mask)]), tmp_path / "a.nii.gz")
    image, label, as_picture = (read_image(tmp_path / name) for name in ("a.png", "a.nii.gz", "mask.png"))
    assert label.shape == (*shape[::-1], 1)
    fitted = check_pair(image, label, (0, 1))
    np.testing.assert_array_equal(fitted.array, mask)
    assert fitted.spacing == image.spacing
    assert pair_notes(image, label) == ["are a picture and a volume's format: x are columns, y are rows"]
    slice_of = check_pair(label, as_picture, (0, 1))  # the other way round
    np.testing.assert_array_equal(slice_of.array, label.array)
    assert pair_notes(image, as_picture) == []


def test_a_mask_of_a_picture_that_fits_only_as_stored_is_taken_so(tmp_path):
    mask = np.zeros((5, 7), np.uint8)
    mask[1, 2:5] = 1
    write_picture(tmp_path / "a.png", np.arange(35, dtype=np.uint8).reshape(5, 7))
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), tmp_path / "a.nii")
    image, label = read_image(tmp_path / "a.png"), read_image(tmp_path / "a.nii")
    np.testing.assert_array_equal(check_pair(image, label, (0, 1)).array, mask)
    assert pair_notes(image, label) == ["are a picture and a volume's format, and fit only as they are stored"]
    nibabel.save(nibabel.Nifti1Image(mask[:4], np.eye(4)), tmp_path / "b.nii")
    assert pair_notes(image, read_image(tmp_path / "b.nii")) == []
    with pytest.raises(UserError, match="E204 image is 5x7, label is 4x7"):
        check_pair(image, read_image(tmp_path / "b.nii"), (0, 1))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (volume(np.zeros((4, 5, 5), np.uint8)), "E204 case 'A12': image is 4x5x6, label is 4x5x5. Re-export"),
        (volume(np.zeros((4, 5, 6), np.uint8), 1.02), "E205 .*corners up to 0.141 mm apart"),
        (volume(np.full((4, 5, 6), 3, np.uint8)), "E206 case 'A12': label holds 3; known codes are 0, 1"),
        (volume(np.full((4, 5, 6), 0.5, np.float32)), "E206 case 'A12': label holds 0.5; known codes are 0, 1"),
    ],
)
def test_a_label_off_its_image_or_codes_is_refused(label, message):
    with pytest.raises(UserError, match=message):
        check_pair(volume(np.zeros((4, 5, 6))), label, (0, 1), case="A12")


def test_unknown_codes_are_all_named_up_to_twenty():
    label = volume(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    with pytest.raises(UserError, match=r"E206 label holds 2, 3, .*, 20, 21 and 2 more; known codes are 0, 1\."):
        check_pair(label, label, (1, 0))


def test_an_affine_off_by_rounding_is_accepted():
    check_pair(volume(np.zeros((4, 5, 6))), volume(np.ones((4, 5, 6), np.uint8), 1 + 1e-6), (0, 1))
