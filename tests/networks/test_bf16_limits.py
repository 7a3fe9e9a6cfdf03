"""What networks of the kinds that we have tell about their smallest map, and what bf16 does there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.networks.bf16_limits import bf16_is_safe, coarsest_map
from mednoisy.networks.deeplab import DeepLabV3
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.networks.fpn import FPN
from mednoisy.networks.unet import UNet


@pytest.mark.parametrize(
    ("make", "patch"),
    [
        (lambda: UNet(2, 3, widths=(2, 2, 2), dropout=(0, 0, 0)), [32, 48]),
        (lambda: DeepLabV3(2, 3, encoder="resnet18", output_stride=8), [33, 64]),
        (lambda: DeepLabV3(3, 3, encoder="resnet18"), [32, 32, 40]),
        (lambda: FPN(2, 3, encoder="resnet18"), [65, 64]),
    ],
)
def test_the_smallest_map_is_what_the_encoder_gives(make, patch):
    """Of the sizes that a forward pass shows."""
    with torch.device("meta"):
        network = make().eval()
        maps = network.encoder(torch.empty(1, 3, *patch))
    assert coarsest_map(patch, [network]) == list(maps[-1].shape[2:])


def test_the_smallest_of_several_students_counts():
    with torch.device("meta"):
        students = [FPN(2, 3, encoder="resnet18"), UNet(2, 3, 2, widths=(2, 2, 2), dropout=(0, 0, 0))]
        for pair in (students, students[::-1]):
            assert coarsest_map([64, 96], pair) == [2, 3]


def test_bf16_on_a_cpu_has_no_room_in_the_smallest_maps():
    """Eight voxels are too few for DeepLab in 3D at a patch of 32, too, which halves unevenly and has no `divisor`."""
    with torch.device("meta"):
        networks = [DeepLabV3(3, 1, encoder="resnet18")]
    assert not bf16_is_safe("cpu", coarsest_map([32, 32, 32], networks))
    assert bf16_is_safe("cpu", coarsest_map([48, 48, 48], networks))
    assert bf16_is_safe("cuda", [2, 2, 2])


def test_bf16_on_a_cpu_needs_two_voxels_along_every_axis():
    """A map of 6x6x1 has 36 voxels, and what convolutions with it give is wrong where it is finite."""
    assert not bf16_is_safe("cpu", [6, 6, 1])
    assert bf16_is_safe("cpu", [5, 3, 2])
    assert bf16_is_safe("cpu", [1, 1])


class Probe(nn.Module):
    """Two halvings, and a note of the precision that it ran in."""

    divisor = 4

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.seen = nn.Conv3d(1, 2, 1), set()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = self.layer(image)
        self.seen.add(logits.dtype)
        return logits


@pytest.mark.parametrize(("patch", "wanted"), [((12, 12, 12), torch.bfloat16), ((24, 24, 4), torch.float32)])
@pytest.mark.parametrize("together", [False, True])
def test_windows_that_are_too_flat_for_bf16_are_seen_in_single_precision(patch, wanted, together):
    probe = Probe()
    network = MeanEnsemble([probe]) if together else probe
    window = SlidingWindow(patch, patch, precision="bf16")
    window(torch.rand(1, 1, *patch), network)
    window.scores_of_all(torch.rand(1, 1, *patch), {"one": network})
    assert probe.seen == {wanted}
