"""Windows at the published positions, scores as the authors' evaluators average them."""

from __future__ import annotations

import io
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import sliding_window_inference
from torch import nn
from torch.nn import functional as F

from mednoisy.inference import sliding_window
from mednoisy.inference.sliding_window import SlidingWindow, decide
from mednoisy.networks.ensemble import MeanEnsemble
from tests.reference import arrays_of

LEFT_ATRIUM = ((112, 112, 80), (18, 18, 4))
PANCREAS = ((96, 96, 96), (16, 16, 4))
VOLUMES = ("full_128x120x88", "small_x_100x120x88", "small_x_z_101x118x71")
PUBLISHED = {"sdcl_bcp": LEFT_ATRIUM, "sdcl": LEFT_ATRIUM, "uamt": LEFT_ATRIUM, "sdcl_pancreas": PANCREAS}


class Counting(nn.Module):
    """Logits log(odds) and 0, and how many windows were seen."""

    def __init__(self, odds: float):
        super().__init__()
        self.odds, self.windows = odds, 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.windows += len(image)
        return torch.cat([torch.zeros_like(image[:, :1]), torch.full_like(image[:, :1], math.log(self.odds))], dim=1)


class Corner(nn.Module):
    """Remembers where windows start, read from an image whose channels are its coordinates."""

    def __init__(self):
        super().__init__()
        self.starts: list[tuple[int, ...]] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.starts += [tuple(int(value) for value in window[:, 0, 0, 0]) for window in image]
        return image[:, :2]


@pytest.fixture(scope="module")
def reference(golden):
    return arrays_of(golden("sliding_window_la.npz"))


@pytest.fixture(scope="module")
def networks(reference) -> dict[str, nn.Module]:
    conv, mixed = nn.Conv3d(1, 2, 3, padding=1), nn.Conv3d(1, 2, 3, padding=1)
    for layer, name in ((conv, "conv"), (mixed, "convnorm")):
        layer.weight.data = torch.from_numpy(reference[f"{name}_weight"])
        layer.bias.data = torch.from_numpy(reference[f"{name}_bias"])
    convnorm = nn.Sequential(mixed, nn.InstanceNorm3d(2))
    return {"conv": conv, "convnorm": convnorm, "mean_of_two": MeanEnsemble([conv, convnorm])}


@pytest.mark.parametrize("setting", [LEFT_ATRIUM, PANCREAS], ids=["left_atrium", "pancreas"])
@pytest.mark.parametrize("volume", VOLUMES)
def test_scores_and_labels_equal_the_reference(reference, networks, volume, setting):
    crop = tuple(slice(start, stop) for start, stop in reference[f"{volume}__crop_of_full"])
    image = torch.from_numpy(reference["image_full"][crop].astype(np.float32) * reference["scale"])[None, None]
    scores = SlidingWindow(*setting).scores_of_all(image, networks)
    groups = {key.rpartition("__")[0] for key in reference if key.endswith("label_packed_shape")}
    compared = 0
    for group in sorted(groups):
        of_volume, network, variant = group.split("__")
        if of_volume == volume and PUBLISHED[variant] == setting:
            _assert_group(reference, group, variant, scores[network])
            compared += 1
    assert compared > 0 or volume == "small_x_100x120x88"  # for which there are no figures at the pancreas setting


