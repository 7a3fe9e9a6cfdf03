from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from mednoisy.data.training_data import TrainingData, as_read, facts_of, mixed_orientations
from mednoisy.errors import UserError


def facts(spacing=(1.0, 1.0, 5.0), low=0.0, high=100.0, oriented=True):
    known = {} if spacing is None else {"spacing": np.array(spacing)}
    return {"low": low, "high": high, **known, **({} if oriented is None else {"oriented": oriented})}


KNOWN = "0.7 to 1.9 x 0.7 to 1.9 x 5 to 10 mm"
BRIGHT = "(99 % of its voxels); the network was trained on -10 to 100"
SEEN = [facts((0.7, 0.7, 5.0), 0, 80), facts((1.9, 1.9, 10.0), -10, 100)]


def test_a_volume_tells_voxels_brightness_and_orientation():
    """1,000 voxels from 0 to 999: their 0.5th and 99.5th percentile lie five from the ends."""
    meta = {"located": True, "oriented": True}
    values = torch.arange(1000.0).reshape(1, 10, 10, 10)
    found = as_read(MetaTensor(values, affine=np.diag([2.0, -3, 4, 1]), meta=meta))
    assert (found["low"], found["high"]) == pytest.approx((4.995, 994.005))
    np.testing.assert_allclose(found["spacing"], (2, 3, 4))
    assert found["oriented"] is True
    silent = as_read(MetaTensor(values, meta={"located": False, "oriented": False}), turned=False)
    assert set(silent) == {"low", "high"}


def test_large_volumes_are_sampled_on_a_lattice():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(1, 120, 130, 90, generator=generator)
    found = as_read(MetaTensor(values))
    assert (found["low"], found["high"]) == pytest.approx((0.005, 0.995), abs=1e-3)


def test_ranges_are_over_all_cases_and_come_back_from_a_file(tmp_path):
    data = TrainingData.of(SEEN)
    assert data == TrainingData(2, ((0.7, 1.9), (0.7, 1.9), (5.0, 10.0)), (-10, 100), 80, 2)
    data.save(tmp_path)
    assert TrainingData.load(tmp_path) == data
    assert TrainingData.load(tmp_path / "elsewhere") is None
    assert TrainingData.of([]) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"cases": 1}', '{"spacing_mm": 3}', "[" * 5000])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "training_data.json").write_text(content)
    with pytest.raises(UserError, match=r"^E319 .*training_data.json is damaged: .* Restore it, or remove it"):
        TrainingData.load(tmp_path)


@pytest.mark.parametrize(
    ("scan", "expected"),
    [
        (facts((1.0, 1.2, 7.0)), {}),
        (facts((0.65, 1.9, 10.9)), {}),  # less than a tenth out of range
        (
            facts((3.0, 3.0, 10.0)),
            {"spacing": f"has voxels of 3x3x10 mm; the network was trained on {KNOWN}"},
        ),
        (facts((1.0, 1.0)), {"spacing": f"has 2 axes; the network was trained on {KNOWN}"}),
        (
            facts(None),
            {"spacing": f"does not state how large its voxels are; the network was trained on {KNOWN}"},
        ),
        (
            facts((1, 1, 5), -1000, 400),
            {"intensities": f"has intensities of -1000 to 400 {BRIGHT}"},
        ),
        (
            facts((1, 1, 5), 0, 1),
            {"intensities": f"has intensities of 0 to 1 {BRIGHT}"},
        ),
        (
            facts(oriented=False),
            {
                "orientation": "does not state its orientation, so it was taken as stored; 2 of the 2 scans that the "
                "network was trained on state theirs"
            },
        ),
        (facts(oriented=None), {}),
    ],
)
def test_what_is_beyond_training_is_said(scan, expected):
    assert TrainingData.of(SEEN).differences(scan) == expected


def test_a_network_of_scans_without_orientation_says_that_one_was_turned():
    data = TrainingData.of([facts(oriented=False)])
    assert data.differences(facts(oriented=False)) == {}
    assert set(data.differences(facts(oriented=True))) == {"orientation"}
    unknown = TrainingData.of([facts(spacing=None)])
    assert unknown.differences(facts((9, 9, 9))) == {}


def test_orientations_that_are_mixed_are_told_before_training():
    assert mixed_orientations(TrainingData.of(SEEN)) is None
    assert mixed_orientations(TrainingData.of([facts(oriented=None)])) is None
    told = mixed_orientations(TrainingData.of([*SEEN, facts(oriented=False)]))
    assert told == "note: 1 of 3 training cases do not state their orientation, they were taken as stored"


def test_a_case_that_is_repeated_counts_once(tmp_path):
    item = {"id": "a", "as_read": facts()}
    assert facts_of([item, item, {"id": "b"}]) == [item["as_read"]]
    data = TrainingData.of(facts_of([item]))
    data.save(tmp_path)
    assert json.loads((tmp_path / "training_data.json").read_text())["cases"] == 1
