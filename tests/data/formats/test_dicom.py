"""DICOM series: where their voxels lie, and what is no volume. The writer is SimpleITK's, not the reader's own."""

from __future__ import annotations

import locale

import numpy as np
import pytest
import SimpleITK

from mednoisy.data.formats.dicom import is_dicom, read_series, series_folders
from mednoisy.data.images import read_series as read_image_series
from mednoisy.errors import UserError
from tests.data.formats.dicom_files import SIZE, series

LPS_TO_RAS = np.diag([-1.0, -1, 1, 1])


def test_voxels_lie_where_the_headers_say(tmp_path):
    """In the order of their positions, whatever files are called; the step is that of positions."""
    array = series(str(tmp_path), 1)
    voxels = read_series(tmp_path)
    np.testing.assert_array_equal(voxels.array, array)
    wanted = np.diag([0.8, 0.9, 2.5, 1])
    wanted[:3, 3] = (10, 20, -30)
    np.testing.assert_allclose(voxels.affine, LPS_TO_RAS @ wanted, atol=1e-6)
    assert voxels.oriented


def test_slices_from_the_head_down_are_stacked_upwards(tmp_path):
    array = series(str(tmp_path), 1, [(10.0, 20, -2.5 * index) for index in range(SIZE[2])])
    voxels = read_series(tmp_path)
    np.testing.assert_array_equal(voxels.array, array[:, :, ::-1])
    assert voxels.affine[2, 2] == pytest.approx(2.5)
    assert voxels.affine[2, 3] == pytest.approx(-2.5 * (SIZE[2] - 1))


def test_the_size_of_pixels_is_not_rounded(tmp_path):
    """500 / 512 mm over 512 pixels: four digits of it would be 0.02 mm off at the far side."""

    def finer(index, image):
        image.SetSpacing((0.9765625, 0.9765625, 2.5))
        return image

    series(str(tmp_path), 1, change=finer)
    np.testing.assert_allclose(read_image_series(tmp_path).spacing, (0.9765625, 0.9765625, 2.5), rtol=1e-9)


def test_reading_leaves_the_locale(tmp_path):
    before = locale.setlocale(locale.LC_ALL)
    series(str(tmp_path), 1)
    read_series(tmp_path)
    assert locale.setlocale(locale.LC_ALL) == before


def test_what_is_no_slice_is_told_by_what_it_holds(tmp_path):
    """A table of contents, hidden files, texts and links to nothing are no images."""
    series(str(tmp_path / "a" / "b"), 1)
    series(str(tmp_path / ".hidden"), 2)
    image = next((tmp_path / "a" / "b").iterdir())
    for name in ("DICOMDIR", ".IM1"):
        (tmp_path / name).write_bytes(image.read_bytes())
    (tmp_path / "notes.dcm").write_text("thanks")
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    assert is_dicom(image)
    assert not any(is_dicom(path) for path in tmp_path.iterdir() if not path.is_dir())
    assert series_folders(tmp_path) == [tmp_path / "a" / "b"]


def keep_one(folder):
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()


def cut(folder, name, size):
    path = folder / name
    path.write_bytes(path.read_bytes()[:size])


def rewritten(folder, change, places=None):
    for path in folder.iterdir():
        path.unlink()
    series(str(folder), 1, places, change=change)


def wider(index, image):
    if index != 2:
        return image
    other = SimpleITK.GetImageFromArray(np.zeros((1, SIZE[1], SIZE[0] + 1), np.int16))
    other.SetSpacing(image.GetSpacing())
    other.SetOrigin(image.GetOrigin())
    for key in image.GetMetaDataKeys():
        other.SetMetaData(key, image.GetMetaData(key))
    return other


def coloured(index, image):
    other = SimpleITK.Compose(*[SimpleITK.Cast(image, SimpleITK.sitkUInt8)] * 3)
    for key in image.GetMetaDataKeys():
        other.SetMetaData(key, image.GetMetaData(key))
    return other


def turned(index, image):
    if index == 2:
        image.SetMetaData("0020|0037", "0\\1\\0\\-1\\0\\0")
    return image


UNEVEN = [(10.0, 20, z) for z in (0, 2.5, 5, 7, 9.5)]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (keep_one, "holds one slice, no volume"),
        (lambda folder: cut(folder, "IM0_1.dcm", 300), "holds IM0_1.dcm, DICOM that is damaged or no image: copy it"),
        (lambda folder: cut(folder, "IM5_1.dcm", 300), "holds IM5_1.dcm, DICOM that is damaged or no image: copy it"),
        (lambda folder: [cut(folder, path.name, 300) for path in [*folder.iterdir()]], "holds 0 DICOM series, wanted"),
        (lambda folder: rewritten(folder, wider), "of its series has another size or direction than the first"),
        (lambda folder: rewritten(folder, turned), "of its series has another size or direction than the first"),
        (lambda folder: rewritten(folder, coloured), "holds several values for each voxel, wanted one"),
        (
            lambda folder: rewritten(folder, lambda index, image: image, UNEVEN),
            "slices 3 and 4 of 5 (at 5.00 mm) are 2 mm apart, others 2.5: slices are uneven",
        ),
    ],
)
def test_what_is_no_volume_is_refused(tmp_path, fault, cause):
    """A damaged slice is refused wherever it lies: without the first or the last one the rest looks sound."""
    series(str(tmp_path), 1)
    fault(tmp_path)
    with pytest.raises(UserError) as refusal:
        read_image_series(tmp_path, case="a")
    assert str(refusal.value).startswith(f"E259 case 'a': {tmp_path} ")
    assert cause in str(refusal.value)
