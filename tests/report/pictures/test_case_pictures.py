from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from mednoisy.data.images import write_nifti
from mednoisy.report.pictures.case_arrays import CaseArrays, read_case
from mednoisy.report.pictures.case_pictures import (
    PREDICTION_COLOUR,
    REFERENCE_COLOUR,
    outline_colours,
    plane_pictures,
)

RIGHT_FRONT_UP = np.eye(4)
LEFT_BACK_UP = np.diag([-1.0, -1.0, 1.0, 1.0])


def pixels(picture):
    content = base64.b64decode(picture.address.split(",")[1])
    return np.asarray(Image.open(io.BytesIO(content)).convert("L")).astype(float)


@pytest.mark.parametrize("affine", [RIGHT_FRONT_UP, LEFT_BACK_UP, RIGHT_FRONT_UP[[2, 0, 1, 3]]])
def test_right_is_left_front_is_up_whatever_the_storage(tmp_path, affine):
    """A bright octant at the patient's right, front and top is top left in axial and coronal pictures."""
    body = np.zeros((20, 20, 20), np.float32)
    body[10:, 10:, 10:] = 1
    ball = (((np.indices(body.shape) - 12) ** 2).sum(axis=0) < 25).astype(np.uint8)  # its largest planes cut the octant
    steps = np.linalg.inv(affine[:3, :3]).round().astype(int)
    files = {}
    for name, array in {"image": body, "reference": ball, "prediction": ball}.items():
        turned = np.transpose(array, np.abs(steps).argmax(axis=1))
        files[name] = tmp_path / f"{name}.nii.gz"
        write_nifti(files[name], np.flip(turned, np.flatnonzero(steps.sum(axis=1) < 0)), affine)
    case = read_case(files, "c")
    assert np.array_equal(case.image, body)
    for picture in plane_pictures(case, "c", 200, [1]):
        shown = pixels(picture)
        assert shown[:80, :80].mean() > 4 * shown[-80:, -80:].mean(), picture.plane


def test_flat_and_imageless_volumes_have_square_pictures():
    mask = np.zeros((30, 50), bool)
    mask[10:20, 5:40] = True
    (picture,) = plane_pictures(CaseArrays(None, mask, mask, (1.0, 2.0)), "c", 160, [1])
    assert pixels(picture).shape == (160, 160)
    assert picture.plane == "picture"


def test_empty_reference_shows_the_prediction_and_both_empty_the_middle():
    empty, full = np.zeros((9, 10, 11), np.uint8), np.zeros((9, 10, 11), np.uint8)
    full[4:6, 4:6, 8:10] = 3
    assert len(plane_pictures(CaseArrays(None, empty, full, (1.0, 1.0, 3.0)), "c", 100, [3])) == 3
    assert len(plane_pictures(CaseArrays(None, empty, empty, (1.0, 1.0, 3.0)), "c", 100, [3], ("axial",))) == 1


def painted(picture, colour):
    """How many pixels have nearly this colour."""
    content = base64.b64decode(picture.address.split(",")[1])
    shown = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    return (np.abs(shown - [round(255 * part) for part in to_rgb(colour)]).max(axis=-1) < 40).sum()


def test_both_outlines_are_seen_where_they_coincide():
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 1
    (picture,) = plane_pictures(CaseArrays(None, mask, mask, (1.0, 1.0)), "c", 380, [1])
    for colour in (REFERENCE_COLOUR, PREDICTION_COLOUR):
        assert painted(picture, colour) > 300, colour


@pytest.mark.parametrize("shown", [1, 2, 3])
def test_each_of_several_classes_has_colours_of_its_own(shown):
    """A picture that shows one class has its two colours and none of the others'."""
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = shown
    (picture,) = plane_pictures(CaseArrays(None, mask, mask, (1.0, 1.0)), "c", 380, [1, 2, 3])
    for code, colours in outline_colours([1, 2, 3]).items():
        for colour in colours:
            assert (painted(picture, colour) > 300) == (code == shown), (code, colour)


def test_six_classes_are_told_apart():
    """All twelve colours differ by 30 of 255 in some channel; a seventh class begins anew."""
    colours = [np.multiply(to_rgb(colour), 255) for pair in outline_colours(range(1, 7)).values() for colour in pair]
    gaps = [np.abs(one - other).max() for place, one in enumerate(colours) for other in colours[:place]]
    assert min(gaps) > 30
    assert outline_colours(range(1, 8))[7] == outline_colours(range(1, 8))[1]
