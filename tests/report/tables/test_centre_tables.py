from __future__ import annotations

import html
import re

import pytest

from mednoisy.evaluation.metrics import read_metrics
from mednoisy.report.reading.runs import read_runs
from mednoisy.report.run_page import write_report
from mednoisy.report.tables.centre_tables import centre_table, seeds_by_centre

SHIFTS = {"c1": 0, "c2": 2, "c3": 4}
CENTRES = {"c1": "near", "c2": "near", "c3": "far"}


def dice(folder, checkpoint="honest"):
    rows = read_metrics(folder / "scores.csv")
    return {r["case"]: r["dice"] for r in rows if (r["checkpoint"], r["predictor"]) == (checkpoint, "mean")}


def words(path):
    text = re.sub(r"<(script|style).*?</\1>", "", path.read_text(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", text)))


def test_means_are_those_of_the_centres_own_cases(finished_run):
    """A shift of nothing has Dice 1."""
    folder = finished_run("run", SHIFTS, centres=CENTRES)
    of_case = dice(folder)
    assert of_case["c1"] == 1
    table = centre_table(read_runs([folder]))
    assert table["centres"] == ["far", "near"]
    far, near = table["lines"][0]["cells"]
    assert far == {
        "mean": f"{100 * of_case['c3']:.1f}",
        "interval": "",
        "undefined": 0,
        "penalised": "",
        "cases": "1 case",
        "unseen": False,
    }
    assert near["mean"] == f"{50 * (1 + of_case['c2']):.1f}"
    assert near["cases"] == "2 cases"


@pytest.mark.parametrize("several", [False, True])
def test_a_page_marks_centres_without_training(finished_run, tmp_path, several):
    runs = [finished_run(name, SHIFTS, centres=CENTRES, title=name, centres_in_training=["near"]) for name in "ab"]
    page = write_report(runs if several else runs[:1], tmp_path / "report.html")
    assert "By centre" in words(page)
    assert page.read_text().count('<small class="warn">not in training</small>') == (2 if several else 1)
    assert re.search(r"1 case not in training [\d. to]+ 2 cases", words(page))


def test_where_training_does_not_tell_the_protocol_stands_beside(finished_run, tmp_path):
    run = finished_run("run", SHIFTS, centres=CENTRES, protocol="Split <b>of ours</b>")
    shown = words(write_report([run], tmp_path / "report.html"))
    assert "Dice % on the cases of each centre. Split <b>of ours</b>" in shown
    assert "not in training" not in shown


def test_cases_of_no_centre_are_counted(finished_run, tmp_path):
    run = finished_run("run", SHIFTS | {"c4": 1}, centres=CENTRES)
    assert "Cases that name no centre are left out: 1." in words(write_report([run], tmp_path / "report.html"))


def test_one_centre_has_no_table(finished_run, tmp_path):
    run = finished_run("run", SHIFTS, centres=dict.fromkeys(SHIFTS, "near"))
    assert "By centre" not in words(write_report([run], tmp_path / "report.html"))
    assert seeds_by_centre({(2, "sdcl", "default"): read_runs([run])}) is None


def test_seeds_are_averaged_at_the_final_checkpoint(finished_run):
    """Of far and near cases; the second seed misses by two voxels more."""
    seeds = [
        finished_run(
            f"seed{seed}", {c: s + 2 * seed for c, s in SHIFTS.items()}, centres=CENTRES, seed=seed,
            centres_in_training=["near"],
        )
        for seed in (0, 1)
    ]  # fmt: skip
    header, _, line = seeds_by_centre({(2, "sdcl", "strong"): read_runs(seeds)}).splitlines()
    assert header == "| labeled | method | recipe | predictor | far, 1 case, not in training | near, 2 cases | seeds |"
    far = [100 * dice(folder, "final")["c3"] for folder in seeds]
    spread = abs(far[0] - far[1]) / 2**0.5
    assert line.startswith(f"| 2 | sdcl | strong | mean | {sum(far) / 2:.1f} ± {spread:.1f} |")
    assert line.endswith("| 2 |")