def _assert_group(reference, group: str, variant: str, scores: torch.Tensor) -> None:
    foreground = scores[0, 1].numpy()
    centre = [size // 2 for size in foreground.shape]
    for key, ours in {
        "score_channel1_strided_5_5_4": foreground[::5, ::5, ::4],
        "score_channel1_line_x": foreground[:, centre[1], centre[2]],
        "score_channel1_line_z": foreground[centre[0], centre[1], :],
    }.items():
        np.testing.assert_allclose(ours, reference[f"{group}__{key}"], rtol=0, atol=2e-6)
    labels = decide(scores, threshold=None if variant in ("uamt", "sdcl_pancreas") else 0.5)[0].numpy()
    undecided = abs(foreground - 0.5) <= 2e-6
    assert abs(int(labels.sum()) - int(reference[f"{group}__label_voxels"])) <= undecided.sum()
    packed = "label_packed" if f"{group}__label_packed" in reference else "label_strided_2_2_2_packed"
    if packed != "label_packed":
        labels, undecided = labels[::2, ::2, ::2], undecided[::2, ::2, ::2]
    shape = reference[f"{group}__label_packed_shape"]
    expected = np.unpackbits(reference[f"{group}__{packed}"])[: math.prod(shape)].reshape(shape)
    assert (labels == expected)[~undecided].all()


def test_window_starts_equal_the_reference(reference):
    for setting, infix in ((LEFT_ATRIUM, "window"), (PANCREAS, "pancreas_window")):
        corner, shape = Corner(), (128, 120, 88)
        sizes = [max(size, patch) for size, patch in zip(shape, setting[0], strict=True)]
        image = torch.stack(torch.meshgrid(*(torch.arange(float(size)) for size in sizes), indexing="ij"))
        SlidingWindow(*setting)(image[None], corner)
        starts = [reference[f"full_128x120x88__{infix}_starts_{axis}"].tolist() for axis in "xyz"]
        assert corner.starts == [(x, y, z) for x in starts[0] for y in starts[1] for z in starts[2]]


@pytest.mark.parametrize("stride", [0, 9])
def test_a_stride_that_skips_voxels_is_refused(stride):
    with pytest.raises(ValueError, match=r"stride is \[4, \d\]; each must be from 1 to the patch size \[8, 8\]"):
        SlidingWindow([8, 8], [4, stride])


def monai_scores(image, patch, stride, network) -> torch.Tensor:
    """MONAI's call: half a voxel more of stride keeps clear of its rounding."""
    overlap = [max(0.0, 1 - (step + 0.5) / side) for side, step in zip(patch, stride, strict=True)]
    with torch.no_grad():
        return sliding_window_inference(image, patch, 4, lambda windows: network(windows).softmax(1), overlap)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, None])
