"""What runs reached, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mednoisy.errors import UserError, did_you_mean
from mednoisy.evaluation.figures import MetricFigures
from mednoisy.evaluation.metrics import TABLE_METRICS
from mednoisy.evaluation.summary_file import read_summary
from mednoisy.report.checkpoint_names import checkpoint_name
from mednoisy.report.metric_names import METRIC_NAMES, heading
from mednoisy.report.number_format import coefficient, counted
from mednoisy.report.patient_words import patient_noun, who_varies
from mednoisy.report.reading.runs import Run, patients_of, read_runs
from mednoisy.report.tables.comparison_tables import compared_by, pair_rows, rank_rows
from mednoisy.report.tables.run_facts_table import doubts, tolerances_of
from mednoisy.report.tables.text_tables import latex_table, markdown_table, score_rows

TABLES = {"markdown": markdown_table, "latex": latex_table}
COMPARED = [metric for metric in TABLE_METRICS if not metric.startswith("volume")]
PAIR_COLUMNS = {
    "pair": "Run against another", "difference": "Difference", "interval": "95 % interval",
    "wins": "Better / tied / worse", "p": "p", "p_holm": "p (Holm)", "cases": "Cases", "missed": "Undefined in either",
}  # fmt: skip
RANK_COLUMNS = {"rank": "Rank", "run": "Run", "mean": "Mean", "interval": "95 % of ranks", "first": "First"}
SHOWN = ("dice", "hd95", "asd")


def result_lines(folder: Path | str) -> list[str]:
    """Means over the cases of a run or an evaluation: a line per checkpoint that scores the deployed predictor.

    Args:
        folder: of the run or the evaluation; its `summary.json` is read.

    Raises:
        UserError: E402, no finished run.
    """
    summary = read_summary(folder)
    lines = [f"{folds}-fold cross-validated, last checkpoints"] if (folds := summary.facts.get("folds")) else []
    if not summary.predicts:
        how = f"start a run from it by --pretext-from {folder}"
        return [f"{summary.name} is a pretext: it predicts nothing, so nothing is scored; {how}"]
    scored = any(checkpoint.predictors[summary.deployed].cases for checkpoint in summary.checkpoints.values())
    if "method" in summary.facts and not scored:
        return ["nothing was scored: there are neither test nor validation cases"]
    for key, checkpoint in summary.checkpoints.items():
        figures = checkpoint.predictors[summary.deployed]
        means = [_mean(figures.over_classes[metric], metric, summary.unit) for metric in SHOWN]
        name = checkpoint_name(key, validated=summary.facts.get("validation") != 0, step=checkpoint.step)
        of_run = "" if checkpoint.step is None else f"{name}, {summary.deployed}, "
        lines.append(f"{of_run}{counted(figures.cases, 'case')}: {', '.join(means)}")
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


def doubt_lines(folders: Sequence[Path | str]) -> list[str]:
    """What keeps the figures of runs from meaning the same, a sentence each."""
    return doubts(read_runs(folders))


def check_metric(metric: str) -> None:
    """Refuse what has no better side, or is no metric of the tables (E115)."""
    if metric not in COMPARED:
        raise UserError("E115", f"runs cannot be compared by {metric!r}", did_you_mean(metric, COMPARED))


def comparison_lines(folders: Sequence[Path | str], metric: str = "dice") -> list[str]:
    """Two or more runs set against one another: their scores, every pair by one metric, and the ranking.

    Raises:
        UserError: E401, E402 for a folder without a finished run; E115 for a metric that cannot rank; E391 for NSD
            at different tolerances.
    """
    check_metric(metric)
    runs = read_runs(folders)
    tolerances = tolerances_of(runs)
    if metric == "nsd" and len(set(tolerances.values())) > 1:
        cause = "runs cannot be compared by NSD: " + ", ".join(
            f"tolerance {t:g} in {name}" for name, t in tolerances.items()
        )
        raise UserError("E391", cause, "Score again with one --tolerance, or compare by another --metric")
    compared = compared_by(runs, metric)
    title = heading(metric, runs[0].unit)
    cases, stability = counted(compared["cases"], "case"), coefficient(compared["stability"])
    patients = f" of {counted(compared['patients'], patient_noun(runs))}" if patients_of(runs) else ""
    pairs = [row | {"pair": f"{row['run']} against {row['baseline']}"} for row in pair_rows(compared)]
    pair_columns = {key: title for key, title in PAIR_COLUMNS.items() if any(row[key] for row in pairs)}
    return [
        _scores(runs, "markdown"),
        *(f"{doubt}\n" for doubt in doubts(runs)),
        f"{who_varies(runs)}\n",
        f"differences in {title}; Holm's correction is for all {len(pairs)} of them:\n",
        markdown_table(pairs, pair_columns),
        f"ranking by {title} on {cases}{patients}, stability {stability}:\n",
        markdown_table(rank_rows(compared), RANK_COLUMNS),
    ]


def _scores(runs: Sequence[Run], form: str) -> str:
    return TABLES[form](*score_rows({run.name: run.figures() for run in runs}, runs[0].unit))


def _mean(figures: MetricFigures, metric: str, unit: str) -> str:
    """A metric's name and mean, Dice as a share of 1."""
    name = METRIC_NAMES[metric]
    if figures.mean is None:
        return f"{name} undefined"
    value = f"{figures.mean:.3f}" if metric == "dice" else f"{figures.mean:.2f} {unit}"
    return f"{name} {value}" + (f" ({figures.undefined} undefined)" if figures.undefined else "")
