"""Features of whole cases by hand, and the files that keep them."""

from __future__ import annotations

import h5py
import monai.networks.nets
import numpy as np
import pytest
import torch
from torch import nn

from mednoisy.active.features import (
    digest_of_network,
    digest_of_settings,
    feature_encoder,
    gradient_embedding_of_case,
    pooled_bottleneck,
)
from mednoisy.active.rows_file import fingerprint, read_rows, rows_written, stored_rows
from mednoisy.active.uncertainty_maps import gradient_embedding
from mednoisy.active.whole_cases import placed_windows
from mednoisy.errors import UserError
from mednoisy.inference.slice_wise import SliceWise
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.networks.blocks import Encoder
from mednoisy.networks.deeplab import DeepLabV3, DeepLabV3Plus
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.networks.fpn import FPN
from mednoisy.networks.unet import ResUNet, UNet
from mednoisy.networks.vnet import ResVNet, VNet


class Doubling(nn.Module):
    """Its coarsest map holds each voxel times two, so that a feature is twice the mean of the case."""

    def __init__(self):
        super().__init__()
        layer = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(layer.weight, 2.0)
        self.encoder = Encoder([layer])
        self.head = nn.Conv2d(1, 2, 1)

    def forward(self, image):
        return self.head(self.encoder(image)[-1])


def inferer(*patch: int, batch_size: int = 3) -> SlidingWindow:
    return SlidingWindow(patch, patch, batch_size)


@pytest.mark.parametrize("shape", [(8, 8), (8, 12), (9, 13), (5, 7), (20, 6)])
def test_every_voxel_counts_once_however_windows_lie(shape):
    """Overlapping windows at the end of an axis and zeros around a small one would show in the mean."""
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32))
    weights = [place.voxels for _, places in placed_windows(image, inferer(8, 8)) for place in places]
    assert sum(weights) == pytest.approx(np.prod(shape))
    if min(shape) >= 8 and all(size % 8 == 0 for size in shape):
        feature = pooled_bottleneck(Doubling(), image, inferer(8, 8))
        np.testing.assert_allclose(feature, [2 * image.mean()], rtol=1e-5)


def test_windows_that_overlap_share_their_voxels():
    """12 columns in windows of 8: columns 4 to 7 are in both, so each window stands for 6 columns of 8 rows."""
    image = torch.arange(96.0).reshape(1, 8, 12)
    batches = list(placed_windows(image, inferer(8, 8)))
    assert [place.voxels for _, places in batches for place in places] == [48.0, 48.0]
    windows = torch.cat([part for part, _ in batches])
    expected = 2 * windows.mean(dim=(1, 2, 3)).mean()
    np.testing.assert_allclose(pooled_bottleneck(Doubling(), image, inferer(8, 8)), [expected], rtol=1e-6)


def test_a_volume_for_a_network_in_2d_is_seen_slice_by_slice():
    volume = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 8, 8, 5)).astype(np.float32))
    feature = pooled_bottleneck(Doubling(), volume, SliceWise((8, 8), (8, 8), 2))
    np.testing.assert_allclose(feature, [2 * volume.mean()], rtol=1e-5)


def test_a_case_of_one_window_has_the_mean_of_the_coarsest_map_in_evaluation_mode():
    torch.manual_seed(0)
    network = UNet(2, 1, 3, widths=(4, 6, 8), dropout=(0.5, 0.5, 0.5)).train()
    image = torch.randn(1, 16, 16)
    feature = pooled_bottleneck(network, image, inferer(16, 16))
    assert network.encoder.training
    network.eval()
    with torch.no_grad():
        expected = network.encoder(image[None])[-1].mean(dim=(0, 2, 3))
    np.testing.assert_allclose(feature, expected, rtol=1e-5)
    assert feature.dtype == np.float32


def test_of_an_ensemble_the_first_member_is_asked():
    first, second = Doubling(), Doubling()
    nn.init.constant_(second.encoder.levels[0].weight, 5.0)
    image = torch.ones(1, 8, 8)
    np.testing.assert_allclose(pooled_bottleneck(MeanEnsemble([first, second]), image, inferer(8, 8)), [2.0])


def test_a_network_without_encoder_is_refused():
    with pytest.raises(UserError, match="E513 Conv2d has no encoder"):
        feature_encoder(nn.Conv2d(1, 2, 1))


