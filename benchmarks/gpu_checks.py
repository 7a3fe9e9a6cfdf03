"""What must be right on a device: methods, resuming, prediction, and how often a step makes the host wait."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from mednoisy.composition import compose, known
from mednoisy.data.phantoms import make_dataset
from mednoisy.engines import checkpoint
from mednoisy.engines.trainer import SemiSupervisedTrainer

SMALL = {"width": 4, "batch_size": 2, "labeled": 2, "validation": 0, "epoch_length": 4}
BUNDLES: dict[str, dict[str, Any]] = {
    "phantom": SMALL | {key: [32, 32, 32] for key in ("patch_size", "stride", "coarse_stride")},
    "acdc": SMALL | {key: [64, 64] for key in ("patch_size", "stride", "coarse_stride")},
}
PHANTOMS = {"phantom": "atrium", "acdc": "heart"}
STEPS = 8
DRAWS_ON_DEVICE = {"mean_teacher", "ua_mt", "unimatch"}  # noise and dropped features come from the device's generator
CLOSE = 5e-3  # largest relative difference of a loss term in a stage's first step, fp32 on two devices


def small_run(
    bundle: str, method: str, data: Path, output: Path, device: str, recipe: str = "default", **more: Any
) -> tuple[Any, SemiSupervisedTrainer]:
    """The workflow of a short training without validation, parsed; dropout off, so that devices can be compared."""
    settings = BUNDLES[bundle] | {"dataset_dir": str(data), "output_dir": str(output), "steps": STEPS}
    settings |= {"device": f"$torch.device('{device}')", "train#handlers": [], "model_file": str(output / "model.pt")}
    workflow = compose(bundle, method, recipe, overrides=settings | more).workflow()
    workflow.initialize()
    trainer = workflow.parser.get_parsed_content("train#trainer")
    trainer.training.progress.interval = 1
    for stage in trainer.training.stages:
        for layer in stage.method().modules():
            if isinstance(layer, nn.modules.dropout._DropoutNd):
                layer.p = 0.0
    return workflow, trainer


def trained(*args: Any, **more: Any) -> list[dict[str, Any]]:
    """The rows that a short training logs, one a step."""
    workflow, trainer = small_run(*args, **more)
    trainer.run()
    workflow.parser.get_parsed_content("run_folder").close()
    return trainer.training.progress.rows


def check_method(bundle: str, method: str, device: str, data: str) -> dict[str, Any]:
    """Losses of a method on a device against the CPU's, in bf16, and the host's waits in a step."""
    torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        run = partial(trained, bundle, method, Path(data) / bundle)
        fp32 = {"precision": "fp32", "channels_last": False}
        reference = run(Path(folder) / "cpu", "cpu", **fp32)
        rows = run(Path(folder) / "device", device, **fp32)
        with host_waits() as waits:
            low = run(Path(folder) / "bf16", device, precision="bf16")
    first = [row["step"] for before, row in zip([{}, *rows], rows, strict=False) if before.get("stage") != row["stage"]]
    gaps = {row["step"]: _gap(row, other) for row, other in zip(rows, reference, strict=True)}
    at_first = max(gaps[step] for step in first[:1])
    return {
        "check": f"{method} on {bundle}",
        "first_step_gap": at_first,
        "largest_gap": max(gaps.values()),
        "bf16_finite": all(math.isfinite(value) for row in low for value in _terms(row).values()),
        "waits_a_step": waits.most_common_count(),
        "waits": waits.places(),
        "ok": at_first < (math.inf if method in DRAWS_ON_DEVICE else CLOSE) and waits.most_common_count() <= 1,
    }


def _terms(row: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if "/" in name}


def _gap(row: dict[str, Any], other: dict[str, Any]) -> float:
    ours, theirs = _terms(row), _terms(other)
    return max(abs(ours[name] - theirs[name]) / max(abs(theirs[name]), 0.05) for name in theirs)


class Waits:
    """How often the host waited for the device, by place, in each step that was watched."""

    def __init__(self) -> None:
        self.steps: list[Counter[str]] = []

    def most_common_count(self) -> int:
        """Of a step; logging steps, which may read more, are not the rule."""
        counts = Counter(sum(step.values()) for step in self.steps)
        return counts.most_common(1)[0][0] if counts else 0

    def places(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for step in self.steps:
            total.update(step)
        return dict(total.most_common(8))


@contextmanager
def host_waits() -> Iterator[Waits]:
    """Count what CUDA's sync debug mode sees within the trainer's steps but the first of a run."""
    waits, original = Waits(), SemiSupervisedTrainer._iteration

    def watched(self: Any, engine: Any, batch: Any) -> Any:
        self.training.progress.interval = 10**6  # reading for the log is not what is asked about
        if self.training.device.type != "cuda" or self.training.step < 1:
            return original(self, engine, batch)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                return original(self, engine, batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
            synchronising = [one for one in seen if "synchroniz" in str(one.message)]
            waits.steps.append(Counter(f"{Path(one.filename).name}:{one.lineno}" for one in synchronising))

    with patch.object(SemiSupervisedTrainer, "_iteration", watched):
        yield waits


def check_resume(bundle: str, device: str, data: str, method: str = "sdcl", **more: Any) -> dict[str, Any]:
    """Whether a run that is stopped in the middle ends with the weights of one that is not."""
    with tempfile.TemporaryDirectory() as folder:
        weights = []
        for name, stop in (("whole", None), ("halves", STEPS // 2 + 1)):
            for resume in (False, True) if stop else (False,):
                run = partial(small_run, bundle, method, Path(data) / bundle, Path(folder) / name, device)
                workflow, trainer = run(resume=resume, **more)
                trainer.save_interval = 2
                try:
                    with _stopped_at(None if resume else stop):
                        trainer.run()
                except KeyboardInterrupt:
                    pass
                finally:
                    workflow.parser.get_parsed_content("run_folder").close()
            weights.append(checkpoint.load(Path(folder) / name / "checkpoints" / "last.pt")["method"])
    whole, halves = weights
    gap = max(float((whole[key].double() - halves[key].double()).abs().max()) for key in whole)
    title = f"resume {bundle} {method} {', '.join(f'{key} {value}' for key, value in more.items())}".strip()
    return {"check": title, "bit_equal": gap == 0, "largest_gap": gap, "ok": gap == 0}


@contextmanager
def _stopped_at(step: int | None) -> Iterator[None]:
    original = SemiSupervisedTrainer._iteration

    def iteration(self: Any, engine: Any, batch: Any) -> Any:
        if engine.state.iteration == step:
            raise KeyboardInterrupt
        return original(self, engine, batch)

    with patch.object(SemiSupervisedTrainer, "_iteration", iteration):
        yield


def check_prediction(device: str) -> dict[str, Any]:
    """Labels of a scan by V-Net at full width, on the device in fp32 against the CPU: the share that differs."""
    from mednoisy.inference.sliding_window import SlidingWindow, decide
    from mednoisy.networks.vnet import VNet

    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    network, scan = VNet().eval(), torch.randn(1, 1, 128, 112, 88)
    window = SlidingWindow((112, 112, 80), (16, 16, 8))
    reference = window(scan, network)
    scores = window(scan.to(device), network.to(device)).cpu()
    differ = (decide(scores) != decide(reference)).float().mean().item()
    gap = (scores - reference).abs().max().item()
    return {"check": "prediction against the CPU", "largest_gap": gap, "share_differing": differ, "ok": differ < 1e-3}


def all_checks(device: str, data: Path, workers: int, methods: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The checks, several at once, in the order in which they end; one that fails says why."""
    for bundle, kind in PHANTOMS.items():
        make_dataset(data / bundle, kind, labeled=2, unlabeled=4, test=2)
    calls: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        (f"{method} on {bundle}", partial(check_method, bundle, method, device, str(data)))
        for method in methods or known("method")
        for bundle in BUNDLES
        if method != "colorization"  # these bundles have no colours
    ]
    for bundle in BUNDLES:
        exact = {"precision": "bf16"}
        calls.append((f"resume {bundle}", partial(check_resume, bundle, device, str(data), **exact)))
    calls.append(("prediction", partial(check_prediction, device)))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {name: pool.submit(call) for name, call in calls}
        for name, future in futures.items():
            try:
                yield future.result()
            except Exception as fault:  # the other checks go on; this one's cause is in the table
                yield {"check": name, "ok": False, "failed": f"{type(fault).__name__}: {fault}"[:600]}
