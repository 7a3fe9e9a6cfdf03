from __future__ import annotations

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
