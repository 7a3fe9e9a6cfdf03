"""Pseudo-labels against the authors' figures, and what a clean-up must keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.pseudo.cleanup import harden, largest_components, pseudo_labels
from tests.reference import arrays_of

CONNECTIVITIES = [
    ("left_atrium_largest_26_neighbours", "full"),
    ("test_time_getLargestCC", "full"),
    ("pancreas_code_connectivity_6_neighbours", 6),
    ("pancreas_code_connectivity_18_neighbours", 18),
    ("pancreas_code_connectivity_26_neighbours", 26),
    ("threshold_only", None),
]


@pytest.fixture(scope="module")
def volumes(golden):
    return arrays_of(golden("pseudo_label_3d.npz"))


def unpacked(figures, name: str) -> np.ndarray:
    shape = figures["packed_shape"]
    return np.unpackbits(figures[name])[: np.prod(shape)].reshape(shape)


@pytest.mark.parametrize(("name", "connectivity"), CONNECTIVITIES)
def test_published_volumes(volumes, name, connectivity):
    """Ties, empty volumes and touching corners come out as in the reference."""
    labels = pseudo_labels(torch.from_numpy(volumes["logits"]), connectivity)
    assert labels.dtype == torch.int64
    np.testing.assert_array_equal(labels.numpy(), unpacked(volumes, name))


@pytest.mark.parametrize(
    ("name", "connectivity"),
    [
        ("two_network_mean_probability_largest_26_neighbours", "full"),
        ("two_network_mean_probability_largest_18_neighbours_pancreas", 18),
    ],
)
def test_mean_of_two_networks(volumes, name, connectivity):
    """Labels of the mean probability, through the ensemble that methods use."""

    class Fixed(torch.nn.Module):
        def __init__(self, key: str):
            super().__init__()
            self.logits = torch.from_numpy(volumes[key])

        def forward(self, _):
            return self.logits

    logits = MeanEnsemble([Fixed("logits"), Fixed("logits_second_network")])(None)
    np.testing.assert_array_equal(pseudo_labels(logits, connectivity).numpy(), unpacked(volumes, name))


def test_published_slices(golden):
    """Four classes, per class and slice."""
    figures = arrays_of(golden("pseudo_label_2d_four_class.npz"))
    logits = torch.from_numpy(figures["logits"])
    np.testing.assert_array_equal(harden(logits).numpy(), figures["argmax_only"])
    np.testing.assert_array_equal(pseudo_labels(logits).numpy(), figures["largest_per_class_8_neighbours"])


def test_of_equal_components_the_first_stays():
    """Equal sizes: the one met first in C order, for every class."""
    labels = torch.tensor([[[1, 0, 2, 0, 1], [0, 0, 0, 0, 0], [2, 0, 1, 0, 0]]])
    assert largest_components(labels).tolist() == [[[1, 0, 2, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]]


def test_classes_do_not_join():
    """Components of one class that another class connects are two."""
    labels = torch.tensor([[[1, 1, 2, 1, 1, 1]], [[3, 0, 0, 3, 3, 0]]])
    assert largest_components(labels).tolist() == [[[0, 0, 2, 1, 1, 1]], [[0, 0, 0, 3, 3, 0]]]


def test_against_scipy():
    """Random masks of three classes: one component a class, as large as the largest that SciPy finds."""
    from scipy import ndimage

    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (3, 9, 8, 7)))
    before, kept = labels.clone(), largest_components(labels, 6)
    assert torch.equal(labels, before)
    assert torch.equal(kept[kept > 0], labels[kept > 0])
    for sample, found in zip(labels.numpy(), kept.numpy(), strict=True):
        for code in (1, 2, 3):
            components, _ = ndimage.label(sample == code)
            assert (found == code).sum() == np.bincount(components.ravel())[1:].max()
            assert ndimage.label(found == code)[1] == 1
    assert torch.equal(largest_components(kept, 6), kept)


def test_unfit_connectivity():
    """A number of neighbours that the dimension does not have is named with those it has."""
    with pytest.raises(ValueError, match="connectivity is 18; in 2D it is one of 4, 8 or 'full'"):
        largest_components(torch.zeros(1, 3, 3, dtype=torch.long), 18)
    with pytest.raises(ValueError, match="1 spatial axes"):
        largest_components(torch.zeros(1, 3, dtype=torch.long))
