"""How fast cases are read, crops drawn and augmented, and how long a training waits for them, as Markdown tables.

    OMP_NUM_THREADS=1 python benchmarks/data_loading.py left_atrium=DATA acdc=DATA dermoscopy=DATA

Cold: reading, decoding and preprocessing of prepared cases into RAM. Warm: labeled samples drawn from there in batches
of the bundle's size and augmented by each recipe, interleaved. Both in processor time of one thread, so that what else
the machine does counts little. Step: a short supervised training (the least work for each sample): processor time to
draw a batch, which workers may do, to augment it, a part of the step, and to learn from it; with two workers, the
share of wall-clock time in which the trainer has no batch, which is as good as the machine is idle.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ParamSpec

import torch
from monai.bundle import ConfigWorkflow

from mednoisy.composition import compose
from mednoisy.data.batch import Batch
from mednoisy.data.training_stream import TrainingStream

Arguments = ParamSpec("Arguments")  # of a function that is timed
CROPS_ONLY = "crops alone"
RECIPES = (CROPS_ONLY, "default", "strong", "noisy")
IMAGES = {"acdc": "slices", "dermoscopy": "pictures", "left_atrium": "volumes"}
SETTINGS: dict[str, dict[str, Any]] = {
    "acdc": {"patch_size": [96, 96], "batch_size": 12},
    "dermoscopy": {"patch_size": [96, 96], "batch_size": 10, "network_def": "%unet_def"},
    "left_atrium": {"patch_size": [64, 64, 48], "batch_size": 2, "width": 8, "precision": "bf16"},
}


def workflow(bundle: str, data: Path, recipe: str, output: Path, **more: Any) -> ConfigWorkflow:
    """A supervised training without validation, on a CPU."""
    settings = SETTINGS[bundle] | {"dataset_dir": str(data), "output_dir": str(output), "validation": 0} | more
    settings |= {"device": "$torch.device('cpu')", "train#handlers": []}
    if recipe == CROPS_ONLY:
        settings |= {"train#spatial": None, "train#intensity": None}
        recipe = "default"
    return compose(bundle, "supervised", recipe, overrides=settings).workflow()


def cold(bundle: str, data: Path, output: Path, cases: int) -> tuple[TrainingStream, str]:
    """The training stream without augmentation, and a row of the table: images read a second, size in RAM."""
    parser = workflow(bundle, data, CROPS_ONLY, output, labeled=cases).parser
    parser.parse(reset=True)
    read = parser.get_parsed_content("train#preprocessing")
    read(dict(parser.get_parsed_content("train#dataset#data")[0]))  # what is imported on first use
    start = time.process_time()
    stream = parser.get_parsed_content("train#stream")
    seconds = time.process_time() - start
    count = len(stream.labeled)
    size = stream.labeled.nbytes / count / 1e6
    return stream, f"| {bundle} | {count} {IMAGES[bundle]} | {count / seconds:.1f} | {size:.2f} |"


def warm(bundle: str, data: Path, output: Path, stream: TrainingStream, rounds: int, draws: int) -> str:
    """A row of the table: samples drawn and augmented a second under each recipe, medians of interleaved rounds."""
    size = SETTINGS[bundle]["batch_size"]
    batches = max(1, draws // size)
    steps = {}
    for recipe in RECIPES:
        parser = workflow(bundle, data, recipe, output).parser
        parser.parse(reset=True)
        steps[recipe] = tuple(parser.get_parsed_content(f"train#{name}") for name in ("spatial", "intensity"))
    rates: dict[str, list[float]] = {recipe: [] for recipe in RECIPES}
    for number in range(rounds + 1):
        for recipe, (stream.spatial, stream.intensity) in steps.items():
            start = time.process_time()
            for step in range(number * batches, (number + 1) * batches):
                stream.augmented(stream.batch("training", step, labeled=size, unlabeled=0))
            if number:  # the first is a warm-up
                rates[recipe].append(batches * size / (time.process_time() - start))
    figures = " | ".join(f"{statistics.median(rates[recipe]):.0f}" for recipe in RECIPES)
    return f"| {bundle} | {'x'.join(map(str, stream.patch_size))} | {figures} |"


def waiting(bundle: str, data: Path, recipe: str, steps: int, cases: int) -> str:
    """A row of the table: what the parts of a step cost, and how long it waits, the first ten steps left out."""
    shares = {}
    for workers in (0, 2):
        with tempfile.TemporaryDirectory() as folder:
            run = workflow(bundle, data, recipe, Path(folder) / "run", labeled=cases, workers=workers, steps=steps)
            run.initialize()
            trainer = run.parser.get_parsed_content("train#trainer")
            stream = trainer.loader.stream
            drawing: list[tuple[float, float]] = []
            augmenting: list[tuple[float, float]] = []
            stream.batch, stream.augmented = _timed(stream.batch, drawing), _timed(stream.augmented, augmenting)
            trainer.run()
            shares[workers] = statistics.median(row["waiting_share"] for row in trainer.training.progress.rows[1:])
        if not workers:
            draw, augment = (statistics.median(took for _, took in times[10:]) for times in (drawing, augmenting))
            learn = statistics.median(b - a for (a, _), (b, _) in pairwise(drawing[10:])) - draw - augment
    figures = f"{1000 * draw:.1f} | {1000 * augment:.1f} | {1000 * learn:.0f} | "
    figures += f"{100 * (draw + augment) / (draw + augment + learn):.1f} % | {100 * shares[2]:.1f} %"
    return f"| {bundle} | {recipe} | {figures} |"


def _timed(make: Callable[Arguments, Batch], times: list[tuple[float, float]]) -> Callable[Arguments, Batch]:
    """`make`, whose calls leave their start and length in `times`."""

    def batch(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Batch:
        start = time.process_time()
        made = make(*args, **kwargs)
        times.append((start, time.process_time() - start))
        return made

    return batch


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="BUNDLE=DATA", help=f"of {', '.join(SETTINGS)}")
    parser.add_argument("--cases", type=int, default=10, help="labeled cases that are read")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--draws", type=int, default=48, help="samples of a round")
    parser.add_argument("--steps", type=int, default=60, help="of each training, at least 20; 0 for none")
    return parser.parse_args()


def print_table(columns: Sequence[str], rows: Iterable[str]) -> None:
    """A table, row by row as they come, whose columns are numbers but for the first two."""
    print(f"| {' | '.join(columns)} |\n|{' --- |' * 2}{' ---: |' * (len(columns) - 2)}", flush=True)
    for row in rows:
        print(row, flush=True)
    print()


def main() -> None:
    given = arguments()
    logging.disable(logging.INFO)
    datasets = {name: Path(folder) for name, folder in (pair.split("=", 1) for pair in given.datasets)}
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        read = {name: cold(name, data, output, given.cases) for name, data in datasets.items()}
        print_table(["bundle", "cold", "a second", "MB each"], [row for _, row in read.values()])
        rows = (warm(name, data, output, read[name][0], given.rounds, given.draws) for name, data in datasets.items())
        print_table(["bundle", "warm, samples a second", *RECIPES], rows)
    if given.steps:
        grid = [(name, recipe) for name in datasets for recipe in RECIPES[1:]]
        rows = (waiting(name, datasets[name], recipe, given.steps, given.cases) for name, recipe in grid)
        columns = ["ms to draw a batch", "to augment it", "to learn from it", "share of the first two"]
        columns.append("waiting with 2 workers")
        print_table(["bundle", "recipe", *columns], rows)


if __name__ == "__main__":
    main()
