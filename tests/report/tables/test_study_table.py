from __future__ import annotations

import pytest

from mednoisy.report.tables.study_table import study_table

ROW = {
    "method": "bcp", "recipe": "default", "labeled": 4, "predictor": "student", "deployed": True, "seconds": 90,
    "processor_seconds": 170,
    "hd95_penalised": None, "asd_penalised": None, "undefined_distances": 0, "distances": 10,
}  # fmt: skip


def test_the_table_gives_mean_and_deviation_over_seeds():
    """Dice .80 and .84 are 82.0 with a standard deviation of 2.8; an undefined distance is left out."""
    row = {**ROW}
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
        "0 of 20",
        "2",
        "2 ± 0",
        "3 ± 0",
    ]


@pytest.mark.parametrize(
    ("validated", "heading"), [(True, "honest (best on validation)"), (False, "honest (no validation: the last)")]
)
def test_undefined_dice_is_left_out_and_the_heading_says_what_chose(validated, heading):
    row = {**ROW}
    rows = [
        row | {"seed": seed, "checkpoint": "honest", "dice": dice, "hd95": None, "asd": None}
        for seed, dice in ((0, None), (1, 0.5))
    ]
    headings, _, line = study_table(rows, "pixel", validated=validated).splitlines()
    assert f"| Dice, {heading} | Dice, final | HD95, final, pixel |" in headings
    assert "| student (deployed) | 50.0 | – | – |" in line


def test_what_is_missed_is_counted_and_penalised():
    """One of two seeds misses 3 of 10 structures; the interval of a line stands beside its Dice."""
    rows = [
        ROW | {"checkpoint": "final", "dice": 0.5, "hd95": hd95, "asd": 1.0} | missed
        for hd95, missed in (
            (5.0, {"hd95_penalised": 5.0, "asd_penalised": 1.0}),
            (3.0, {"hd95_penalised": 35.0, "asd_penalised": 31.0, "undefined_distances": 3}),
        )
    ]
    intervals = {(4, "bcp", "default", "student"): (0.45, 0.55)}
    headings, _, line = study_table(rows, intervals=intervals).splitlines()
    shown = dict(zip(*([c.strip() for c in part.strip("|").split("|")] for part in (headings, line)), strict=True))
    assert shown["its 95 % interval"] == "45.0 to 55.0"
    assert (shown["HD95, final, mm"], shown["HD95 penalised"]) == ("4.00 ± 1.41", "20.00 ± 21.21")
    assert shown["ASD penalised"] == "16.00 ± 21.21"
    assert shown["undefined distances"] == "3 of 20"
    assert "penalised" not in study_table([rows[0]])
