"""What bundles share with the papers in 2D."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from mednoisy.composition import compose
from mednoisy.data.phantoms import make_dataset
from tests.small_runs import small

OF_PICTURES = ("dermoscopy", "polyp")


def parsed(bundle: str, *overlays: str, **settings: Any) -> ConfigParser:
    parser = compose(bundle, *overlays, overrides=settings).workflow().parser
    parser.parse(reset=True)
    return parser


def test_slices_and_pictures_keep_a_flat_image_flat():
    """Turns bring in nothing from beyond the border: 0 is no background in a standardised image."""
    for bundle in ("acdc", *OF_PICTURES):
        spatial = parsed(bundle, patch_size=[32, 32]).get_parsed_content("train#spatial")
        drawn = [spatial.draw(np.random.default_rng(seed), (3, 32, 32)) for seed in range(20)]
        flat, label = torch.full((20, 3, 32, 32), -3.0), torch.ones(20, 32, 32, dtype=torch.uint8)
        found, codes = spatial.apply(flat, label, drawn)
        torch.testing.assert_close(found, flat, atol=1e-5, rtol=0, msg=bundle)
        assert torch.equal(codes, label), bundle


@pytest.mark.parametrize(
    ("method", "settings", "stages"),
    [
        ("sdcl", {}, {"pretraining": 11_300, "selftraining": 45_200}),  # the bundle's own number of steps
        ("bcp", {"steps": 40_000, "epoch_length": 200}, {"pretraining": 10_000, "selftraining": 30_000}),
    ],
)
def test_stages_on_acdc_are_as_long_as_published_and_carry_moments(method, settings, stages, tmp_path):
    places = {"dataset_dir": str(hearts(tmp_path)), "output_dir": str(tmp_path / "run")}
    trainer = parsed("acdc", method, "published", **small("acdc") | places | settings, labeled=2).get_parsed_content(
        "train#trainer"
    )
    assert {planned.stage.name: planned.steps for planned in trainer.training.plan} == stages
    assert trainer.training.stages[1].carry_optimisers


def hearts(folder):
    """Two labeled patients and one who is not, one volume each."""
    make_dataset(folder, "heart", labeled=2, unlabeled=1, test=1)
    return folder


def test_runs_on_acdc_tell_patients_beside_volumes(tmp_path):
    """Two volumes of one patient count as one."""
    listed = (hearts(tmp_path) / "datalist.json").read_text(encoding="utf-8")
    for case in ("labeled_000", "labeled_001"):
        listed = listed.replace(f'"id": "{case}"', f'"id": "{case}",\n   "patient": "p1"')
    (tmp_path / "datalist.json").write_text(listed, encoding="utf-8")
    places = {"dataset_dir": str(tmp_path), "output_dir": str(tmp_path / "run")}
    facts = parsed("acdc", **places, labeled=1).get_parsed_content("run_folder").facts
    assert (facts["labeled"], facts["labeled_patients"]) == (2, 1)
    assert (facts["unlabeled"], facts["unlabeled_patients"]) == (1, 1)


@pytest.mark.parametrize("bundle", ["acdc", *OF_PICTURES])
def test_the_learning_rate_is_an_entry(bundle):
    optimiser = parsed(bundle, learning_rate=0.25).get_parsed_content("optimiser")
    assert math.isclose(optimiser([torch.nn.Parameter(torch.zeros(1))]).defaults["lr"], 0.25)
