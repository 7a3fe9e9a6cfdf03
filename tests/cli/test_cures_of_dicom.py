"""`mednoisy predict` on DICOM series: what is a scan, what is written of it, and cures of what is refused."""

from __future__ import annotations

import configparser
import gzip
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from mednoisy.cli import main
from mednoisy.data.images import read_image, read_series, write_nifti
from mednoisy.inference import dicom_seg
from tests.cli.test_cures import refused_with
from tests.data.formats.dicom_files import PRIVATE, SIZE, oblique_series
from tests.folded_runs import arguments, refusal, write_dataset
from tests.inference.test_dicom_seg import points_of_nifti, points_of_segment

DEEP = "export_study 7_scan.b"  # what a series deep in a folder is called
SETUP = Path(__file__).parents[2] / "setup.cfg"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    data = write_dataset(tmp_path_factory.mktemp("balls"), lambda content: content.pop("test"))
    run = tmp_path_factory.mktemp("runs") / "run"
    assert main(arguments(data, run, "--validation", "0", folds=None, method="supervised")) == 0
    return run


@pytest.fixture
def scans(tmp_path, monkeypatch) -> Path:
    """Two series, one of them deep in an export, each with a name in which a dot is no ending."""
    monkeypatch.chdir(tmp_path)
    oblique_series("scans/1.2.840")
    oblique_series("scans/export/study 7/scan.b", downwards=True)
    return Path("scans")


def words(run: Path, *more: str) -> list[str]:
    return ["predict", str(run), "--output", "out", "--device", "cpu", *more]


def files() -> list[str]:
    return sorted(path.name for path in Path("out").iterdir() if not path.name.startswith("."))


def test_each_series_becomes_a_label_map_and_a_segmentation_in_one_place(run, scans, capfd):
    """Told by folders alone; of the patient nothing is in a name, on the terminal or in a label map."""
    assert main(words(run, "scans", "--dicom-seg", "--expected-dice")) == 2  # a run that scored no case
    assert main(words(run, "scans", "--dicom-seg")) == 0
    told = capfd.readouterr()
    wanted = [f"out/{name}.{end}" for end in ("nii.gz", "dcm") for name in ("1.2.840", DEEP)]
    assert told.out.splitlines()[-4:] == wanted
    assert files() == sorted(Path(path).name for path in wanted)
    for name, folder in (("1.2.840", "scans/1.2.840"), (DEEP, "scans/export/study 7/scan.b")):
        np.testing.assert_allclose(read_image(f"out/{name}.nii.gz").affine, read_series(folder).affine, atol=1e-4)
        points = points_of_nifti(Path(f"out/{name}.nii.gz"), 1)
        np.testing.assert_allclose(points_of_segment(Path(f"out/{name}.dcm"), 1), points, atol=1e-3)
        assert [segment.SegmentLabel for segment in pydicom.dcmread(f"out/{name}.dcm").SegmentSequence] == ["atrium"]
    free = [told.out, told.err, *files(), *(path.read_text() for path in Path("out").glob(".*") if path.is_file())]
    packed = [gzip.decompress(path.read_bytes()) for path in Path("out").glob("*.nii.gz")]
    for part in (part for value in PRIVATE.values() for part in value.split("^")):
        assert not any(part in text for text in free)
        assert not any(part.encode() in content for content in packed)
    assert pydicom.dcmread(f"out/{DEEP}.dcm").PatientID == PRIVATE["0010|0020"]


