"""Studies of an annotation server as a datalist: what is held out, what lies beside, what cannot be used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
from monai.transforms import Compose

from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case
from mednoisy.data.images import read_image, write_picture
from mednoisy.data.load_case import LoadCased
from mednoisy.engines.served_studies import datalist_of_studies
from mednoisy.errors import UserError

NAMES = ("background", "organ")
HEART = ("background", "right", "muscle", "left")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Images a to d, and labels of a to c as a server keeps them."""
    (tmp_path / "labels" / "final").mkdir(parents=True)
    label = np.zeros((4, 5, 6), np.uint8)
    label[1:3, 1:3, 1:3] = 1
    for name in "abcd":
        nibabel.save(
            nibabel.Nifti1Image(np.random.default_rng(0).random((4, 5, 6)), np.eye(4)), tmp_path / f"{name}.nii"
        )
        if name != "d":
            nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), tmp_path / "labels" / "final" / f"{name}.nii")
    return tmp_path


def pairs(folder: Path, names: str) -> list[dict[str, str]]:
    """As the server lists them."""
    return [
        {"image": str(folder / f"{name}.nii"), "label": str(folder / "labels" / "final" / f"{name}.nii")}
        for name in names
    ]


def datalist_of(folder: Path, labeled: str, held_out: str = "", names: Sequence[str] = NAMES) -> Datalist:
    reading = Compose([LoadCased(codes=range(len(names)), axes=3)])
    return datalist_of_studies(
        pairs(folder, labeled), pairs(folder, held_out), names, "studies", reading, folder / "net" / "labels"
    )


def noted(folder: Path, **listed: object) -> None:
    """The server's list, with what a viewer said of the segments of studies."""
    labels = {
        case: {"final": {"ext": ".nii", "info": {"label_info": said, "client_id": "Slicer"}}}
        for case, said in listed.items()
    }
    objects = {case: {"image": {"ext": ".nii", "info": {}}, "labels": of_case} for case, of_case in labels.items()}
    objects["d"] = {"image": {"ext": ".nii", "info": {}}, "labels": {}}
    (folder / "datastore_v2.json").write_text(json.dumps({"name": "studies", "objects": objects}))


def codes_of(case: Case) -> np.ndarray:
    return np.asarray(nibabel.load(case["label"]).dataobj)


@pytest.mark.parametrize(
    ("labeled", "held_out", "expected"),
    [
        ("a", "", ("a", "", "bcd")),  # one label: nothing can be held out
        ("ab", "", ("b", "a", "cd")),  # the server holds nothing out of two
        ("ab", "c", ("bc", "a", "d")),  # whatever the server holds out
        ("", "a", ("a", "", "bcd")),
    ],
)
def test_a_name_tells_who_is_held_out_and_all_beside_is_unlabeled(folder, labeled, held_out, expected):
    datalist = datalist_of(folder, labeled, held_out)
    sections = ("labeled", "validation", "unlabeled")
    found = tuple("".join(case["id"] for case in datalist.cases(section)) for section in sections)
    assert found == expected
    assert all("label" not in case for case in datalist.cases("unlabeled"))
    assert datalist.labels == {0: "background", 1: "organ"}


def test_what_cannot_be_used_is_told_and_left_out(folder, capsys):
    """A label of another grid, one with another code, an image that is none."""
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 7), np.uint8), np.eye(4)), folder / "labels/final/a.nii")
    nibabel.save(nibabel.Nifti1Image(np.full((4, 5, 6), 7, np.uint8), np.eye(4)), folder / "labels/final/b.nii")
    (folder / "d.nii").write_bytes(b"no image")
    (folder / "note.txt").write_text("by hand")
    datalist = datalist_of(folder, "abc")
    assert [case["id"] for case in datalist.cases("labeled")] == ["c"]
    assert datalist.cases("unlabeled") == []
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2].split()[0] for line in told if "left out of the training" in line] == [
        "E204",
        "E206",
        "E202",
    ]


def test_no_usable_label_is_refused(folder):
    shutil.rmtree(folder / "labels")
    with pytest.raises(UserError, match="E551 there is no labeled study to learn from"):
        datalist_of(folder, "ab")


