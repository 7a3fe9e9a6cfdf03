"""What an uncropped abdominal CT costs: windows everywhere against windows around what a first pass found.

    OMP_NUM_THREADS=1 nice python benchmarks/large_scan.py [--steps 150] [--memory]

A phantom of a CT (512x512x300 at 1 mm) is made at a quarter of the resolution, 128x128x75 voxels, with the pancreas
bundle's patch and strides at a quarter too (24x24x24, 4/4/1), so that as many windows lie in it as in the large one. A
small V-Net learns the pancreas on phantoms of other seeds; each row then labels the last one. Told are processor
seconds, windows that the network saw, the share of the labels that are other than those of every window, and Dice. The
share of windows carries over to the full size, the seconds do not. `--memory` adds the peak memory of labelling a file
of 512x512x300 voxels by the bundle's own two networks at full width, from NIfTI to label map: memory does not depend on
how many windows are seen, so most of that scan is air.
"""

from __future__ import annotations

import argparse
import platform
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from monai.transforms import Compose
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from mednoisy.composition import compose
from mednoisy.data.images import write_nifti
from mednoisy.inference.coarse_to_fine import CoarseToFine
from mednoisy.inference.prediction import predict_case
from mednoisy.inference.sliding_window import SlidingWindow, decide
from mednoisy.losses.segmentation import cross_entropy, dice_loss
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.networks.vnet import VNet
from mednoisy.pseudo.cleanup import largest_components

SHAPE, PATCH, STRIDE, SEARCH = (128, 128, 75), (24, 24, 24), (4, 4, 1), (12, 12, 12)
LARGE, PATCH_OF_BUNDLE = (512, 512, 300), (96, 96, 96)
SEARCH_ABOVE, SKIP_BELOW = 0.05, 0.25  # the bundle's


