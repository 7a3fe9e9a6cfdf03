from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from data_prep.left_atrium import main, prepare
from data_prep.resampling import resample
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import Image, read_image, write_nifti
from mednoisy.errors import UserError
from tests.data_prep.published_miniatures import ATRIA as PUBLISHED
from tests.data_prep.published_miniatures import atria, atria_hdf5


@pytest.fixture
def raw(tmp_path):
    atria(tmp_path / "raw")
    return tmp_path / "raw"


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_published_order_and_protocol(raw, tmp_path):
    datalist = Datalist.load(prepare(raw, tmp_path / "out", spacing=1.25))
    assert [case["id"] for case in datalist.cases("labeled")] == PUBLISHED["train"][:2]
    assert [case["id"] for case in datalist.cases("unlabeled")] == PUBLISHED["train"][2:3]
    assert [case["id"] for case in datalist.cases("test")] == PUBLISHED["test"][:1]
    assert "1.25 mm" in datalist.protocol
    assert "have seen the reference" in datalist.protocol
    assert "77 of the published train cases and 19 of the published test cases" in datalist.protocol
    image = read_image(datalist.cases("test")[0]["image"])
    assert (image.shape, image.spacing) == ((6, 4, 5), (1.25, 1.25, 1.25))


def test_a_second_run_does_nothing_and_another_spacing_does_all(raw, tmp_path):
    out = tmp_path / "out"
    prepare(raw, out, spacing=1.25)
    before = times(out)
    prepare(raw, out, spacing=1.25)
    assert times(out) == before
    native = Datalist.load(prepare(raw, out, workers=2)).cases("labeled")[0]
    np.testing.assert_array_equal(
        read_image(native["image"]).array, read_image(raw / "images" / f"{native['id']}.nii.gz").array
    )
    assert not [path for path in before if path.suffix == ".gz" and times(out)[path] == before[path]]


def test_only_what_is_missing_or_newer_is_done_again(raw, tmp_path):
    out, (first, second) = tmp_path / "out", PUBLISHED["train"][:2]
    prepare(raw, out)
    before = times(out)
    (out / "labels" / f"{first}.nii.gz").unlink()
    write_nifti(
        raw / "images" / f"{second}.nii.gz", np.random.default_rng(1).random((12, 8, 10)), np.diag([0.625] * 3 + [1])
    )
    prepare(raw, out)
    again = {path.name for path, time in times(out).items() if before[path] != time and path.suffix == ".gz"}
    assert again == {f"{first}.nii.gz", f"{second}.nii.gz"}


def test_hdf5_and_nifti_give_the_same(raw, tmp_path):
    """Of HDF5 0.625 mm is known."""
    atria_hdf5(tmp_path / "h5")
    first = Datalist.load(prepare(raw, tmp_path / "a", spacing=1.25))
    second = Datalist.load(prepare(tmp_path / "h5", tmp_path / "b", spacing=1.25))
    assert first.split_digest == second.split_digest
    for section in ("labeled", "unlabeled", "test"):
        for one, other in zip(first.cases(section), second.cases(section), strict=True):
            for part in set(one) - {"id"}:
                a, b = read_image(one[part]), read_image(other[part])
                np.testing.assert_array_equal(a.array, b.array)
                np.testing.assert_allclose(a.affine, b.affine, atol=1e-6)


def test_a_damaged_case_ends_in_one_line_and_no_datalist(raw, tmp_path, capsys):
    bad = PUBLISHED["train"][1]
    write_nifti(raw / "labels" / f"{bad}.nii.gz", np.full((12, 8, 10), 7), np.diag([0.625] * 3 + [1]))
    assert main([str(raw), str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"mednoisy: E206 case '{bad}': label holds 7; known codes are 0, 1.")
    assert not (tmp_path / "out" / "datalist.json").exists()
    assert not list((tmp_path / "out").rglob(".partial-*"))


def test_command_tells_what_is_there(raw, tmp_path, capsys):
    assert main([str(raw), str(tmp_path / "out"), "--spacing", "1.25"]) == 0
    assert "2 labeled, 1 unlabeled, 1 test" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({}, "E222 .* holds no published case"), ({"spacing": -1}, "E108 spacing"), ({"workers": 0}, "E108 workers")],
)
def test_what_cannot_be_done_is_refused(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        prepare(tmp_path / "nothing", tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_sources_are_never_overwritten(raw):
    """Preparing a folder into itself is refused, and leaves it as it was."""
    before = {path: path.read_bytes() for path in raw.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"E108 .* is the folder of the source files"):
        prepare(raw, raw / ".", spacing=1.25)
    assert {path: path.read_bytes() for path in raw.rglob("*") if path.is_file()} == before


def test_published_volumes(shared_data, tmp_path):
    """The published HDF5 and NIfTI forms agree; an atrium keeps its volume to 2 % at 1.25 mm."""
    source, cases = shared_data("left_atrium"), PUBLISHED["train"][:2]
    for case in cases:
        for part in ("images", "labels"):
            (tmp_path / "raw" / part).mkdir(parents=True, exist_ok=True)
            shutil.copy(source / part / f"{case}.nii.gz", tmp_path / "raw" / part)
    datalist = Datalist.load(prepare(tmp_path / "raw", tmp_path / "out", spacing=1.25))
    for case in datalist.cases("labeled"):
        fine, coarse = read_image(source / "labels" / f"{case['id']}.nii.gz"), read_image(case["label"])
        assert coarse.array.sum() * 8 == pytest.approx(fine.array.sum(), rel=0.02)
        assert coarse.array.dtype == np.uint8
    published = json.loads((source / "split.json").read_text())
    assert published["train"] == PUBLISHED["train"]
    assert set(published["test"]) <= set(PUBLISHED["test"])


def test_resampling_keeps_places_in_space():
    """A linear ramp in millimetres has, at each new voxel, the value of that voxel's place."""
    affine = np.array([[0, 2.0, 0, 5], [1, 0, 0, -3], [0, 0, 3, 7], [0, 0, 0, 1]])
    index = np.stack(np.meshgrid(np.arange(12), np.arange(8), np.arange(6), [1], indexing="ij"))[..., 0]
    ramp = np.tensordot(np.array([1.0, 2.0, -1.0, 0]) @ affine, index, axes=1)
    coarse = resample(Image(ramp, affine, (1.0, 2.0, 3.0)), 3.0)
    assert coarse.array.shape == (4, 5, 6)
    index = index[:, :4, :5]
    expected = np.tensordot(np.array([1.0, 2.0, -1.0, 0]) @ coarse.affine, index, axes=1)
    inner = np.s_[:, :-1]  # the last row reaches beyond the old field of view
    np.testing.assert_allclose(coarse.array[inner], expected[inner], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(coarse.affine[:3, :3], axis=0), 3.0)


def test_resampled_labels_are_codes_at_their_place():
    """A block whose edges lie on the coarse grid is kept exactly, with the codes of the source."""
    fine = np.zeros((8, 8, 8), np.uint8)
    fine[2:6, 2:4, 4:8], fine[0:2, 6:8, 0:2] = 3, 1
    coarse = resample(Image(fine, np.eye(4), (1.0,) * 3), 2.0, labels=True)
    np.testing.assert_array_equal(coarse.array, fine[::2, ::2, ::2])
    assert coarse.array.dtype == np.uint8
