"""Studies of a folder and the dataset that a training is given."""

from __future__ import annotations

import pytest

from mednoisy.data.datalist import Datalist
from mednoisy.errors import UserError
from mednoisy.monai_label.intake import save_label
from mednoisy.monai_label.studies import Study, found_studies, held_out, write_dataset
from tests.monai_label.conftest import SETTINGS, box, write_image


def test_labels_are_kept_as_they_were_when_the_training_began(place, label_file, tmp_path):
    (first, *_) = found_studies(place)
    save_label(place, first, label_file(box()), SETTINGS.classes, {})
    write_dataset(tmp_path / "data", SETTINGS, found_studies(place), ())
    datalist = Datalist.load(tmp_path / "data" / "datalist.json")
    before = (tmp_path / "data" / "labels" / "a.nii.gz").read_bytes()
    save_label(place, first, label_file(box(0)), SETTINGS.classes, {})

    assert [case["id"] for case in datalist.cases("labeled")] == ["a"]
    assert [case["id"] for case in datalist.cases("unlabeled")] == ["b", "c"]
    assert datalist.labels == {0: "background", 1: "atrium"}
    assert datalist.channels == {0: "channel 0"}
    assert (
        (tmp_path / "data" / "labels" / "a.nii.gz").read_bytes() == before != (place.labels / "a.nii.gz").read_bytes()
    )


def test_what_was_kept_stays_when_a_label_is_edited_in_place(place, label_file, tmp_path):
    """As editors do, and `cp` over a file: they write into it, where the server renames."""
    save_label(place, found_studies(place)[0], label_file(box()), SETTINGS.classes, {})
    save_label(place, found_studies(place)[0], label_file(box()), SETTINGS.classes, {})
    write_dataset(tmp_path / "data", SETTINGS, found_studies(place), ())
    kept = [tmp_path / "data" / "labels" / "a.nii.gz", place.folder / "versions" / "final" / "a" / "1" / "a.nii.gz"]
    before = [path.read_bytes() for path in kept]
    with open(place.labels / "a.nii.gz", "r+b") as label:
        label.write(b"edited")
    assert [path.read_bytes() for path in kept] == before


def test_two_files_of_one_id_are_refused(place):
    (place.studies / "a.nii").write_bytes(b"")
    with pytest.raises(UserError, match=r"^E207 case 'a': a.nii and a.nii.gz"):
        found_studies(place)


def test_neither_labels_nor_hidden_files_nor_texts_are_studies(place):
    (place.studies / "datastore_v2.json").write_text("{}")
    write_image(place, ".hidden")
    (place.studies / "folder.nii.gz").mkdir()
    assert [study.id for study in found_studies(place)] == ["a", "b", "c"]


def test_who_is_held_out_never_changes_as_labels_come_in(tmp_path):
    """None below ten labels; from then on the name alone decides."""
    studies = [Study(f"s{number}", tmp_path / "i", tmp_path / "l") for number in range(100)]
    assert held_out(studies[:9]) == []
    before: set[str] = set()
    for count in range(10, 101):
        held = {study.id for study in held_out(studies[:count])}
        assert before <= held
        before = held or before
    assert 10 <= len(before) <= 30