def test_a_label_map_that_was_corrected_is_what_the_segmentation_holds(run, scans, capsys):
    """And stays until a slice of its series changes."""
    assert main(words(run, "scans/1.2.840")) == 0
    assert files() == ["1.2.840.nii.gz"]
    corrected = np.zeros(SIZE, np.uint8)
    corrected[1:4, 2, 3:] = 1
    write_nifti("out/1.2.840.nii.gz", corrected, read_series("scans/1.2.840").affine)
    assert main(words(run, "scans/1.2.840/IM0_1.dcm", "scans/1.2.840/IM*", "--dicom-seg")) == 0
    points = points_of_segment(Path("out/1.2.840.dcm"), 1)
    assert len(points) == 6
    np.testing.assert_allclose(points, points_of_nifti(Path("out/1.2.840.nii.gz"), 1), atol=1e-3)
    before = Path("out/1.2.840.dcm").read_bytes()
    assert main(words(run, "scans/1.*", "--dicom-seg")) == 0
    assert "1 of 1 label maps are there already" in capsys.readouterr().err
    assert Path("out/1.2.840.dcm").read_bytes() == before
    write_nifti("out/1.2.840.nii.gz", np.full(SIZE, 2, np.uint8), read_series("scans/1.2.840").affine)
    assert "E206 case '1.2.840': out/1.2.840.nii.gz holds 2" in refusal(
        capsys, words(run, "scans/1.*", "--dicom-seg"), 1
    )
    Path("scans/1.2.840/IM0_1.dcm").touch()
    capsys.readouterr()
    assert main(words(run, "scans/1.*")) == 0
    assert "are there already" not in capsys.readouterr().err


# Cures


@pytest.mark.parametrize(
    ("code", "given", "cure", "followed", "count"),
    [
        ("E593", ["a.nii.gz", "--dicom-seg"], "drop --dicom-seg", ["a.nii.gz"], 1),
        ("E593", ["scans/1.2.840/a.nii.gz", "--dicom-seg"], "Give the folder of the series", ["scans/1.2.840", "--dicom-seg"], 2),
        ("E113", ["scans/1.2.840", "--dicom-seg", "--output", "scans/1.2.840"], "Give another folder", ["scans", "--dicom-seg"], 4),
    ],
)  # fmt: skip
def test_what_is_no_series_is_refused_before_any_work(code, given, cure, followed, count, run, scans, capsys):
    for name in ("a.nii.gz", "scans/1.2.840/a.nii.gz"):
        write_nifti(name, np.random.default_rng(1).normal(size=SIZE).astype(np.float32), np.eye(4))
    refused_with(capsys, words(run, *given), code, cure)
    assert not Path("out").exists()
    assert not list(Path("scans").rglob("1.2.840.nii.gz"))
    assert main(words(run, *followed)) == 0
    assert len(files()) == count


def test_where_highdicom_is_not_installed_one_line_says_so(run, scans, capsys, monkeypatch):
    """And label maps need none of it."""
    monkeypatch.setattr(dicom_seg, "find_spec", lambda name: None)
    extra = refused_with(
        capsys, words(run, "scans", "--dicom-seg"), "E592", r"pip install 'mednoisy\[(\w+)\]', or drop"
    )[1]
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    assert all(name in setup["options.extras_require"][extra] for name in dicom_seg.NEEDED)
    assert main(words(run, "scans")) == 0
    assert files() == ["1.2.840.nii.gz", f"{DEEP}.nii.gz"]


def test_a_series_that_cannot_be_referred_to_leaves_its_label_map(run, scans, capsys):
    shutil.rmtree("scans/1.2.840")
    oblique_series("scans/1.2.840", tags={"0020|0052": ""})
    cure = "Export the series again, or take its NIfTI label map"
    assert (
        "E594 scans/1.2.840: its files hold no Frame"
        in refused_with(capsys, words(run, "scans", "--dicom-seg"), "E594", cure, 1).string
    )
    assert files() == ["1.2.840.nii.gz", f"{DEEP}.dcm", f"{DEEP}.nii.gz"]
    shutil.rmtree("scans/1.2.840")
    oblique_series("scans/1.2.840")
    assert main(words(run, "scans", "--dicom-seg")) == 0
    assert "1.2.840.dcm" in files()


def test_a_file_that_is_no_segmentation_of_ours_stays_until_it_is_removed(run, scans, capsys):
    Path("out").mkdir()
    Path("out/1.2.840.dcm").write_text("somebody's")
    refused_with(capsys, words(run, "scans/1.2.840", "--dicom-seg"), "E553", "Remove it", 1)
    assert Path("out/1.2.840.dcm").read_text() == "somebody's"
    Path("out/1.2.840.dcm").unlink()
    assert main(words(run, "scans/1.2.840", "--dicom-seg")) == 0
