"""What goes from one network into another, and how much that is said to be."""

from __future__ import annotations

import copy

import pytest
import torch

from mednoisy.errors import UserError
from mednoisy.networks.transfer import Transferred, check_transferred, transfer_best, transfer_weights
from mednoisy.networks.unet import UNet
from mednoisy.networks.vnet import ResVNet, VNet


def vnet(classes: int = 2, width: int = 2, levels: int = 3, seed: int = 0, channels: int = 1) -> VNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return VNet(3, channels, classes, width=width, norm="batch", convolutions=(1,) * levels)


def changed(network: torch.nn.Module, before: dict) -> set[str]:
    """First names of the entries that have changed."""
    now = network.state_dict()
    return {name.partition(".")[0] for name in now if not torch.equal(now[name], before[name])}


def test_an_encoder_goes_whole_into_a_network_of_other_classes():
    """Five convolutions with bias, each with a batch norm of four entries beside its counter: 5 x 6."""
    source, target = vnet(seed=1), vnet(classes=5)
    for buffer in source.buffers():
        buffer.add_(3)
    before = copy.deepcopy(target.state_dict())
    done = transfer_weights(source.state_dict(), target)
    assert (done.entries, done.wanted) == (30, 30)
    state = source.encoder.state_dict()
    numbers = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert done.values == sum(value.numel() for value in numbers.values())
    for name, value in numbers.items():
        assert torch.equal(target.encoder.state_dict()[name], value), name
    assert changed(target, before) == {"encoder"}
    assert str(done) == f"30 of 30 entries ({done.values:,} numbers)"


def test_the_decoder_comes_along_where_it_is_asked_for():
    source, target = vnet(seed=1), vnet(classes=5)
    before = copy.deepcopy(target.state_dict())
    assert transfer_weights(source.state_dict(), target, ("encoder", "decoder")).entries > 30
    assert changed(target, before) == {"encoder", "decoder"}


def test_levels_that_both_have_are_counted():
    """Of a network that is one level deeper, the upper three levels match: 30 of 42 entries."""
    done = transfer_weights(vnet(levels=3).state_dict(), vnet(levels=4))
    assert (done.entries, done.wanted) == (30, 42)


def test_another_number_of_channels_leaves_the_first_kernel():
    done = transfer_weights(vnet(channels=1).state_dict(), vnet(channels=2))
    assert (done.entries, done.wanted) == (29, 30)


def test_nothing_matches_and_nothing_is_changed():
    target = UNet(2, widths=(5, 8), dropout=(0, 0))  # its batch norms count batches, as the other's
    before = copy.deepcopy(target.state_dict())
    done = transfer_weights(vnet().state_dict(), target)
    assert done.entries == 0
    assert done.wanted > 0
    assert changed(target, before) == set()


def test_the_network_that_fits_best_is_taken():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        residual = ResVNet(3, 1, 2, width=2, norm="batch", blocks=(1, 1), convolutions=(1, 1), stem_kernel=3)
    sources = {"a": vnet(seed=1).state_dict(), "b": copy.deepcopy(residual).state_dict()}
    assert transfer_best(sources, residual) == transfer_weights(sources["b"], residual)
    assert transfer_best(sources, vnet()).entries == 30


def test_a_start_of_which_nothing_fits_is_refused():
    check_transferred({"a": Transferred(1, 2, 3), "b": Transferred(0, 5, 0)}, "x")
    with pytest.raises(UserError, match=r"E504 nothing of run fits .* \(entries they have: a 2, b 5\)"):
        check_transferred({"a": Transferred(0, 2, 0), "b": Transferred(0, 5, 0)}, "run")
