from __future__ import annotations

import pytest

from mednoisy.report.number_format import (
    coefficient,
    duration,
    fact,
    interval,
    number,
    percent,
    probability,
    rank,
    rank_interval,
    share,
    signed_number,
)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(0.9135, "dice"), "91.3"),
        (number(-0.052, "dice", signed=True), "−5.2"),
        (number(2.5, "hd95"), "2.50"),
        (number(float("nan"), "asd"), "–"),
        (interval([0.1, 0.2], "jaccard"), "10.0 to 20.0"),
        (interval(None, "jaccard"), ""),
        (number(31.456, "volume_reference"), "31.46"),
        (number(80123.4, "volume_reference"), "80123"),
        (number(-0.001, "dice"), "−0.1"),
        (percent(0.6256), "62.6"),
        (percent(None), "–"),
        (percent(float("nan")), "–"),
        (coefficient(-0.333), "−0.33"),
        (coefficient(None), "–"),
        (share(0.874), "87 %"),
        (share(None), "–"),
        (rank(1.0), "1"),
        (rank(1.5), "1.5"),
        (rank_interval([1.0, 2.5]), "1 to 2.5"),
        (rank_interval(None), ""),
        (probability(0.0002), "< 0.001"),
        (probability(0.0156), "0.016"),
        (duration(59.94), "59.9 s"),
        (duration(60), "1 min 00 s"),
        (duration(7384), "2 h 03 min"),
        (fact([1.25, 1.25, 1.25]), "1.25 × 1.25 × 1.25"),
        (fact(["T1", "T2"]), "T1, T2"),
        (fact(True), "yes"),
        (fact(14200), "14\u202f200"),
        (fact({"seed": 0}), "seed: 0"),
        (fact(None), "–"),
    ],
)
def test_figures_in_digits(shown, expected):
    assert shown == expected


@pytest.mark.parametrize(("value", "text"), [(0.126, "+0.13"), (-12.34, "−12.3"), (786.4, "+786"), (0.0, "+0.00")])
def test_numbers_with_signs(value, text):
    assert signed_number(value) == text
