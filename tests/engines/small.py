"""Runs small enough for seconds: two-layer networks on cubes of noise with a bright ball, never a file read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from torch import nn

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.stream_loader import StreamLoader
from mednoisy.data.training_stream import TrainingStream
from mednoisy.engines import checkpoint
from mednoisy.engines.learning_rates import Polynomial
from mednoisy.engines.progress_log import TIMES, TIMING_COLUMNS
from mednoisy.engines.run_folder import RunFolder
from mednoisy.engines.stages import Stage
from mednoisy.engines.trainer import SemiSupervisedTrainer
from mednoisy.engines.validation import ValidateStages, Validator
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.methods.copy_paste import SupervisedCopyPaste
from mednoisy.methods.mean_teacher import MeanTeacher
from mednoisy.methods.ramp_up import Ramp
from mednoisy.methods.sdcl import SDCL
from mednoisy.methods.supervised import Supervised

PATCH = (8, 8, 6)


def small_cases(first: int, count: int, labels: bool, shape: Sequence[int] = (11, 10, 9)) -> CachedCases:
    """Cases named p{number}, the same for the same numbers."""

    def load(case: dict) -> dict:
        generator = np.random.default_rng(case["number"])
        centre = generator.uniform(3, 6, size=3).reshape(3, 1, 1, 1)
        ball = ((np.indices(shape) - centre) ** 2).sum(axis=0) < 10
        image = torch.from_numpy(generator.normal(size=shape) + 2 * ball).float()
        item = {"id": case["id"], "image": MetaTensor(image[None], affine=torch.eye(4))}
        return item | ({"label": MetaTensor(torch.from_numpy(ball)[None].to(torch.uint8))} if labels else {})

    return CachedCases([{"id": f"p{number}", "number": number} for number in range(first, first + count)], load)


def small_network(seed: int, width: int = 3) -> nn.Module:
    """Batch norm and dropout inside, so that their states and draws count."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv3d(1, width, 3, padding=1),
            nn.BatchNorm3d(width),
            nn.ReLU(),
            nn.Dropout3d(0.2),
            nn.Conv3d(width, 2, 1),
        )


def small_stream(labeled: int = 4, unlabeled: int = 6, **options: Any) -> TrainingStream:
    return TrainingStream(small_cases(0, labeled, True), small_cases(50, unlabeled, False), PATCH, **options)


def supervised_stage(**options: Any) -> list[Stage]:
    network = small_network(1)
    settings = {"share": 1, "optimiser": partial(torch.optim.Adam, lr=0.01), "labeled": 2} | options
    return [Stage("training", lambda: Supervised(network), **settings)]


def mean_teacher_stages(carry_optimisers: bool = False) -> list[Stage]:
    """Supervised, then mean teacher with warm start and noise."""
    network = small_network(1)
    sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=1e-4)
    second = partial(MeanTeacher, network, weight=Ramp(to=0.5), warm_start=True)
    return [
        Stage("supervised", lambda: Supervised(network), 1, sgd, labeled=2),
        Stage("teaching", second, 1, sgd, labeled=2, unlabeled=2, carry_optimisers=carry_optimisers),
    ]


def sdcl_stages(carry_optimisers: bool = False) -> list[Stage]:
    a, b = small_network(1), small_network(2, width=5)
    adam = partial(torch.optim.Adam, lr=0.01)
    return [
        Stage("pretraining", partial(SupervisedCopyPaste, {"a": a, "b": b}), 1, adam, labeled=2),
        Stage(
            "selftraining",
            partial(SDCL, a, b),
            1,
            adam,
            labeled=2,
            unlabeled=2,
            schedule=Polynomial(),
            carry_optimisers=carry_optimisers,
        ),
    ]


def small_validator(**options: Any) -> Validator:
    window = SlidingWindow(PATCH, (4, 4, 4))
    return Validator("cpu", small_cases(90, 2, True), window, 2, **options)


def small_trainer(
    folder: Path,
    stages: list[Stage],
    steps: int = 12,
    resume: bool = False,
    validate_every: int | None = 2,
    handlers: Sequence[Any] = (),
    stream: TrainingStream | None = None,
    workers: int = 0,
    **options: Any,
) -> SemiSupervisedTrainer:
    """A trainer of `steps` steps in epochs of 5 that saves every 3 and logs every 4."""
    validation = [ValidateStages(small_validator(), validate_every)] if validate_every else []
    settings: dict[str, Any] = {"save_interval": 3, "log_interval": 4} | options
    return SemiSupervisedTrainer(
        "cpu",
        max_epochs=-(-steps // 5),
        epoch_length=5,
        trim=-steps % 5,
        train_data_loader=StreamLoader(stream or small_stream(), workers=workers),
        stages=stages,
        run_folder=RunFolder(folder, resume, {"steps": steps}),
        train_handlers=[*validation, *handlers],
        **settings,
    )


class At:
    """A handler that does something after one step, before the trainer looks at that step's end."""

    def __init__(self, step: int, action: Any):
        self.step, self.action = step, action

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=self.step), self.action)


def kept(folder: Path) -> dict[str, Any]:
    """What a run leaves, without clock times."""
    import csv

    files: dict[str, Any] = {}
    for path in sorted((folder / "checkpoints").glob("*.pt")):
        if path.name == checkpoint.PREVIOUS:  # of whichever step was saved before the last one
            continue
        files[path.name] = {k: v for k, v in checkpoint.load(path).items() if k not in TIMES}
    with open(folder / "progress.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return files | {"rows": [{k: v for k, v in row.items() if k not in TIMING_COLUMNS} for row in rows]}


def assert_same(actual: Any, expected: Any, where: str = "") -> None:
    """Equality bit for bit, of nested dictionaries, lists and tensors."""
    if isinstance(expected, dict):
        assert list(actual) == list(expected), where
        for key, value in expected.items():
            assert_same(actual[key], value, f"{where}/{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected), where
        for number, (left, right) in enumerate(zip(actual, expected, strict=True)):
            assert_same(left, right, f"{where}/{number}")
    elif isinstance(expected, torch.Tensor):
        assert actual.dtype == expected.dtype, where
        assert torch.equal(actual, expected), where
    else:
        assert actual == expected, where
