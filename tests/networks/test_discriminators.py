"""Discriminators: the published sizes, any other size, and a bounded slope."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import PatchDiscriminator
from torch import nn

from mednoisy.networks.discriminators import ColourDiscriminator, score_map, with_spectral_norm


def test_maps_have_the_published_sizes():
    """129 x 129 with six channels; 64 channels at 64, 128 at 32, one at 4."""
    network = ColourDiscriminator().eval()
    sizes = []
    for part in (network.features[0], network.features[2], network.scores):
        part.register_forward_hook(lambda module, inputs, output: sizes.append(tuple(output.shape[1:])))
    network(torch.zeros(1, 6, 129, 129))
    assert sizes == [(64, 64, 64), (128, 32, 32), (1, 4, 4)]


@pytest.mark.parametrize(("size", "scores"), [((8, 8), (1, 1)), ((24, 40), (1, 2)), ((64, 64), (2, 2))])
def test_any_size_has_scores(size, scores):
    assert ColourDiscriminator()(torch.zeros(2, 6, *size)).shape == (2, 1, *scores)


def test_a_score_is_of_what_lies_in_its_cell():
    network = ColourDiscriminator().eval()
    image = torch.zeros(1, 6, 129, 129)
    other = image.clone()
    other[..., 100:, 100:] = 1.0
    differ = (network(image) != network(other))[0, 0]
    assert differ[3, 3]
    assert not differ[:2, :2].any()


def test_the_last_of_several_maps_are_the_scores():
    network = PatchDiscriminator(2, 8, 6, num_layers_d=2).eval()
    image = torch.rand(1, 6, 32, 32)
    assert torch.equal(score_map(network, image), network(image)[-1])
    assert torch.equal(score_map(nn.Identity(), image), image)


def test_spectral_norm_divides_by_the_largest_singular_value():
    """After some steps of its power iteration, of the kernels as matrices."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = with_spectral_norm(ColourDiscriminator()).train()
    for _ in range(60):
        network(torch.rand(2, 6, 16, 16))
    network.eval()
    for module in (network.features[0], network.features[2], network.scores):
        largest = torch.linalg.matrix_norm(module.weight.flatten(1), ord=2)
        assert largest.item() == pytest.approx(1.0, abs=0.01)
