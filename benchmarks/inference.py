"""Seconds a scan and labels that change: our windows against MONAI's sliding-window call, interleaved.

    OMP_NUM_THREADS=1 python benchmarks/inference.py RUN SCAN ... [--stride 56 56 40] [--rounds 3] [--skip-below -1]

RUN is a finished run whose deployed predictor labels the scans, with its own patch and, unless another is given, its
stride. Each round runs every row once on every scan. A row shows the median over rounds of the seconds of processor
time for all scans (so that what else the machine does counts little), by how much that is faster than MONAI's default
call (one window a pass), and the share of voxels whose label is another than in fp32. The last table shows that share
for sums of scores in half precision, and the largest change of a score: they are not built into the product.
`--large-scan` adds a scan of 512x512x600 and its peak memory.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from mednoisy.data.images import case_name
from mednoisy.inference.score_maps import ScoreMaps
from mednoisy.inference.sliding_window import SlidingWindow, decide
from mednoisy.inference.windows import coverage, window_boxes
from mednoisy.networks.vnet import VNet
from mednoisy.runs.predict_with_run import deployed_of_run

Scorer = Callable[[Tensor], Tensor]
OURS = "ours, fp32"
HALVES = (torch.float16, torch.bfloat16)


def monai(network: nn.Module, patch: Sequence[int], stride: Sequence[int], batch_size: int) -> Scorer:
    """MONAI's call at the same positions, as a function from an image to scores."""
    overlap = [max(0.0, 1 - (step + 0.5) / side) for side, step in zip(patch, stride, strict=True)]
    inferer = SlidingWindowInferer(patch, batch_size, overlap)

    @torch.no_grad()
    def score(image: Tensor) -> Tensor:
        scores = inferer(image, lambda windows: network(windows).softmax(dim=1))
        assert isinstance(scores, Tensor)
        return scores

    return score


def ours(network: nn.Module, window: SlidingWindow) -> Scorer:
    """Our windows, as a function from an image to scores."""
    return lambda image: window.scores_of_all(image, {"deployed": network})["deployed"]


@torch.no_grad()
def summed_in(dtype: torch.dtype, network: nn.Module, window: SlidingWindow, image: Tensor) -> Tensor:
    """Scores of an image no smaller than the patch whose sums are kept in `dtype`."""
    shape = image.shape[2:]
    maps = ScoreMaps(1, shape, window.patch_size, image.device)
    for box in window_boxes(shape, window.patch_size, window.stride):
        place = (slice(None), slice(None), *box)
        maps.add([network(image[place]).softmax(dim=1).to(dtype)], [(0, *place[1:])])
    axes = zip(shape, window.patch_size, window.stride, strict=True)
    return maps.mean([coverage(*axis) for axis in axes])[0].float()


def changed(scores: Sequence[Tensor], reference: Sequence[Tensor]) -> str:
    """The share of voxels whose label differs."""
    pairs = list(zip(scores, reference, strict=True))
    differing = sum(int((decide(ours) != decide(theirs)).sum()) for ours, theirs in pairs)
    return f"{differing / sum(theirs[:, 0].numel() for _, theirs in pairs):.1e}"


def time_rows(rows: dict[str, Scorer], images: Sequence[Tensor], rounds: int) -> list[Tensor]:
    """Print a line for each row; the scores of `OURS`."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    scores: dict[str, list[Tensor]] = {}
    for _ in range(rounds):
        for name, score in rows.items():
            start = time.process_time()
            scores[name] = [score(image) for image in images]
            seconds[name].append(time.process_time() - start)
    first = statistics.median(next(iter(seconds.values())))
    print("| windows | s | times faster | labels changed |\n| --- | ---: | ---: | ---: |")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"| {name} | {median:.1f} | {first / median:.2f} | {changed(scores[name], scores[OURS])} |", flush=True)
    return scores[OURS]


def label_large_scan() -> None:
    """Print what a scan of 512x512x600 costs, which takes a minute; above the peak of the rows before it."""
    image = torch.randn(1, 1, 512, 512, 600)
    window = SlidingWindow((128, 128, 96), (96, 96, 72))
    start = time.process_time()
    decide(ours(VNet(width=2).eval(), window)(image))
    seconds, peak = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\n512x512x600 voxels, V-Net of width 2: {seconds:.0f} s, peak memory {peak / 1e6:.2f} GB")


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run on volumes in 3D")
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--stride", type=int, nargs=3, help="voxels an axis (default: the run's)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip-below", type=float, help="adds a row that skips windows without a voxel above this")
    parser.add_argument(
        "--large-scan", action="store_true", help="adds a scan of noise, 512x512x600, in a small network"
    )
    return parser.parse_args()


def main() -> None:
    given = arguments()
    teacher = deployed_of_run(given.run, "cpu")
    network, patch = teacher.network.eval(), teacher.inferer.patch_size
    stride = given.stride or teacher.inferer.stride
    items = [teacher.preprocessing({"id": case_name(scan), "image": str(scan)}) for scan in given.scans]
    images = [item["image"].as_tensor()[None] for item in items]
    shapes = ", ".join("x".join(map(str, image.shape[2:])) for image in images)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}; scans of {shapes}\n")
    window = SlidingWindow(patch, stride)
    rows = {
        "MONAI's default, 1 a pass": monai(network, patch, stride, 1),
        "MONAI's, 4 a pass": monai(network, patch, stride, 4),
        OURS: ours(network, window),
        "ours, bf16": ours(network, SlidingWindow(patch, stride, precision="bf16")),
    }
    if given.skip_below is not None:
        rows["ours, fp32, skipping"] = ours(network, SlidingWindow(patch, stride, skip_below=given.skip_below))
    reference = time_rows(rows, images, given.rounds)
    print("\n| sums in | labels changed | largest change of a score |\n| --- | ---: | ---: |")
    for dtype in HALVES:
        scores = [summed_in(dtype, network, window, image) for image in images]
        gap = max(float((found - exact).abs().max()) for found, exact in zip(scores, reference, strict=True))
        print(f"| {str(dtype).removeprefix('torch.')} | {changed(scores, reference)} | {gap:.1e} |", flush=True)
    if given.large_scan:
        label_large_scan()


if __name__ == "__main__":
    main()
