"""The page that shows what runs have reached: one file, no network, made from the runs' own files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mednoisy.evaluation.metrics import MAIN_METRICS
from mednoisy.evaluation.resampling import FEW_PATIENTS, RESAMPLES
from mednoisy.files import sweep, write_text
from mednoisy.report.metric_names import heading
from mednoisy.report.page_rendering import rendered_page
from mednoisy.report.patient_words import patient_noun, who_varies
from mednoisy.report.pictures.shown_cases import shown_cases
from mednoisy.report.plots.page_plots import case_plots, term_plots, validation_plot
from mednoisy.report.reading.pretext_examples import read_examples
from mednoisy.report.reading.runs import Run, class_names, read_runs
from mednoisy.report.sentences import opening, standing
from mednoisy.report.tables.case_table import case_table, undefined_values
from mednoisy.report.tables.centre_tables import centre_table
from mednoisy.report.tables.comparison_tables import comparison
from mednoisy.report.tables.expected_table import NO_CASE, expected_table
from mednoisy.report.tables.region_tables import region_tables
from mednoisy.report.tables.round_tables import rounds_of_run
from mednoisy.report.tables.run_facts_table import doubts, fact_table, versions
from mednoisy.report.tables.score_tables import class_table, further_table, score_cards, score_tables, shown_checkpoints

SCRIPTS = ("table.js", "viewer.js")


def write_report(runs: Sequence[Path | str], output: Path | str, title: str | None = None) -> Path:
    """Write one self-contained page that shows a run or an evaluation, or compares several with the first of them.

    Args:
        runs: folders of finished runs or evaluations (`reading.runs` says what is read); the first is the baseline.
        output: path of the page.
        title: of the page; made from the dataset if not given.

    Returns:
        `output`.

    Raises:
        UserError: E401, E402 for a folder without a finished run; E403 for distances in different units; E404 for a
            round whose facts cannot be read; E591 for a damaged `expected_dice.csv`.
    """
    if not runs:
        raise ValueError("a report needs at least one run")
    output = Path(output)
    sweep(output.parent)
    write_text(output, rendered_page("report.html", SCRIPTS, _content(read_runs(runs), title, output.parent)))
    return output


def _content(runs: list[Run], title: str | None, page_folder: Path) -> dict:
    first = runs[0]
    unit = first.unit
    figures = [run.figures() for run in runs]
    several = len(runs) > 1
    compared = comparison(runs) if several else None
    cases = case_table(runs, unit)
    shown = shown_cases(runs)
    return {
        "title": title or _title(runs),
        "sentences": opening(runs, compared["by_metric"]["dice"]) if compared else [standing(first, figures[0], unit)],
        "cards": [] if several or not cases["rows"] else score_cards(figures[0], unit),
        "headings": [heading(metric, unit) for metric in MAIN_METRICS],
        "tables": score_tables(runs, figures),
        "per_class": class_table(runs, figures),
        "by_centre": centre_table(runs),
        "regions": region_tables(runs),
        "further": further_table(runs, figures, unit),
        "doubts": doubts(runs),
        "who_varies": who_varies(runs),
        "patient": patient_noun(runs),
        "few_patients": FEW_PATIENTS,
        "resamples": f"{RESAMPLES:,}",
        "family": len(runs) * (len(runs) - 1) // 2,
        "compared": compared,
        "baseline": first.name,
        "several": several,
        "plots": case_plots(runs, unit),
        "validation_plot": validation_plot(runs),
        "term_plots": [] if several else term_plots(first),
        "shown_cases": shown,
        "classes": list(class_names(runs).values()),
        "images": any(strip["image"] or strip["note"] for case in shown for strip in case["strips"]),
        "table": cases,
        "run_names": [run.name for run in runs],
        "shown": shown_checkpoints(runs),
        "trained": any("method" in run.facts for run in runs),
        "facts": fact_table(runs),
        "failed": [{"run": run.name, "id": case.id, "reason": case.reason} for run in runs for case in run.failed],
        "notes": [f"{run.name}: {note}" if several else note for run in runs for note in run.notes],
        "undefined": undefined_values(runs),
        "versions": versions(runs),
        "predicts": any(run.summary.predicts for run in runs),
        "pretext_examples": {} if several else read_examples(first.folder),
        "rounds": [] if several else rounds_of_run(first.folder, page_folder),
        "expected": {} if several else expected_table(first.folder, first.facts.get("predicted", NO_CASE) != NO_CASE),
        "unit": unit,
    }


def _title(runs: list[Run]) -> str:
    dataset = runs[0].facts.get("dataset")
    if len(runs) > 1:
        return f"{dataset or 'Segmentation'}: {len(runs)} runs compared"
    return f"{dataset or 'Evaluation'}: {runs[0].name}"
