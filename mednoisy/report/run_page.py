"""The page that shows what runs have reached: one file, no network, made from the runs' own files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mednoisy.evaluation.metrics import MAIN_METRICS
from mednoisy.evaluation.statistics import summarise
from mednoisy.files import write_text
from mednoisy.report import sentences as wording
from mednoisy.report.html import rendered
from mednoisy.report.pictures.shown_cases import shown_cases
from mednoisy.report.plots.page_plots import case_plots, term_plots, validation_plot
from mednoisy.report.reading.runs import Run, class_names, read_runs
from mednoisy.report.round_page import round_table
from mednoisy.report.tables import page_tables as sections
from mednoisy.report.tables.centre_tables import centre_table
from mednoisy.report.tables.comparison_tables import comparison

SCRIPTS = ("table.js", "viewer.js")
SHORT_TABLE = 24  # rows up to which the table of all cases is unfolded


def write_report(runs: Sequence[Path | str], output: Path | str, title: str | None = None) -> Path:
    """Write one self-contained page that shows a run or an evaluation, or compares several with the first of them.

    Args:
        runs: folders of finished runs or evaluations (`report.runs` says what is read); the first is the baseline.
        output: path of the page.
        title: of the page; made from the dataset if not given.

    Returns:
        `output`.

    Raises:
        UserError: E401, E402 for a folder without a finished run; E403 for distances in different units; E404 for a
            round whose facts cannot be read.
    """
    found = read_runs(runs)
    if not found:
        raise ValueError("a report needs at least one run")
    output = Path(output)
    content = _content(found, title)
    content["rounds"] = round_table(found[0].folder, output.parent) if len(found) == 1 else []
    write_text(output, rendered("report.html", SCRIPTS, content))
    return output


def _content(runs: list[Run], title: str | None) -> dict:
    first = runs[0]
    unit = first.unit
    figures = [summarise(run.metrics) for run in runs]
    several = len(runs) > 1
    compared = comparison(runs) if several else None
    cases = sections.case_table(runs, unit)
    shown = shown_cases(runs)
    return {
        "title": title or _title(runs),
        "sentences": compared["sentences"] if compared else [wording.standing(first, figures[0], unit)],
        "cards": [] if several or not cases["rows"] else sections.cards(figures[0], unit),
        "headings": [wording.heading(metric, unit) for metric in MAIN_METRICS],
        "tables": sections.score_tables(runs, figures),
        "per_class": sections.class_table(runs, figures),
        "by_centre": centre_table(runs),
        "further": sections.further_table(runs, figures, unit),
        "doubts": sections.doubts(runs),
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
        "unfolded": len(cases["rows"]) <= SHORT_TABLE,
        "run_names": [run.name for run in runs],
        "shown": " and ".join(dict.fromkeys(run.shown for run in runs)),
        "trained": any("method" in run.facts for run in runs),
        "facts": sections.fact_table(runs),
        "failed": [{"run": run.name, "id": case.id, "reason": case.reason} for run in runs for case in run.failed],
        "notes": [f"{run.name}: {note}" if several else note for run in runs for note in run.notes],
        "undefined": sections.undefined_values(runs),
        "versions": sections.versions(runs),
        "unit": unit,
    }


def _title(runs: list[Run]) -> str:
    dataset = runs[0].facts.get("dataset")
    if len(runs) > 1:
        return f"{dataset or 'Segmentation'}: {len(runs)} runs compared"
    return f"{dataset or 'Evaluation'}: {runs[0].name}"
