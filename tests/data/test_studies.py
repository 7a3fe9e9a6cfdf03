"""Studies of an annotation server as a datalist: what is held out, what lies beside, what cannot be used."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from monai.transforms import Compose

from mednoisy.data.load_case import LoadCased
from mednoisy.data.studies import datalist_of_studies
from mednoisy.errors import UserError

NAMES = ("background", "organ")
READING = Compose([LoadCased(codes=range(2), axes=3)])


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
    datalist = datalist_of_studies(pairs(folder, labeled), pairs(folder, held_out), NAMES, "studies", READING)
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
    datalist = datalist_of_studies(pairs(folder, "abc"), [], NAMES, "studies", READING)
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
        datalist_of_studies(pairs(folder, "ab"), [], NAMES, "studies", READING)
