"""What a pool holds, what labels cost, and what is drawn from it without a network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mednoisy.active.pool import Pick
from mednoisy.data.counter_based_random import Draw
from mednoisy.data.images import write_nifti, write_picture
from mednoisy.errors import UserError
from mednoisy.simulation.pool import Cost, LabeledPool, needs_no_network
from tests.simulated import patients_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return patients_dataset(tmp_path)


def edited(folder: Path, **entries) -> Path:
    content = json.loads((folder / "datalist.json").read_text())
    (folder / "datalist.json").write_text(json.dumps(content | entries))
    return folder


def test_labeled_and_hidden_cases_are_the_pool_and_others_take_no_part(folder):
    assert LabeledPool.load(folder).patients == ["p1", "p2", "p3", "p4", "p5", "p6"]
    (folder / "p6_0_label.nii.gz").unlink()  # an absent file is no reference
    pool = LabeledPool.load(folder)
    assert len(pool.cases) == 11
    assert pool.without_reference == 1
    assert "p6_0" not in {case["id"] for case in pool.datalist_with(["p1"]).cases("unlabeled")}


def test_the_cost_of_labels(folder):
    """Scan s of patient p: p + s voxels in as many slices, and one voxel more in the first of them."""
    pool = LabeledPool.load(folder)
    total = sum(p + s + 1 for p in range(1, 7) for s in range(2))
    assert pool.cost(["p1"]) == Cost(1, 2, 1 + 2, 2 + 3, 5 / total)
    assert pool.cost(["p4", "p2"]) == Cost(2, 4, 4 + 5 + 2 + 3, 5 + 6 + 3 + 4, 18 / total)
    assert pool.cost(pool.patients).share == 1


def test_slices_run_along_the_coarsest_axis(folder):
    label = np.zeros((4, 3, 2), np.uint8)
    label[1:3] = 1
    write_nifti(folder / "p1_0_label.nii.gz", label, np.diag([5.0, 1.0, 1.0, 1.0]))
    label = np.zeros((4, 3, 2), np.uint8)
    label[1:3, :, 0] = 1
    write_nifti(folder / "p1_1_label.nii.gz", label, np.eye(4))  # none is coarser: the last
    assert LabeledPool.load(folder).cost(["p1"]).slices == 2 + 1


def test_ignored_voxels_cost_nothing(folder):
    label = np.zeros((3, 3, 9), np.uint8)
    label[0, 0, :4] = [1, 9, 9, 2]
    write_nifti(folder / "p1_0_label.nii.gz", label, np.diag([1.0, 1.0, 5.0, 1.0]))
    pool = LabeledPool.load(edited(folder, ignore=[9]))
    cost = pool.cost(["p1"])
    assert (cost.slices, cost.foreground) == (2 + 2, 2 + 3)


def test_codes_of_the_source_are_read_as_classes(folder):
    label = np.zeros((3, 3, 9), np.uint16)
    label[0, 0, :3] = [500, 500, 205]
    for scan in range(2):
        write_nifti(folder / f"p1_{scan}_label.nii.gz", label, np.diag([1.0, 1.0, 5.0, 1.0]))
    codes = {"0": 0, "1": 500, "2": 205}
    content = json.loads((folder / "datalist.json").read_text())
    keep = [case for case in content["labeled"] if case["patient"] == "p1"]
    changed = {"labeled": keep, "unlabeled": [], "hidden": [], "codes": codes, "label_files": "source"}
    pool = LabeledPool.load(edited(folder, **changed))
    assert pool.cost(["p1"]).foreground == 6
    assert pool.datalist_with(["p1"]).cases("labeled")[0]["codes"] == "0 500 205"


def test_a_picture_is_a_slice_where_it_shows_anything(tmp_path):
    sections: dict[str, list] = {"labeled": [], "test": []}
    for number in range(3):
        mask = np.zeros((8, 8), np.uint8)
        mask[:number, :2] = 255
        write_picture(tmp_path / f"{number}.png", np.zeros((8, 8, 3), np.uint8) + number)
        write_picture(tmp_path / f"{number}_mask.png", mask)
        entry = {"id": str(number), "image": f"{number}.png", "label": f"{number}_mask.png"}
        sections["test" if number == 2 else "labeled"].append(entry)
    content = {"name": "pictures", "channels": {"0": "x"}, "labels": {"0": "background", "1": "a"}, **sections}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    pool = LabeledPool.load(tmp_path)
    assert pool.cost(["0", "1"]) == Cost(2, 2, 1, 2, 1.0)


def test_the_oracle_draws_by_true_foreground_and_one_scan_a_patient(folder):
    """With class 2 in one patient alone, a draw of class 2 can only be theirs; about 1/3 of the draws are such."""
    for patient in range(1, 7):
        for scan in range(2):
            label = np.zeros((3, 3, 9), np.uint8)
            label[0, 0, 0] = 2 if patient == 5 else 0
            write_nifti(folder / f"p{patient}_{scan}_label.nii.gz", label, np.diag([1.0, 1.0, 5.0, 1.0]))
    pool = LabeledPool.load(folder)
    first = [pool.chosen("foreground_random_66", 1, Draw(seed, "query", 0))[0].id for seed in range(300)]
    share = sum(name.startswith("p5") for name in first) / len(first)
    assert share == pytest.approx(2 / 3 + 1 / 3 / 6, abs=0.08)  # the rest is drawn among all six
    picks = pool.chosen("random", 6, Draw(0, "query", 0))
    assert sorted(pool.patients_of_picks(picks)) == pool.patients
    left = pool.chosen("random", 2, Draw(0, "query", 0), labeled=["p1", "p2", "p3", "p4"])
    assert sorted(pool.patients_of_picks(left)) == ["p5", "p6"]


def test_which_strategies_need_no_network():
    assert needs_no_network("random")
    assert needs_no_network("foreground_random_33")
    assert not needs_no_network("predicted_foreground_random")
    assert not needs_no_network("typiclust")
    assert not needs_no_network("entropy")


def test_what_is_no_pool_is_refused(folder):
    pool = LabeledPool.load(folder)
    pool.check_size(2, 2, 2)
    with pytest.raises(UserError, match="E531 2 at the start and 5 rounds of 1 are 7 patients; the pool has 6"):
        pool.check_size(2, 1, 5)
    with pytest.raises(UserError, match="E536 case 'x': it was chosen, and is none"):
        pool.patients_of_picks([Pick(0, "x", 0.0, "")])
    with pytest.raises(UserError, match=r"E533 .* lists no test case"):
        LabeledPool.load(edited(folder, test=[]))


def test_a_label_that_cannot_be_read_is_refused(folder):
    (folder / "p4_1_label.nii.gz").write_bytes(b"no image")
    with pytest.raises(UserError, match="E202 case 'p4_1'"):
        LabeledPool.load(folder).cost([])
