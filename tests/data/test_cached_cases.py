from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest
import torch
from monai.transforms import CenterSpatialCropd, Compose, ScaleIntensityd

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.images import write_nifti
from mednoisy.data.load_case import LoadCased
from mednoisy.errors import UserError


@pytest.fixture
def cases(tmp_path):
    generator, affine = np.random.default_rng(0), np.diag([1.0, 2.0, 3.0, 1.0])
    found = []
    for n in range(4):
        image = generator.standard_normal((6, 6, 6))
        write_nifti(tmp_path / f"i{n}.nii.gz", image, affine)
        write_nifti(tmp_path / f"l{n}.nii.gz", image > 0, affine)
        found.append({"id": f"p{n}", "image": str(tmp_path / f"i{n}.nii.gz"), "label": str(tmp_path / f"l{n}.nii.gz")})
    del found[3]["label"]
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_items_are_plain_and_in_order(cases, workers, caplog):
    caplog.set_level(logging.INFO)
    cached = CachedCases(cases, LoadCased(codes=(0, 1)), workers=workers)
    assert [item["id"] for item in cached] == ["p0", "p1", "p2", "p3"]
    assert cached.data == cases
    assert type(cached[0]["image"]) is type(cached[0]["label"]) is torch.Tensor
    assert (cached[0]["image"].shape, cached[0]["label"].shape) == ((1, 6, 6, 6), (6, 6, 6))
    assert (cached[0]["image"].dtype, cached[0]["label"].dtype) == (torch.float32, torch.uint8)
    assert "label" not in cached[3]
    assert cached[0]["spacing"] == pytest.approx((1.0, 2.0, 3.0))
    assert cached.nbytes == 4 * 216 * 4 + 3 * 216
    assert "cached 4 cases, 0.00 GB of RAM" in caplog.text
    again = pickle.loads(pickle.dumps(cached))
    torch.testing.assert_close(again[2]["image"], cached[2]["image"])


def test_the_transform_runs_once_a_case(cases):
    calls = []

    def transform(case):
        calls.append(case["id"])
        return LoadCased()(case)

    cached = CachedCases(cases, transform)
    for _ in range(3):
        list(cached)
    assert calls == ["p0", "p1", "p2", "p3"]


def test_more_cases_are_prepared_behind_those_that_are_held(cases):
    """The labeled ones are shared, not read again, and may come several times; they themselves stay as they are."""
    calls = []

    def transform(case):
        calls.append(case["id"])
        return LoadCased()(case)

    held = CachedCases(cases[:2], transform)
    longer = held.extended(cases[2:3], repeats=2)
    assert calls == ["p0", "p1", "p2"]
    assert [item["id"] for item in longer] == ["p0", "p1", "p0", "p1", "p2"]
    assert [case["id"] for case in longer.data] == [item["id"] for item in longer]
    assert longer[2]["image"] is held[0]["image"]
    assert longer.nbytes == 3 * 216 * 5  # what is shared counts once
    assert len(held) == len(held.data) == 2


def test_a_crop_does_not_keep_its_volume(cases):
    cached = CachedCases(
        cases, Compose([LoadCased(), CenterSpatialCropd(["image", "label"], 2, allow_missing_keys=True)])
    )
    assert cached[0]["image"].untyped_storage().nbytes() == 8 * 4


@pytest.mark.parametrize("workers", [0, 2])
def test_faults_come_out_of_compose(cases, workers, tmp_path):
    """MONAI wraps them in a RuntimeError; the user sees the line that names the case."""
    (tmp_path / "i2.nii.gz").write_bytes(b"")
    with pytest.raises(UserError, match=r"E202 case 'p2': .* is empty"):
        CachedCases(cases, Compose([LoadCased(), ScaleIntensityd("image")]), workers=workers)
