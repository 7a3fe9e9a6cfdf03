from __future__ import annotations

import pytest

from mednoisy.report.checkpoint_names import CHOICES, any_validated, checkpoint_name, choice
from mednoisy.report.reading.runs import read_runs


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (checkpoint_name("honest"), "honest (best on validation)"),
        (checkpoint_name("honest", step=400), "honest (best on validation, step 400)"),
        (checkpoint_name("honest", validated=False), "honest (no validation: the last)"),
        (checkpoint_name("chosen", step=400), "chosen (best on the cases scored, step 400)"),
        (checkpoint_name("final", step=500), "final (step 500)"),
        (checkpoint_name("final", validated=False), "final"),
        (choice("honest", validated=False), "the last one here: there were no validation cases to choose by"),
        (choice("honest"), CHOICES["honest"]),
        (choice("given", validated=False), CHOICES["given"]),
    ],
)
def test_beside_the_honest_checkpoint_stands_what_it_was_best_on(shown, expected):
    assert shown == expected


@pytest.mark.parametrize(("counts", "expected"), [((0,), False), ((0, 0), False), ((0, 2), True)])
def test_one_run_with_validation_cases_is_enough(finished_run, counts, expected):
    folders = [finished_run(f"run{place}", {"c1": 1}, validation=count) for place, count in enumerate(counts)]
    assert any_validated(read_runs(folders)) is expected