class Counted(nn.Module):
    """A network and how many windows it has seen."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network, self.windows = network, 0

    def forward(self, images: Tensor) -> Tensor:
        self.windows += len(images)
        logits = self.network(images)
        assert isinstance(logits, Tensor)
        return logits


def phantom(seed: int, shape: tuple[int, ...] = SHAPE) -> tuple[Tensor, Tensor]:
    """An abdomen in air, (1, *shape) scaled to 0..1 as the bundle does, and its pancreas, (*shape).

    Fat in an ellipse of 340 by 240 mm, liver, spleen, kidneys, bowel and spine as ellipsoids in it, a table below, and
    the pancreas as a bent tube 120 mm long in front of the spine, as bright as bowel.
    """
    generator = np.random.default_rng(seed)
    grid = np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij")
    points = np.stack(grid) + 0.02 * generator.standard_normal((3, 1, 1, 1))

    def body(centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
        moved = np.array(centre) + generator.normal(0, 0.02, 3)
        return np.asarray((((points - moved.reshape(3, 1, 1, 1)) / np.reshape(radii, (3, 1, 1, 1))) ** 2).sum(0) < 1)

    volume = np.full(shape, -1000.0)
    volume[body((0, 0, 0), (0.66, 0.47, 4))] = -90
    volume[(np.abs(points[1] - 0.56) < 0.02) & (np.abs(points[0]) < 0.8)] = 0  # the table
    organs: dict[int, list[tuple[tuple[float, ...], tuple[float, ...]]]] = {
        110: [((-0.33, -0.1, 0.5), (0.28, 0.3, 0.45)), ((0.42, 0.05, 0.55), (0.12, 0.17, 0.3))],
        180: [((-0.28, 0.2, 0.0), (0.1, 0.1, 0.3)), ((0.28, 0.2, 0.05), (0.1, 0.1, 0.3))],
        400: [((0, 0.3, 0), (0.09, 0.1, 4))],
        60: [((0.2, -0.2, -0.5), (0.25, 0.15, 0.3)), ((-0.2, -0.2, -0.6), (0.2, 0.15, 0.25))],
    }
    for brightness, ellipsoids in organs.items():
        for centre, radii in ellipsoids:
            volume[body(centre, radii)] = brightness
    pancreas = np.zeros(shape, dtype=bool)
    for part in np.linspace(0, 1, 12):
        centre = (-0.14 + 0.46 * part, 0.02 - 0.12 * np.sin(3 * part), 0.1 + 0.25 * part)
        pancreas |= body(centre, (0.06 - 0.02 * part, 0.06 - 0.02 * part, 0.1 - 0.03 * part))
    volume[pancreas] = 85
    volume = gaussian_filter(volume, 0.6) + generator.normal(0, 12, shape)
    scaled = (np.clip(volume, -125, 275) + 125) / 400
    return torch.from_numpy(scaled[None].astype(np.float32)), torch.from_numpy(pancreas.astype(np.int64))


def trained(steps: int) -> nn.Module:
    """A V-Net that learned the pancreas of four phantoms, half of its crops around it."""
    torch.manual_seed(0)
    network = VNet(width=4, convolutions=[1, 2, 2], head_dropout=0.0, bottleneck_dropout=0.0)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    scans = [phantom(seed) for seed in range(1, 5)]
    generator = np.random.default_rng(0)
    for step in range(steps):
        crops = []
        for number in range(4):
            image, label = scans[(step + number) % len(scans)]
            highest = np.array(label.shape) - PATCH
            places = np.argwhere(label.numpy())
            start = generator.integers(0, highest.astype(int) + 1)
            if number % 2:
                start = np.clip(places[generator.integers(len(places))] - generator.integers(0, PATCH), 0, highest)
            box = tuple(slice(int(at), int(at) + side) for at, side in zip(start, PATCH, strict=True))
            crops.append((image[(slice(None), *box)], label[box]))
        images, labels = (torch.stack(part) for part in zip(*crops, strict=True))
        optimiser.zero_grad()
        logits = network(images)
        (dice_loss(logits, labels) + cross_entropy(logits, labels)).backward()
        optimiser.step()
    return network.eval()


def dice(labels: Tensor, reference: Tensor) -> float:
    """Of class 1."""
    return float(2 * (labels * reference).sum() / (labels.sum() + reference.sum()))


def measure_rows(steps: int) -> None:
    """Train, then print a line for each way of taking windows."""
    network = Counted(trained(steps))
    image, reference = phantom(99)
    rows: dict[str, SlidingWindow] = {
        "every window": SlidingWindow(PATCH, STRIDE, 8),
        "but those of air": SlidingWindow(PATCH, STRIDE, 8, skip_below=SKIP_BELOW),
        "around what a first pass found": CoarseToFine(
            PATCH, STRIDE, 8, skip_below=SKIP_BELOW, search_stride=SEARCH, search_above=SEARCH_ABOVE
        ),
    }
    print("| windows | seen | s | times faster | labels changed | after clean-up | Dice |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    exact, slowest = torch.empty(0), 0.0
    for name, inferer in rows.items():
        network.windows, start = 0, time.process_time()
        labels = decide(inferer.scores_of_all(image[None], {"one": network})["one"])
        seconds = time.process_time() - start
        kept = largest_components(labels, 18)
        if not exact.numel():
            exact, slowest = labels, seconds
        changed = [float((one != other).float().mean()) for one, other in _pairs(labels, kept, exact)]
        figures = f"{seconds:.1f} | {slowest / seconds:.1f} | {changed[0]:.1e} | {changed[1]:.1e}"
        print(f"| {name} | {network.windows} | {figures} | {dice(kept[0], reference):.3f} |", flush=True)


def _pairs(labels: Tensor, kept: Tensor, exact: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(labels, exact), (kept, largest_components(exact, 18))]


def measure_memory() -> None:
    """Print the peak memory of labelling a file of the full size by the bundle's networks."""
    settings = {"stride": list(PATCH_OF_BUNDLE), "coarse_stride": list(PATCH_OF_BUNDLE)}
    parser = compose("pancreas", overrides=settings).workflow().parser
    parser.parse(reset=True)
    networks = [parser.get_parsed_content(name) for name in ("network_def", "partner_def")]
    preprocessing, inferer = (parser.get_parsed_content(name) for name in ("preprocessing", "evaluation#inferer"))
    assert isinstance(preprocessing, Compose)
    volume = np.full(LARGE, -1000, np.int16)
    volume[250:320, 250:320, 110:170] = np.random.default_rng(0).normal(60, 20, (70, 70, 60))  # four windows hold it
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.nii.gz"
        write_nifti(path, volume, np.diag([-1.0, -1.0, 1.0, 1.0]))
        del volume
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        predict_case(path, {"mean": MeanEnsemble(networks)}, preprocessing, inferer)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\n{'x'.join(map(str, LARGE))} voxels from NIfTI to label map, V-Net and ResV-Net at full width, 4 windows")
    print(f"a pass: {peak / 1e6:.2f} GB at most, {before / 1e6:.2f} before, {time.process_time() - start:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150, help="of training (default: 150)")
    parser.add_argument("--memory", action="store_true", help="measure the memory of a scan of full size instead")
    given = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}\n")
    if given.memory:
        measure_memory()
    else:
        measure_rows(given.steps)


if __name__ == "__main__":
    main()
