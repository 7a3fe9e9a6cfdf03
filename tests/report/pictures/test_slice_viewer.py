from __future__ import annotations

import base64
import gzip
import io

import numpy as np
import pytest
from PIL import Image

from mednoisy.report.pictures.case_arrays import CaseArrays
from mednoisy.report.pictures.slice_viewer import viewer_data


def unpacked(text, shape):
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), "<u2").reshape(shape)


def case_arrays(shape=(30, 40, 50), spacing=(1.0, 2.0, 3.0), image=True):
    """A block of code 7 from (10, 12, 20) to (14, 22, 25) in front, right and up order."""
    reference = np.zeros(shape, np.uint8)
    reference[10:14, 12:22, 20:25] = 7
    return CaseArrays(np.indices(shape)[2] * 1.0 if image else None, reference, np.roll(reference, 1, axis=2), spacing)


def test_the_grid_is_cropped_around_all_masks_and_mirrored_as_shown():
    case = case_arrays()
    data = viewer_data({"run": case}, {7: "organ"})
    # Slices are counted from the top: 50 - 26 to 50 - 20 of both masks, 8 more on each side, and so on.
    assert (data["first"], data["shape"]) == ([50 - 26 - 8, 40 - 22 - 8, 30 - 14 - 8], [6 + 16, 10 + 16, 4 + 16])
    assert data["size"] == [50, 40, 30]
    assert data["spacing"] == [3.0, 2.0, 1.0]
    shown = case.reference[::-1, ::-1, ::-1].transpose(2, 1, 0)[16:38, 10:36, 8:28]
    assert np.array_equal(unpacked(data["reference"], data["shape"]), shown)
    for axis, middle in enumerate(data["middle"]):
        assert np.take(shown, middle, axis=axis).any()
    assert not data["thinned"]


def test_each_slice_has_its_tile():
    """Brightness is the height, so that every tile has one grey."""
    data = viewer_data({"run": case_arrays()}, {7: "organ"})
    slices, rows, columns = data["shape"]
    mosaic = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image"])))).astype(float)
    assert mosaic.shape[1] == data["tiles"] * columns
    greys = [
        mosaic[number // data["tiles"] * rows :, number % data["tiles"] * columns :][:rows, :columns].mean()
        for number in range(slices)
    ]
    assert np.allclose(greys, np.linspace(255, 0, slices), atol=6)


def test_the_finest_axis_is_thinned_out_first():
    data = viewer_data({"run": case_arrays()}, {7: "organ"}, most_voxels=6000)  # of 22 x 26 x 20 = 11440
    assert data["step"] == [1, 1, 2]
    assert data["spacing"] == [3.0, 2.0, 2.0]
    assert data["shape"] == [22, 26, 10]
    assert data["thinned"]


def test_runs_share_image_and_reference():
    one, other = case_arrays(), case_arrays()
    data = viewer_data({"one": one, "other": CaseArrays(None, other.reference, other.reference, other.spacing)}, {})
    assert len(data["predictions"]) == 2
    assert data["predictions"][1] == data["reference"] != data["predictions"][0]
    with pytest.raises(ValueError, match="masks have the shapes"):
        viewer_data({"one": one, "other": case_arrays((30, 40, 51))}, {})


def test_empty_masks_show_everything_and_a_picture_is_one_slice():
    empty = np.zeros((9, 10, 11), np.uint8)
    data = viewer_data({"run": CaseArrays(None, empty, empty, (1.0, 1.0, 1.0))}, {})
    assert data["shape"] == [11, 10, 9]
    assert data["image"] is None
    flat = np.zeros((30, 50), np.uint8)
    flat[4, 5] = 300 % 256
    data = viewer_data({"run": CaseArrays(np.zeros((30, 50, 3), np.uint8), flat, flat, (1.0, 1.0))}, {})
    assert data["shape"] == [1, 30, 50]
    assert data["colour"]
    assert np.array_equal(unpacked(data["reference"], (30, 50)), flat)
