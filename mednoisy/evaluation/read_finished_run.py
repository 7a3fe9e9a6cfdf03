"""The folder of a finished run or evaluation, read: its summary and its tables of metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mednoisy.evaluation.metrics import Row, read_metrics
from mednoisy.evaluation.summary_file import RunSummary, read_summary


@dataclass(frozen=True)
class FinishedRun:
    """What a finished run has left.

    Attributes:
        folder: of the run or the evaluation.
        summary: of `summary.json`.
        metrics: rows of the deployed predictor at the checkpoint that is shown.
        scores: rows of all checkpoints and predictors, with their names.
    """

    folder: Path
    summary: RunSummary
    metrics: list[Row]
    scores: list[Row]


def read_finished_run(folder: Path | str) -> FinishedRun:
    """The run in this folder.

    Raises:
        UserError: E402 where it holds no finished run, E401 where its tables are damaged.
    """
    folder = Path(folder)
    summary, metrics = read_summary(folder), read_metrics(folder / "metrics.csv")
    if (folder / "scores.csv").exists():
        scores = read_metrics(folder / "scores.csv")
    else:
        scores = [{"checkpoint": summary.shown, "predictor": summary.deployed, **row} for row in metrics]
    return FinishedRun(folder, summary, metrics, scores)
