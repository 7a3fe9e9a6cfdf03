from __future__ import annotations

import unicodedata
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from mednoisy.data.images import Image, read_image, write_nifti, write_picture
from mednoisy.errors import UserError
from mednoisy.evaluation.prediction_pairs import Pair, find_pairs, on_grid_of


def folder(where: Path, *names: str) -> Path:
    """A folder with files of these names, empty: folders goes by name alone."""
    where.mkdir(parents=True, exist_ok=True)
    for name in names:
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).touch()
    return where


def ids(*args, **options) -> list[str]:
    return [pair.id for pair in find_pairs(*args, **options).pairs]


def test_pairs_are_sorted_and_whole(tmp_path):
    predictions = folder(tmp_path / "p", "022.png", "021.nii.gz", "site A/021.nrrd", "notes.txt", ".021.nii.gz")
    references = folder(tmp_path / "r", "site A/021.nii.gz", "021.mha", "022.tif", ".cache/9.nii.gz")
    images = folder(tmp_path / "i", "021.nii", "022.jpg", "100.nii")
    folders = find_pairs(predictions, references, images)
    assert folders.pairs == (
        Pair("021", predictions / "021.nii.gz", references / "021.mha", images / "021.nii"),
        Pair("022", predictions / "022.png", references / "022.tif", images / "022.jpg"),
        Pair("site A/021", predictions / "site A/021.nrrd", references / "site A/021.nii.gz", None),
    )
    assert (folders.unmatched_predictions, folders.unmatched_references) == ((), ())


def test_endings_are_cut_off(tmp_path):
    predictions = folder(tmp_path / "p", "a_pred.nii.gz", "b.x_pred_pred.png", "_pred.png")
    references = folder(tmp_path / "r", "a_segmentation.nii.gz", "b.x_pred.png", "_pred.png")
    assert ids(predictions, references, strip=("_pred", "_segmentation"), allow_missing=True) == ["_pred", "a"]
    assert ids(predictions, references, strip=("_pred", "_pred_pred", "_segmentation")) == ["_pred", "a", "b.x"]


def test_names_are_met_whatever_their_unicode_form(tmp_path):
    name = "Müller <script>alert(1)<#script> ä"
    predictions = folder(tmp_path / "p", unicodedata.normalize("NFD", name) + ".png")
    references = folder(tmp_path / "r", unicodedata.normalize("NFC", name) + ".png")
    assert ids(predictions, references) == [name]


@pytest.mark.parametrize(
    ("predictions", "references", "expected"),
    [
        (["A/mri_norm2.h5", "B/mri_norm2.h5"], ["A/mri_norm2.h5", "B/mri_norm2.h5"], ["A", "B"]),
        (["A/mri_norm2.h5", "B/mri_norm2.h5"], ["A.nii.gz", "B.nii.gz"], ["A", "B"]),
        (["x/A/pred.nii", "x/B/pred.nii"], ["x/A/truth.h5", "x/B/truth.h5"], ["x/A", "x/B"]),
        (["A/one.nii", "A/two.nii"], ["A/one.nii", "A/two.nii"], ["A/one", "A/two"]),
        (["A/one.nii"], ["A/one.nii", "A/two.nii"], ["A/one"]),
        (["one.nii"], ["one.nii"], ["one"]),
    ],
)
def test_a_name_that_all_share_is_none(tmp_path, predictions, references, expected):
    both = folder(tmp_path / "p", *predictions), folder(tmp_path / "r", *references)
    assert ids(*both, allow_missing=True) == expected


def test_published_folders_pair_by_their_names(shared_data):
    path = shared_data("raw_samples/h5")
    assert ids(path, path) == ["8M99G0JLAXG9GLPV0O8G", "FGM5NIWN3URY4HF4WNUW"]
    assert ids(path, shared_data("left_atrium/labels"), allow_missing=True) == ids(path, path)


