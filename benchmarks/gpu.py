"""Whether everything is right on a GPU, how fast it is, and rows of ACDC, in the minutes that a machine is lent.

    python benchmarks/gpu.py --output results --data data/acdc --minutes 9
    python benchmarks/gpu.py --output results --device cpu --tiny     # a rehearsal, in minutes

Items run in the order of their worth, each in a process of its own; after each, OUTPUT/gpu.json and OUTPUT/gpu.md hold
all that is known, so being cut off loses the item at work alone. `--items` chooses some. Reference figures are held
against the device by the tests that hold them against the CPU, where pytest and the figures are at hand.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import re
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
SHORTEST = 15  # seconds; with less left no item begins
GOLDEN = ["tests/methods/test_trajectories.py", "tests/networks/test_reference_networks.py"]


def machine(given: Given) -> dict[str, Any]:
    """What the figures are from."""
    import monai
    import numpy
    import torch

    name = torch.cuda.get_device_name() if given.device == "cuda" else platform.processor() or platform.machine()
    facts = {"device": name, "processors": os.cpu_count(), "python": platform.python_version()}
    return facts | {"torch": torch.__version__, "monai": monai.__version__, "numpy": numpy.__version__}


def goldens(given: Given) -> dict[str, Any]:
    """Trajectories in float64 and networks against the reference figures, by the tests themselves."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        *GOLDEN,
        *some,
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
    from step import COMPILED, ON_CPU, ON_GPU, SIZES, Setting, measure

    task = SIZES["tiny" if given.tiny else "full"][place]
    settings: tuple[Setting, ...] = ON_GPU if given.device == "cuda" else ON_CPU
    settings = COMPILED[compiled] if compiled else settings
    return measure(task, settings, torch.device(given.device), *((2, 1) if given.tiny else (5, 5)))


def kernels(given: Given, place: int) -> dict[str, Any]:
    """What the device does in a step, by kernel: the longest."""
    import torch
    from step import SIZES, Setting, our_step

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

    size = {"patch_size": [64, 64]} if given.tiny else {"patch_size": [256, 256], "batch_size": 12, "width": 16}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        make_dataset(Path(folder) / "acdc", "heart", labeled=6, unlabeled=6, test=1)
        for recipe in ("default", "strong"):
            for workers in (0, 1) if given.tiny else (0, 8):
                settings = {"steps": 20 if given.tiny else 100, "workers": workers, "precision": "bf16", **size}
                output = Path(folder) / f"{recipe}{workers}"
                workflow, trainer = small_run(
                    "acdc", "sdcl", Path(folder) / "acdc", output, given.device, recipe=recipe, **settings
                )
                trainer.training.progress.interval = 10
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


def markdown(results: dict[str, Any]) -> str:
    """All results so far, as tables."""
    facts = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    parts = [f"{facts}\n"]
    for name, result in results["items"].items():
        parts.append(f"## {name}: {_verdict(result)}, {result['took']:.0f} s\n")
        if "split" in result:
            from step import markdown as of_step

            parts.append(of_step(result))
        for key in ("checks", "rows"):
            if isinstance(result.get(key), list) and "split" not in result:
                parts.append(_table(result[key]))
        rest = {
            key: value
            for key, value in result.items()
            if isinstance(value, str | list) and key not in ("checks", "rows")
        }
        parts += [f"{key}: {value}\n" for key, value in rest.items() if "split" not in result and value]
    return "\n".join(parts)


def _verdict(result: dict[str, Any]) -> str:
    return "ok" if result.get("ok", True) and not result.get("failed") else "NOT OK"


def _table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))

    def cell(value: Any) -> str:
        text = f"{value:.4g}" if isinstance(value, float) else str("" if value is None else value)
        return re.sub(r"\s+", " ", text).replace("|", "/")

    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(cell(row.get(c)) for c in columns) + " |" for row in rows), ""])


def run_item(given: Given, name: str, seconds: float) -> dict[str, Any]:
    """An item in a process of its own, within `seconds`."""
    words = [sys.executable, __file__, "--item", name, "--output", str(given.output), "--device", given.device]
    words += ["--seconds", str(seconds), *(["--tiny"] if given.tiny else [])]
    words += ["--data", str(given.data)] if given.data else []
    words += [word for row in given.row for word in ("--row", row)]
    answer = given.output / f"{name}.json"
    start = time.perf_counter()
    with (given.output / f"{name}.log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT, start_new_session=True)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
    result: dict[str, Any] = {"ok": False, "failed": (given.output / f"{name}.log").read_text()[-1500:]}
    if answer.is_file():
        result = json.loads(answer.read_text())
    return result | {"took": time.perf_counter() - start}


def parsed() -> Given:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="ACDC as `mednoisy prepare acdc` leaves it; else phantoms")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks and few steps")
    parser.add_argument("--items", nargs="+", help="some items alone, in this order")
    parser.add_argument(
        "--row", action="append", default=[], help="METHOD:RECIPE:STEPS:SEED of item `rows`, more than once"
    )
    parser.add_argument("--item", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.output = given.output.resolve()
    given.data = given.data and given.data.resolve()
    return given


def main() -> None:
    given = parsed()
    given.output.mkdir(parents=True, exist_ok=True)
    if given.item:
        logging.disable(logging.INFO)
        result = items(given)[given.item](given)
        (given.output / f"{given.item}.json").write_text(json.dumps(result, default=str))
        return
    ends = time.monotonic() + 60 * given.minutes
    results: dict[str, Any] = {"machine": machine(given), "items": {}}
    wanted = given.items or list(items(given))
    for name in wanted:
        left = ends - time.monotonic()
        if left < SHORTEST:
            print(f"{name}: no time left", flush=True)
            continue
        results["items"][name] = result = run_item(given, name, left)
        (given.output / "gpu.json").write_text(json.dumps(results, indent=1))
        (given.output / "gpu.md").write_text(markdown(results))
        print(f"{name}: {_verdict(result)}, {result['took']:.0f} s", flush=True)
    done = results["items"]
    sys.exit(0 if len(done) == len(wanted) and all(_verdict(one) == "ok" for one in done.values()) else 1)


if __name__ == "__main__":
    main()
