"""Plots of a report: figures per case, volumes and learning curves, each in a light and a dark version."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator

from mednoisy.report.data_uris import data_address
from mednoisy.report.number_format import signed_number
from mednoisy.report.plots.plot_style import (
    DARK,
    LIGHT,
    LONGEST_NAME,
    PlotColours,
    draw_box,
    draw_limit_bar,
    draw_limit_lines,
    limits_of_agreement,
    line_style,
    marker,
    shortened,
    wrapped,
)

DOTS_PER_INCH = 190
WIDTH = 4.6  # inches; a page shows it across a phone held upright
NAMED_CASES = 40  # above this many a plot leaves out their names
LEGEND_FONT = FontProperties(size=8)
LEGEND_MARK = 4  # times the font size, what the mark before a name and the gap after it take

Limits = tuple[float | None, float | None]  # least and greatest value that there can be


@dataclass(frozen=True)
class EmbeddedPlot:
    """One plot as two data addresses, and what it shows in words."""

    light: str
    dark: str
    words: str


def dots_per_case(
    values: Mapping[str, Mapping[str, float]],
    label: str,
    words: str,
    *,
    higher_is_better: bool,
    limits: Limits = (None, None),
) -> EmbeddedPlot:
    """A line for each case with a dot for each series, in the order of the first series, best at the top.

    Args:
        values: series name to case id to value; an undefined one has no dot.
        label: what the values are, with its unit.
        words: what the plot shows, for those who do not see it.
        higher_is_better: whether the highest value of the first series goes to the top, or the lowest.
        limits: beyond which the axis of the values does not run.
    """
    first = next(iter(values.values()))
    sign = 1 if higher_is_better else -1
    cases = sorted(first, key=lambda case: (not math.isnan(first[case]), sign * first[case]))
    names = [shortened(name, 2 * LONGEST_NAME) for name in values]

    def draw(axes: Axes, colours: PlotColours) -> None:
        for number, of_case in enumerate(values.values()):
            values_by_case = [of_case.get(case, math.nan) for case in cases]
            axes.plot(
                values_by_case, range(len(cases)), marker(number), color=colours.colour(number), label=names[number],
                markersize=6 if number else 5, alpha=0.9, markeredgewidth=0,
            )  # fmt: skip
        spans = [[of_case[case] for of_case in values.values() if case in of_case] for case in cases]
        spans = [[value for value in span if not math.isnan(value)] or [math.nan] for span in spans]
        axes.hlines(
            range(len(cases)), [min(s) for s in spans], [max(s) for s in spans], color=colours.grid, zorder=0, lw=2
        )
        named = len(cases) <= NAMED_CASES
        axes.set_yticks(range(len(cases)) if named else [], [shortened(case) for case in cases] if named else [])
        axes.set_ylim(-0.7, len(cases) - 0.3)
        axes.set_xlim(within(axes.get_xlim(), limits))
        axes.set_xlabel(label)
        axes.grid(axis="x", color=colours.grid, linewidth=0.8)

    return drawn_twice(draw, 1.0 + min(0.24 * len(cases), 7.0), names, words)


def distributions(
    values: Mapping[str, Mapping[str, float]], label: str, words: str, *, limits: Limits = (None, None)
) -> EmbeddedPlot:
    """A box over a dot for each case, one line for each series, the first at the top.

    Boxes span the quartiles around the median; whiskers reach the last case within 1.5 times that span (Tukey 1977).
    Dots lie above one another for space only.

    Args:
        values: series name to case id to value; undefined ones have no dot and are counted below the name.
        label, words, limits: as for `dots_per_case`.
    """
    names, lines = [], []
    for name, of_case in values.items():
        undefined = sum(math.isnan(value) for value in of_case.values())
        names.append("\n".join(wrapped(name) + ([f"({undefined} undefined)"] if undefined else [])))
        lines.append(np.sort([value for value in of_case.values() if not math.isnan(value)]))
    tallest = max(name.count("\n") + 1 for name in names)

    def draw(axes: Axes, colours: PlotColours) -> None:
        for place, sorted_values in enumerate(lines):
            if sorted_values.size:
                draw_box(axes, sorted_values, place, colours, colours.colour(place, len(lines)))
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.set_xlim(within(axes.get_xlim(), limits))
        axes.set_xlabel(label)
        axes.grid(axis="x", color=colours.grid, linewidth=0.8)

    return drawn_twice(draw, 0.6 + len(names) * max(0.46, 0.14 * tallest + 0.14), [], words)


def bland_altman(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], unit: str, words: str) -> EmbeddedPlot:
    """Difference of two volumes against their mean, with bias and limits of agreement (Bland and Altman 1986).

    Bias is the mean difference, the limits are bias ± 1.96 standard deviations. Of one series they are lines across
    the plot; of several, bars at its right border, with their figures in the legend. Neither is shown of a series
    with fewer than two cases.

    Args:
        series: name to the volumes of prediction and of reference, case by case; pairs with NaN are left out.
        unit: of the volumes.
        words: as for `dots_per_case`.
    """
    points = [_means_and_differences(*volumes) for volumes in series.values()]
    limits = [limits_of_agreement(differences) for _, differences in points]
    names = [shortened(name) for name in series]
    for number, ends in enumerate(limits):
        if ends is not None:
            lower, bias, upper = (signed_number(end) for end in ends)
            names[number] += f": bias {bias}, limits {lower} to {upper} {unit}"

    def draw(axes: Axes, colours: PlotColours) -> None:
        axes.axhline(0, color=colours.grid, linewidth=2, zorder=1)
        for number, ((means, differences), ends) in enumerate(zip(points, limits, strict=True)):
            colour = colours.colour(number, len(points))
            axes.plot(
                means, differences, marker(number), color=colour, label=names[number], markersize=4.5, alpha=0.8,
                markeredgewidth=0,
            )  # fmt: skip
            if ends is not None and len(points) > 1:
                draw_limit_bar(axes, ends, 1.02 + 0.025 * number, colour)
            elif ends is not None:
                draw_limit_lines(axes, ends, colours, colour, unit)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 2.5, 5, 10)))
        axes.set_xlabel(f"mean of prediction and reference, {unit}")
        axes.set_ylabel(f"prediction − reference, {unit}")
        axes.grid(color=colours.grid, linewidth=0.8)

    return drawn_twice(draw, 3.1, names, words)


def _means_and_differences(prediction: Sequence[float], reference: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.column_stack([np.asarray(prediction, float), np.asarray(reference, float)])
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    return pairs.mean(axis=1), pairs[:, 0] - pairs[:, 1]


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    label: str,
    words: str,
    *,
    logarithmic: bool = False,
    limits: Limits = (None, None),
) -> EmbeddedPlot:
    """Values against training steps, a line for each series.

    Args:
        lines: series name to steps and values.
        label, words, limits: as for `dots_per_case`.
        logarithmic: whether the value axis is.
    """
    names = [shortened(name, 2 * LONGEST_NAME) for name in lines]

    def draw(axes: Axes, colours: PlotColours) -> None:
        for number, (steps, values) in enumerate(lines.values()):
            few = marker(number) if len(steps) < 25 else None
            colour = colours.colour(number, len(lines))
            axes.plot(
                steps, values, line_style(number), color=colour, marker=few, markersize=3.5, linewidth=1.8,
                label=names[number],
            )  # fmt: skip
        if logarithmic:
            axes.set_yscale("log")
        axes.set_ylim(within(axes.get_ylim(), limits))
        axes.set_xlabel("training step")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(color=colours.grid, linewidth=0.8)

    return drawn_twice(draw, 3.1, names, words)


def within(ends: tuple[float, float], limits: Limits) -> tuple[float, float]:
    """The ends of an axis, drawn in to the limits where they are beyond them."""
    least, greatest = limits
    low, high = ends
    return low if least is None else max(low, least), high if greatest is None else min(high, greatest)


def drawn_twice(
    draw: Callable[[Axes, PlotColours], None], height: float, names: Sequence[str], words: str
) -> EmbeddedPlot:
    """A plot of a height in inches, and above it a legend where there are several names."""
    columns = _legend_columns(names) if len(names) > 1 else 0
    height += 0.2 * math.ceil(len(names) / columns) if columns else 0
    return EmbeddedPlot(_png(draw, height, columns, LIGHT), _png(draw, height, columns, DARK), words)


def _legend_columns(names: Sequence[str]) -> int:
    """How many names fit beside one another, 3 at most."""
    longest = max(text_to_path.get_text_width_height_descent(name, LEGEND_FONT, ismath=False)[0] for name in names)
    fitting = 72 * WIDTH / (longest + LEGEND_MARK * LEGEND_FONT.get_size_in_points())
    return min(3, max(1, math.floor(fitting)))


def _png(draw: Callable[[Axes, PlotColours], None], height: float, legend_columns: int, colours: PlotColours) -> str:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes, colours)
    axes.tick_params(colors=colours.text, labelsize=8, length=0)
    axes.set_axisbelow(True)
    for mark in (*axes.lines, *axes.patches, *axes.collections):
        mark.set_clip_on(False)  # axes hold all values, so that only halves of marks at their borders would be cut
    for side in axes.spines.values():
        side.set_visible(False)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set(color=colours.text, size=8.5)
    if legend_columns:
        figure.legend(
            loc="outside upper left", ncols=legend_columns, frameon=False, prop=LEGEND_FONT, labelcolor=colours.text,
            handlelength=1.2,
        )  # fmt: skip
    return data_address(figure, "png", dpi=DOTS_PER_INCH, transparent=True, metadata={"Software": None})