def test_what_lacks_a_partner_is_listed_or_left_out(tmp_path):
    predictions = folder(tmp_path / "p", "a.png", *(f"p{n:02}.png" for n in range(12)))
    references = folder(tmp_path / "r", "a.png", "r1.png")
    message = (
        "E423 no reference for prediction p00, p01, p02, p03, p04, p05, p06, p07, p08, p09 and 2 more; "
        "no prediction for reference r1. Add or rename files .--strip cuts endings., or leave them out by --allow-miss"
    )
    with pytest.raises(UserError, match=message):
        find_pairs(predictions, references)
    folders = find_pairs(predictions, references, allow_missing=True)
    assert [pair.id for pair in folders.pairs] == ["a"]
    assert folders.unmatched_predictions == tuple(f"p{n:02}" for n in range(12))
    assert folders.unmatched_references == ("r1",)


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        (["a.nii.gz", "a.png"], ["a.png"], r"E421 .*p holds more than one file for a \(a.nii.gz, a.png\). Keep one"),
        (["a.png"], ["ä.png", "a\u0308.png", "a.png"], r"E421 .*r holds more than one file for ä \("),
        (["a_x.png", "a.png"], ["a.png"], r"E421 .*p holds more than one file for a"),
        (
            ["b1.png", "b2.png"],
            ["a1.png"],
            r"E422 .*p and .*r have no id in common. Name .* 'b1' and 'a1', say. --strip",
        ),
        (["a.txt"], ["a.png"], r"E420 .*p holds no file of a known format. Known: .nii, "),
        ([], ["a.png"], r"E420 .*p holds no file of a known format"),
        (["a.png"], None, r"E420 .*r is no folder. Correct the path"),
    ],
)
def test_folders_that_do_not_pair_are_one_line(tmp_path, predictions, references, message):
    folder(tmp_path / "p", *predictions)
    if references is not None:
        folder(tmp_path / "r", *references)
    with pytest.raises(UserError, match=message) as fault:
        find_pairs(tmp_path / "p", tmp_path / "r", strip=("_x",))
    assert "\n" not in str(fault.value)


def test_images_of_other_cases_are_refused(tmp_path):
    labels, images = folder(tmp_path / "p", "a.png"), folder(tmp_path / "i", "b_0000.png")
    with pytest.raises(UserError, match=r"E422 .*i and .*p have no id in common. .*'b_0000' and 'a', say"):
        find_pairs(labels, labels, images)


# Grids

AFFINE = np.array([[0.1, -1.4, 0.2, 5], [0.7, 0.2, 0.1, -7], [-0.1, 0.2, 3, 1], [0, 0, 0, 1]])
CODES = np.random.default_rng(0).integers(0, 4, (4, 5, 6)).astype(np.uint8)


def image(array: np.ndarray, affine: np.ndarray = AFFINE, *, located: bool = True) -> Image:
    spacing = np.linalg.norm(affine[:3, : array.ndim], axis=0)
    return Image(array, affine, tuple(spacing.tolist()), located)


def in_order(original: Image, axes: str) -> Image:
    """The same voxels in the same places, stored along other axes."""
    wanted = nibabel.orientations.axcodes2ornt(axes)
    turn = nibabel.orientations.ornt_transform(io_orientation(original.affine), wanted)
    affine = original.affine @ inv_ornt_aff(turn, original.array.shape)
    return image(apply_orientation(original.array, turn), affine)


def test_one_grid_is_taken_as_it_is():
    array, note = on_grid_of(image(CODES), image(CODES * 0), strict=True)
    assert note is None
    np.testing.assert_array_equal(array, CODES)
    nearly = AFFINE.copy()
    nearly[0, 3] += 0.006  # under a hundredth of the smallest step, 0.71 mm
    assert on_grid_of(image(CODES, nearly), image(CODES), strict=True)[1] is None


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SRA", "PIR", "ALI", "IRP"])
def test_turned_axes_are_turned_back_exactly(axes):
    stored = in_order(image(CODES), axes)
    array, note = on_grid_of(stored, image(CODES))
    np.testing.assert_array_equal(array, CODES)
    assert note == f"axes turned from {axes} to {''.join(nibabel.aff2axcodes(AFFINE))}, as the reference has them"
    assert array.flags.c_contiguous
    with pytest.raises(
        UserError, match=f"E425 case 'p7': the prediction's axes are {axes}, the reference's .*--strict"
    ):
        on_grid_of(stored, image(CODES), strict=True, case="p7")


