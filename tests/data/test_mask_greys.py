"""What greys of masks mean: decided for a folder, and refused where they are neither black, white nor an edge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from PIL import ImageFilter

from mednoisy.data.label_maps import read_label_map
from mednoisy.data.mask_greys import FolderGreys, class_grey, greys_of_folder
from mednoisy.errors import UserError

ROWS, COLUMNS = np.mgrid[:60, :80]
FAR = np.hypot(ROWS - 30, COLUMNS - 40)
DISC = (FAR < 14).astype(np.uint8)
WHITE_DISC = DISC * np.uint8(255)


def averaged(shape: np.ndarray, factor: int = 4) -> np.ndarray:
    """A mask made smaller with averaging, as image programs do."""
    size = (shape.shape[1] // factor, shape.shape[0] // factor)
    return np.asarray(Picture.fromarray(shape).resize(size, Picture.Resampling.BOX))


LARGE = (np.hypot(*np.indices((240, 320)) - np.array([120, 160])[:, None, None]) < 48).astype(np.uint8) * 255


def folder(where: Path, *arrays: np.ndarray) -> list[Path]:
    where.mkdir(parents=True, exist_ok=True)
    paths = [where / f"{number}.png" for number in range(len(arrays))]
    for path, array in zip(paths, arrays, strict=True):
        Picture.fromarray(array).save(path)
    return paths


def tiny() -> np.ndarray:
    """A small lesion whose brightest grey is 238."""
    array = np.zeros((60, 80), np.uint8)
    array[30, 40:42], array[31, 40:42] = (238, 189), (180, 119)
    return array


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ([WHITE_DISC, DISC], FolderGreys(255, (1,))),
        ([DISC * np.uint8(254)], FolderGreys(254)),
        ([DISC * np.uint16(65535)], FolderGreys(65535)),
        ([averaged(LARGE), tiny()], FolderGreys(255)),
        ([DISC, DISC * 2], FolderGreys(None, (1, 2))),
        ([DISC + (FAR < 5), WHITE_DISC], FolderGreys(None, (1, 2))),
        ([DISC * 128], FolderGreys(None)),
        ([DISC * 0], FolderGreys(None)),
    ],
)
def test_what_is_white_is_decided_for_a_folder(tmp_path, arrays, expected):
    greys = greys_of_folder(folder(tmp_path, *arrays), workers=2)
    assert greys is not None
    assert greys.white == expected.white
    assert expected.codes == () or greys.codes == expected.codes


def test_only_pictures_that_keep_their_greys_decide(tmp_path):
    Picture.fromarray(WHITE_DISC).save(tmp_path / "a.jpg")
    (tmp_path / "b.png").write_bytes(b"damaged")
    paths = [tmp_path / "a.jpg", tmp_path / "b.png", tmp_path / "c.nii.gz"]
    assert greys_of_folder(paths) is None


def test_mapping_and_ignored_codes_are_heeded(tmp_path):
    paths = folder(tmp_path, DISC + (FAR < 5), WHITE_DISC)
    assert greys_of_folder(paths, {2: 1}) == FolderGreys(255, (1,))
    assert greys_of_folder(paths, ignore=[255]) == FolderGreys(None, (1, 2))


@pytest.mark.parametrize("white", [np.uint8(254), np.uint16(65535)])
def test_another_white_is_one_too(tmp_path, white):
    [path] = folder(tmp_path, DISC * white)
    found = read_label_map(path, folder=greys_of_folder([path]))
    np.testing.assert_array_equal(found.image.array, DISC)
    assert found.notes == (f"white ({white}) read as code 1",)


def test_a_soft_mask_without_white_is_cut_as_the_masks_beside_it(tmp_path):
    paths = folder(tmp_path, averaged(LARGE), tiny())
    greys = greys_of_folder(paths)
    found = read_label_map(paths[1], folder=greys)
    np.testing.assert_array_equal(found.image.array, tiny() > 127)
    assert found.notes == ("greys thresholded at 127",)
    with pytest.raises(UserError, match=r"E224 case 'p7': .* holds 119, 180, 189, 238 and no white: soft edges, or"):
        read_label_map(paths[1], case="p7")  # alone, nobody can tell


def test_white_in_a_folder_of_codes_is_no_class(tmp_path):
    paths = folder(tmp_path, DISC + (FAR < 5), WHITE_DISC)
    with pytest.raises(UserError, match=r"E224 .*1.png holds 255, no class in a folder of codes 1, 2: .*--ignore 255"):
        read_label_map(paths[1], folder=greys_of_folder(paths))


def line(width: int) -> np.ndarray:
    array = WHITE_DISC.copy()
    array[50 : 50 + width, 5:75] = 128
    return array


def ring(width: int) -> np.ndarray:
    return np.where(FAR < 14, 255, np.where(FAR - width < 14, 128, 0)).astype(np.uint8)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("shape", [line, ring])
def test_a_grey_that_is_no_edge_is_refused_at_any_width(tmp_path, width, shape):
    [path] = folder(tmp_path, shape(width))
    assert class_grey(shape(width)) == 128
    with pytest.raises(
        UserError, match=r"E224 .* has areas or lines of grey 128 that are no soft edge.*--map 128=CODE"
    ):
        read_label_map(path, [1])


@pytest.mark.parametrize("width", [3, 5, 8])
def test_a_grey_that_is_no_edge_is_refused_in_a_jpeg(tmp_path, width):
    Picture.fromarray(line(width)).save(tmp_path / "a.jpg", quality=90)
    with pytest.raises(UserError, match=r"E224 .* has areas or lines of grey 12\d that are no soft edge"):
        read_label_map(tmp_path / "a.jpg", [1])


@pytest.mark.parametrize("code", [1, 2, 5])
def test_a_code_beside_a_soft_edge_is_refused(tmp_path, code):
    array = averaged(LARGE).copy()
    array[50:55, 5:40] = code
    [path] = folder(tmp_path, array)
    with pytest.raises(UserError, match=rf"E224 .* has areas or lines of grey {code} that"):
        read_label_map(path, [1])


def test_probabilities_are_told_from_classes(tmp_path):
    """A sigmoid's map, stretched to black and white: no codes to be named."""
    soft = 1 / (1 + np.exp((FAR - 13) / 4)) + 0.25 * np.exp(-((ROWS - 12) ** 2 + (COLUMNS - 65) ** 2) / 120)
    soft = (soft - soft.min()) / (soft.max() - soft.min())
    [path] = folder(tmp_path, (soft * 255).astype(np.uint8))
    with pytest.raises(
        UserError, match=r"E224 .* has 2\d\d greys between black and white, which look like prob.*Thresh"
    ):
        read_label_map(path, [1])


