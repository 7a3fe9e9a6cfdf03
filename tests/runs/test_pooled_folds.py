"""What the folds of a run tell together, and folds that tell nothing together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mednoisy.cli import main
from mednoisy.engines.run_folder import folds_of
from mednoisy.evaluation.metrics import read_metrics
from mednoisy.evaluation.summary_file import read_summary
from tests.folded_runs import arguments, refusal, write_dataset

CENTRES = {"a1": "A", "b1": "B", "b2": "B", "c1": "A"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Two folds without anything unlabeled; two patients are of centre A, one of B."""

    def change(content):
        content["unlabeled"] = []
        content["regions"] = {"ball or not": {"not": [0], "ball": [1]}}
        for case in content["labeled"]:
            case["centre"] = CENTRES[case["id"]]

    data = write_dataset(tmp_path_factory.mktemp("balls"), change)
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(arguments(data, folder, method="supervised")) == 0
    return folder


def test_a_centre_counts_as_learned_from_where_every_network_has_seen_it(run):
    """That of one patient is not: the network that scores it has never seen the centre."""
    of_folds = [read_summary(fold).facts["centres_in_training"] for fold in folds_of(run)]
    assert sorted(of_folds) == [["A"], ["A", "B"]]
    facts = read_summary(run).facts
    assert facts["centres_in_training"] == ["A"]
    assert facts["predicted"] == "no unlabeled case"
    assert not (run / "predictions").exists()


def test_regions_of_all_folds_stand_together(run):
    """Each held-out case once under each checkpoint and predictor, in the order of the labeled section."""
    of_folds = [row for fold in folds_of(run) for row in read_metrics(fold / "regions.csv")]
    pooled = read_metrics(run / "regions.csv")
    assert len(pooled) == len(of_folds)
    assert all(row in of_folds for row in pooled)
    final = [row for row in pooled if row["checkpoint"] == "final"]
    assert [(row["case"], row["region"]) for row in final] == [
        (case, region) for case in sorted(CENTRES) for region in ("not", "ball")
    ]
    assert "<h3>Ball or not</h3>" in (run / "report.html").read_text(encoding="utf-8")


def test_folds_in_different_units_have_no_mean(run, tmp_path, capsys):
    """Told when all are trained, and they stay."""
    other = tmp_path / "run"
    shutil.copytree(run, other)
    (other / "report.html").unlink()
    path = folds_of(other)[1] / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    summary["run"]["spacing_unit"] = "pixel"
    path.write_text(json.dumps(summary), encoding="utf-8")
    line = refusal(capsys, ["train", "--resume", str(other)], code=1)
    cause = "distances of fold 0 are in mm, those of fold 1 in pixel"
    assert line.startswith(f"mednoisy: E373 {cause}. Let all label files state the size of their voxels, or none")
    assert all((fold / "models" / "model.pt").is_file() for fold in folds_of(other))


def test_a_damaged_summary_of_a_fold_is_named(run, tmp_path, capsys):
    other = tmp_path / "run"
    shutil.copytree(run, other)
    (other / "report.html").unlink()
    path = folds_of(other)[0] / "summary.json"
    path.write_text(path.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    line = refusal(capsys, ["train", "--resume", str(other)])
    assert line.startswith(f"mednoisy: E402 {path} cannot be used: Unterminated string")
