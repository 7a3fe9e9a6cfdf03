"""Tables of figures as text: for a page in Markdown, for a paper in LaTeX."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence

from mednoisy.evaluation.figures import MetricFigures, PredictorFigures
from mednoisy.evaluation.metrics import MAIN_METRICS
from mednoisy.evaluation.undefined_values import defined
from mednoisy.report.metric_names import METRIC_NAMES, heading
from mednoisy.report.number_format import UNDEFINED, number

Columns = Sequence[str] | Mapping[str, str]

DISTANCES_SHOWN = ("hd95", "asd")  # among the main metrics
NUMBER = re.compile(r"[+−-]?\d+(\.\d+)?( ± \d+(\.\d+)?| of \d+)?")  # with its standard deviation, or of how many
LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",  # plain, the next three are other characters in the old text fonts
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "[": "{[}",  # plain, they would be an option of the line break before them
        "*": "{*}",
        "±": r"$\pm$",
        "−": "$-$",
        "\n": " ",
    }
    | {character: f"\\{character}" for character in "&%$#_{}"}
)


def markdown_table(rows: Sequence[Mapping], columns: Columns) -> str:
    """A table in Markdown, one line for each row, numbers to the right.

    Args:
        rows: values by column; a missing one, None or NaN becomes an en dash, a float gets three decimals.
        columns: names of entries in order, or a mapping from entry to the heading shown.

    Returns:
        Lines that end in a line break; vertical bars inside values and what would begin a tag are escaped.
    """
    headings, numeric, cells = _cells(rows, columns)
    lines = [
        [_markdown(heading) for heading in headings],
        ["---:" if right else "---" for right in numeric],
        *([_markdown(cell) for cell in line] for line in cells),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex_table(rows: Sequence[Mapping], columns: Columns, caption: str | None = None, label: str | None = None) -> str:
    """A table in LaTeX with the rules of the package booktabs, which the document has to load.

    Args:
        rows, columns: as for `markdown_table`, with the same cells.
        caption: stands above the table in a `table` environment; without caption and label there is only `tabular`.
        label: what `\\ref` calls the table; not escaped.

    Returns:
        Lines that end in a line break, in UTF-8; every character that LaTeX would take for a command is escaped.
    """
    headings, numeric, cells = _cells(rows, columns)
    lines = [
        f"\\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}",
        r"\toprule",
        _latex_line(headings),
        r"\midrule",
        *(_latex_line(line, numeric) for line in cells),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if caption is not None or label is not None:
        above = [] if caption is None else [f"\\caption{{{caption.translate(LATEX)}}}"]
        above += [] if label is None else [f"\\label{{{label}}}"]
        lines = [r"\begin{table}", r"\centering", *above, *lines, r"\end{table}"]
    return "".join(f"{line}\n" for line in lines)


def score_rows(figures_by_run: Mapping[str, PredictorFigures], unit: str) -> tuple[list[dict], dict[str, str]]:
    """The summary table of published papers: a row for each run, for `markdown_table` or `latex_table`.

    Args:
        figures_by_run: run name to its figures (`evaluation.statistics.summarise`).
        unit: of distances, such as mm.

    Returns:
        Rows and columns: Dice and Jaccard in per cent, HD95 and ASD as mean ± standard deviation over the cases
        where they are defined (the mean alone with one case), the number of cases, and how many of the distances,
        one for each case and class, are undefined; where any is, also the penalised means (the image's diagonal in
        its place).
    """
    everyone = figures_by_run.values()
    missed = any(figures.over_classes[metric].undefined for figures in everyone for metric in _penalised(figures))
    rows = []
    for name, figures in figures_by_run.items():
        known = {metric: of_metric for metric, of_metric in figures.over_classes.items() if metric in MAIN_METRICS}
        row: dict = {"run": name} | {metric: _mean_and_sd(of_metric, metric) for metric, of_metric in known.items()}
        for metric in _penalised(figures):
            row[f"{metric} penalised"] = number(known[metric].penalised, metric)
        undefined = max((known[metric].undefined for metric in _penalised(figures)), default=0)
        rows.append(row | {"cases": figures.cases, "undefined": f"{undefined} of {figures.pairs}"})
    columns = {metric: heading(metric, unit) for metric in MAIN_METRICS}
    if missed:
        columns |= {f"{metric} penalised": f"{METRIC_NAMES[metric]} penalised" for metric in DISTANCES_SHOWN}
    return rows, {"run": "Run", **columns, "cases": "Cases", "undefined": "Undefined distances"}


def mean_and_deviation(values: Sequence[float | None], decimals: int, scale: float = 1) -> str | None:
    """Mean ± standard deviation (divisor n - 1) of the defined values, the mean alone of one, None of none.

    Args:
        values: None and NaN are undefined.
        decimals: of both figures.
        scale: what values are multiplied by: 100 for shares in per cent.
    """
    known = (scale * defined(values)).tolist()
    if not known:
        return None
    mean = f"{statistics.fmean(known):.{decimals}f}"
    return f"{mean} ± {statistics.stdev(known):.{decimals}f}" if len(known) > 1 else mean


def _penalised(figures: PredictorFigures) -> list[str]:
    return [metric for metric in DISTANCES_SHOWN if metric in figures.over_classes]


def _mean_and_sd(figures: MetricFigures, metric: str) -> str | None:
    if figures.mean is None:
        return None
    mean = number(figures.mean, metric)
    return mean if figures.sd is None else f"{mean} ± {number(figures.sd, metric)}"


def _cells(rows: Sequence[Mapping], columns: Columns) -> tuple[list[str], list[bool], list[list[str]]]:
    """Headings, which columns hold nothing but numbers, and the cells of each row, none of them escaped."""
    headings = dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns}
    cells = [[_shown(row.get(name)) for name in headings] for row in rows]
    numeric = [
        all(line[place] == UNDEFINED or NUMBER.fullmatch(line[place]) for line in cells)
        for place in range(len(headings))
    ]
    return list(headings.values()), numeric, cells


def _shown(value: object) -> str:
    if value is None or value != value:  # NaN differs from itself
        return UNDEFINED
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _markdown(text: str) -> str:
    return re.sub(r"<(?=[A-Za-z/!?])", r"\\<", text.replace("|", "\\|").replace("\n", " "))


def _latex_line(cells: Sequence[str], numeric: Sequence[bool] = ()) -> str:
    """A line of cells; in columns of numbers a hyphen is a minus sign."""
    signed = [
        cell.replace("-", "−") if right else cell
        for cell, right in zip(cells, numeric or [False] * len(cells), strict=True)
    ]
    return " & ".join(cell.translate(LATEX) for cell in signed) + r" \\"
