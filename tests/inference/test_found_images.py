from __future__ import annotations

from pathlib import Path

import pytest

from mednoisy.data.images import image_name
from mednoisy.errors import UserError
from mednoisy.inference.found_images import cases_named, found_images
from tests.data.formats.dicom_files import series


def test_files_of_the_kind_are_found_in_order(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert found_images(str(tmp_path), (".png", ".jpg")) == [str(tmp_path / "a.jpg"), str(tmp_path / "b.PNG")]


@pytest.mark.parametrize(("name", "told"), [("imags", "does not exist"), ("", r"holds no image \(.png\)")])
def test_nothing_to_segment_is_refused(tmp_path, name, told):
    """With exit code 0 and nothing written it would pass for done."""
    with pytest.raises(UserError, match=f"E392 .*{told}.*--dataset_dir"):
        found_images(str(tmp_path / name), (".png",))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Images, what is none, a hidden file, and a folder within."""
    for name in ("b.nii.gz", "a 1.NII.GZ", "ä.png", "notes.txt", ".hidden.nii.gz", "deep/c.nii.gz", "[x].nii.gz"):
        path = tmp_path / "scans" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    return tmp_path / "scans"


def names(found: list[dict[str, str]]) -> list[str]:
    return [Path(case["image"]).name for case in found]


def test_a_folder_gives_its_images_in_order(scans):
    assert names(cases_named([str(scans)])) == ["[x].nii.gz", "a 1.NII.GZ", "b.nii.gz", "ä.png"]


def test_a_pattern_gives_what_fits_it(scans):
    assert names(cases_named([f"{scans}/*.nii.gz"])) == ["[x].nii.gz", "b.nii.gz"]
    assert names(cases_named([f"{scans}/**/c*"])) == ["c.nii.gz"]


def test_a_file_is_taken_as_it_is_whatever_its_name(scans):
    """Signs of a pattern in it, an unknown ending, or absent: what is wrong with it is told where it is read."""
    given = [str(scans / "[x].nii.gz"), str(scans / "notes.txt"), str(scans / "absent.nii.gz")]
    assert [case["image"] for case in cases_named(given)] == given
    assert [case["id"] for case in cases_named(given)] == ["[x]", "notes", "absent"]


def test_every_image_comes_once(scans):
    assert names(cases_named([str(scans / "b.nii.gz"), str(scans), f"{scans}/b*"]))[:2] == ["b.nii.gz", "[x].nii.gz"]
    assert len(cases_named([str(scans), str(scans)])) == 4


def test_slices_stand_for_the_folder_around_them(tmp_path):
    """Beside a preview, or named one by one as a shell does."""
    series(str(tmp_path / "head"), 1)
    series(str(tmp_path / "neck.1"), 2)
    (tmp_path / "head" / "preview.jpg").touch()
    head, neck = str(tmp_path / "head"), str(tmp_path / "neck.1")
    for given in ([head, neck], [f"{head}/*.dcm", f"{neck}/*"], [f"{head}/IM0_1.dcm", neck, head]):
        assert cases_named(given) == [{"id": "head", "image": head}, {"id": "neck.1", "image": neck}], given
    assert [image_name(path) for path in (neck, f"{head}/a.1.nii")] == ["neck.1", "a.1"]


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("empty", r"^E374 the folder .*empty: there is no file\. Correct the path"),
        ("texts", r"^E374 the folder .*texts holds no image\. Correct the path, or convert the images to one of \.nii"),
        ("texts/*.dcm", r"^E374 what fits .*\*\.dcm: there is no file"),
        ("texts/*", r"^E374 what fits .* holds no image"),
    ],
)
def test_nothing_is_no_success(named, told, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "scan.txt").touch()
    with pytest.raises(UserError, match=told):
        cases_named([str(tmp_path / named)])


def test_folders_of_slices_are_images_called_as_they_lie(tmp_path):
    """Files without suffix among them, a table of contents and texts beside; hidden folders are passed over."""
    for name in ("A 1", "B.2/study/first", "B.2/study/second", ".cache"):
        series(str(tmp_path / "scans" / name))
    (tmp_path / "scans" / "A 1" / "DICOMDIR").touch()
    (tmp_path / "scans" / "notes").mkdir()
    (tmp_path / "scans" / "notes" / "read me.txt").touch()
    (tmp_path / "scans" / "c.nii.gz").touch()

    def found(*named: str) -> dict[str, str]:
        cases = cases_named([str(tmp_path / name) for name in named])
        return {case["id"]: Path(case["image"]).relative_to(tmp_path / "scans").as_posix() for case in cases}

    first, second = {"B.2_study_first": "B.2/study/first"}, {"B.2_study_second": "B.2/study/second"}
    assert found("scans") == {"c": "c.nii.gz", "A 1": "A 1", **first, **second}
    assert found("scans/[AB]*") == {"A 1": "A 1", **first, **second}
    assert found("scans/B.2/study/first", "scans/A 1") == {"first": "B.2/study/first", "A 1": "A 1"}
    assert found("scans/A 1", "scans")["A 1"] == "A 1"
    with pytest.raises(UserError, match=r"E374 .*holds no image.* or folders of DICOM slices"):
        found("scans/notes")
