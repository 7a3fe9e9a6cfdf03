from __future__ import annotations

from mednoisy.evaluation.seeds_and_patients import SeedFigures
from mednoisy.report.tables.difference_tables import family, gain_line, gain_table


def test_a_table_says_what_was_gained_and_what_was_not_run():
    figures = SeedFigures(0.0234, (-0.01, 0.0568), {0: 0.02, 1: 0.0268}, 0.0156, 14)
    nothing = SeedFigures(None, None, {}, None, 0)
    lines = [gain_line(3, "sdcl", "copy_paste", figures, 0.0468), gain_line(3, "bcp", "copy_paste", nothing, None)]
    assert gain_table("copy-paste", lines, {"copy_paste-strong with 3 labeled": ("a", "b")}, "scene").splitlines() == [
        "**Against copy-paste**",
        "",
        "| labeled | row | against | Dice points | 95 % interval | p | p (Holm) | seeds | scenes |",
        "| ---: | --- | --- | ---: | --- | ---: | ---: | ---: | ---: |",
        "| 3 | sdcl | copy_paste | +2.3 | −1.0 to +5.7 | 0.016 | 0.047 | 2 | 14 |",
        "| 3 | bcp | copy_paste | – | – | – | – | 0 | 0 |",
        "",
        "Not run: copy_paste-strong with 3 labeled, the rival of a, b.",
    ]
    assert gain_table("x", [], {"y": ("z",)}, "patient") == "**Against x**\n\nNot run: y, the rival of z.\n"


def test_the_family_of_the_correction_is_told():
    one, several = family(9, False, "Who."), family(9, True, "Who.")
    assert "for all differences of these tables together, 9 of them. Who." in one
    assert ("seeds" in one, "averaged over seeds" in several) == (False, True)