def test_a_published_segmentation_flipped_in_y_comes_back(shared_data, tmp_path):
    path = shared_data("raw_samples/dicom_ct/abdomen_20slice/segmentation.nii.gz")
    reference = read_image(path)
    flip = np.diag([1.0, -1, 1, 1])
    flip[1, 3] = reference.shape[1] - 1
    write_nifti(tmp_path / "flipped.nii.gz", reference.array[:, ::-1], reference.affine @ flip)
    flipped = read_image(tmp_path / "flipped.nii.gz")
    assert (flipped.array != reference.array).any()
    array, note = on_grid_of(flipped, reference)
    np.testing.assert_array_equal(array, reference.array)
    assert note == "axes turned from LPS to LAS, as the reference has them"
    with pytest.raises(UserError, match=r"E425"):
        on_grid_of(flipped, reference, strict=True)


def test_an_nrrd_in_lps_meets_a_nifti_in_ras(shared_data, tmp_path):
    label = read_image(shared_data("raw_samples/nrrd/breast1_label.nrrd"))
    turned = in_order(label, "RAS")
    write_nifti(tmp_path / "a.nii.gz", turned.array, turned.affine)
    array, note = on_grid_of(read_image(tmp_path / "a.nii.gz"), label)
    np.testing.assert_array_equal(array, label.array)
    assert note == "axes turned from RAS to LPS, as the reference has them"


def moved(how: str) -> Image:
    affine = np.diag([1.0, 2, 3, 1])
    if how == "spacing":
        affine[2, 2] = 3.3
    if how == "origin":
        affine[:3, 3] = 0, 0, 0.5
    if how == "direction":
        angle = np.radians(12.5)
        affine[:2, :2] = [[np.cos(angle), -2 * np.sin(angle)], [np.sin(angle), 2 * np.cos(angle)]]
    if how == "flipped and moved":
        affine[0, 0], affine[0, 3] = -1, 4
    array = CODES[..., :-1] if how == "size" else CODES
    return image(array, affine)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("size", r"differ in size \(4x5x5 against 4x5x6\)\. Resample"),
        ("spacing", r"differ in spacing \(1x2x3.3 against 1x2x3 mm\); place \(corners up to 1.5 mm apart\)\. Resample"),
        ("origin", r"differ in origin \(0, 0, 0.5 against 0, 0, 0 mm\); place \(corners up to 0.5 mm apart\)"),
        ("direction", r"differ in direction \(up to 12.5 degrees\); place \(corners up to 1.86 mm apart\)"),
        ("flipped and moved", r"differ in origin \(1, 0, 0 against 0, 0, 0 mm\); place \(corners up to 1 mm apart\)"),
    ],
)
def test_another_grid_is_refused_with_what_differs(how, message):
    with pytest.raises(UserError, match=rf"E424 case 'p7': prediction and reference {message}"):
        on_grid_of(moved(how), moved("not"), case="p7")


def test_sizes_are_told_with_spacings_where_both_differ():
    coarse = image(CODES[::2], np.diag([2.0, 2, 3, 1]))
    with pytest.raises(UserError, match=r"size \(2x5x6 against 4x5x6\); spacing \(2x2x3 against 1x2x3 mm\)"):
        on_grid_of(coarse, moved("not"))