def test_gradients_of_one_window_are_those_of_the_formula():
    torch.manual_seed(1)
    network = Doubling().eval()
    image = torch.randn(1, 8, 8)
    with torch.no_grad():
        features = network.encoder(image[None])[-1]
        expected = gradient_embedding(network(image[None]).softmax(dim=1)[0], features[0])
    found = gradient_embedding_of_case(network, image, inferer(8, 8))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    halves = gradient_embedding_of_case(network, image, inferer(8, 4))
    np.testing.assert_allclose(halves, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "network", [monai.networks.nets.UNet(2, 1, 3, (4, 8, 16), (2, 2)), nn.Sequential(nn.Conv2d(1, 2, 1), nn.Softmax(1))]
)
def test_a_network_whose_last_convolution_does_not_make_its_logits_is_refused(network):
    """MONAI's U-Net lists the bottleneck's last but one, and transposed ones make the logits."""
    with pytest.raises(UserError, match=r"E513 the last convolution that .* lists does not make its logits"):
        gradient_embedding_of_case(network, torch.randn(1, 16, 16), inferer(16, 16))


@pytest.mark.parametrize("network", [UNet, VNet, ResUNet, ResVNet, DeepLabV3, DeepLabV3Plus, FPN])
def test_our_own_networks_have_gradients(network):
    """Also those whose logits are interpolated to the image's size."""
    torch.manual_seed(0)
    more = {"encoder": "resnet18"} if network in (DeepLabV3, DeepLabV3Plus, FPN) else {}
    made = network(spatial_dims=2, in_channels=1, **more)
    found = gradient_embedding_of_case(made, torch.randn(1, 64, 64), inferer(64, 64))
    assert np.isfinite(found).all()
    assert found.any()


def test_a_digest_changes_with_a_weight_and_with_a_setting():
    network = Doubling()
    before = digest_of_network(network)
    same = Doubling()
    same.load_state_dict(network.state_dict())
    assert digest_of_network(same) == before
    with torch.no_grad():
        same.head.bias[0] += 1
    assert digest_of_network(same) != before
    assert digest_of_settings({"spacing": [1, 1]}) != digest_of_settings({"spacing": [1, 2]})


FACTS = {"network": "aa", "preprocessing": "bb"}


def write(path, facts=FACTS):
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    with rows_written(path, facts, 6) as writer:  # two cases less than were announced
        for name, row in zip("abcd", rows, strict=True):
            writer.add(name, row, f"image of {name}")
    return rows


def test_rows_come_back_by_id_and_are_mapped_into_memory(tmp_path):
    rows = write(tmp_path / "f.h5")
    found = read_rows(tmp_path / "f.h5", FACTS, list("bcd"))
    np.testing.assert_array_equal(found, rows[1:])
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(read_rows(tmp_path / "f.h5", FACTS, ["d", "a"]), rows[[3, 0]])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.h5"]


def test_a_row_is_of_one_image_and_of_finite_numbers(tmp_path):
    rows = write(tmp_path / "f.h5")
    with rows_written(tmp_path / "nan.h5", FACTS, 1) as writer:
        writer.add("a", np.array([0, np.nan]), "image of a")
    stored = stored_rows(tmp_path / "f.h5", FACTS)
    np.testing.assert_array_equal(stored.row("c", "image of c"), rows[2])
    assert stored.row("c", "another") is None
    assert stored.row("z", "") is None
    assert stored_rows(tmp_path / "nan.h5", FACTS).row("a", "image of a") is None


def test_a_fingerprint_is_of_bytes_not_of_places(tmp_path):
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(content)
    first, same, other, absent = (fingerprint(tmp_path / name) for name in "abcd")
    assert first == same != other
    assert absent == ""


def test_a_file_that_is_not_finished_is_not_there(tmp_path):
    def stop():
        with rows_written(tmp_path / "f.h5", FACTS, 2) as writer:
            writer.add("a", np.zeros(3), "")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("facts", "cases", "told"),
    [
        ({**FACTS, "network": "cc"}, ["a"], r"E511 .*its network is aa, that of these cases cc"),
        ({**FACTS, "preprocessing": "cc"}, ["a"], r"E511 .*its preprocessing is bb"),
        (FACTS, ["a", "z"], r"E511 case 'z': .*lacks 1 of 2 cases"),
    ],
)
def test_features_of_others_are_refused(tmp_path, facts, cases, told):
    write(tmp_path / "f.h5")
    with pytest.raises(UserError, match=told):
        read_rows(tmp_path / "f.h5", facts, cases)


def test_what_is_no_file_of_features_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("no")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["image"] = np.zeros(3)
    for name in ("text.h5", "other.h5", "absent.h5"):
        with pytest.raises(UserError, match="E512"):
            read_rows(tmp_path / name, FACTS, ["a"])
