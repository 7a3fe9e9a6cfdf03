"""Two passes: what is found has the scores of one pass over all windows, what is not has no more foreground."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from mednoisy.inference.coarse_to_fine import CoarseToFine
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.networks.ensemble import MeanEnsemble

PATCH, STRIDE, SEARCH = (8, 8, 8), (2, 2, 1), (4, 4, 4)


class Brightness(nn.Module):
    """Logit of class 1 from the intensity and the place in the window, so that overlapping windows disagree."""

    def __init__(self, slope: float):
        super().__init__()
        self.slope, self.windows = slope, 0

    def forward(self, image: Tensor) -> Tensor:
        self.windows += len(image)
        place = torch.linspace(-1, 1, image.shape[-1]).expand_as(image)
        return torch.cat([torch.zeros_like(image), self.slope * (image - 0.5) + place], dim=1)


def scan(shape: tuple[int, ...] = (36, 32, 24)) -> Tensor:
    """Noise with a bright block in it."""
    image = 0.1 * torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0))
    image[..., 18:23, 16:21, 9:13] = 1.0
    return image


def two_passes(search_above: float | None = 0.05, **more) -> CoarseToFine:
    return CoarseToFine(PATCH, STRIDE, search_stride=SEARCH, search_above=search_above, **more)


def test_found_voxels_have_the_scores_of_every_window_and_others_no_more():
    network, image = Brightness(20.0), scan()
    wanted = SlidingWindow(PATCH, STRIDE).scores_of_all(image, {"one": network})["one"]
    in_full, network.windows = network.windows, 0
    found = two_passes().scores_of_all(image, {"one": network})["one"]
    assert network.windows < in_full / 3
    seen = SlidingWindow(PATCH, SEARCH).scores_of_all(image, {"one": network})["one"][:, 1] > 0.05
    assert seen[0, 18:23, 16:21, 9:13].all()
    torch.testing.assert_close(found[:, 1][seen], wanted[:, 1][seen], rtol=0, atol=1e-6)
    assert (found[:, 1] <= wanted[:, 1] + 1e-6).all()
    torch.testing.assert_close(found.sum(1), torch.ones(image.shape[0], *image.shape[2:]))
    assert torch.equal(found.argmax(1), wanted.argmax(1))


def test_the_exact_setting_is_one_pass_bit_for_bit():
    network, image = Brightness(20.0), scan()
    wanted = SlidingWindow(PATCH, STRIDE).scores_of_all(image, {"one": network})["one"]
    assert torch.equal(two_passes(None).scores_of_all(image, {"one": network})["one"], wanted)
    assert torch.equal(two_passes(None)(image, network), wanted)


def test_a_predictor_does_not_depend_on_what_else_is_asked_for():
    """Each network searches for itself, and an ensemble is the mean of its members' maps, however it is called."""
    a, b, image = Brightness(20.0), Brightness(9.0), scan()
    mean = MeanEnsemble([a, b])
    together = two_passes().scores_of_all(image, {"mean": mean, "a": a, "b": b})
    torch.testing.assert_close(together["mean"], (together["a"] + together["b"]) / 2)
    assert torch.equal(two_passes().scores_of_all(image, {"mean": mean})["mean"], together["mean"])
    assert torch.equal(two_passes().scores_of_all(image, {"b": b})["b"], together["b"])
    called = two_passes()(MetaTensor(image, affine=torch.diag(torch.tensor([2.0, 2, 2, 1]))), mean)
    assert isinstance(called, MetaTensor)
    assert torch.equal(called.as_tensor(), together["mean"])
    assert called.affine[0, 0] == 2


def test_a_scan_in_which_nothing_is_found_is_background():
    network = Brightness(20.0)
    scores = two_passes()(torch.zeros(1, 1, 20, 20, 20), network)
    assert (scores[:, 1] == 0).all()
    assert scores.shape == (1, 2, 20, 20, 20)


def test_short_axes_are_padded_in_both_passes():
    network, image = Brightness(20.0), scan()[..., 8:13]
    wanted = SlidingWindow(PATCH, STRIDE).scores_of_all(image, {"one": network})["one"]
    found = two_passes().scores_of_all(image, {"one": network})["one"]
    assert found.shape == wanted.shape
    assert torch.equal(found.argmax(1), wanted.argmax(1))


def test_air_is_skipped_in_both_passes():
    network, image = Brightness(20.0), scan()
    two_passes(skip_below=0.5).scores_of_all(image, {"one": network})
    skipping, network.windows = network.windows, 0
    two_passes().scores_of_all(image, {"one": network})
    assert skipping < network.windows


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"search_above": 1.0}, "search_above is 1.0; it must be from 0 to below 1, or null"),
        ({"search_stride": (9, 4, 4)}, r"stride is \[9, 4, 4\]; each must be from 1 to the patch size"),
        ({"keep_largest": 8}, "connectivity is 8; in 3D it is one of 6, 18, 26 or 'full'"),
    ],
)
def test_settings_that_are_none_are_refused(setting, told):
    with pytest.raises(ValueError, match=told):
        CoarseToFine(PATCH, STRIDE, **({"search_stride": SEARCH, "search_above": 0.05} | setting))
