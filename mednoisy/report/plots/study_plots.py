"""Plots of a study: gains with their intervals, Dice against labels or against minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from mednoisy.report.plots.plot_kinds import EmbeddedPlot, Limits, drawn_twice, within
from mednoisy.report.plots.plot_style import LONGEST_NAME, PlotColours, line_style, marker, shortened, wrapped

Interval = tuple[float, float]


@dataclass(frozen=True)
class IntervalGain:
    """A mean difference, its interval where there is one, and the differences of each seed."""

    name: str
    mean: float
    interval: Interval | None
    of_seed: tuple[float, ...]


@dataclass(frozen=True)
class Point:
    """A mean at a place of the first axis, and its interval where there is one."""

    place: float
    mean: float
    interval: Interval | None


def gains(lines: Sequence[IntervalGain], label: str, words: str) -> EmbeddedPlot:
    """A line for each gain: its interval as a bar, its mean as a dot, its seeds as rings; 0 is drawn through.

    Args:
        lines: the first at the top.
        label: what is gained over what, with its unit.
        words: what the plot shows, for those who do not see it.
    """
    names = ["\n".join(wrapped(line.name)) for line in lines]
    tallest = max(name.count("\n") + 1 for name in names)

    def draw(axes: Axes, colours: PlotColours) -> None:
        axes.axvline(0, color=colours.text, linewidth=1.2, zorder=1)
        for place, line in enumerate(lines):
            colour = colours.colour(1)
            if line.interval:
                axes.hlines(place, *line.interval, color=colour, linewidth=2.2, zorder=2)
            axes.plot([line.mean], [place], "o", color=colour, markersize=6.5, markeredgewidth=0, zorder=4)
            if len(line.of_seed) > 1:
                axes.plot(
                    line.of_seed, [place] * len(line.of_seed), "o", markerfacecolor="none", markersize=4.5,
                    markeredgecolor=colours.text, markeredgewidth=0.9, zorder=3,
                )  # fmt: skip
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.set_xlabel(label)
        axes.grid(axis="x", color=colours.grid, linewidth=0.8)

    return drawn_twice(draw, 0.6 + len(names) * max(0.34, 0.14 * tallest + 0.1), [], words)


def against(
    series: Mapping[str, Sequence[Point]],
    place_label: str,
    label: str,
    words: str,
    *,
    ticks: Sequence[float] | None = None,
    limits: Limits = (None, None),
) -> EmbeddedPlot:
    """Means with their intervals against some quantity, a line (of one point, a mark) for each series.

    Args:
        series: name to points.
        place_label, label: what the first and the second axis show, with their units.
        words: as for `gains`.
        ticks: the only places that the first axis names; None leaves that to the axis.
        limits: beyond which the second axis does not run.
    """
    names = [shortened(name, 2 * LONGEST_NAME) for name in series]
    places = [point.place for points in series.values() for point in points]
    width = (max(places) - min(places) or 1.0) if places else 1.0

    def draw(axes: Axes, colours: PlotColours) -> None:
        for number, points in enumerate(series.values()):
            colour = colours.colour(number, len(series))
            aside = (number - (len(series) - 1) / 2) * 0.006 * width if ticks is not None else 0.0
            across = [point.place + aside for point in points]
            axes.plot(
                across, [point.mean for point in points], line_style(number), marker=marker(number), color=colour,
                markersize=5, linewidth=1.6, label=names[number], zorder=3,
            )  # fmt: skip
            for place, point in zip(across, points, strict=True):
                if point.interval:
                    axes.vlines(place, *point.interval, color=colour, linewidth=1.2, alpha=0.7, zorder=2)
        if ticks is not None:
            axes.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
        axes.set_ylim(within(axes.get_ylim(), limits))
        axes.set_xlabel(place_label)
        axes.set_ylabel(label)
        axes.grid(color=colours.grid, linewidth=0.8)

    return drawn_twice(draw, 3.1, names, words)
