from __future__ import annotations

import json

import pytest

from mednoisy.errors import UserError
from mednoisy.evaluation.metrics import read_metrics
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
