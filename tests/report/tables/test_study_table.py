from __future__ import annotations

import pytest

from mednoisy.report.tables.study_table import study_table


def test_the_table_gives_mean_and_deviation_over_seeds():
    """Dice .80 and .84 are 82.0 with a standard deviation of 2.8; an undefined distance is left out."""
    row = {"method": "bcp", "recipe": "default", "labeled": 4, "predictor": "student", "deployed": True, "seconds": 90}
    rows = [
        row | {"seed": seed, "checkpoint": checkpoint, "dice": dice, "hd95": hd95, "asd": 1.0}
        for seed, dice, hd95 in ((0, 0.80, 5.0), (1, 0.84, None))
        for checkpoint in ("honest", "final")
    ]
    line = study_table(rows).splitlines()[2]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        "4",
        "bcp",
        "default",
        "student (deployed)",
        *["82.0 ± 2.8"] * 2,
        "5.00",
        "1.00 ± 0.00",
        "2",
        "2 ± 0",
    ]


@pytest.mark.parametrize(
    ("validated", "heading"), [(True, "honest (best on validation)"), (False, "honest (no validation: the last)")]
)
def test_undefined_dice_is_left_out_and_the_heading_says_what_chose(validated, heading):
    row = {"method": "bcp", "recipe": "default", "labeled": 4, "predictor": "student", "deployed": True, "seconds": 90}
    rows = [
        row | {"seed": seed, "checkpoint": "honest", "dice": dice, "hd95": None, "asd": None}
        for seed, dice in ((0, None), (1, 0.5))
    ]
    headings, _, line = study_table(rows, "pixel", validated=validated).splitlines()
    assert f"| Dice, {heading} | Dice, final | HD95, final, pixel |" in headings
    assert "| student (deployed) | 50.0 | – | – |" in line
