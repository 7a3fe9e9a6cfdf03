"""An exact share of blocks is hidden, whatever the shape."""

from __future__ import annotations

import numpy as np
import pytest

from mednoisy.perturb.masked_blocks import MaskedBlocks


@pytest.mark.parametrize(
    ("shape", "sides"),
    [((160, 160, 160), [16, 16, 16]), ((112, 112, 80), [16, 16, 13]), ((40, 40, 24), [6, 6, 4]), ((256, 4), [16, 1])],
)
def test_sides_are_sixteen_voxels_or_a_sixth_of_the_axis(shape, sides):
    assert MaskedBlocks().sides(shape) == sides


@pytest.mark.parametrize("shape", [(32, 32), (16, 32, 16)])
def test_three_of_four_voxels_are_hidden_in_whole_blocks(shape):
    mask = MaskedBlocks(side=8).draw(np.random.default_rng(1), shape)
    assert mask.mean() == 0.75
    cut = mask.reshape([part for size in shape for part in (size // 8, 8)])
    within = tuple(range(1, cut.ndim, 2))
    assert (cut.all(axis=within) == cut.any(axis=within)).all()


def test_blocks_at_the_far_end_may_be_shorter():
    """10 voxels in blocks of 4 are three blocks, of which two are hidden (0.75 of 3 is 2.25)."""
    seen = {int(MaskedBlocks(side=4).draw(np.random.default_rng(seed), (10,)).sum()) for seed in range(30)}
    assert seen == {8, 6}  # 4 + 4, or 4 + 2


@pytest.mark.parametrize(("share", "blocks"), [(0.01, 1), (0.99, 7)])
def test_something_is_hidden_and_something_is_seen(share, blocks):
    assert MaskedBlocks(share, side=2).draw(np.random.default_rng(0), (4, 4, 4)).sum() == 8 * blocks


def test_a_single_block_is_seen():
    assert not MaskedBlocks(side=8).draw(np.random.default_rng(0), (5, 5)).any()


@pytest.mark.parametrize("arguments", [(0.0,), (1.0,), (0.5, 0)])
def test_shares_and_sides_that_hide_nothing_or_all(arguments):
    with pytest.raises(ValueError, match="masked blocks is"):
        MaskedBlocks(*arguments)
