"""The page of a query, from its files alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mednoisy.data.images import write_nifti, write_picture
from mednoisy.report.query_page import write_query_page

CHOSEN = {"id": "a", "score": 0.25, "reason": "uncertainty 0.25 <b>", "image": "a.nii.gz"}


def write(folder: Path, **changes) -> str:
    """The text of the page of a query."""
    content = {
        "strategy": "entropy",
        "oracle": False,
        "dataset": "balls",
        "labels": {"0": "background", "1": "atrium"},
        "codes": [0, 7],
        "budget": 1,
        "seed": 0,
        "number": 0,
        "rounds": 5,
        "split": {},
        "split_digest": "0123456789abcdef",
        "pooling": "mean",
        "pool": 4,
        "unit": "case",
        "labeled": 2,
        "map": "entropy",
        "uncertainty_white": 0.693,
        "chosen": [CHOSEN],
        "failed": [],
    } | changes
    (folder / "query.json").write_text(json.dumps(content))
    return write_query_page(folder).read_text(encoding="utf-8")


@pytest.fixture
def volume(tmp_path) -> Path:
    """A scan, its label map in the codes of the source, and a map of uncertainty."""
    image = np.random.default_rng(0).normal(size=(12, 10, 8)).astype(np.float32)
    labels = np.zeros(image.shape, np.uint8)
    labels[3:8, 3:8, 2:5] = 7
    for name, array in (("a", image), ("label", labels), ("doubt", labels * 30)):
        write_nifti(tmp_path / f"{name}.nii.gz", array, np.eye(4))
    return tmp_path


def test_a_case_is_shown_with_its_outline_and_its_doubt(volume):
    chosen = {**CHOSEN, "pre_annotation": "label.nii.gz", "uncertainty": "doubt.nii.gz"}
    page = write(volume, chosen=[chosen])
    assert page.count("<img") == 2
    assert 'alt="a, where the network is uncertain, axial plane' in page
    assert "uncertainty 0.25 &lt;b&gt;" in page
    assert "entropy chose 1 of 4 unlabeled cases" in page


def test_a_case_without_a_prediction_is_shown_alone(volume):
    page = write(volume, map=None, uncertainty_white=None)
    assert page.count("<img") == 1
    assert "pre_annotations" not in page


def test_a_picture_in_colour_is_shown(tmp_path):
    write_picture(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8))
    assert write(tmp_path, chosen=[{**CHOSEN, "image": "a.png"}]).count("<img") == 1


def test_an_image_that_is_gone_leaves_a_note(tmp_path):
    page = write(tmp_path)
    assert "No picture: E201" in page


def test_an_oracle_and_left_out_cases_are_told(volume):
    page = write(volume, oracle=True, failed=[{"id": "torn", "reason": "E202 cannot be read"}])
    assert "It read their true labels" in page
    assert "torn: E202 cannot be read" in page


def test_a_score_that_is_no_number_is_a_dash(volume):
    assert '<td class="number" data-value="">–</td>' in write(volume, chosen=[{**CHOSEN, "score": None}])
