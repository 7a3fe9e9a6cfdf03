"""Labels of slices and boxes beside those that a case has: what is taken, what stays, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mednoisy.data.ignored_voxels import IGNORED, codes_with_mark, free_mark
from mednoisy.errors import UserError
from mednoisy.queries.annotated_regions import RegionLabels
from mednoisy.report.reading.queries import read_query

CORNERS = [([0, 0, 1], [4, 4, 2]), ([1, 1, 2], [3, 3, 4])]  # a slice, and a box of which no voxel is in it


def corrected() -> np.ndarray:
    return np.ones((4, 4, 5), np.uint8)


def test_only_what_was_asked_is_taken():
    drawn = RegionLabels("a", CORNERS, None, False).drawn(corrected())
    assert (drawn[:, :, 1] == 1).all()
    assert (drawn[1:3, 1:3, 2:4] == 1).all()
    assert int((drawn == 1).sum()) == 16 + 8
    assert int((drawn == IGNORED).sum()) == 80 - 24


def test_earlier_labels_stay_whatever_comes_back():
    before = np.full((4, 4, 5), IGNORED, np.uint8)
    before[:, :, 1], before[0, 0, 4] = 0, 1
    labels = RegionLabels("a", CORNERS, before, False)
    drawn = labels.drawn(corrected())
    assert (drawn[:, :, 1] == IGNORED).all()
    merged = labels.merged(drawn)
    assert (merged[:, :, 1] == 0).all()
    assert merged[0, 0, 4] == 1
    assert (merged[1:3, 1:3, 2:4] == 1).all()
    assert int((merged != IGNORED).sum()) == 16 + 1 + 8


def test_a_whole_case_is_taken_as_it_is():
    labels = RegionLabels("a", None, None, False)
    np.testing.assert_array_equal(labels.merged(labels.drawn(corrected())), corrected())
    assert labels.wanted((4, 4, 5)).all()


def test_a_volume_of_one_slice_has_boxes_of_two_axes():
    labels = RegionLabels("a", [([1, 2], [3, 4])], None, False)
    drawn = labels.drawn(np.ones((4, 1, 5), np.uint8))
    assert (drawn[1:3, 0, 2:4] == 1).all()
    assert int((drawn == 1).sum()) == 4


def test_a_place_beyond_the_image_and_one_wholly_marked_are_refused():
    with pytest.raises(UserError, match="E528 case 'a': what was asked for ends at 4x4x2, the image at 3x4x5"):
        RegionLabels("a", CORNERS, None, False).drawn(np.ones((3, 4, 5), np.uint8))
    with pytest.raises(UserError, match="E528 case 'a': all that was asked for is marked"):
        RegionLabels("a", CORNERS, None, False).drawn(np.full((4, 4, 5), IGNORED, np.uint8))


def test_a_mark_is_no_class_and_not_white():
    assert free_mark((0, 1), (0, 1)) == 255
    assert free_mark((9,), (0, 1)) == 9
    assert free_mark((255,), (0, 1, 255)) == 254
    assert free_mark((255,), (0, 1), (254, 255)) == 253
    table = codes_with_mark((0, 205, 420), 255)
    assert [table[code] for code in (0, 1, 2, IGNORED)] == [0, 205, 420, 255]
    assert len(table) == 256


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"unit": "voxel"}, "its unit is 'voxel'"),
        ({"ignore": None}, "it names no code"),
        ({"box": "absent"}, "it has no box"),
        ({"start": [0, 0]}, "damaged"),
        ({"stop": [0, 4, 4]}, "a box has no place"),
        ({"stop": "absent"}, "'stop'"),
    ],
)
def test_a_damaged_query_of_boxes_is_refused(changes, told, tmp_path: Path):
    entry = {"id": "a", "image": "a.nii.gz", "score": 1.0, "reason": "x", "start": [0, 0, 0], "stop": [4, 4, 4]}
    content = {
        "strategy": "entropy", "budget": 1, "seed": 0, "number": 0, "rounds": 5, "split": {}, "split_digest": "0",
        "pooling": None, "unit": "box", "box": [4, 4, 4], "per_patient": None, "same_patient": False, "ignore": 255,
        "labels": {"0": "background", "1": "a"}, "codes": [],
    }  # fmt: skip
    place = tmp_path / "query.json"
    place.write_text(json.dumps(content | {"chosen": [entry]}))
    assert read_query(tmp_path).corners("a") == [([0, 0, 0], [4, 4, 4])]
    for key, value in changes.items():
        table = entry if key in ("start", "stop") else content
        table.pop(key) if value == "absent" else table.update({key: value})  # type: ignore[attr-defined]
    place.write_text(json.dumps(content | {"chosen": [entry]}))
    with pytest.raises(UserError, match=f"E519 .*{told}"):
        read_query(tmp_path)
