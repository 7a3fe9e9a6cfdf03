"""What networks of the kinds that we have tell about their smallest map."""

from __future__ import annotations

import pytest
import torch

from mednoisy.engines.patch_limits import check_patch
from mednoisy.errors import UserError
from mednoisy.methods.supervised import Supervised
from mednoisy.networks.bf16_limits import coarsest_map
from mednoisy.networks.deeplab import DeepLabV3
from mednoisy.networks.unet import UNet


def test_a_patch_that_cannot_be_halved_is_refused_where_it_must_be():
    with torch.device("meta"):
        halving = Supervised(UNet(2, 3, widths=(2, 2, 2), dropout=(0, 0, 0)))
        any_size = Supervised(DeepLabV3(2, 3, encoder="resnet18"))
    check_patch([30, 33], any_size)
    with pytest.raises(UserError, match=r"E112 .*\[30, 33\] is no multiple of 4.*patch_size=\[32,36\]"):
        check_patch([30, 33], halving)


@pytest.mark.parametrize("patch", [[10, 10], [16, 16]])
def test_a_patch_that_leaves_instance_norm_one_voxel_is_refused_with_one_that_trains(patch):
    """torch refuses to normalise a single voxel in training; with the cure a step's forward pass runs."""
    network = UNet(2, 1, 2, widths=(2, 2, 2, 2, 2), dropout=(0, 0, 0, 0, 0), norm="instance")
    with pytest.raises(UserError, match="E112") as caught:
        check_patch(patch, Supervised(network))
    assert caught.value.cure == "Use for example --set 'patch_size=[32,32]'"
    check_patch([32, 32], Supervised(network))
    check_patch([32, 16], Supervised(network))
    assert network.train()(torch.zeros(2, 1, 32, 16)).shape == (2, 2, 32, 16)
    check_patch([16, 16], Supervised(UNet(2, 1, 2, widths=(2,) * 5, dropout=(0,) * 5, norm="batch")))


def test_axes_with_strides_of_their_own_are_held_to_their_own_multiples():
    """An axis that is halved once may be 2, 4, 6 ...; those halved twice are multiples of 4."""
    network = UNet(3, 1, 2, widths=(2, 2, 2), dropout=(0, 0, 0), norm="instance", strides=[[2, 2, 1], [2, 2, 2]])
    method = Supervised(network)
    check_patch([8, 12, 6], method)
    assert coarsest_map([8, 12, 6], [network]) == [2, 3, 3]
    with pytest.raises(UserError, match=r"E112 .*is no multiple of \[4, 4, 2\].*patch_size=\[8,12,6\]"):
        check_patch([8, 10, 5], method)
    with pytest.raises(UserError, match=r"E112 .*one voxel.*patch_size=\[8,8,4\]"):
        check_patch([4, 4, 2], method)
