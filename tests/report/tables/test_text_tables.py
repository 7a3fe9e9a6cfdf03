from __future__ import annotations

import math

import pytest

from mednoisy.evaluation.statistics import summarise
from mednoisy.report.tables.text_tables import latex_table, markdown_table, score_rows


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


def test_texts_that_are_numbers_stand_right():
    rows = [{"score": "91.2 ± 3.4", "gain": "−0.2", "when": "day 1"}, {"score": "–", "gain": "+1.50", "when": "2"}]
    assert markdown_table(rows, ["score", "gain", "when"]).splitlines()[1] == "| ---: | ---: | --- |"


def test_a_name_cannot_open_a_tag_in_markdown():
    assert markdown_table([{"run": "<script>x", "p": "< 0.001"}], ["run", "p"]).splitlines()[2] == (
        "| \\<script>x | < 0.001 |"
    )


def test_latex_of_nasty_names():
    rows = [
        {"run": "50% & $5 #1 a_b {x} ~ ^ \\end", "gap": -0.25, "n": 8},
        {"run": "[Müller]* <b>|\n91 ± 2", "gap": None, "n": math.nan},
    ]
    assert latex_table(rows, {"run": "Run_1", "gap": "Gap %", "n": "Cases"}).splitlines() == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"Run\_1 & Gap \% & Cases \\",
        r"\midrule",
        r"50\% \& \$5 \#1 a\_b \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{}end & $-$0.250 & 8 \\",
        r"{[}Müller]{*} \textless{}b\textgreater{}\textbar{} 91 $\pm$ 2 & – & – \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize(
    ("texts", "lines"),
    [
        ({"caption": "All & more"}, [r"\caption{All \& more}"]),
        ({"label": "tab:all_runs"}, [r"\label{tab:all_runs}"]),
        ({"caption": "All", "label": "tab:all"}, [r"\caption{All}", r"\label{tab:all}"]),
    ],
)
def test_a_caption_or_label_makes_a_table_of_it(texts, lines):
    plain = latex_table([{"n": 1}], ["n"]).splitlines()
    assert latex_table([{"n": 1}], ["n"], **texts).splitlines() == [
        r"\begin{table}", r"\centering", *lines, *plain, r"\end{table}"
    ]  # fmt: skip


def test_score_rows_are_those_of_papers():
    rows = [
        {"case": "a", "class": 1, "dice": 0.9, "jaccard": 0.8, "hd95": 2.0, "asd": 1.0},
        {"case": "b", "class": 1, "dice": 0.8, "jaccard": 0.7, "hd95": 4.0, "asd": 1.0},
        {"case": "c", "class": 1, "dice": 0.7, "jaccard": 0.6, "hd95": math.nan, "asd": math.nan},
    ]
    sdcl, one_case, none = (summarise(part, diagonal_of={"c": 60.0}) for part in (rows, rows[:1], []))
    assert markdown_table(*score_rows({"sdcl": sdcl, "one_case": one_case, "none": none}, "mm")).splitlines() == [
        "| Run | Dice % | Jaccard % | HD95 mm | ASD mm | HD95 penalised | ASD penalised | Cases | "
        "Undefined distances |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| sdcl | 80.0 ± 10.0 | 70.0 ± 10.0 | 3.00 ± 1.41 | 1.00 ± 0.00 | 22.00 | 20.67 | 3 | 1 of 3 |",
        "| one_case | 90.0 | 80.0 | 2.00 | 1.00 | 2.00 | 1.00 | 1 | 0 of 1 |",
        "| none | – | – | – | – | – | – | 0 | 0 of 0 |",
    ]
    assert latex_table(*score_rows({"sdcl": sdcl}, "mm")).splitlines()[4] == (
        r"sdcl & 80.0 $\pm$ 10.0 & 70.0 $\pm$ 10.0 & 3.00 $\pm$ 1.41 & 1.00 $\pm$ 0.00 & 22.00 & 20.67 & 3 & 1 of 3 \\"
    )


def test_without_a_miss_no_column_is_penalised():
    rows = [{"case": "a", "class": 1, "dice": 0.9, "jaccard": 0.8, "hd95": 2.0, "asd": 1.0}]
    assert list(score_rows({"one": summarise(rows)}, "mm")[1].values()) == [
        *("Run", "Dice %", "Jaccard %", "HD95 mm", "ASD mm", "Cases", "Undefined distances")
    ]
