"""Rows of ACDC with three patients on a lent device: whole runs, several at once, given back as figures."""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mednoisy.data.phantoms import make_dataset

ORDER = ("copy_paste:strong", "sdcl:strong", "bcp:strong", "supervised:strong")
KEPT = ("summary.json", "metrics.csv", "scores.csv", "progress.csv", "config.yaml", "run.json")


def wanted(given: argparse.Namespace) -> list[tuple[str, str, int, int, list[str]]]:
    """(method, recipe, steps, seed, settings) of each row."""
    rows = []
    for text in given.row or [f"{name}:{8 if given.tiny else 3000}:0" for name in ORDER]:
        head, *settings = text.split(",")
        method, recipe, steps, seed = head.split(":")
        rows.append((method, recipe, int(steps), int(seed), settings))
    return rows


def train_rows(given: argparse.Namespace) -> dict[str, Any]:
    """Train all rows at once, as far as the time goes; a row that does not end is left out, and said so."""
    ends = time.monotonic() + given.seconds - 12
    with tempfile.TemporaryDirectory() as folder:
        data = given.data or Path(folder) / "phantoms"
        if not given.data:
            make_dataset(data, "heart", labeled=4, unlabeled=4, test=2)
        started = [_start(given, data, Path(folder), row) for row in wanted(given)]
        rows = []
        for name, output, process in started:
            try:
                process.wait(max(1.0, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            rows.append(_figures(name, output))
            _give_back(name, output, given.output / "rows")
    shutil.make_archive(str(given.output / "rows"), "gztar", given.output / "rows")
    shutil.rmtree(given.output / "rows")
    return {"ok": all("failed" not in row for row in rows), "rows": rows}


def _start(
    given: argparse.Namespace, data: Path, folder: Path, row: tuple[str, str, int, int, list[str]]
) -> tuple[str, Path, subprocess.Popen]:
    method, recipe, steps, seed, settings = row
    name = "_".join([method, recipe, str(steps), f"seed{seed}", *settings]).translate(str.maketrans("[]=, #", "......"))
    output = folder / name
    words = [sys.executable, "-m", "mednoisy", "train", "acdc", "--method", method, "--recipe", recipe]
    words += ["--data", str(data), "--output", str(output), "--labeled", "2" if given.tiny else "6"]
    words += ["--steps", str(steps), "--seed", str(seed), "--device", given.device]
    if given.tiny:
        settings = [*settings, "patch_size=[64,64]", "width=4", "batch_size=4"]
    words += [word for setting in settings for word in ("--set", setting)]
    log = (folder / f"{name}.log").open("w")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return name, output, subprocess.Popen(words, stdout=log, stderr=log, env=environment)


def _figures(name: str, output: Path) -> dict[str, Any]:
    """The final Dice and HD95 of a row, and its seconds; or how far it came."""
    from mednoisy.evaluation.summary_file import read_summary

    if not (output / "summary.json").is_file():
        progress = output / "progress.csv"
        steps = [row["step"] for row in csv.DictReader(progress.open())] if progress.is_file() else []
        log = output.with_name(f"{output.name}.log").read_text()[-300:]
        return {"row": name, "failed": f"ended at step {steps[-1] if steps else 0}: {log}"}
    summary = read_summary(output)
    figures = summary.checkpoints["final"].predictors[summary.deployed]
    means = {name: figures.over_classes[name].mean for name in ("dice", "hd95", "asd")}
    return {"row": name, "seconds": summary.facts["seconds"], **means}


def _give_back(name: str, output: Path, target: Path) -> None:
    target = target / name
    target.mkdir(parents=True, exist_ok=True)
    log = output.with_name(f"{output.name}.log")
    for path in [log, *(output / kept for kept in KEPT)]:
        if path.is_file():
            shutil.copy(path, target / path.name)
