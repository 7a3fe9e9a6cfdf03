from __future__ import annotations

import json

import pytest

from mednoisy.cli import main
from mednoisy.errors import UserError
from mednoisy.evaluation.metrics import MAIN_METRICS, VOLUMES, read_metrics, write_metrics
from mednoisy.evaluation.statistics import summarise
from mednoisy.report.tables.terminal_tables import comparison_lines, result_lines


@pytest.mark.parametrize(("validation", "best"), [(2, "best on validation"), (0, "no validation: the last")])
def test_a_line_for_each_checkpoint_of_a_run(finished_run, validation, best):
    """Unshifted predictions have Dice 1; an empty one has no distance."""
    folder = finished_run("run", {"c1": 0, "c2": None}, validation=validation)
    figures = summarise(read_metrics(folder / "metrics.csv")).to_json()
    summary = json.loads((folder / "summary.json").read_text())
    summary["checkpoints"] = {
        name: {"step": step, "predictors": {"mean": figures}} for name, step in (("honest", 400), ("final", 500))
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    means = "mean, 2 cases: Dice 0.500, HD95 0.00 mm (1 undefined), ASD 0.00 mm (1 undefined)"
    assert result_lines(folder) == [f"honest ({best}, step 400), {means}", f"final (step 500), {means}"]


def test_an_unknown_metric_is_refused_before_any_run_is_read(tmp_path):
    with pytest.raises(UserError, match=r"E115 .*'dise'.*Did you mean 'dice'"):
        comparison_lines([tmp_path / "absent"], "dise")


def test_what_cannot_be_compared_is_said_in_the_terminal_too(finished_run, tmp_path, capsys):
    """Other tolerances, other names of a class, other references: as on the page; beside a table on stderr."""
    folders = [
        finished_run("a", {"c1": 1, "c2": 1}, title="a"),
        finished_run("b", {"c1": 1, "c2": 1}, title="b", tolerance=2),
    ]
    for folder, volume in zip(folders, (900, 950), strict=True):
        rows = [
            {**row, "volume_prediction": 5.0, "volume_reference": volume if row["case"] == "c2" else 5.0}
            for row in read_metrics(folder / "metrics.csv")
        ]
        write_metrics(folder / "metrics.csv", rows, ("case", "class", *MAIN_METRICS, *VOLUMES))
    summary = json.loads((folders[1] / "summary.json").read_text()) | {"labels": {"1": "heart"}}
    (folders[1] / "summary.json").write_text(json.dumps(summary))
    expected = [
        "NSD cannot be compared: its tolerance is 1 mm in a, 2 mm in b.",
        "Runs cannot be compared on c2, which was scored against other references: "
        "their volumes differ from run to run.",
        "Class 1 is atrium in a, heart in b; here it is called atrium.",
    ]
    compare = ["compare", *map(str, folders), "--output", str(tmp_path / "page.html")]
    assert main(compare) == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line in expected] == expected
    assert main([*compare, "--table", "markdown"]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines()[:3] == [f"mednoisy: {line}" for line in expected]
    assert "cannot" not in printed.out
    assert main([*compare, "--metric", "nsd"]) == 2
    assert "E391 runs cannot be compared by NSD: tolerance 1 in a, tolerance 2 in b" in capsys.readouterr().err