def test_the_names_of_segments_tell_classes_and_not_their_numbers(folder):
    """The left chamber alone is the first segment of its scene; the server's own file stays as it was sent."""
    sent = codes_of(pairs(folder, "a")[0])
    noted(folder, a=[{"name": "left", "idx": 1}], b=[{"name": "right", "idx": 1}], c=None)
    named = {case["id"]: case for section in ("labeled", "validation") for case in
             datalist_of(folder, "abc", names=HEART).cases(section)}  # fmt: skip
    np.testing.assert_array_equal(codes_of(named["a"]), 3 * sent)
    assert Path(named["a"]["label"]).parent == folder / "net" / "labels"
    np.testing.assert_array_equal(codes_of(pairs(folder, "a")[0]), sent)
    assert [named[case]["label"] for case in "bc"] == [pair["label"] for pair in pairs(folder, "bc")]


def test_a_painted_background_is_background(folder):
    label = np.zeros((4, 5, 6), np.uint8)
    label[0], label[1], label[2] = 1, 2, 3
    nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), folder / "labels/final/a.nii")
    noted(folder, a=[{"name": name, "idx": place} for place, name in enumerate(("Left ", "background", "muscle"))])
    case = datalist_of(folder, "a", names=HEART).cases("labeled")[0]
    assert [codes_of(case)[row].max() for row in range(4)] == [3, 0, 2, 0]


def test_a_segment_of_no_class_is_told_and_left_out(folder, capsys):
    noted(folder, a=[{"name": "Segment_1", "idx": 1}], b=[{"name": "organ", "idx": 1}], c="organ")
    datalist = datalist_of(folder, "abc")
    assert [case["id"] for case in datalist.cases("labeled")] == ["b"]
    told = capsys.readouterr().err
    assert "left out of the training: E575 case 'a': the segment 'Segment_1' is no class" in told
    assert "left out of the training: E575 case 'c': label_info is no list of segments" in told


@pytest.mark.parametrize("text", ["", "[1]", '{"objects": {"a": {"labels": {"final": {"ext": ".nii"}}}}}', "{}"])
def test_a_damaged_list_of_the_server_is_told(folder, capsys, text):
    (folder / "datastore_v2.json").write_text(text)
    assert [case["id"] for case in datalist_of(folder, "a").cases("labeled")] == ["a"]
    assert "datastore_v2.json cannot be read" in capsys.readouterr().err


def test_studies_that_are_links_have_beside_them_what_the_server_lists(folder, tmp_path_factory):
    """And not what lies beside their targets, of other patients perhaps."""
    archive = tmp_path_factory.mktemp("archive")
    for name in "abcd":
        shutil.move(folder / f"{name}.nii", archive / f"other_{name}.nii")
    for name in "ab":
        (folder / f"{name}.nii").symlink_to(archive / f"other_{name}.nii")
    listed = [{"image": str(archive / "other_a.nii"), "label": str(folder / "labels" / "final" / "a.nii")}]
    reading = Compose([LoadCased(codes=range(2), axes=3)])
    datalist = datalist_of_studies(listed, [], NAMES, "studies", reading, folder / "net")
    assert [case["id"] for case in datalist.cases("labeled")] == ["a"]
    assert [case["id"] for case in datalist.cases("unlabeled")] == ["b"]


def test_a_picture_is_labeled_as_3d_slicer_does(tmp_path):
    """As a volume of one slice with columns first, whose only segment is named."""
    (tmp_path / "labels" / "final").mkdir(parents=True)
    mask = np.zeros((6, 6), np.uint8)
    mask[1, 2:5] = 1
    write_picture(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (6, 6, 3)).astype(np.uint8))
    sent = tmp_path / "labels" / "final" / "a.nii"
    nibabel.save(nibabel.Nifti1Image(2 * mask.T[..., np.newaxis], np.diag([-1, -1, 1, 1])), sent)
    noted(tmp_path, a=[{"name": "Lesion", "idx": 2}])
    pair = {"image": str(tmp_path / "a.png"), "label": str(sent)}
    reader = LoadCased(codes=range(2), axes=2, channels=3)
    names = ("background", "lesion")
    datalist = datalist_of_studies([pair], [], names, "studies", Compose([reader]), tmp_path / "net")
    case = datalist.cases("labeled")[0]
    assert read_image(case["label"]).array.max() == 1
    np.testing.assert_array_equal(reader(case)["label"][0].numpy(), mask)
