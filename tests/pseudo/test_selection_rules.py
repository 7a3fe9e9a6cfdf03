"""Which pseudo-labels are kept, by limits worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mednoisy.pseudo.selection_rules import SelectionRules


@pytest.mark.parametrize(
    ("rules", "area", "confidence", "reason"),
    [
        (SelectionRules(), 34 / 65536, 0.0, ""),  # a sum of 102 over three channels
        (SelectionRules(), 33 / 65536, 1.0, "area"),  # 99, below the published 100
        (SelectionRules(minimum_area=0), 0.0, 0.5, ""),
        (SelectionRules(minimum_confidence=0.9), 0.5, 0.9, ""),
        (SelectionRules(minimum_confidence=0.9), 0.5, 0.899, "confidence"),
        (SelectionRules(minimum_confidence=0.9), 0.0, 0.1, "area"),  # the first of both
    ],
)
def test_the_first_rule_that_drops_a_case_is_told(rules, area, confidence, reason):
    assert rules.dropped_by(area, confidence) == reason


@pytest.mark.parametrize("largest_component", [False, True])
def test_the_largest_piece_of_each_class(largest_component):
    labels = np.zeros((6, 6), np.uint8)
    labels[0:2, 0:2], labels[4, 4], labels[5, 0:3], labels[0, 5] = 1, 1, 2, 2
    wanted = labels.copy()
    if largest_component:
        wanted[4, 4] = wanted[0, 5] = 0
    found = SelectionRules(largest_component=largest_component).cleaned(labels)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", ["minimum_area", "minimum_confidence"])
def test_limits_are_shares(name):
    with pytest.raises(ValueError, match=f"{name} is 34; it is a share, from 0 to 1"):
        SelectionRules(**{name: 34})
