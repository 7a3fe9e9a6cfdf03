"""The tables of docs/results: ways to train one network from few labels, at equal steps, on a CPU.

    python benchmarks/label_efficiency.py acdc data/acdc studies/acdc --page docs/results/acdc.md

Data are those of `mednoisy prepare`; the left atrium at `--spacing 1.25`. Hours of training; interrupted, the same call
goes on. Between the markers of its name the page gets the table, scores by centre where cases name one, paired
differences and the names of the pictures beside it.
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import platform
import re
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

from mednoisy.evaluation.metrics import read_metrics
from mednoisy.evaluation.statistics import case_values, paired_difference
from mednoisy.files import write_text, written_aside
from mednoisy.report.number_format import probability
from mednoisy.report.plots.plot_kinds import EmbeddedPlot, curves, dots_per_case
from mednoisy.report.tables.text_tables import markdown_table
from mednoisy.study import Cell, Study


@dataclass(frozen=True)
class Setting:
    """One table: its rows, and what they share."""

    bundle: str
    methods: tuple[str, ...]
    labeled: int
    steps: int
    validation: int | None = None  # cases of the unlabeled pool whose labels choose the honest checkpoint, nothing else
    settings: dict[str, Any] = field(default_factory=dict)


BASELINES = ("supervised", "copy_paste", "supervised:strong")
U_NET = {  # for pictures: small enough for a CPU, trained from scratch
    "patch_size": [96, 96],
    "network_def": "%unet_def",
    "learning_rate": 0.001,
    "val_interval": 200,
}
TABLES = {
    "left_atrium": Setting(
        "left_atrium",
        methods=(*BASELINES, "mean_teacher", "bcp", "sdcl", "sdcl:strong", "sdcl_plain:strong"),
        labeled=4,
        steps=2000,
        validation=4,
        settings={
            "patch_size": [64, 64, 48],
            "coarse_stride": [32, 32, 24],
            "stride": [10, 10, 4],
            "width": 8,  # half of the published networks
            "head_dropout": 0.1,  # at .5 it depends on the seed whether so narrow a head learns, left_atrium.md
            "batch_size": 2,  # crops a student and step
            "precision": "bf16",
            "val_interval": 200,
        },
    ),
    "acdc": Setting(
        "acdc",
        methods=(
            *BASELINES,
            "copy_paste:strong",
            "mean_teacher",
            "ua_mt",
            "cps",
            "bcp",
            "bcp:strong",
            "sdcl",
            "sdcl:strong",
        ),
        labeled=3,  # patients
        steps=900,
        settings={"patch_size": [96, 96], "batch_size": 12, "val_interval": 300},
    ),
    "acdc_long": Setting(
        "acdc",
        methods=("supervised", "supervised:strong", "copy_paste:strong", "bcp", "bcp:strong"),
        labeled=3,
        steps=4000,
        settings={"patch_size": [96, 96], "batch_size": 12, "val_interval": 500},
    ),
    "dermoscopy": Setting(
        "dermoscopy",
        methods=(
            *BASELINES,
            "mean_teacher",
            "noisy_student",
            "noisy_student:strong",
            "supervised:noisy",
            "noisy_student:noisy",
        ),
        labeled=10,
        steps=1200,
        settings=U_NET,
    ),
    "dermoscopy_rounds": Setting(  # rounds that keep what their teacher is sure of
        "dermoscopy",
        methods=("noisy_student:noisy",),
        labeled=10,
        steps=1200,
        settings={**U_NET, "minimum_confidence": 0.9, "fresh": False, "ratio": 2},
    ),
    "polyp": Setting(
        "polyp",
        methods=(*BASELINES, "offline_labels", "online_labels", "online_labels:strong"),
        labeled=17,  # of 86
        steps=1200,
        settings={**U_NET, "batch_size": 12},
    ),
}
MARKERS = "<!-- {}, made by benchmarks/label_efficiency.py -->", "<!-- end -->"


def deployed(study: Study, cell: Cell) -> str:
    """Name of the predictor that a run deploys."""
    return json.loads((study.folder(cell) / "summary.json").read_text(encoding="utf-8"))["deployed"]


def scores(study: Study, cell: Cell) -> list[dict]:
    """Rows of the deployed predictor at the final checkpoint."""
    rows = read_metrics(study.folder(cell) / "scores.csv")
    return [row for row in rows if row["checkpoint"] == "final" and row["predictor"] == deployed(study, cell)]


def validation_curve(study: Study, cell: Cell) -> tuple[list[float], list[float]]:
    """Steps and validation Dice in per cent of the deployed predictor."""
    with open(study.folder(cell) / "progress.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    name = f"val_dice_{deployed(study, cell)}"
    told = [row for row in rows if row[name]]
    return [float(row["step"]) for row in told], [100 * float(row[name]) for row in told]


def first_seed(study: Study, labeled: int) -> dict[str, Cell]:
    """The finished runs of the first seed with so many labels, by the names of their rows."""
    cells = [cell for cell in study.cells if (cell.labeled, cell.seed) == (labeled, study.seeds[0])]
    return {cell.name.rsplit("-", 3)[0]: cell for cell in cells if (study.folder(cell) / "summary.json").is_file()}


def differences(study: Study) -> str:
    """Paired differences of the final Dice from two baselines, by test case."""
    lines = []
    for labeled, baseline in product(study.labeled, ("supervised", "supervised-strong")):
        cells = first_seed(study, labeled)
        for row in [name for name in cells if name != baseline] if baseline in cells else []:
            gap = paired_difference(scores(study, cells[baseline]), scores(study, cells[row]), "dice")
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
    with written_aside(path) as aside:
        aside.write_bytes(base64.b64decode(plot.light.partition(",")[2]))


def pictures(study: Study, name: str, page: Path) -> list[str]:
    """Two pictures beside the page, of the fewest labels and the first seed; the lines that show them."""
    cells = first_seed(study, study.labeled[0])
    if len(cells) < 2:
        return []
    of_cases = {
        row: {case: 100 * value for case, value in case_values(scores(study, cell), "dice").items()}
        for row, cell in cells.items()
    }
    steps = {row: validation_curve(study, cell) for row, cell in cells.items()}
    cases = dots_per_case(of_cases, "test Dice %", "Dice per test case", higher_is_better=True)
    picture(curves(steps, "validation Dice %", "Dice against steps"), page.with_name(f"{name}_steps.png"))
    picture(cases, page.with_name(f"{name}_cases.png"))
    return [
        f"![Dice on the validation cases against steps]({name}_steps.png)",
        f"![Dice of each test case, final checkpoint]({name}_cases.png)",
        "",
    ]


def write_page(study: Study, name: str, page: Path) -> None:
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
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--methods", nargs="+", help="rows of the table (default: all)")
    parser.add_argument("--labeled", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--only-page", action="store_true", help="train nothing, make the page of the finished runs")
    options = parser.parse_args()
    setting = TABLES[options.table]
    study = Study(
        setting.bundle,
        options.data,
        options.output,
        options.methods or setting.methods,
        options.labeled or [setting.labeled],
        options.seeds,
        options.steps or setting.steps,
        setting.validation,
        setting.settings,
        threads=1,
    )
    if options.only_page:
        study.write()
    else:
        study.run()
    if options.page:
        write_page(study, options.table, options.page)
    print(study.table_file)


if __name__ == "__main__":
    main()
