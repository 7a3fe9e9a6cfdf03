from __future__ import annotations

from pathlib import Path

import pytest

from mednoisy.data.images import image_name
from mednoisy.errors import UserError
from mednoisy.inference.found_images import found_images, images_named
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


def names(found: list[Path]) -> list[str]:
    return [path.name for path in found]


def test_a_folder_gives_its_images_in_order(scans):
    assert names(images_named([str(scans)])) == ["[x].nii.gz", "a 1.NII.GZ", "b.nii.gz", "ä.png"]


def test_a_pattern_gives_what_fits_it(scans):
    assert names(images_named([f"{scans}/*.nii.gz"])) == ["[x].nii.gz", "b.nii.gz"]
    assert names(images_named([f"{scans}/**/c*"])) == ["c.nii.gz"]


def test_a_file_is_taken_as_it_is_whatever_its_name(scans):
    """Signs of a pattern in it, an unknown ending, or absent: what is wrong with it is told where it is read."""
    given = [str(scans / "[x].nii.gz"), str(scans / "notes.txt"), str(scans / "absent.nii.gz")]
    assert [str(path) for path in images_named(given)] == given


def test_every_image_comes_once(scans):
    assert names(images_named([str(scans / "b.nii.gz"), str(scans), f"{scans}/b*"]))[:2] == ["b.nii.gz", "[x].nii.gz"]
    assert len(images_named([str(scans), str(scans)])) == 4


def test_a_folder_of_slices_is_an_image_where_series_are_asked_for(tmp_path):
    """Deep in what a PACS exports, beside a preview, or named by its slices; else no image is found there."""
    series(str(tmp_path / "export" / "patient" / "head"), 1)
    series(str(tmp_path / "export" / "patient" / "neck.1"), 2)
    (tmp_path / "export" / "patient" / "head" / "preview.jpg").touch()
    export, head = str(tmp_path / "export"), tmp_path / "export" / "patient" / "head"
    for given in ([export], [f"{export}/*/*"], [str(head), f"{export}/patient/neck.1"], [f"{export}/**/*.dcm"]):
        assert names(images_named(given, series=True)) == ["head", "neck.1"], given
    assert names(images_named([str(head / "IM0_1.dcm"), str(head)], series=True)) == ["head"]
    (tmp_path / "export" / "a.nii").touch()
    assert names(images_named([export], series=True)) == ["a.nii"]
    assert [image_name(path) for path in (tmp_path / "export" / "patient" / "neck.1", head / "a.1.nii")] == [
        "neck.1",
        "a.1",
    ]
    with pytest.raises(UserError, match="E374"):
        images_named([f"{export}/patient"])


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
        images_named([str(tmp_path / named)])