def test_without_geometry_the_size_alone_counts():
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 3  # under the identity's convention this would be a flip
    bare, placed = image(CODES, np.eye(4), located=False), image(CODES, flipped)
    array, note = on_grid_of(bare, placed, strict=True)
    np.testing.assert_array_equal(array, CODES)
    assert note == "compared with the reference by size alone, for it holds no geometry"
    _, note = on_grid_of(placed, bare)
    assert note == "compared with the reference by size alone, for the reference holds no geometry"
    assert on_grid_of(bare, bare)[1] is None
    with pytest.raises(UserError, match=r"E424 prediction and reference differ in size \(6x5x4 against 4x5x6\)"):
        on_grid_of(image(CODES.T, np.eye(4), located=False), placed)


def test_a_last_axis_of_one_slice_does_not_count():
    thick = np.diag([1.0, 2, 7, 1])
    flat, single = image(CODES[..., 0], np.diag([1.0, 2, 1, 1])), image(CODES[..., :1], thick)
    array, note = on_grid_of(flat, single)
    np.testing.assert_array_equal(array, CODES[..., :1])
    assert note is None
    flipped = np.diag([1.0, -2, 1, 1])
    flipped[1, 3] = 8
    array, note = on_grid_of(image(CODES[:, ::-1, 0], flipped), single)
    np.testing.assert_array_equal(array, CODES[..., :1])
    assert note == "axes turned from RPS to RAS, as the reference has them"


# Pictures against volumes of one slice

SQUARE = np.zeros((64, 64), bool)
SQUARE[10:20, 5:50] = True


def stored(folder: Path, kind: str, mask: np.ndarray) -> Image:
    """A mask of rows and columns as programs store it in each format."""
    path, codes = folder / f"a.{kind.removeprefix('one slice ')}", mask.astype(np.uint8)
    if kind == "png":
        write_picture(path, mask)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["image"] = codes
    elif kind.endswith(("mha", "nrrd")):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(codes[np.newaxis] if "slice" in kind else codes), path)
    else:
        write_nifti(path, codes.T[..., np.newaxis] if "slice" in kind else codes.T, np.diag([-0.5, -2, 3, 1]))
    return read_image(path)


@pytest.mark.parametrize("kind", ["mha", "nrrd", "nii.gz", "one slice mha", "one slice nrrd", "one slice nii.gz"])
@pytest.mark.parametrize("mask", [SQUARE, SQUARE[:30]])
def test_a_picture_meets_a_volume_in_its_order(tmp_path, kind, mask):
    picture, volume = stored(tmp_path, "png", mask), stored(tmp_path, kind, mask)
    array, note = on_grid_of(picture, volume, strict=True)
    np.testing.assert_array_equal(array, volume.array)
    assert array.flags.c_contiguous
    assert note == "compared with the reference by size alone, columns as x and rows as y, for it is a picture"
    array, note = on_grid_of(volume, picture)
    np.testing.assert_array_equal(array, mask)
    assert note == "compared with the reference by size alone, x as columns and y as rows, for that is a picture"


@pytest.mark.parametrize("kind", ["png", "h5"])
def test_a_picture_meets_another_and_hdf5_as_stored(tmp_path, kind):
    array, note = on_grid_of(stored(tmp_path, "png", SQUARE), stored(tmp_path, kind, SQUARE))
    np.testing.assert_array_equal(array, SQUARE)
    assert note is None


def test_a_volume_that_fits_a_picture_only_as_stored_is_taken_so(tmp_path):
    """Predictions for pictures are stored as rows and columns by some programs."""
    picture = stored(tmp_path, "png", SQUARE[:30])
    array, note = on_grid_of(stored(tmp_path, "nii.gz", SQUARE[:30].T), picture)
    np.testing.assert_array_equal(array, SQUARE[:30])
    assert note == "compared with the reference by size alone, for the reference holds no geometry"
    with pytest.raises(UserError, match=r"E424 .* size \(64x29 against 30x64\)"):
        on_grid_of(stored(tmp_path, "nii.gz", SQUARE[:29]), picture)
