"""What a study writes of its finished runs: rows, tables and pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mednoisy.evaluation.metrics import MAIN_METRICS, write_metrics
from mednoisy.evaluation.summary_file import read_summary
from mednoisy.files import write_text
from mednoisy.report.checkpoint_names import any_validated
from mednoisy.report.reading.runs import Run, read_runs
from mednoisy.report.tables.centre_tables import seeds_by_centre
from mednoisy.report.tables.start_tables import PretextCost, StartedRow
from mednoisy.report.tables.study_table import study_table
from mednoisy.studies.rivals import FinishedRow, differences
from mednoisy.studies.rows import Cell

TABLE = "table.md"
Done = tuple[Cell, Path]  # a finished run and its folder
ROW_COLUMNS = (
    "run", "start", "method", "recipe", "settings", "labeled", "seed", "checkpoint", "predictor", "deployed", "step",
    "seconds", "processor_seconds",
    *MAIN_METRICS, "undefined", "hd95_penalised", "asd_penalised", "undefined_distances", "distances",
)  # fmt: skip


def result_rows(done: Sequence[Done]) -> list[dict[str, Any]]:
    """A row per finished run, checkpoint and predictor; means over test cases and classes.

    Args:
        done: the finished runs with their folders, in order.
    """
    rows = []
    for cell, folder in done:
        summary = read_summary(folder)
        for name, checkpoint in summary.checkpoints.items():
            for predictor, figures in checkpoint.predictors.items():
                row: dict[str, Any] = {
                    "run": cell.name,
                    "start": cell.row.start.name,
                    "method": Path(cell.method).stem,
                    "recipe": Path(cell.recipe).stem,
                    "labeled": cell.labeled,
                    "seed": cell.seed,
                    "checkpoint": name,
                    "predictor": predictor,
                    "deployed": predictor == summary.deployed,
                    "step": checkpoint.step,
                    "seconds": summary.facts["seconds"],
                    "processor_seconds": summary.facts.get("processor_seconds"),  # unknown of older runs
                    "undefined": sum(figures.over_classes[metric].undefined for metric in MAIN_METRICS),
                    "hd95_penalised": figures.over_classes["hd95"].penalised,
                    "asd_penalised": figures.over_classes["asd"].penalised,
                    "undefined_distances": figures.over_classes["hd95"].undefined,
                    "distances": figures.pairs,
                }
                row |= {metric: figures.over_classes[metric].mean for metric in MAIN_METRICS}
                rows.append(row)
    return rows


def finished_rows(done: Sequence[Done]) -> list[FinishedRow]:
    """The finished runs by labels and row, in their order."""
    runs = read_runs([folder for _, folder in done]) if done else []
    of_row: dict[tuple[int, str], list[tuple[Cell, Run]]] = defaultdict(list)
    for (cell, _), run in zip(done, runs, strict=True):
        of_row[cell.labeled, cell.row.folder].append((cell, run))
    return [
        FinishedRow(members[0][0].row, members[0][0].labeled, {cell.seed: run for cell, run in members})
        for members in of_row.values()
    ]


def write_results(
    output: Path,
    done: Sequence[Done],
    finished: Sequence[FinishedRow],
    bundle: str,
    dataset: Path | None,
    shared: Mapping[str, Any],
) -> None:
    """Write `rows.csv`, `table.md`, `differences.md`, `comparison.html` and, with centres, `groups.md`.

    Args:
        output: folder of the study.
        done, finished: its finished runs, by themselves and by row.
        bundle, dataset: of the study.
        shared: settings of all its runs.
    """
    rows = result_rows(done)
    row_of = {cell.name: cell.row for cell, _ in done}
    listed = [row | {"settings": row_of[row["run"]].listed_settings} for row in rows]
    write_metrics(output / "rows.csv", listed, ROW_COLUMNS)
    runs = [run for row in finished for run in row.runs.values()]
    titled = [row | {"method": row_of[row["run"]].title} for row in rows]
    intervals = {
        (row.labeled, row.row.title, row.recipe, predictor): row.mean(predictor).interval
        for row in finished
        for predictor in _predictors(row)
    }
    validated = any_validated(runs)
    write_text(output / TABLE, study_table(titled, runs[0].unit, validated=validated, intervals=intervals))
    write_text(output / "differences.md", differences(finished, bundle, dataset, shared))
    groups = {(row.labeled, row.row.title, row.recipe): list(row.runs.values()) for row in finished}
    if by_centre := seeds_by_centre(groups):
        write_text(output / "groups.md", by_centre)
    from mednoisy.report.run_page import write_report

    write_report([folder for _, folder in done], output / "comparison.html")


def write_starts(output: Path, finished: Sequence[FinishedRow], pool: int | None, costs: Sequence[PretextCost]) -> None:
    """Write `starts.html` and `starts.md`; arguments as of `write_results` and `starts_page.write_starts_page`."""
    from mednoisy.report.starts_page import write_starts_page

    dataset = next(iter(finished[0].runs.values())).facts.get("dataset", "a study")
    write_starts_page(output, f"Starts compared: {dataset}", started_rows(finished), pool, costs)


def started_rows(finished: Sequence[FinishedRow]) -> list[StartedRow]:
    """The finished rows as the page of starts takes them."""
    return [StartedRow(row.row.group, row.row.start.name, row.labeled, row.runs) for row in finished]


def _predictors(row: FinishedRow) -> list[str]:
    return list(dict.fromkeys(str(line["predictor"]) for run in row.runs.values() for line in run.scores))
