"""What a run tells while it learns: a progress bar, `progress.csv` and TensorBoard events."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mednoisy.engines.disk_full import writing
from mednoisy.engines.progress_bars import bar
from mednoisy.errors import UserError
from mednoisy.files import write_text
from mednoisy.methods.method import Terms
from mednoisy.text_files import Unusable, read_table

TIMES = ("seconds", "processor_seconds")
TIMING_COLUMNS = [*TIMES, "steps_per_second", "waiting_share"]
FIRST_COLUMNS = ["step", "stage", *TIMING_COLUMNS, "learning_rate"]
SECONDS_BETWEEN_WRITES = 5  # of `progress.csv`, which is written whole each time


class Progress:
    """Collects terms on the device and reads them every `interval` steps, so that a step needs no host read.

    Args:
        folder: of the run; None keeps everything in memory (other ranks, tests).
        interval: steps between two rows; each row holds the means since the row before.
    """

    def __init__(self, folder: Path | None, interval: int = 10):
        self.folder, self.interval = folder, interval
        self.rows: list[dict] = []
        self.pending: list[dict[str, Tensor]] = []  # terms since the last row; a checkpoint keeps them
        self._since = self._mark = time.perf_counter()
        self._processor_since, self._processor_before = time.process_time(), 0.0
        self._mark_step, self._seconds_before, self._waited = 0, 0.0, 0.0
        self._waiting_since = self._since
        self._last_write = -math.inf
        self._bar: tqdm | None = None
        self._writer: Any = None

    def start(self, step: int, total: int, title: str) -> None:
        """Begin, or go on after `step` of `total` steps (see `restore`).

        Raises:
            UserError: E320, the disk is full.
        """
        if self.folder:
            from torch.utils.tensorboard import SummaryWriter

            with writing(self.folder / "tensorboard"):
                self._writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step + 1)
            self._bar = bar(total=total, initial=step, desc=title, unit="step")
        self._since, self._mark, self._mark_step = time.perf_counter(), time.perf_counter(), step
        self._processor_since = time.process_time()

    def snapshot(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: `pending` terms and both times; the rows are in `progress.csv`."""
        pending = [{name: value.clone() for name, value in terms.items()} for terms in self.pending]
        return {"pending": pending, **self.times}

    def restore(self, step: int, content: Mapping[str, Any]) -> None:
        """Take up a snapshot and the rows up to `step`; later rows of an interrupted run are dropped.

        Raises:
            UserError: E319, `progress.csv` is damaged.
        """
        self._seconds_before, self._processor_before = content["seconds"], content["processor_seconds"]
        self.pending = list(content["pending"])
        path = self.folder / "progress.csv" if self.folder else None
        if path and path.is_file():
            self.rows = [{k: v for k, v in row.items() if v != ""} for row in _kept(path) if int(row["step"]) <= step]

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the run, interruptions left out."""
        return self._seconds_before + time.perf_counter() - self._since

    @property
    def processor_seconds(self) -> float:
        """Processor seconds of the run in all threads of its process; those of `workers` that load data are not in."""
        return self._processor_before + time.process_time() - self._processor_since

    @property
    def times(self) -> dict[str, float]:
        """`seconds` and `processor_seconds`."""
        return {"seconds": self.seconds, "processor_seconds": self.processor_seconds}

    def start_waiting(self) -> None:
        """From now on, time counts as waiting for data."""
        self._waiting_since = time.perf_counter()

    def stop_waiting(self) -> None:
        """The data are there."""
        self._waited += time.perf_counter() - self._waiting_since

    def record(self, step: int, stage: str, learning_rate: float, losses: dict[str, Terms]) -> None:
        """Note the terms of one step (detached; read later)."""
        terms = {f"{student}/{name}": value for student, of in losses.items() for name, (_, value) in of.items()}
        self.pending.append({name: value.detach() for name, value in terms.items()})
        if self._bar is not None:
            self._bar.update(1)
        if step % self.interval == 0:
            self.flush(step, stage, learning_rate)

    def flush(self, step: int, stage: str, learning_rate: float) -> None:
        """Make a row of the means of all terms since the last one; do so before a stage with other terms begins.

        Raises:
            UserError: E320, the disk is full.
        """
        if not self.pending:
            return
        now = time.perf_counter()
        elapsed = max(now - self._mark, 1e-9)
        row = self._row(step, stage)
        row["steps_per_second"] = round((step - self._mark_step) / elapsed, 4)
        row["waiting_share"] = round(self._waited / elapsed, 4)
        row["learning_rate"] = learning_rate
        names = list(self.pending[-1])
        means = torch.stack([torch.stack([terms[n].float() for terms in self.pending]).mean() for n in names]).tolist()
        row.update({name: float(f"{mean:.6g}") for name, mean in zip(names, means, strict=True)})
        self.pending, self._waited, self._mark, self._mark_step = [], 0.0, now, step
        self.rows.append(row)
        self._events(row)
        self._write_now_and_then()
        if self._bar is not None:
            self._bar.set_postfix(
                {name.split("/")[-1]: f"{row[name]:.3f}" for name in names[:3]} | {"stage": stage}, refresh=False
            )

    def add(self, step: int, stage: str, values: dict[str, float]) -> None:
        """Add figures of a validation to the row of this step.

        Raises:
            UserError: E320, the disk is full.
        """
        if not self.rows or int(self.rows[-1]["step"]) != step:
            self.rows.append(self._row(step, stage))
        self.rows[-1].update({name: round(value, 6) for name, value in values.items()})
        self._events({"step": step, **values})
        self._write_now_and_then()

    def _row(self, step: int, stage: str) -> dict[str, Any]:
        return {"step": step, "stage": stage, **{name: round(time, 2) for name, time in self.times.items()}}

    def _events(self, row: dict) -> None:
        if self._writer is None or self.folder is None:
            return
        with writing(self.folder / "tensorboard"):
            for name, value in row.items():
                if isinstance(value, (int, float)) and name != "step":
                    self._writer.add_scalar(name, value, row["step"])

    def picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Show a picture (rows, columns, 3), uint8, in TensorBoard.

        Raises:
            UserError: E320, the disk is full.
        """
        if self._writer is not None and self.folder is not None:
            with writing(self.folder / "tensorboard"):
                self._writer.add_image(name, pixels, step, dataformats="HWC")

    def write(self) -> None:
        """Bring `progress.csv` up to date.

        Raises:
            UserError: E320, the disk is full.
        """
        if self.folder is None:
            return
        columns = list(dict.fromkeys([*FIRST_COLUMNS, *(column for row in self.rows for column in row)]))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        with writing(self.folder / "progress.csv"):
            write_text(self.folder / "progress.csv", text.getvalue())
        self._last_write = time.perf_counter()

    def _write_now_and_then(self) -> None:
        """So that a run that saves rarely can be watched."""
        if time.perf_counter() - self._last_write >= SECONDS_BETWEEN_WRITES:
            self.write()

    def close(self) -> None:
        """Take the bar away and write everything."""
        if self._bar is not None:
            self._bar.close()
        self.write()
        if self._writer is not None and self.folder is not None:
            with writing(self.folder / "tensorboard"):
                self._writer.close()


def _kept(path: Path) -> list[dict[str, str]]:
    """The rows of a table of progress, their steps checked."""
    try:
        rows = read_table(path)
        for row in rows:
            if not row.get("step", "").isdecimal():
                raise Unusable(f"a row is of step {row.get('step')!r}")
    except Unusable as fault:
        raise UserError("E319", f"{path} is damaged: {fault}", "Remove it, then its plots begin anew") from fault
    return rows
