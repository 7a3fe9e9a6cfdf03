from __future__ import annotations

import math

from mednoisy.report.tables import markdown_table


def test_numbers_stand_right_and_gaps_are_dashes():
    rows = [{"run": "a|b", "dice": 0.91, "steps": 500}, {"run": "c", "dice": math.nan, "steps": None}]
    assert markdown_table(rows, {"run": "Run", "dice": "Dice", "steps": "Steps"}).splitlines() == [
        "| Run | Dice | Steps |",
        "| --- | ---: | ---: |",
        "| a\\|b | 0.910 | 500 |",
        "| c | – | – |",
    ]


def test_columns_are_their_own_headings():
    assert markdown_table([], ["case"]) == "| case |\n| ---: |\n"