def rectangle() -> np.ndarray:
    array = np.zeros((240, 320), np.uint8)
    array[42:150, 61:200] = 255
    return array


def two_lesions() -> np.ndarray:
    one = np.hypot(*np.indices((240, 320)) - np.array([120, 120])[:, None, None]) < 38
    other = np.hypot(*np.indices((240, 320)) - np.array([120, 199])[:, None, None]) < 38
    return (one | other).astype(np.uint8) * 255


def blurred(radius: float) -> np.ndarray:
    return np.asarray(Picture.fromarray(WHITE_DISC).filter(ImageFilter.GaussianBlur(radius)))


@pytest.mark.parametrize(
    "soft",
    [
        averaged(LARGE),
        averaged(LARGE, 2),
        averaged(rectangle()),
        averaged(rectangle(), 2),
        averaged(two_lesions()),
        averaged(two_lesions(), 3),
        blurred(1),
        blurred(2),
        np.asarray(Picture.fromarray(WHITE_DISC).resize((240, 180), Picture.Resampling.BILINEAR)),
        np.asarray(Picture.fromarray(WHITE_DISC).resize((57, 41), Picture.Resampling.BICUBIC)),
        np.asarray(Picture.fromarray(WHITE_DISC).rotate(17, Picture.Resampling.BICUBIC)),
    ],
)
def test_soft_edges_of_every_kind_are_cut(tmp_path, soft):
    [path] = folder(tmp_path, soft)
    assert ((soft > 32) & (soft < 223)).any()
    np.testing.assert_array_equal(read_label_map(path, [1]).image.array, soft > 127)


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_edges_of_a_jpeg_are_cut(tmp_path, quality):
    for shape in (WHITE_DISC, averaged(LARGE), averaged(two_lesions())):
        Picture.fromarray(shape).save(tmp_path / "a.jpg", quality=quality)
        assert (read_label_map(tmp_path / "a.jpg", [1]).image.array != (shape > 127)).sum() < 20


def test_ignored_codes_are_left_out(tmp_path):
    marked = np.where(FAR < 12, 1, np.where(FAR < 16, 255, 0)).astype(np.uint8)
    [path] = folder(tmp_path, marked)
    for codes in (None, [1], [1, 2]):
        found = read_label_map(path, codes, ignore=[255])
        np.testing.assert_array_equal(found.image.array, marked == 1)
        np.testing.assert_array_equal(found.ignored, marked == 255)
    assert read_label_map(path, None, {255: 0}).ignored is None
