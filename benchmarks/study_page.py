"""A finished study of benchmarks/studies put into a page of docs/results.

    mednoisy study --file benchmarks/studies/acdc.yaml --data data/acdc --output studies/acdc
    python benchmarks/study_page.py benchmarks/studies/acdc.yaml studies/acdc docs/results/acdc.md

Data are those of `mednoisy prepare`; the left atrium at `--spacing 1.25`. A study takes hours of training; interrupted,
the same call goes on. Between the markers of its name the page gets the study's table, scores by centre where cases
name one, paired differences and the names of the pictures beside it. Runs that are missing are left out.
"""

from __future__ import annotations

import argparse
import base64
import platform
import re
from importlib.metadata import version
from itertools import product
from pathlib import Path

from mednoisy.evaluation.metrics import Row
from mednoisy.evaluation.statistics import case_values, paired_difference
from mednoisy.files import write_text, written_aside
from mednoisy.report.number_format import probability
from mednoisy.report.plots.plot_kinds import EmbeddedPlot, curves, dots_per_case
from mednoisy.report.reading.runs import Run, read_runs
from mednoisy.report.tables.text_tables import markdown_table
from mednoisy.study import Study
from mednoisy.study_files import read_study

BASELINES = ("supervised", "supervised-strong")
MARKERS = "<!-- {}, made by benchmarks/study_page.py -->", "<!-- end -->"


def scores(run: Run) -> list[Row]:
    """Rows of the deployed predictor at the final checkpoint."""
    return [row for row in run.scores if row["checkpoint"] == "final" and row["predictor"] == run.deployed]


def validation_curve(run: Run) -> tuple[list[float], list[float]]:
    """Steps and validation Dice in per cent of the deployed predictor."""
    name = f"val_dice_{run.deployed}"
    validated = [row for row in run.progress if row[name]]
    return [float(row["step"]) for row in validated], [100 * float(row[name]) for row in validated]


def first_seed(study: Study, labeled: int) -> dict[str, Run]:
    """The finished runs of the first seed with so many labels, by the names of their rows."""
    cells = [cell for cell in study.cells if (cell.labeled, cell.seed) == (labeled, study.seeds[0])]
    folders = {cell.row.folder: study.folder(cell) for cell in cells}
    return {name: read_runs([path])[0] for name, path in folders.items() if (path / "summary.json").is_file()}


def differences(study: Study) -> str:
    """Paired differences of the final Dice from two baselines, by test case."""
    lines = []
    for labeled, baseline in product(study.labeled, BASELINES):
        runs = first_seed(study, labeled)
        for row in [name for name in runs if name != baseline] if baseline in runs else []:
            gap = paired_difference(scores(runs[baseline]), scores(runs[row]), "dice")
            low, high = gap["interval"]
            lines.append(
                {
                    "labeled": labeled,
                    "row": row,
                    "against": baseline,
                    "Dice points": f"{100 * gap['difference']:+.1f}",
                    "95 % interval": f"{100 * low:+.1f} to {100 * high:+.1f}",
                    "p (Wilcoxon)": probability(gap["p"]),
                }
            )
    return markdown_table(lines, list(lines[0])) if lines else ""


def picture(plot: EmbeddedPlot, path: Path) -> None:
    """Write a plot as PNG."""
    with written_aside(path) as aside:
        aside.write_bytes(base64.b64decode(plot.light.partition(",")[2]))


def pictures(study: Study, name: str, page: Path) -> list[str]:
    """Two pictures beside the page, of the fewest labels and the first seed; the lines that show them."""
    runs = first_seed(study, study.labeled[0])
    if len(runs) < 2:
        return []
    of_cases = {
        row: {case: 100 * value for case, value in case_values(scores(run), "dice").items()}
        for row, run in runs.items()
    }
    steps = {row: validation_curve(run) for row, run in runs.items()}
    cases = dots_per_case(of_cases, "test Dice %", "Dice per test case", higher_is_better=True)
    picture(curves(steps, "validation Dice %", "Dice against steps"), page.with_name(f"{name}_steps.png"))
    picture(cases, page.with_name(f"{name}_cases.png"))
    return [
        f"![Dice on the validation cases against steps]({name}_steps.png)",
        f"![Dice of each test case, final checkpoint]({name}_cases.png)",
        "",
    ]


def write_page(study: Study, name: str, page: Path) -> None:
    """Replace what stands between the markers of `name`, or add it at the end of the page."""
    groups = study.output / "groups.md"
    made = "\n".join(
        [
            study.table_file.read_text(encoding="utf-8"),
            groups.read_text(encoding="utf-8") if groups.is_file() else "",
            differences(study),
            *pictures(study, name, page),
            f"torch {version('torch')}, MONAI {version('monai')}, Python {platform.python_version()}, "
            f"{study.steps} steps a run.",
        ]
    )
    markers = [marker.format(name) for marker in MARKERS]
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    if markers[0] not in text:
        text += "\n".join(markers) + "\n"
    start, end = (re.escape(marker) for marker in markers)
    write_text(page, re.sub(f"({start}\n).*?({end})", lambda m: m[1] + "\n" + made + "\n" + m[2], text, flags=re.S))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="of the study")
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("page", type=Path, help="Markdown to write into; its pictures lie beside it")
    options = parser.parse_args()
    study = Study(data=Path(), output=options.study, **read_study(options.file))
    write_page(study, options.file.stem, options.page)
    print(options.page)


if __name__ == "__main__":
    main()
