"""What runs reached, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mednoisy.errors import UserError, did_you_mean
from mednoisy.evaluation.figures import MetricFigures
from mednoisy.evaluation.metrics import TABLE_METRICS
from mednoisy.evaluation.ranking import compare
from mednoisy.evaluation.statistics import summarise
from mednoisy.evaluation.summary_file import read_summary
from mednoisy.report import sentences as wording
from mednoisy.report.reading.runs import Run, read_runs
from mednoisy.report.sentences import counted
from mednoisy.report.tables.text_tables import latex_table, markdown_table, score_rows

TABLES = {"markdown": markdown_table, "latex": latex_table}
COMPARED = [metric for metric in TABLE_METRICS if not metric.startswith("volume")]
PAIR_COLUMNS = {
    "pair": "Run against another", "difference": "Difference", "interval": "95 % interval",
    "wins": "Better / tied / worse", "p": "p", "holm": "p (Holm)", "cases": "Cases",
}  # fmt: skip
RANK_COLUMNS = {"rank": "Rank", "run": "Run", "mean": "Mean", "interval": "95 % of ranks", "first": "First"}
SHOWN = {"dice": "Dice", "hd95": "HD95", "asd": "ASD"}


def result_lines(folder: Path | str) -> list[str]:
    """Means over the cases of a run or an evaluation: a line per checkpoint that scores the deployed predictor.

    Args:
        folder: of the run or the evaluation; its `summary.json` is read.

    Raises:
        UserError: E402, no finished run.
    """
    summary = read_summary(folder)
    deployed, unit = summary.deployed, summary.unit
    lines = []
    for name, checkpoint in summary.checkpoints.items():
        figures = checkpoint.predictors[deployed]
        shown = [f"{heading} {_mean(figures.over_classes[metric], metric, unit)}" for metric, heading in SHOWN.items()]
        of_run = "" if checkpoint.step is None else f"{name} (step {checkpoint.step}), {deployed}, "
        where = f"{of_run}{counted(figures.cases, 'case')}"
        lines.append(f"{where}: {', '.join(shown)}")
    return lines


def table_text(folders: Sequence[Path | str], form: str = "markdown") -> str:
    """The summary table of runs as published papers have it, a row for each.

    Args:
        folders: of runs or evaluations.
        form: `markdown` or `latex`.

    Raises:
        UserError: E401, E402 for a folder without a finished run.
    """
    return _scores(read_runs(folders), form)


def check_metric(metric: str) -> None:
    """Refuse what has no better side, or is no metric of the tables (E115)."""
    if metric not in COMPARED:
        raise UserError("E115", f"runs cannot be compared by {metric!r}", did_you_mean(metric, COMPARED))


def comparison_lines(folders: Sequence[Path | str], metric: str = "dice") -> list[str]:
    """Two or more runs set against one another: their scores, every pair by one metric, and the ranking.

    Raises:
        UserError: E401, E402 for a folder without a finished run; E115 for a metric that cannot rank.
    """
    check_metric(metric)
    runs = read_runs(folders)
    found = compare({run.name: run.metrics for run in runs}, metric)
    unit = str(runs[0].facts.get("spacing_unit", "mm"))
    title = wording.heading(metric, unit)
    stability = "–" if found["stability"] is None else f"{found['stability']:.2f}"
    ranked = f"ranking by {title} on {counted(found['cases'], 'case')}, stability {stability}:"
    pairs = markdown_table([_pair_row(pair, metric) for pair in found["pairs"]], PAIR_COLUMNS)
    ranking = markdown_table([_rank_row(entry, metric) for entry in found["ranking"]], RANK_COLUMNS)
    return [_scores(runs, "markdown"), f"differences in {title}:\n", pairs, f"{ranked}\n", ranking]


def _scores(runs: Sequence[Run], form: str) -> str:
    unit = str(runs[0].facts.get("spacing_unit", "mm"))
    return TABLES[form](*score_rows({run.name: summarise(run.metrics) for run in runs}, unit))


def _pair_row(pair: Mapping[str, Any], metric: str) -> dict[str, str]:
    return {
        "pair": f"{pair['other']} against {pair['baseline']}",
        "difference": wording.number(pair["difference"], metric, signed=True),
        "interval": wording.interval(pair["interval"], metric, signed=True),
        "wins": f"{pair['better']} / {pair['tied']} / {pair['worse']}",
        "p": wording.probability(pair["p"]),
        "holm": wording.probability(pair["p_holm"]),
        "cases": str(pair["n"]),
    }


def _rank_row(entry: Mapping[str, Any], metric: str) -> dict[str, str]:
    ends = entry["rank_interval"]
    return {
        "rank": wording.rank(entry["rank"]),
        "run": entry["run"],
        "mean": wording.number(entry["mean"], metric),
        "interval": "" if ends is None else f"{wording.rank(ends[0])} to {wording.rank(ends[1])}",
        "first": wording.share(entry["first"]),
    }


def _mean(figures: MetricFigures, metric: str, unit: str) -> str:
    if figures.mean is None:
        return "undefined"
    value = f"{figures.mean:.3f}" if metric == "dice" else f"{figures.mean:.2f} {unit}"
    return value + (f" ({figures.undefined} undefined)" if figures.undefined else "")
