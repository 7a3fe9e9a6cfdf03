"""The pancreas from the archive's own files to a trained step, and what the archive may lack or hold twice."""

from __future__ import annotations

import gzip
import json
import re

import numpy as np
import pytest

from data_prep.label_placement import placed_on
from data_prep.pancreas import SPLITS, main, prepare
from mednoisy.cli import main as mednoisy
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import Image, read_image, read_series, write_nifti
from mednoisy.errors import UserError
from tests.data_prep.pancreas_miniature import BORN, NAME, PANCREAS, SHAPE, SPACING, body, write_case, write_series
from tests.small_runs import train_arguments

PUBLISHED = json.loads(SPLITS.read_text())
TRAIN, TEST = PUBLISHED["coranet"]["train"], PUBLISHED["coranet"]["test"]
AT_1_MM = tuple(round(size * step) for size, step in zip(SHAPE, SPACING, strict=True))


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Four training cases and a test case as the archive has them."""
    raw = tmp_path_factory.mktemp("archive")
    for seed, case in enumerate([*TRAIN[:4], TEST[0]]):
        write_case(raw, case, seed)
    return raw


@pytest.fixture(scope="module")
def prepared(archive, tmp_path_factory):
    return prepare(archive, tmp_path_factory.mktemp("out"), allow_missing=True)


def test_the_split_is_the_published_one(shared_data):
    shared = json.loads((shared_data("README.md").parents[1] / "splits" / "pancreas.json").read_text())
    for name in ("coranet", "mcnet"):
        assert PUBLISHED[name]["train"] == shared[name]["train"]
        assert PUBLISHED[name]["test"] == shared[name]["test"]
        assert PUBLISHED[name]["train"][:12] == shared[name]["labeled_12"]
        assert PUBLISHED[name]["train"][:6] == shared[name]["labeled_6"]


def test_sections_and_protocol(prepared):
    datalist = Datalist.load(prepared)
    assert [case["id"] for case in datalist.cases("labeled")] == TRAIN[:4]
    assert [case["id"] for case in datalist.cases("test")] == TEST[:1]
    assert "Whole scans: no crop has seen a reference." in datalist.protocol
    assert "58 of the published train cases and 17 of the published test cases" in datalist.protocol


def test_volumes_are_at_1_mm_by_the_distance_of_slices_and_in_0_to_1(prepared):
    case = Datalist.load(prepared).cases("labeled")[0]
    image, label = read_image(case["image"]), read_image(case["label"])
    assert image.shape == label.shape == AT_1_MM
    assert image.spacing == pytest.approx((1, 1, 1))
    np.testing.assert_allclose(image.affine, label.affine, atol=1e-6)
    assert (image.array.min(), image.array.max()) == (0, 1)
    inner = tuple(
        slice(round(part.start * s) + 2, round(part.stop * s) - 2) for part, s in zip(PANCREAS, SPACING, strict=True)
    )
    assert label.array[inner].all()
    assert image.array[inner].mean() == pytest.approx((110 + 125) / 400, abs=0.01)
    assert label.array.sum() == pytest.approx(12 * 10 * 8 * np.prod(SPACING), rel=0.05)
    first = np.array(image.affine)[:3] @ [0, 0, 0, 1]  # edges stay: half a voxel of 1 mm from the edge of the old one
    np.testing.assert_allclose(first, [30 + 0.25, 25 + 0.25, 100 - 0.75], atol=1e-4)
    assert np.sign(np.diag(image.affine)[:3]).tolist() == [-1, -1, 1]


def test_no_field_of_the_patient_reaches_an_output(prepared):
    names = [part for part in re.split(r"[\^ ]", NAME)] + [BORN]
    for path in prepared.parent.rglob("*"):
        if path.is_file():
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            assert not [name for name in names if name.encode() in content or name in path.name], path


def test_the_reference_crop_is_said_and_done(archive, tmp_path):
    datalist = Datalist.load(prepare(archive, tmp_path / "out", crop="reference", allow_missing=True))
    assert "cropped around its reference with a margin of 25 voxels" in datalist.protocol
    case = datalist.cases("test")[0]
    image, label = read_image(case["image"]), read_image(case["label"])
    assert image.shape == label.shape
    assert image.shape[0] == 36 + 25 < AT_1_MM[0]
    places = np.argwhere(label.array)
    assert (places.min(axis=0) <= 25).all()
    assert (np.array(label.shape) - places.max(axis=0) - 1 <= 25).all()


def test_nifti_images_and_dicom_give_the_same(archive, prepared, tmp_path):
    """An image whose header says its place, and a label whose header says the same in another order of axes."""
    for seed, case in enumerate(TRAIN[:2]):
        affine = np.array([[-1.5, 0, 0, 30], [0, -1.5, 0, 25], [0, 0, 2.5, 100], [0, 0, 0, 1]])
        write_nifti(tmp_path / "raw" / "images" / f"PANCREAS_{case}.nii.gz", body(seed), affine)
        label = np.zeros(SHAPE, np.uint8)
        label[PANCREAS] = 1
        turned = affine.copy()
        turned[:3, 3] += affine[:3, 1] * (SHAPE[1] - 1)
        turned[:, [0, 1]] = turned[:, [1, 0]]
        turned[:, 0] *= -1
        array = np.flip(label, 1).transpose(1, 0, 2)
        write_nifti(tmp_path / "raw" / "labels" / f"label{case}.nii.gz", array, turned)
    second = Datalist.load(prepare(tmp_path / "raw", tmp_path / "out", allow_missing=True))
    for one, other in zip(Datalist.load(prepared).cases("labeled")[:2], second.cases("labeled"), strict=True):
        for part in ("image", "label"):
            a, b = read_image(one[part]), read_image(other[part])
            np.testing.assert_array_equal(a.array, b.array)
            np.testing.assert_allclose(a.affine, b.affine, atol=1e-4)


def test_missing_cases_are_named(archive, tmp_path, capsys):
    assert main([str(archive), str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("mednoisy: E379 published cases are not there: images of 0005, 0006, ")
    assert "; labels of 0005, " in told
    assert told.endswith("Download them, or go on with what is there by --allow-missing.")
    assert not (tmp_path / "out" / "datalist.json").exists()


def test_a_training_case_without_label_is_unlabeled_but_cannot_be_cropped(tmp_path):
    for seed, case in enumerate(TRAIN[:2]):
        write_case(tmp_path / "raw", case, seed)
    next((tmp_path / "raw").rglob(f"label{TRAIN[1]}.nii.gz")).unlink()
    whole = Datalist.load(prepare(tmp_path / "raw", tmp_path / "out", allow_missing=True))
    assert [case["id"] for case in whole.cases("unlabeled")] == [TRAIN[1]]
    cut = Datalist.load(prepare(tmp_path / "raw", tmp_path / "cut", crop="reference", allow_missing=True))
    assert not cut.cases("unlabeled")
    assert "61 of the published train cases" in cut.protocol


def test_a_second_run_does_nothing_and_a_newer_slice_its_case(tmp_path):
    for seed, case in enumerate(TRAIN[:2]):
        write_case(tmp_path / "raw", case, seed)
    out = prepare(tmp_path / "raw", tmp_path / "out", allow_missing=True).parent
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.gz")}
    prepare(tmp_path / "raw", out, allow_missing=True)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.gz")} == before
    write_series(next((tmp_path / "raw").rglob(f"PANCREAS_{TRAIN[0]}")) / "study" / "series", body(9))
    prepare(tmp_path / "raw", out, allow_missing=True)
    newer = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert newer == {f"{TRAIN[0]}.nii.gz"}


def damage_with_second_series(folder):
    write_series(folder, body(1), series="1.2.4", first=100)


def damage_with_missing_slice(folder):
    sorted(folder.glob("*.dcm"))[3].unlink()


def damage_with_double_slice(folder):
    (folder / "copy.dcm").write_bytes(sorted(folder.glob("*.dcm"))[3].read_bytes())


def damage_by_emptying(folder):
    for path in folder.glob("*.dcm"):
        path.unlink()


def damage_by_truncating(folder):
    path = sorted(folder.glob("*.dcm"))[3]
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (
            damage_with_second_series,
            "2 DICOM series (series 1 with 20 files, series 2 with 20 files), wanted one",
        ),
        (damage_with_missing_slice, "are 5 mm apart, others 2.5: a slice is missing"),
        (damage_with_double_slice, "are at one place: one is there twice"),
        (damage_by_emptying, "holds 0 folders of DICOM slices, wanted one. Keep the series that was annotated."),
        (damage_by_truncating, "DICOM that is damaged or no image: copy it again or take it away"),
    ],
)
def test_a_series_that_is_no_volume_is_one_line(damage, told, tmp_path, capfd):
    write_case(tmp_path / "raw", TRAIN[0], 0)
    damage(next((tmp_path / "raw").rglob("series")))
    assert main([str(tmp_path / "raw"), str(tmp_path / "out"), "--allow-missing"]) == 2
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith(f"mednoisy: E259 case '{TRAIN[0]}': ")
    assert told in line
    assert NAME not in line
    assert not (tmp_path / "out" / "datalist.json").exists()


def test_a_label_stored_upside_down_is_turned_and_told(tmp_path, capsys):
    write_case(tmp_path / "raw", TRAIN[0], 0, flipped=(1, 2))
    assert main([str(tmp_path / "raw"), str(tmp_path / "out"), "--allow-missing"]) == 0
    assert "note: the label was flipped along y, z from how it lies as stored, to lie on soft tissue: 0001" in (
        capsys.readouterr().err
    )


def at(affine: np.ndarray, array: np.ndarray) -> Image:
    return Image(array, affine, (1.0, 1.0, 1.0), oriented=True)


def test_labels_that_fit_nowhere_or_anywhere_are_refused():
    image = at(np.eye(4), body(0).astype(np.float32))
    everywhere = np.zeros(SHAPE, np.uint8)
    everywhere[:2] = 1  # in air, however it is flipped
    for label in (at(np.eye(4), everywhere), at(np.eye(4), everywhere[:, :-1])):
        with pytest.raises(UserError, match=r"E378 case '0001': "):
            placed_on(image, label, "0001")


def test_an_unpublished_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"E222 .* holds no published case"):
        prepare(tmp_path, tmp_path / "out")


def test_from_the_archive_to_a_trained_step(archive, tmp_path):
    """`mednoisy prepare pancreas` and `mednoisy train pancreas`, as a user types them, with smaller settings."""
    data, run = tmp_path / "data", tmp_path / "run"
    assert mednoisy(["prepare", "pancreas", str(archive), str(data), "--allow-missing"]) == 0
    more = ["--set", "spacing=[2.0,2.0,2.0]", "--set", "exact=true"]
    assert mednoisy([*train_arguments(data, run, bundle="pancreas", without=["spacing"]), *more]) == 0
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert (summary["run"]["method"], summary["run"]["steps"]) == ("sdcl", 2)
    assert "Whole scans" in summary["run"]["protocol"]
    prediction = read_image(run / "predictions" / f"{TEST[0]}.nii.gz")
    assert prediction.shape == AT_1_MM


def test_real_slices_lie_where_their_segmentation_says(shared_data):
    """A PET/CT's slices without numbers or UIDs, and a segmentation stored in another order of axes."""
    folder = shared_data("raw_samples/dicom_ct/abdomen_20slice")
    image = read_series(folder / "series", case="real")
    label = read_image(folder / "segmentation.nii.gz")
    assert image.spacing == pytest.approx((0.9765625, 0.9765625, 2.0))
    array, how = placed_on(image, Image((label.array == 5).astype(np.uint8), label.affine, label.spacing), "real")
    assert how == "image and label were put together by their headers"
    liver = image.array[array > 0]
    assert 30 < np.median(liver) < 160
    with pytest.raises(UserError, match="E378"):  # as stored it is upside down: never silently
        placed_on(image, Image((label.array == 5).astype(np.uint8)[:-1], np.eye(4), (1.0,) * 3), "real")
