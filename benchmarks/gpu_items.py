"""The items of `benchmarks/gpu.py`: what is checked, timed and trained; each gives plain values for its table."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
Given = argparse.Namespace
GOLDEN = ["tests/methods/test_trajectories.py", "tests/networks/test_reference_networks.py"]


def goldens(given: Given) -> dict[str, Any]:
    """Trajectories in float64 and networks against the reference figures, by the tests themselves."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        *GOLDEN,
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "filterwarnings=default",
    ]
    done = subprocess.run([*words, "--device", given.device], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR", "E  "))][:12]
    return {"ok": done.returncode == 0, "pytest": lines[-1] if lines else done.stderr[-300:], "failed": failed}


def checks(given: Given) -> dict[str, Any]:
    """Every method, resuming and prediction."""
    from gpu_checks import all_checks

    methods = ["supervised", "sdcl"] if given.tiny else None
    with tempfile.TemporaryDirectory() as folder:
        found = list(all_checks(given.device, Path(folder), 2 if given.tiny else 12, methods))
    return {"ok": all(one["ok"] for one in found), "checks": found}


def resuming(given: Given) -> dict[str, Any]:
    """Whether a run that was stopped ends with the same bits as one that was not."""
    from gpu_checks import PHANTOMS, check_resume

    from mednoisy.data.phantoms import make_dataset

    with tempfile.TemporaryDirectory() as folder:
        for bundle, kind in PHANTOMS.items():
            make_dataset(Path(folder) / bundle, kind, labeled=2, unlabeled=4, test=2)
        runs = [("phantom", True), ("acdc", True), ("acdc", False)]
        rows = [check_resume(b, given.device, folder, precision="bf16", deterministic=exact) for b, exact in runs]
    return {"ok": all(row["ok"] for row in rows[:2]), "checks": rows}


def step(given: Given, place: int, compiled: str | None = None) -> dict[str, Any]:
    """Time, memory and split of a training step."""
    import torch
    from step import measure
    from step_tasks import COMPILED, ON_CPU, ON_GPU, SIZES, Setting

    task = SIZES["tiny" if given.tiny else "full"][place]
    settings: tuple[Setting, ...] = ON_GPU if given.device == "cuda" else ON_CPU
    settings = COMPILED[compiled] if compiled else settings
    return measure(task, settings, torch.device(given.device), *((2, 1) if given.tiny else (5, 5)))


def kernels(given: Given, place: int) -> dict[str, Any]:
    """What the device does in a step, by kernel: the longest."""
    import torch
    from step_tasks import SIZES, Setting, our_step

    task = SIZES["tiny" if given.tiny else "full"][place]
    with tempfile.TemporaryDirectory() as folder:
        step, _ = our_step(task, Setting("bf16"), torch.device(given.device), Path(folder) / "run")
        for _ in range(3):
            step()
        with torch.profiler.profile() as profile:
            for _ in range(3):
                step()
    sort = "self_cuda_time_total" if given.device == "cuda" else "self_cpu_time_total"
    (given.output / f"kernels_{place}.txt").write_text(
        profile.key_averages().table(sort_by=sort, row_limit=40, max_name_column_width=90)
    )
    return {"ok": True, "rows": [{"task": task.title, "events": len(profile.events()) // 3}]}


def cleanup(given: Given) -> dict[str, Any]:
    """The largest components of pseudo-labels, on the device and by way of the CPU."""
    import torch

    from mednoisy.pseudo import cleanup as module

    torch.manual_seed(0)
    rows = []
    for title, shape, classes in (("4 volumes", [4, 112, 112, 80], 2), ("24 slices", [24, 256, 256], 4)):
        shape = [max(1, side // 4) for side in shape] if given.tiny else shape
        noise = torch.nn.functional.avg_pool2d(torch.randn(1, *shape).flatten(0, -3), 5, 1, 2).reshape(shape)
        labels = ((noise - noise.min()) / (noise.max() - noise.min()) * classes).long().clamp(max=classes - 1)
        labels = labels.to(given.device)
        ways = {"by way of the CPU": lambda x=labels: module.largest_components(x.cpu()).to(x.device)}
        ways["where the labels are"] = lambda x=labels: module.largest_components(x)
        results = {name: way() for name, way in ways.items()}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(7):
            for name, way in ways.items():
                times[name].append(_timed(way, given.device))
        alike = bool((results["by way of the CPU"] == results["where the labels are"]).all())
        rows.append({"labels": title, "alike": alike, **{n: 1000 * statistics.median(t) for n, t in times.items()}})
    return {"ok": all(row["alike"] for row in rows), "rows": rows}


def inference(given: Given) -> dict[str, Any]:
    """A scan of the size of a left atrium's through V-Net: MONAI's default call and ours, at the published stride."""
    import torch
    from monai.inferers import sliding_window_inference

    from mednoisy.inference.sliding_window import SlidingWindow
    from mednoisy.networks.vnet import VNet

    size, patch, stride = (
        ((48, 48, 32), (32, 32, 16), (16, 16, 8)) if given.tiny else ((224, 160, 88), (112, 112, 80), (18, 18, 4))
    )
    torch.manual_seed(0)
    network = VNet(width=4 if given.tiny else 16).eval().to(given.device)
    scan = torch.randn(1, 1, *size, device=given.device)

    overlap = tuple(1 - (step + 0.5) / side for side, step in zip(patch, stride, strict=True))

    def monai_call(batch: int) -> Any:
        return sliding_window_inference(scan, patch, batch, lambda x: network(x).softmax(1), overlap, mode="constant")

    def ours(batch: int | None, precision: str) -> torch.Tensor:
        return SlidingWindow(patch, stride, batch, precision)(scan, network)

    ways: dict[str, Callable[[], Any]] = {"MONAI, 1 window": partial(monai_call, 1)}
    ways |= {f"MONAI, {n} windows": partial(monai_call, n) for n in (4,)}
    for precision in ("fp32", "bf16"):
        ways |= {
            f"ours {precision}, {n or 'as many as fit'} windows": partial(ours, n, precision) for n in (4, 16, None)
        }
    rows = []
    with torch.no_grad():
        first = ways["MONAI, 1 window"]().argmax(1)
        for name, way in ways.items():
            differ = (way().argmax(1) != first).float().mean().item()
            rows.append(
                {"call": name, "s": min(_timed(way, given.device) for _ in range(2)), "share_differing": differ}
            )
    return {"ok": True, "rows": rows}


def _timed(function: Callable[[], Any], device: str) -> float:
    import torch

    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    wait()
    start = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - start


def waiting(given: Given) -> dict[str, Any]:
    """Steps a second and the share of time without a batch, by recipe and workers, in the product's own training."""
    from gpu_checks import small_run

    from mednoisy.data.phantoms import make_dataset

    size = {"patch_size": [256, 256], "batch_size": 12, "width": 16}
    size = {"patch_size": [64, 64], "batch_size": 4, "width": 4} if given.tiny else size
    steps, interval, rows = (12, 3, []) if given.tiny else (100, 10, [])
    with tempfile.TemporaryDirectory() as folder:
        make_dataset(Path(folder) / "acdc", "heart", labeled=6, unlabeled=6, test=1)
        for recipe in ("default", "strong"):
            for workers in (0, 1) if given.tiny else (0, 8):
                settings = {"steps": steps, "workers": workers, "precision": "bf16", **size}
                output = Path(folder) / f"{recipe}{workers}"
                workflow, trainer = small_run(
                    "acdc", "sdcl", Path(folder) / "acdc", output, given.device, recipe=recipe, **settings
                )
                trainer.training.progress.interval = interval
                trainer.run()
                workflow.parser.get_parsed_content("run_folder").close()
                steady = trainer.training.progress.rows[len(trainer.training.progress.rows) // 2 :]
                means = {
                    key: statistics.median(row[key] for row in steady) for key in ("steps_per_second", "waiting_share")
                }
                rows.append({"recipe": recipe, "workers": workers, **means})
    return {"ok": True, "rows": rows}


def rows_of_acdc(given: Given) -> dict[str, Any]:
    """Rows of ACDC with three patients at the published size; see `gpu_rows`."""
    from gpu_rows import train_rows

    return train_rows(given)


def items(given: Given) -> dict[str, Callable[[Given], dict[str, Any]]]:
    """All items by name, the most important first."""
    steps = {f"step_{number}": partial(step, place=number) for number in range(3)}
    compiled = {
        f"compiled_{number}_{mode}": partial(step, place=number, compiled=mode)
        for mode, number in (("default", 0), ("reduce-overhead", 1), ("default", 1), ("reduce-overhead", 0))
    }
    if given.tiny:  # on a CPU tests hold the figures, and compiling takes minutes
        compiled = {}
    return {
        **({} if given.tiny else {"goldens": goldens}),
        "checks": checks,
        "resuming": resuming,
        **steps,
        **{f"kernels_{number}": partial(kernels, place=number) for number in range(2)},
        "cleanup": cleanup,
        "inference": inference,
        "waiting": waiting,
        **compiled,
        "rows": rows_of_acdc,
    }
