"""SDCL's corrections against the authors' figures and values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from mednoisy.losses.discrepancy import disagreement, doubt_where_wrong, squared_gap_to_label
from mednoisy.losses.segmentation import mixed_loss
from tests.losses.figures import Figures

FILES = {"3d": "losses_3d_two_class.npz", "2d": "losses_2d_four_class.npz"}
WEIGHTS = {"image1_patch05": (1.0, 0.5), "image05_patch1": (0.5, 1.0)}


@pytest.fixture(params=FILES)
def figures(golden, request) -> Figures:
    return Figures(golden(FILES[request.param]))


def trust(figures: Figures, weights: str):
    outside, inside = WEIGHTS[weights]
    return torch.where(figures.mask, outside, inside).double()


def region(figures: Figures):
    return torch.from_numpy(figures.arrays["discrepancy_region"])


def test_where_students_disagree(figures):
    """The region is where the most probable classes differ."""
    assert torch.equal(disagreement(figures.logits("net1"), figures.logits("net2")), region(figures))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_corrections(figures, weights):
    """Value and gradient of both corrections."""
    arguments = (figures.mixed, region(figures), trust(figures, weights))
    figures.check(f"min_discrepancy_mse_{weights}", lambda logits: squared_gap_to_label(logits, *arguments))
    figures.check(f"max_entropy_kl_{weights}", lambda logits: doubt_where_wrong(logits, *arguments))


def test_nothing_selected(figures):
    """An empty region costs 0, with zero gradient."""
    arguments = (figures.mixed, torch.zeros_like(figures.mask), trust(figures, "image1_patch05"))
    figures.check("min_discrepancy_mse_empty_region", lambda logits: squared_gap_to_label(logits, *arguments))
    figures.check("max_entropy_kl_empty_region", lambda logits: doubt_where_wrong(logits, *arguments))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("network", ["net1", "net2"])
@pytest.mark.parametrize(
    ("file", "recipe", "dice", "gap_weight", "doubt_weight"),
    [
        ("3d", "left_atrium", "per_sample", 0.5, 0.05),
        ("3d", "pancreas", "per_sample", 0.3, 0.1),
        ("2d", "acdc", "batch_squared", 0.5, 0.05),
    ],
)
def test_total_of_one_mixture(golden, file, recipe, dice, gap_weight, doubt_weight, network, weights):
    """The sum that one mixture adds to a student's loss."""
    figures = Figures(golden(FILES[file]))

    def total(logits):
        arguments = (logits, figures.mixed, region(figures), trust(figures, weights))
        half = sum(mixed_loss(logits, figures.mixed, figures.mask, *WEIGHTS[weights], dice)) / 2
        return half + gap_weight * squared_gap_to_label(*arguments) + doubt_weight * doubt_where_wrong(*arguments)

    figures.check(f"sdcl_{recipe}_total_{network}_{weights}", total, network)


@pytest.mark.parametrize(
    ("logits", "outside_weight", "gap", "doubt"),
    [
        ((2, -1, 0.5, -3), 0.5, 0.457251, 1.548587),
        ((2, -1, 0.5, -3), 1.0, 0.233954, 0.774294),
        ((-1, -2, 1, 2), 0.5, 0.140716, 0.406631),
        ((-1, -2, 1, 2), 1.0, 0.270776, 0.813262),
    ],
)
def test_four_voxels(logits, outside_weight, gap, doubt):
    """The small example, computed from the formulas of the paper."""
    x = torch.stack([torch.zeros(4), torch.tensor(logits, dtype=torch.float64)])[None]
    labels, differ = torch.tensor([[1, 1, 1, 1]]), torch.tensor([[True, False, False, True]])
    weight = torch.tensor([outside_weight] * 2 + [1.5 - outside_weight] * 2)
    assert squared_gap_to_label(x, labels, differ, weight).item() == pytest.approx(gap, abs=2e-6)
    assert doubt_where_wrong(x, labels, differ, weight).item() == pytest.approx(doubt, abs=2e-6)


def test_doubt_of_an_undecided_voxel():
    """Equal logits of K classes give ln K where wrong, and no gradient: there is nothing to teach."""
    logits, where = torch.zeros(1, 3, 2, 2, requires_grad=True), torch.ones(1, 2, 2, dtype=torch.bool)
    doubt = doubt_where_wrong(logits, torch.full((1, 2, 2), 2), where, torch.ones(2, 2))
    doubt.backward()
    assert doubt.item() == pytest.approx(math.log(3), abs=1e-6)
    assert logits.grad.abs().max().item() < 1e-7
