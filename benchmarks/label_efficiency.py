"""The tables of docs/results: ways to train one network from few labels, at equal steps, on a CPU.

    python benchmarks/label_efficiency.py acdc data/acdc studies/acdc --page docs/results/acdc.md

Datasets are those of `mednoisy prepare`; the left atrium at `--spacing 1.25`. Hours of training; interrupted, the same
call goes on. Between its markers the page gets the table, scores by centre where cases name one, paired differences and
the names of the pictures beside it.
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
from pathlib import Path
from typing import Any

from mednoisy.evaluation.metrics import read_metrics
from mednoisy.evaluation.statistics import case_values, paired_difference
from mednoisy.files import write_text, written_aside
from mednoisy.report.figures import Plot, curves, dots_per_case
from mednoisy.report.tables import markdown_table
from mednoisy.study import Cell, Study


@dataclass(frozen=True)
class Setting:
    """One table: its rows, and what they share."""

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
DATASETS = {
    "left_atrium": Setting(
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
    "dermoscopy": Setting(
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
    "polyp": Setting(
        methods=(*BASELINES, "offline_labels", "online_labels", "online_labels:strong"),
        labeled=17,  # of 86
        steps=1200,
        settings={**U_NET, "batch_size": 12},
    ),
}
MARKERS = "<!-- made by benchmarks/label_efficiency.py -->", "<!-- end -->"


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


def differences(study: Study, cells: list[Cell]) -> str:
    """Paired differences of the final Dice from two baselines, by test case."""
    lines = []
    for baseline in ("supervised", "supervised-strong"):
        of = [cell for cell in cells if cell.name.rsplit("-", 3)[0] == baseline]
        for cell in cells if of else []:
            if cell in of:
                continue
            gap = paired_difference(scores(study, of[0]), scores(study, cell), "dice")
            low, high = gap["interval"]
            lines.append(
                {
                    "row": cell.name.rsplit("-", 3)[0],
                    "against": baseline,
                    "Dice points": f"{100 * gap['difference']:+.1f}",
                    "95 % interval": f"{100 * low:+.1f} to {100 * high:+.1f}",
                    "p (Wilcoxon)": f"{gap['p']:.3f}" if gap["p"] is not None else None,
                }
            )
    return markdown_table(lines, list(lines[0])) if lines else ""


def picture(plot: Plot, path: Path) -> None:
    with written_aside(path) as aside:
        aside.write_bytes(base64.b64decode(plot.light.partition(",")[2]))


def write_page(study: Study, page: Path) -> None:
    cells = [cell for cell in study.cells if (study.folder(cell) / "summary.json").is_file()]
    shown = [cell for cell in cells if cell.seed == cells[0].seed and cell.labeled == cells[0].labeled]
    groups = study.output / "groups.md"
    names = {cell: cell.name.rsplit("-", 3)[0] for cell in shown}
    steps = curves(
        {names[cell]: validation_curve(study, cell) for cell in shown}, "validation Dice %", "Dice against steps"
    )
    cases = dots_per_case(
        {names[c]: {k: 100 * v for k, v in case_values(scores(study, c), "dice").items()} for c in shown},
        "test Dice %",
        "Dice per test case",
        higher_is_better=True,
    )
    picture(steps, page.with_name(f"{page.stem}_steps.png"))
    picture(cases, page.with_name(f"{page.stem}_cases.png"))
    made = "\n".join(
        [
            study.table_file.read_text(encoding="utf-8"),
            groups.read_text(encoding="utf-8") if groups.is_file() else "",
            differences(study, shown),
            f"![Dice on the validation cases against steps]({page.stem}_steps.png)",
            f"![Dice of each test case, final checkpoint]({page.stem}_cases.png)",
            "",
            f"torch {version('torch')}, MONAI {version('monai')}, Python {platform.python_version()}, "
            f"{study.steps} steps a run.",
        ]
    )
    text = page.read_text(encoding="utf-8") if page.is_file() else "\n".join(MARKERS) + "\n"
    start, end = (re.escape(marker) for marker in MARKERS)
    write_text(page, re.sub(f"({start}\n).*?({end})", lambda m: m[1] + "\n" + made + "\n" + m[2], text, flags=re.S))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=DATASETS)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--methods", nargs="+", help="rows of the table (default: all)")
    parser.add_argument("--labeled", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--only-page", action="store_true", help="train nothing, make the page of the finished runs")
    options = parser.parse_args()
    setting = DATASETS[options.dataset]
    study = Study(
        options.dataset,
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
        write_page(study, options.page)
    print(study.table_file)


if __name__ == "__main__":
    main()
