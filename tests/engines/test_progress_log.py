"""Rows hold means since the row before, whatever interrupted the run."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mednoisy.engines import progress_log
from mednoisy.engines.progress_log import Progress
from mednoisy.methods.method import Terms
from tests.engines.small import At, sdcl_stages, small_trainer


def losses(value: float) -> dict[str, Terms]:
    return {"student": Terms(dice=(0.5, torch.tensor(value, requires_grad=True)))}


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "progress.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_row_is_the_mean_of_its_steps(tmp_path):
    progress = Progress(tmp_path, interval=3)
    progress.start(0, 7, "run")
    for step in range(1, 8):
        progress.record(step, "training", 0.1, losses(float(step)))
    progress.flush(7, "training", 0.1)
    progress.add(7, "training", {"val_dice_student": 0.12345678})
    progress.close()
    written = rows(tmp_path)
    assert [row["step"] for row in written] == ["3", "6", "7"]
    assert [float(row["student/dice"]) for row in written] == [2, 5, 7]
    assert [row["val_dice_student"] for row in written] == ["", "", "0.123457"]
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_an_interrupted_run_drops_later_rows_and_keeps_pending_terms(tmp_path):
    progress = Progress(tmp_path, interval=2)
    progress.start(0, 6, "run")
    pending = []
    for step in range(1, 6):
        progress.record(step, "training", 0.1, losses(float(step)))
        if step == 3:
            pending = list(progress.pending)
    progress.close()
    again = Progress(tmp_path, interval=2)
    again.restore(3, {"seconds": 100.0, "processor_seconds": 180.0, "pending": pending})
    again.start(3, 6, "run")
    assert [row["step"] for row in again.rows] == ["2"]
    again.record(4, "training", 0.1, losses(9.0))
    again.close()
    assert [float(row["student/dice"]) for row in rows(tmp_path)] == [1.5, 6]
    assert again.times == pytest.approx({"seconds": 100, "processor_seconds": 180}, abs=5)


def test_processor_time_grows_with_work_and_not_with_waiting():
    progress = Progress(None)
    progress.start(0, 1, "run")
    time.sleep(0.3)
    waited = progress.times
    assert waited["processor_seconds"] < 0.2 < waited["seconds"]
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    assert progress.processor_seconds - waited["processor_seconds"] >= 0.2


def test_other_ranks_write_nothing():
    progress = Progress(None, interval=1)
    progress.start(0, 2, "run")
    progress.record(1, "training", 0.1, losses(1.0))
    progress.close()
    assert progress.rows[0]["student/dice"] == 1


def test_rows_can_be_read_while_the_run_goes_on(tmp_path, monkeypatch):
    """The first at once, later ones together, five seconds after the last writing at the earliest."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress_log, "time", SimpleNamespace(perf_counter=lambda: clock.now, process_time=float))
    progress = Progress(tmp_path, interval=1)
    progress.start(0, 7, "run")
    readable = []
    for step, clock.now in enumerate([2.0, 3.0, 6.9, 7.0, 11.9], start=1):
        progress.record(step, "training", 0.1, losses(float(step)))
        readable.append([int(row["step"]) for row in rows(tmp_path)])
    assert readable == [[1], [1], [1], [1, 2, 3, 4], [1, 2, 3, 4]]
    clock.now = 13.0
    progress.add(5, "training", {"val_dice_student": 0.5})
    assert [row["val_dice_student"] for row in rows(tmp_path)] == ["", "", "", "", "0.5"]
    progress.record(6, "training", 0.1, losses(6.0))
    progress.write()  # at a save
    assert len(rows(tmp_path)) == 6
    progress.close()


def test_a_run_shows_figures_long_before_its_first_save(tmp_path):
    readable: list[list[str]] = []

    def look(engine: Any) -> None:
        readable.append([row["step"] for row in rows(tmp_path / "run")])
        assert not (tmp_path / "run" / "checkpoints").exists()

    options = {"validate_every": None, "save_interval": 100, "handlers": [At(5, look)]}
    trainer = small_trainer(tmp_path / "run", sdcl_stages(), steps=20, **options)
    trainer.run()
    trainer.run_folder.close()
    assert readable == [["4"]]
