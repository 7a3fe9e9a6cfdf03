"""Plots of a study: intervals drawn where they are, twenty rows told apart."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from mednoisy.report.plots import plot_kinds, study_plots
from mednoisy.report.plots.plot_style import COLOURS, DARK, LIGHT
from mednoisy.report.plots.study_plots import IntervalGain, Point, against, gains


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, light and dark, in turn."""
    drawn = []

    def kept(figure: Figure, *given: object, **options: object) -> str:
        drawn.append(figure)
        return "data:,"

    monkeypatch.setattr(plot_kinds, "data_address", kept)
    return drawn


def test_a_gain_has_its_mean_its_interval_and_its_seeds(figures):
    gains([IntervalGain("sdcl", 4.5, (-1.0, 9.5), (3.0, 6.0)), IntervalGain("bcp", 2.0, None, (2.0,))], "points", "x")
    axes = figures[0].axes[0]
    zero, mean, seeds, alone = axes.lines
    assert list(zero.get_xdata()) == [0, 0]
    assert (list(mean.get_xdata()), list(seeds.get_xdata()), list(alone.get_xdata())) == ([4.5], [3.0, 6.0], [2.0])
    (bar,) = axes.collections
    assert bar.get_segments()[0][:, 0].tolist() == [-1.0, 9.5]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sdcl", "bcp"]


def test_points_stand_over_their_labels(figures):
    series = {"a": [Point(3, 50.0, (40.0, 60.0)), Point(7, 70.0, None)], "b": [Point(3, 55.0, None)]}
    against(series, "labels", "Dice %", "x", ticks=[3, 7], limits=(0, 100))
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["3", "7"]
    assert np.allclose(axes.lines[0].get_xdata(), [3, 7], atol=0.05)
    assert list(axes.lines[0].get_ydata()) == [50, 70]
    assert axes.collections[0].get_segments()[0][:, 1].tolist() == [40, 60]
    against({"a": [Point(12.5, 50.0, None)]}, "minutes", "Dice %", "x")
    assert list(figures[2].axes[0].lines[0].get_xdata()) == [12.5]


@pytest.mark.parametrize("kind", ["curves", "dots", "against"])
def test_of_twenty_rows_no_two_share_a_colour(figures, kind):
    """And rows of one hue differ in their mark, lines in their dashes too."""
    names = [f"row {number}" for number in range(20)]
    if kind == "curves":
        plot_kinds.curves({name: ([1, 2], [0.1, 0.2]) for name in names}, "Dice", "x")
    elif kind == "dots":
        plot_kinds.dots_per_case({name: {"c": 0.5, "d": 0.6} for name in names}, "Dice", "x", higher_is_better=True)
    else:
        against({name: [Point(1, 2, None), Point(2, 3, None)] for name in names}, "labels", "Dice", "x")
    for figure in figures:
        lines = figure.axes[0].lines
        assert len({line.get_color() for line in lines}) == len(lines) == 20
        assert all(lines[n].get_marker() != lines[n + COLOURS].get_marker() for n in range(COLOURS))
        if kind != "dots":
            assert all(lines[n].get_linestyle() != lines[n + COLOURS].get_linestyle() for n in range(COLOURS))


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_more_colours_than_anybody_needs_are_all_different(colours):
    assert len(colours.lines) == COLOURS
    assert len({colours.colour(number, 60) for number in range(60)}) == 60


def test_plots_are_pictures():
    for plot in (
        gains([IntervalGain("a", 1.0, (0.5, 1.5), (1.0,))], "points", "words"),
        study_plots.against({"a": [Point(1, 50, (40, 60))]}, "labels", "Dice %", "words"),
    ):
        assert plot.words == "words"
        for address in (plot.light, plot.dark):
            assert imread(io.BytesIO(base64.b64decode(address.partition(",")[2])), "png").ndim == 3
