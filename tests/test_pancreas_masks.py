"""Six published networks on eight real cases, through the command line to one page; there are no images."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mednoisy.cli import main
from mednoisy.evaluation.metrics import read_metrics

NETWORKS = ("CE", "Dice", "DiceTopK10", "Focal", "Tversky", "WCE")


@pytest.mark.slow
def test_six_networks_on_one_page(shared_data, tmp_path: Path, capsys: pytest.CaptureFixture):
    data = shared_data("pancreas_masks")
    with open(data / "cases.csv", newline="", encoding="utf-8") as stream:
        published = {row["id"]: row for row in csv.DictReader(stream)}
    for network in NETWORKS:
        arguments = ["evaluate", "--predictions", str(data / "predictions" / network), "--labels", "1=pancreas"]
        arguments += ["--references", str(data / "labels"), "--output", str(tmp_path / network), "--workers", "1"]
        assert main(arguments) == 0
        rows = {str(row["case"]): row for row in read_metrics(tmp_path / network / "metrics.csv")}
        assert rows.keys() == published.keys()
        for case, row in rows.items():
            assert row["dice"] == pytest.approx(float(published[case][f"dice_{network}"]), abs=5.1e-5)
            steps = [float(step) for step in published[case]["spacing_mm"].split("x")]
            millilitres = int(published[case]["label_voxels"]) * steps[0] * steps[1] * steps[2] / 1000
            assert row["volume_reference"] == pytest.approx(millilitres, rel=1e-3)  # spacing is told to four digits
    capsys.readouterr()
    page = tmp_path / "comparison.html"
    assert main(["compare", *(str(tmp_path / network) for network in NETWORKS), "--output", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "| 1 | Dice | 70.7 |" in printed
    assert "| 6 | WCE | 39.5 | 6 to 6 | 0 % |" in printed
    assert page.stat().st_size < 12e6
    assert "there are no images" in page.read_text(encoding="utf-8")