@pytest.mark.parametrize(
    ("shape", "patch", "stride"),
    [
        ((13, 9, 11), (8, 8, 8), (3, 5, 8)),
        ((13, 9, 11), (4, 9, 6), (1, 9, 4)),
        ((5, 9, 3), (8, 8, 8), (4, 4, 4)),  # shorter than the patch, by an odd number too
        ((8, 8, 8), (8, 8, 8), (2, 2, 2)),
        ((17, 6), (5, 8), (2, 3)),
    ],
)
def test_scores_equal_monai_s_call(shape, patch, stride, batch_size):
    torch.manual_seed(0)
    image = torch.randn(2, 2, *shape)
    conv, norm = (nn.Conv2d, nn.InstanceNorm2d) if len(shape) == 2 else (nn.Conv3d, nn.InstanceNorm3d)
    a, b = (nn.Sequential(conv(2, 3, 3, padding=1), norm(3)) for _ in range(2))
    predictors = {"a": a, "mean": MeanEnsemble([a, b]), "b": b}
    window = SlidingWindow(patch, stride, batch_size)
    found = window.scores_of_all(image, predictors)
    assert list(found) == list(predictors)
    for name, network in predictors.items():
        expected = monai_scores(image, patch, stride, network)
        torch.testing.assert_close(found[name], expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(window(image, network), expected, rtol=0, atol=1e-6)


def test_windows_pass_in_even_batches():
    sizes: list[int] = []

    def network(windows: torch.Tensor) -> torch.Tensor:
        sizes.append(len(windows))
        return windows

    SlidingWindow((4, 4), (4, 4), batch_size=4)(torch.zeros(1, 2, 12, 12), network)
    assert sizes == [3, 3, 3]


def test_windows_without_a_voxel_above_a_level_are_background_unseen():
    image = torch.full((1, 1, 8, 4), -2.0)
    image[..., 5, 1] = 1.0
    network = Counting(3.0)
    scores = SlidingWindow((4, 4), (2, 2), skip_below=-2.0).scores_of_all(image, {"one": network})["one"]
    assert network.windows == 2  # those that start at rows 2 and 4
    torch.testing.assert_close(scores[0, 1, :, 0], torch.tensor([0, 0, 3, 3, 6, 6, 6, 6]) / 8)
    torch.testing.assert_close(scores.sum(1), torch.ones(1, 8, 4))


def test_an_image_of_background_alone_is_background():
    scores = SlidingWindow((4, 4), (2, 2), skip_below=0.0)(torch.zeros(2, 1, 6, 6), Counting(9.0))
    assert (scores[:, 0] == 1).all()
    assert (scores[:, 1] == 0).all()


def test_every_channel_can_save_a_window():
    image = torch.zeros(1, 2, 4, 4)
    image[0, 1, 0, 0] = 1.0
    assert SlidingWindow((4, 4), (4, 4), skip_below=0.0)(image, Counting(3.0))[0, 1].unique().tolist() == [
        pytest.approx(0.75)
    ]


def test_low_precision_is_the_networks_alone():
    seen: list[torch.dtype] = []

    class Seeing(nn.Conv2d):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append((logits := super().forward(image)).dtype)
            return logits

    network, image = Seeing(1, 2, 3, padding=1), torch.rand(1, 1, 8, 8)
    exact = SlidingWindow((4, 4), (2, 2))(image, network)
    rounded = SlidingWindow((4, 4), (2, 2), precision="bf16")(image, network)
    assert set(seen[: len(seen) // 2]) == {torch.float32}
    assert set(seen[len(seen) // 2 :]) == {torch.bfloat16}
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.01


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"precision": "half"}, "inference_precision is 'half'; it must be fp32 or bf16"),
        ({"skip_below": "air"}, "skip_below is 'air'; it must be an intensity, or null"),
        ({"batch_size": 0}, "window_batch is 0; it must be a whole number from 1 on"),
    ],
)
def test_settings_that_are_none_are_refused(setting, told):
    with pytest.raises(ValueError, match=told):
        SlidingWindow((8, 8), (4, 4), **setting)


class Terminal(io.StringIO):
    """A stderr that says it is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stderr", [Terminal(), io.StringIO()], ids=["terminal", "file"])
def test_progress_over_the_windows_is_for_terminals(stderr, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(sliding_window, "SHOWN_AFTER", 0.0)
    window, image, networks = SlidingWindow((4, 4), (4, 4), 2), torch.zeros(1, 1, 8, 8), {"one": Counting(1.0)}
    window.scores_of_all(image, networks)
    assert stderr.getvalue() == ""
    window.scores_of_all(image, networks, progress=True)
    shown = stderr.getvalue()
    if isinstance(stderr, Terminal):
        assert "windows:   0%" in shown
        assert "0/4" in shown
        assert shown.endswith("\r")  # wiped, for the bar of the cases
    else:
        assert shown == ""


MEMORY_PROGRAM = """
import torch
from pathlib import Path
from mednoisy.inference.sliding_window import SlidingWindow, decide

class Thin(torch.nn.Module):
    def forward(self, image):
        return torch.cat([image, -image], dim=1)

def kilobytes(of):
    return int(Path("/proc/self/status").read_text().split(of + ":")[1].split()[0])

window, network = SlidingWindow((32, 32, 32), (32, 32, 32), 2), Thin()
decide(window.scores_of_all(torch.ones(1, 1, 64, 64, 64), {"a": network})["a"])
image = torch.ones(1, 1, 256, 256, 256)
before = kilobytes("VmRSS")
decide(window.scores_of_all(image, {"a": network})["a"])
print((kilobytes("VmHWM") - before) * 1024 / image.numel())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak of memory")
def test_a_scan_takes_its_scores_and_little_more():
    """Beyond the image, 4 bytes a voxel for each of two scores and 1 for the label: no counts, no copies."""
    told = subprocess.run([sys.executable, "-c", MEMORY_PROGRAM], capture_output=True, text=True, check=True)
    assert 8 <= float(told.stdout) < 11


def test_probabilities_are_averaged_not_logits():
    """A network that is sure of class 1 in bright windows only: where two windows overlap, the mean is 1/2."""

    class Bright(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            sure = 200 * image.amax(dim=(2, 3), keepdim=True).expand_as(image) - 100
            return torch.cat([torch.zeros_like(image), sure], dim=1)

    image = torch.zeros(1, 1, 6, 4)
    image[..., 0, 0] = 1.0
    scores = SlidingWindow((4, 4), (2, 2))(image, Bright())
    torch.testing.assert_close(scores[0, 1, :, 0], torch.tensor([1.0, 1.0, 0.5, 0.5, 0.0, 0.0]))


def test_each_network_runs_once_per_window():
    a, b = Counting(3.0), Counting(1.0)
    mean = MeanEnsemble([a, b])
    predictors = {"mean": mean, "a": a, "b": b, "again": a, "nested": MeanEnsemble([mean, a])}
    scores = SlidingWindow((4, 4), (4, 4), batch_size=3).scores_of_all(torch.zeros(2, 1, 8, 8), predictors)
    assert (a.windows, b.windows) == (8, 8)
    found = {name: of_one[:, 1].unique().tolist() for name, of_one in scores.items()}
    expected = {"mean": 5 / 8, "a": 3 / 4, "b": 1 / 2, "again": 3 / 4, "nested": 11 / 16}
    assert found == {name: [pytest.approx(value, abs=1e-6)] for name, value in expected.items()}


def test_one_and_all_agree():
    network, image = nn.Conv2d(1, 3, 3, padding=1), torch.rand(1, 1, 9, 7)
    window = SlidingWindow((8, 8), (3, 3))
    torch.testing.assert_close(window.scores_of_all(image, {"student": network})["student"], window(image, network))
    assert window(image, network).shape == (1, 3, 9, 7)
    assert not window(image, network).requires_grad


def test_geometry_stays_with_the_scores():
    image = MetaTensor(torch.rand(1, 1, 8, 8), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0])))
    scores = SlidingWindow((8, 8), (8, 8))(image, nn.Conv2d(1, 2, 1))
    torch.testing.assert_close(scores.affine, image.affine)


def test_half_precision_networks_are_averaged_in_full():
    class Half(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return F.pad(image, (0, 0, 0, 0, 0, 1)).bfloat16()

    scores = SlidingWindow((4, 4), (2, 2))(torch.ones(1, 1, 6, 6), Half())
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores[:, 0], torch.ones(1, 6, 6).sigmoid())


def test_level_scores_go_to_the_lower_class():
    scores = torch.tensor([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]])
    assert decide(scores).tolist() == [0, 1]
    assert decide(torch.tensor([[0.5, 0.5]]), threshold=0.5).tolist() == [0]
    assert decide(torch.tensor([[0.3, 0.7]]), threshold=0.8).tolist() == [0]


def test_labels_are_the_same_in_slabs():
    scores = torch.rand(2, 3, 2 * sliding_window.SLAB + 5, 4, generator=torch.Generator().manual_seed(0))
    assert (decide(scores) == scores.argmax(dim=1)).all()
    assert decide(scores).dtype == torch.uint8


def test_a_threshold_needs_two_classes():
    with pytest.raises(ValueError, match="a threshold decides between 2 classes; the scores have 3"):
        decide(torch.zeros(1, 3, 4), threshold=0.5)
