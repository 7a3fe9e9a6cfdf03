"""Bundles run by MONAI itself, in processes of their own: no `mednoisy train`, another working directory."""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from mednoisy.composition import bundles_folder, compose
from tests.small_runs import SMALL, small_dataset, train_arguments


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name has a blank and an umlaut, with phantoms in `data`."""
    folder = tmp_path_factory.mktemp("läufe") / "mit leerzeichen"
    small_dataset(folder / "data")
    return folder


def settings(place: Path, run: str) -> dict:
    """A run of three steps in `place`."""
    folder = place / run
    return SMALL | {
        "dataset_dir": str(place / "data"),
        "output_dir": str(folder),
        "model_file": str(folder / "models" / "model.pt"),
        "steps": 3,
    }


def call(command: list[str], cwd: Path) -> str:
    """What a process in `cwd` prints on both streams; it must end well."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MONAI_FAIL_ON_DUPLICATE_CONFIG": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def scores(run: Path) -> list[dict[str, str]]:
    with open(run / "scores.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_printed_command_does_the_same_run(place, tmp_path):
    """`python -m monai.bundle run`, as `mednoisy train` prints it, gives the same figures from anywhere."""
    here = compose("phantom", "sdcl", "strong", overrides=settings(place, "by package"))
    here.run()
    there = compose("phantom", "sdcl", "strong", overrides=settings(place, "by monai"))
    call([sys.executable, *shlex.split(there.command)[1:]], cwd=tmp_path)
    assert scores(place / "by monai") == scores(place / "by package")
    assert (place / "by monai" / "report.html").is_file()


def test_evaluate_and_inference_configs_use_what_a_run_left(place, tmp_path):
    """`train.yaml` with `evaluate.yaml` scores again; `inference.yaml` segments a folder with the same result."""
    values = settings(place, "run")
    compose("phantom", overrides=values).run()
    before = scores(place / "run")
    (place / "run" / "scores.csv").unlink()
    again = compose("phantom", configs=["evaluate"], overrides=values)
    call([sys.executable, *shlex.split(again.command)[1:]], cwd=tmp_path)
    assert scores(place / "run") == before

    images = place / "images"
    images.mkdir()
    (images / "test_000.nii.gz").write_bytes((place / "data" / "images" / "test_000.nii.gz").read_bytes())
    shared = {
        key: value for key, value in values.items() if key in ("patch_size", "stride", "width", "device", "model_file")
    }
    words = [f"--{key}={value}" for key, value in shared.items()]
    words += [f"--dataset_dir={images}", f"--output_dir={place / 'predicted'}"]
    config = bundles_folder() / "phantom" / "configs" / "inference.yaml"
    call([sys.executable, "-m", "monai.bundle", "run", "--config_file", str(config), *words], cwd=tmp_path)
    found = nibabel.load(place / "predicted" / "test_000.nii.gz")
    wanted = nibabel.load(place / "run" / "predictions" / "test_000.nii.gz")
    np.testing.assert_array_equal(np.squeeze(found.dataobj), np.asarray(wanted.dataobj))
    np.testing.assert_allclose(found.affine, wanted.affine)


@pytest.mark.slow
def test_two_processes_train_one_network(place, tmp_path):
    """`multi_gpu.yaml` under torchrun with two gloo processes: a step draws two batches, rank 0 writes the run."""
    values = settings(place, "two processes") | {"batch_size": 1}
    composition = compose("phantom", configs=["multi_gpu"], overrides=values)
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    call([*start, *shlex.split(composition.command)[1:]], cwd=tmp_path)
    last = torch.load(place / "two processes" / "checkpoints" / "last.pt", weights_only=True)
    assert (last["step"], last["world"]) == (3, 2)
    summary = json.loads((place / "two processes" / "summary.json").read_text(encoding="utf-8"))
    assert summary["checkpoints"]["final"]["step"] == 3
    assert (place / "two processes" / "report.html").is_file()


@pytest.mark.slow
def test_train_under_torchrun_takes_the_multi_gpu_config(place, tmp_path):
    """`torchrun -m mednoisy train` needs no further option; only one process prints."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "mednoisy"]
    words = [*train_arguments(place / "data", place / "torchrun"), "--set", "batch_size=1"]
    shown = call([*start, *words], cwd=tmp_path)
    assert shown.count("multi_gpu.yaml") == 1
    assert shown.count("report: ") == 1
