"""Two gloo processes: the data of one, replicas that stay equal, a stop that both take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mednoisy.data.datalist import Datalist
from tests.engines.small import assert_same, kept, small_stream
from tests.engines.small_pictures import colouring_stages
from tests.engines.small_rounds import noisy_run, noisy_stages, planted, round_files

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [*launcher, "tests.engines.two_processes", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def loaded(folder: Path, name: str) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{name}_{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", ["sdcl", "mean_teacher"])
def test_replicas_stay_equal(folder, name):
    """Students, teachers and choices after two stages; batch norm's statistics are each process's own."""
    first, second = loaded(folder, name)
    for key, value in first["method"].items():
        if not any(part in key for part in ("running_", "num_batches")):
            assert torch.equal(second["method"][key], value), key
    assert first["best"] == second["best"]
    assert first["best"]["best_honest"] > 0


def test_replicas_of_an_adversarial_pair_stay_equal(folder):
    """Generator and discriminator; each learned something, the statistics of batch norm are each process's own."""
    first, second = loaded(folder, "colours")
    start = colouring_stages()[0].method().state_dict()
    for key, value in first["method"].items():
        if not any(part in key for part in ("running_", "num_batches")):
            assert torch.equal(second["method"][key], value), key
            assert not torch.equal(start[key], value), key


def test_both_together_draw_what_one_process_draws(folder):
    first, second = (process["ids"] for process in loaded(folder, "sdcl"))
    for step, (left, right) in enumerate(zip(first, second, strict=True)):
        stage, at, unlabeled = ("pretraining", step, 0) if step < 6 else ("selftraining", step - 6, 4)
        whole = small_stream().batch(stage, at, 4, unlabeled)
        assert left == whole.labeled_ids[0::2] + whole.unlabeled_ids[0::2]
        assert right == whole.labeled_ids[1::2] + whole.unlabeled_ids[1::2]
    assert len(first) == len(second) == 12


def test_a_signal_to_one_process_stops_both_and_the_run_goes_on_bit_for_bit(folder):
    for process in loaded(folder, "resumed"):
        assert process["message"].startswith("E331 stopped by SIGTERM after step 7, which is saved")
    assert_same(kept(folder / "stopped" / "sdcl"), kept(folder / "whole" / "sdcl"))


def test_each_process_labels_its_share_of_a_round(folder):
    """Every second case; together they leave the files of one process, and their students stay equal."""
    first, second = loaded(folder, "round")
    assert (first["labeled"], second["labeled"]) == (["u0", "u2", "u4"], ["u1", "u3"])
    datalist = Datalist.load(folder / "data" / "datalist.json")
    noisy_run(folder / "alone", noisy_stages(1, teacher=planted), datalist, steps=2)
    assert_same(round_files(folder / "noisy"), round_files(folder / "alone"))
    assert torch.equal(first["method"]["students.student.0.weight"], second["method"]["students.student.0.weight"])
