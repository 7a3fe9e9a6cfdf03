"""What the tables of a simulation say, and above all where they say that random is not beaten."""

from __future__ import annotations

import pytest

from mednoisy.active.simulated_curves import penalties
from mednoisy.report.tables.simulation_tables import (
    by_round,
    cost_lines,
    gain_lines,
    gains,
    notes,
    overview,
    penalty_lines,
    simulation_table,
    titled,
    verdicts,
)
from tests.active.test_simulated_curves import method

SEEDS = (0.0, 0.001, 0.002)


def compared():
    """Three seeds: `entropy` 0.1 above random in round 1, `margin` as random, `bald` above by chance alone."""
    return method(
        {
            "random": [[0.5 + s, 0.6 + s] for s in SEEDS],
            "foreground_random_66": [[0.5 + s, 0.65 + s] for s in SEEDS],
            "entropy": [[0.5 + s, 0.7 + s + t] for s, t in zip(SEEDS, (0.001, 0.0, -0.001), strict=True)],
            "margin": [[0.5 + s, 0.6 + s] for s in SEEDS],
            "bald": [[0.5, 0.9], [0.5, 0.5], [0.5, 0.6]],
        },
        full=[0.9, 0.9, 0.9],
    )


def test_verdicts_name_what_beats_random_and_what_does_not():
    found = compared()
    told = verdicts(gains([found]), found)
    assert told == [
        "random is beaten by foreground_random_66 (oracle), entropy, also after correction (Holm, p < 0.05).",
        "random is not beaten beyond the chance of seeds by bald, whose mean area is higher.",
        "random is not beaten by margin, whose mean area is no higher.",
        "foreground_random_66 (oracle) is beaten by entropy, also after correction (Holm, p < 0.05).",
        "foreground_random_66 (oracle) is not beaten beyond the chance of seeds by bald, whose mean area is higher.",
        "foreground_random_66 (oracle) is not beaten by margin, whose mean area is no higher.",
    ]


def test_p_is_corrected_over_all_gains_of_the_page():
    found = gains([compared()])
    assert len(found) == 4 + 3
    entropy = next(gain for gain in found if (gain.strategy, gain.rival) == ("entropy", "foreground_random_66"))
    assert entropy.figures.mean == pytest.approx(0.025)
    assert entropy.holm is not None
    assert entropy.figures.p is not None
    assert entropy.holm > entropy.figures.p


def test_one_seed_says_nothing_and_a_missing_random_is_told():
    one = method({"random": [[0.5, 0.6]], "entropy": [[0.5, 0.9]]}, full=[0.9])
    assert verdicts(gains([one]), one) == [
        "One seed with whole curves of both says nothing: entropy against random.",
        "At round 1 some strategy is above 99 % of the Dice of all labels, where no strategy can show its worth.",
    ]
    without = method({"entropy": [[0.5, 0.6]]})
    assert verdicts(gains([without]), without) == [
        "The strategy random was not run: nobody should believe the others without it."
    ]


def test_where_no_seed_is_finished_none_is_spoken_of():
    """`entropy` has not come to its second round under any seed, `margin` under one of two."""
    curves = {"random": [[0.5, 0.6], [0.5, 0.6]], "entropy": [[0.5], [0.5]], "margin": [[0.5, 0.7], [0.5]]}
    found = method(curves)
    assert verdicts(gains([found]), found) == [
        "One seed with whole curves of both says nothing: margin against random.",
        "No seed has whole curves of both, so that nothing can be said: entropy against random.",
    ]


def test_lines_show_what_was_reached_and_paid():
    found = compared()
    matrix = penalties([found])
    lines = {line["strategy"]: line for line in overview(found, matrix)}
    assert lines["random"]["area under Dice %"].startswith("55.1 (")
    assert lines["random"]["Dice % at the end"].startswith("60.1 (")
    assert lines["random"]["all labels less that"].startswith("+29.9 (")
    assert lines["all labels"]["Dice % at the end"] == "90.0 (90.0 to 90.0)"
    assert lines["all labels"]["area under Dice %"] == ""
    # in its one round entropy beats random, margin and the oracle, the oracle beats random and margin
    assert {name: line["penalty %"] for name, line in lines.items() if name != "all labels"} == {
        "random": "50", "foreground_random_66 (oracle)": "25", "entropy": "0", "margin": "50", "bald": "0"
    }  # fmt: skip
    shown = {line["strategy"]: line for line in by_round(found)}
    assert list(shown["entropy"]) == ["strategy", "start, 1 labeled", "round 1, 2 labeled"]
    assert shown["entropy"]["round 1, 2 labeled"].startswith("70.1 (")
    paid = {line["strategy"]: line for line in cost_lines(found)}
    assert paid["random"] == {
        "strategy": "random", "patients": "2", "cases": "2", "slices": "2", "foreground voxels": "2",
        "share of the pool's": "20.0 %", "processor, min": "2.0",
    }  # fmt: skip
    assert (paid["all labels"]["patients"], paid["all labels"]["share of the pool's"]) == ("10", "100.0 %")
    (bald,) = [
        line for line in gain_lines(gains([found]), "m") if line["strategy"] == "bald" and line["against"] == "random"
    ]
    assert bald["gain in area, Dice points"] == "+3.2"
    assert bald["seeds"] == "3"


def test_the_matrix_has_the_penalties_below():
    matrix = penalties([compared()])
    assert matrix is not None
    lines = penalty_lines(matrix)
    assert lines[2]["beat"] == "entropy"
    assert lines[2]["random"] == "100"
    assert lines[-1]["random"] == "50"


def test_all_of_it_in_markdown():
    found = compared()
    matrix = penalties([found])
    text = simulation_table([found], matrix, ["remark", *notes(3, 1, 1, matrix)])
    assert text.startswith("## m\n\n| strategy |")
    assert "\n- random is beaten by foreground_random_66 (oracle), entropy" in text
    assert "## Pairwise penalties" in text
    assert text.index("remark") > text.index("## Pairwise penalties")
    assert "2 trainings spaced evenly" in text
    assert "Pairwise" not in simulation_table([method({"random": [[0.5, 0.6]]})], None, [])


def test_oracles_are_called_so():
    assert titled("foreground_random_33") == "foreground_random_33 (oracle)"
    assert titled("random") == "random"
