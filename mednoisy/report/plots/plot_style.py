"""What plots are painted with: colours, names cut to fit, boxes, limits of agreement."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb, to_rgba

from mednoisy.report.number_format import signed_number

LONGEST_NAME = 22  # characters in a line of a name beside a plot
LABEL_GAP = 0.12  # of the height of a plot, what a label of two lines takes

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINE_STYLES = ("-", "--", ":", "-.")
COLOURS = 10  # of `PlotColours.lines`
DARKEST = 0.25  # mean of red, green and blue, below which a colour cannot be darkened visibly

Limits = tuple[float, float, float]  # lower limit of agreement, bias, upper limit


@dataclass(frozen=True)
class PlotColours:
    """Colours of a plot; `lines` are told apart by people who see few colours too (after Okabe and Ito 2008)."""

    text: str
    grid: str
    lines: tuple[str, ...]

    def colour(self, number: int, series: int = 2) -> str:
        """Of one series of several, the first in grey as the baseline; of a lone series the first real colour.

        Beyond the last of `lines` they come again, each time farther darkened (the darkest ones lightened): no two of
        any number of series share one, and those of one hue differ in marker and line (`marker`, `line_style`) too.
        """
        again, place = divmod(number if series > 1 else 1, len(self.lines))
        red, green, blue = to_rgb(self.lines[place])
        end = 0.0 if (red + green + blue) / 3 > DARKEST else 1.0
        kept = 0.6**again
        return to_hex((end + (red - end) * kept, end + (green - end) * kept, end + (blue - end) * kept))


def marker(number: int) -> str:
    """The mark of one series of several: another one each time the colours of `PlotColours.lines` come again."""
    return MARKERS[number // COLOURS % len(MARKERS)]


def line_style(number: int) -> str:
    """The line of one series of several: another one each time the colours of `PlotColours.lines` come again."""
    return LINE_STYLES[number // COLOURS % len(LINE_STYLES)]


LIGHT = PlotColours(
    "#52606d",
    "#dfe4ea",
    ("#7b8794", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#5b3a8c", "#7a4b2a", "#1f2933"),
)
DARK = PlotColours(
    "#a7b0ba",
    "#333c46",
    ("#9aa5b1", "#56b4e9", "#ff8c42", "#3ecf9f", "#e39ac1", "#f0c419", "#9fd4f5", "#b69be0", "#d2a679", "#f5f7fa"),
)


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """A name of bounded length without its middle: runs often differ in their last letters only."""
    return literal(_cut(name, longest))


def wrapped(name: str) -> list[str]:
    """A name in two lines, three where its words break badly, without its middle if it is longer still."""
    return [literal(line) for line in textwrap.wrap(_cut(name, 2 * LONGEST_NAME), LONGEST_NAME)]


def _cut(name: str, longest: int) -> str:
    name = " ".join(name.split())  # a line break would be drawn as one
    if len(name) <= longest:
        return name
    return f"{name[: longest // 2].rstrip()}…{name[len(name) - (longest - 1) // 2 :].lstrip()}"


def literal(name: str) -> str:
    """A name that matplotlib takes neither for a formula nor for an entry to hide."""
    return name.replace("$", r"\$").replace("_", "\u200b_", 1) if name.startswith("_") else name.replace("$", r"\$")


def draw_box(axes: Axes, values: np.ndarray, place: int, colours: PlotColours, colour: str) -> None:
    """Box, whiskers and dots of sorted values, lying around the height `place`."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    inside = values[(values >= low - 1.5 * (high - low)) & (values <= high + 1.5 * (high - low))]
    # Multiples of the golden ratio keep neighbours in value far apart in height, without chance.
    spread = (np.arange(values.size) * 0.618034 % 1 - 0.5) * 0.5
    crowd = min(1.0, math.sqrt(60 / values.size))
    axes.plot(
        values, place + spread, "o", color=colour, markersize=1.8 + 2.2 * crowd, alpha=0.3 + 0.55 * crowd,
        markeredgewidth=0, zorder=2,
    )  # fmt: skip
    ends = (min(low, inside[0]), low), (high, max(high, inside[-1]))
    axes.hlines([place, place], *zip(*ends, strict=True), color=colours.text, linewidth=1, zorder=3)
    axes.barh(
        place,
        high - low,
        left=low,
        height=0.64,
        color=to_rgba(colour, 0.2),
        edgecolor=colours.text,
        linewidth=1,
        zorder=3,
    )
    axes.vlines(middle, place - 0.32, place + 0.32, color=colours.text, linewidth=2.4, zorder=4)


def limits_of_agreement(differences: np.ndarray) -> Limits | None:
    """Bias with what lies 1.96 standard deviations (divisor n - 1) around it; None with fewer than two differences."""
    if differences.size < 2:
        return None
    bias, reach = float(differences.mean()), 1.96 * float(differences.std(ddof=1))
    return bias - reach, bias, bias + reach


def draw_limit_bar(axes: Axes, limits: Limits, across: float, colour: str) -> None:
    """Limits and bias as a bar beside the axes, `across` in widths of the axes."""
    beside = axes.get_yaxis_transform()
    axes.plot([across, across], [limits[0], limits[2]], color=colour, linewidth=1.6, transform=beside, clip_on=False)
    axes.plot([across], [limits[1]], "D", color=colour, markersize=4, transform=beside, clip_on=False)


def draw_limit_lines(axes: Axes, limits: Limits, colours: PlotColours, colour: str, unit: str) -> None:
    """Limits and bias as lines across the axes, named beside them."""
    for value, style in zip(limits, ("--", "-", "--"), strict=True):
        axes.axhline(value, color=colour, linewidth=1.4, linestyle=style, zorder=2)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)  # the heights of the labels are shares of this span
    heights = _apart([(value - low) / (high - low) for value in limits])
    for value, height, name in zip(limits, heights, ("−1.96 sd", "bias", "+1.96 sd"), strict=True):
        axes.annotate(
            f"{name}\n{signed_number(value)} {unit}", (1.02, height), xycoords="axes fraction",
            color=colours.text, fontsize=8, va="center", annotation_clip=False,
        )  # fmt: skip


def _apart(heights: Sequence[float]) -> list[float]:
    """Three rising heights, the outer ones pushed away from the middle one as far as labels need."""
    middle = min(max(heights[1], 1.5 * LABEL_GAP), 1 - 1.5 * LABEL_GAP)
    return [min(heights[0], middle - LABEL_GAP), middle, max(heights[2], middle + LABEL_GAP)]
