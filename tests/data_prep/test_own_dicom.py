"""`mednoisy prepare own` of DICOM series, which SimpleITK's GDCM writes here."""

from __future__ import annotations

import gzip
import locale
from pathlib import Path

import numpy as np
import pytest

from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import read_image, write_nifti
from tests.data.formats.dicom_files import PRIVATE, SIZE, series


@pytest.fixture
def scans(tmp_path, monkeypatch) -> dict[str, np.ndarray]:
    monkeypatch.chdir(tmp_path)
    return {name: series(f"scans/{name}", seed) for name, seed in (("Case 1", 1), ("Case 2", 2))}


def prepare(*words: str) -> int:
    return main(["prepare", "own", "--images", "scans", "--output", "mine", *words])


def test_a_series_becomes_a_volume_in_its_place(scans):
    affine = np.diag([-0.8, -0.9, 2.5, 1])
    affine[:3, 3] = (-10, -20, -30)
    label = np.zeros(SIZE, np.uint8)
    label[2:4, 2:4, 1:3] = 1
    write_nifti("masks/Case 2 seg.nii.gz", label, affine)
    assert prepare("--labels", "masks") == 0
    datalist = Datalist.load("mine/datalist.json")
    assert [case["id"] for case in datalist.cases("labeled")] == ["Case_2"]
    image = read_image(datalist.cases("labeled")[0]["image"])
    np.testing.assert_array_equal(image.array, scans["Case 2"])
    np.testing.assert_allclose(image.affine, affine, atol=1e-5)
    assert image.oriented


def test_reading_leaves_the_locale_as_it_was(scans):
    before = locale.setlocale(locale.LC_ALL)
    assert prepare() == 0
    assert locale.setlocale(locale.LC_ALL) == before


def test_no_field_of_a_patient_reaches_an_output(scans, capfd):
    series("scans/broken", 3, [(0, 0, 0), (0, 0, 0), (0, 0, 3)])
    assert prepare() == 1
    assert main(["inspect", "mine"]) == 0
    told = "".join(capfd.readouterr())
    written = [path for path in Path("mine").rglob("*") if path.is_file()]
    packed = [gzip.decompress(path.read_bytes()) for path in written if path.suffix == ".gz"]
    everything = [told.encode(), *(str(path).encode() for path in written), *(path.read_bytes() for path in written)]
    assert all(value.encode() in next(Path("scans/Case 1").iterdir()).read_bytes() for value in PRIVATE.values())
    for value in PRIVATE.values():
        for part in value.split("^"):
            assert not any(part.encode() in content for content in [*everything, *packed]), part


def two_series():
    series("scans/Case 3", 3, number=2)


def missing():
    next(Path("scans/Case 3").glob("IM6_1.dcm")).unlink()


def doubled():
    places = [(10.0, 20, -30 + 2.5 * index) for index in (0, 1, 2, 2, 3)]
    series("scans/Case 3", 3, places)


def tilted():
    series("scans/Case 3", 3, [(10.0, 20 + 0.5 * index, -30 + 2.5 * index) for index in range(5)])


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (two_series, "holds 2 DICOM series (series 1 with 5 files, series 2 with 5 files), wanted one"),
        (missing, "slices 2 and 3 of 4 (at -27.50 mm) are 5 mm apart, others 2.5: a slice is missing"),
        (doubled, "slices 3 and 4 of 5 (at -25.00 mm) are at one place: one is there twice"),
        (tilted, "its slices are stacked 11.3 degrees off their normal: the gantry was tilted"),
    ],
)
def test_a_series_that_is_no_volume_is_left_out_and_named(scans, capfd, fault, cause):
    series("scans/Case 3", 3)
    fault()
    assert prepare() == 1
    told = capfd.readouterr().err
    assert "mednoisy: E259 case 'Case_3': " in told
    assert cause in told
    assert len(Datalist.load("mine/datalist.json").cases("unlabeled")) == 2


def test_an_empty_folder_and_links_are_refused(scans, capfd):
    assert prepare("--link") == 2
    assert "E258 --link leaves files as they are, but series are to be made volumes: Case_1, Case_2" in (
        capfd.readouterr().err
    )
    Path("empty").mkdir()
    assert main(["prepare", "own", "--images", "empty", "--output", "other"]) == 2
    assert "E420 empty holds no file of a known format" in capfd.readouterr().err
