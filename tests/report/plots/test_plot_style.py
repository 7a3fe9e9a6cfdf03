from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from mednoisy.report.plots.plot_style import (
    LABEL_GAP,
    LIGHT,
    LONGEST_NAME,
    draw_box,
    draw_limit_lines,
    limits_of_agreement,
    literal,
    shortened,
    wrapped,
)


@pytest.fixture
def axes():
    return Figure().add_subplot()


def test_names_are_cut_in_their_middle():
    """Runs of one study differ in their last letters, cases of one patient too."""
    cut = shortened("sdcl, published, 8 labeled, seed 1")
    assert cut == "sdcl, publi…ed, seed 1"
    assert len(cut) == LONGEST_NAME
    assert shortened("patient001_frame01") == "patient001_frame01"


def test_long_names_take_lines_of_bounded_length():
    lines = wrapped("a run with a name of many words that goes on and on and ends in seed 7")
    assert len(lines) <= 3
    assert max(len(line) for line in lines) <= LONGEST_NAME
    assert " ".join(lines).endswith("seed 7")


def test_names_are_no_formulas_and_are_never_hidden():
    assert literal("$x$") == r"\$x\$"
    assert not literal("_hidden").startswith("_")


def test_a_lone_series_is_not_grey_like_a_baseline():
    assert LIGHT.colour(0) == LIGHT.lines[0]
    assert LIGHT.colour(0, series=1) == LIGHT.lines[1]
    assert LIGHT.colour(len(LIGHT.lines)) == "#4a5159"  # 0.6 of each channel of the first


def test_box_of_known_quartiles(axes):
    """Quartiles 2, 3, 4: whiskers reach as far as 1.5 x 2 beyond them, to 1 and 5; 20 is on its own."""
    draw_box(axes, np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 7, LIGHT, "#0072b2")
    (body,) = axes.patches
    assert (body.get_x(), body.get_width()) == (2, 2)
    assert body.get_y() + body.get_height() / 2 == pytest.approx(7)
    whiskers, median = axes.collections
    assert [sorted(segment[:, 0]) for segment in whiskers.get_segments()] == [[1, 2], [4, 5]]
    assert median.get_segments()[0][:, 0].tolist() == [3, 3]
    (dots,) = axes.lines
    assert dots.get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert np.abs(dots.get_ydata() - 7).max() <= 0.25
    assert to_hex(dots.get_color()) == "#0072b2"


def test_whiskers_leave_out_what_lies_far_off(axes):
    draw_box(axes, np.array([1.0, 2.0, 3.0, 4.0, 20.0]), 0, LIGHT, "#0072b2")
    whiskers, _ = axes.collections
    assert [sorted(segment[:, 0]) for segment in whiskers.get_segments()] == [[1, 2], [4, 4]]


def test_neighbouring_dots_do_not_cover_one_another(axes):
    draw_box(axes, np.full(8, 0.5), 0, LIGHT, "#0072b2")
    heights = np.sort(axes.lines[0].get_ydata())
    assert np.diff(heights).min() > 0.03


def test_limits_by_hand():
    """Differences 1, 3, 5: mean 3, standard deviation 2."""
    assert limits_of_agreement(np.array([1.0, 3.0, 5.0])) == pytest.approx((3 - 3.92, 3, 3 + 3.92))
    assert limits_of_agreement(np.array([1.0])) is None


@pytest.mark.parametrize("limits", [(-4.0, 0.0, 4.0), (0.0, 0.0, 0.0), (99.8, 100.0, 100.2), (-100.1, -100.0, -99.9)])
def test_labels_of_limits_do_not_overlap(axes, limits):
    axes.plot([0, 1], [0, limits[1]])
    draw_limit_lines(axes, limits, LIGHT, "#0072b2", "ml")
    heights = [text.xy[1] for text in axes.texts]
    assert min(np.diff(heights)) >= LABEL_GAP - 1e-12
    assert -0.01 < heights[0] < heights[2] < 1.01
    assert [text.get_text().split("\n")[0] for text in axes.texts] == ["−1.96 sd", "bias", "+1.96 sd"]
    assert [line.get_ydata()[0] for line in axes.lines[1:]] == list(limits)
