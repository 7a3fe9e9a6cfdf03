"""Seconds and memory of choosing 1,000 cases from many by their features, which lie in a memory-mapped file.

    python benchmarks/selection.py                      # 10,000, 100,000 and 1,000,000 cases of 512 features
    python benchmarks/selection.py --cases 20000 --budget 100 --naive 20

Each strategy runs in a process of its own; memory is the largest that the process held beyond what it held before, the
pages of the file that the system keeps in its cache left out. Features are of 200 groups in 16 dimensions turned into
D, with noise in all of them, the same for each call. The plain loop of k-centre greedy, a pass over all features for
each choice, is timed for `--naive` choices and scaled up to the budget.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mednoisy.active.catalogue import choose
from mednoisy.active.distances import farthest_by_passes
from mednoisy.active.pool import Pool, query_draw

GROUPS, INNER, NOISE = 200, 16, 0.1
ROWS = 32768
STRATEGIES = ("kcenter", "typiclust", "clusters")


def write_features(path: Path, cases: int, width: int) -> None:
    """Features (cases, width) in float32 as `path`."""
    generator = np.random.default_rng(0)
    centres, turned = generator.normal(size=(GROUPS, INNER)), generator.normal(size=(INNER, width)) / INNER**0.5
    features = np.lib.format.open_memmap(path, "w+", np.float32, (cases, width))
    for start in range(0, cases, ROWS):
        count = min(ROWS, cases - start)
        inner = centres[generator.integers(0, GROUPS, count)] + 0.3 * generator.normal(size=(count, INNER))
        features[start : start + count] = inner @ turned + NOISE * generator.normal(size=(count, width))
    features.flush()


def held() -> int:
    """Bytes of this process that are no pages of a file."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024


def time_one(strategy: str, path: Path, budget: int, naive: int) -> None:
    """Print seconds by the clock and of the processor, and megabytes, of one strategy."""
    features = np.load(path, mmap_mode="r")
    before = held()
    wall, processor = time.perf_counter(), time.process_time()
    if strategy == "plain loop":
        farthest_by_passes(features, features[:1], naive)
        scale = budget / naive
    else:
        choose(Pool(range(len(features)), features=features), strategy, budget, query_draw(0, 0))  # type: ignore[arg-type]
        scale = 1.0
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # with pages of the file: an upper bound
    print(f"{wall * scale:.1f} {processor * scale:.1f} {(held() - before) / 1e6:.0f} {peak / 1e6:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument(
        "--naive", type=int, default=5, help="choices that the plain loop is timed for; 0 leaves it out"
    )
    parser.add_argument("--folder", type=Path, help="where features are written (default: a temporary folder)")
    parser.add_argument("--one", nargs=2, metavar=("STRATEGY", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        time_one(options.one[0], Path(options.one[1]), options.budget, options.naive)
        return
    print(f"{options.budget} of N cases x {options.width}, {platform.processor()}, numpy {np.__version__}\n")
    print("| strategy | cases | s by the clock | s of the processor | MB kept | MB at most, the file's pages in it |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    rows = [*STRATEGIES, "plain loop"] if options.naive else list(STRATEGIES)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for cases in options.cases:
            path = Path(folder) / "features.npy"
            write_features(path, cases, options.width)
            for strategy in rows:
                command = [sys.executable, __file__, "--budget", str(options.budget), "--naive", str(options.naive)]
                done = subprocess.run(
                    [*command, "--one", strategy, str(path)], capture_output=True, text=True, check=True
                )
                print(f"| {strategy} | {cases:,} | {' | '.join(done.stdout.split())} |", flush=True)


if __name__ == "__main__":
    main()
