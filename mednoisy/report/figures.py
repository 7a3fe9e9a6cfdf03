"""Plots of a report: figures per case and learning curves, each in a light and a dark version."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

DOTS_PER_INCH = 190
LONGEST_NAME = 22  # characters of a case id that a plot shows
NAMED_CASES = 40  # above this many a plot leaves out their names


@dataclass(frozen=True)
class Look:
    """Colours of a plot; `lines` are told apart by people who see few colours too (after Okabe and Ito 2008)."""

    text: str
    grid: str
    lines: tuple[str, ...]


LIGHT = Look(
    "#52606d",
    "#dfe4ea",
    ("#7b8794", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#5b3a8c", "#7a4b2a", "#1f2933"),
)
DARK = Look(
    "#a7b0ba",
    "#333c46",
    ("#9aa5b1", "#56b4e9", "#ff8c42", "#3ecf9f", "#e39ac1", "#f0c419", "#9fd4f5", "#b69be0", "#d2a679", "#f5f7fa"),
)


@dataclass(frozen=True)
class Plot:
    """One plot as two data addresses, and what it shows in words."""

    light: str
    dark: str
    words: str


def dots_per_case(values: Mapping[str, Mapping[str, float]], label: str, words: str, *, higher_is_better: bool) -> Plot:
    """A line for each case with a dot for each series, in the order of the first series, best at the top.

    Args:
        values: series name to case id to value; an undefined one has no dot.
        label: what the values are, with its unit.
        words: what the plot shows, for those who do not see it.
        higher_is_better: whether the highest value of the first series goes to the top, or the lowest.
    """
    first = next(iter(values.values()))
    sign = 1 if higher_is_better else -1
    cases = sorted(first, key=lambda case: (not math.isnan(first[case]), sign * first[case]))
    height = 1.0 + min(0.24 * len(cases), 7.0) + 0.2 * math.ceil(len(values) / 3)

    def draw(axes: Axes, look: Look) -> None:
        for number, (name, of_case) in enumerate(values.items()):
            found = [of_case.get(case, math.nan) for case in cases]
            axes.plot(
                found, range(len(cases)), "o", color=_colour(look, number), label=_plain(name),
                markersize=6 if number else 5, alpha=0.9, markeredgewidth=0,
            )  # fmt: skip
        spans = [[of_case[case] for of_case in values.values() if case in of_case] for case in cases]
        spans = [[value for value in span if not math.isnan(value)] or [math.nan] for span in spans]
        axes.hlines(
            range(len(cases)), [min(s) for s in spans], [max(s) for s in spans], color=look.grid, zorder=0, lw=2
        )
        named = len(cases) <= NAMED_CASES
        axes.set_yticks(range(len(cases)) if named else [], [_short(case) for case in cases] if named else [])
        axes.set_ylim(-0.7, len(cases) - 0.3)
        axes.set_xlabel(label)
        axes.grid(axis="x", color=look.grid, linewidth=0.8)

    return _both(draw, height, len(values), words)


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], label: str, words: str, *, logarithmic: bool = False
) -> Plot:
    """Values against training steps, a line for each series.

    Args:
        lines: series name to steps and values.
        label, words: as for `dots_per_case`.
        logarithmic: whether the value axis is.
    """

    def draw(axes: Axes, look: Look) -> None:
        for number, (name, (steps, values)) in enumerate(lines.items()):
            few = "o" if len(steps) < 25 else None
            colour = _colour(look, number if len(lines) > 1 else 1)
            axes.plot(steps, values, color=colour, marker=few, markersize=3.5, linewidth=1.8, label=_plain(name))
        if logarithmic:
            axes.set_yscale("log")
        axes.set_xlabel("training step")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(color=look.grid, linewidth=0.8)

    return _both(draw, 3.1 + 0.2 * math.ceil(len(lines) / 3), len(lines), words)


def _both(draw: Callable[[Axes, Look], None], height: float, series: int, words: str) -> Plot:
    return Plot(_png(draw, height, series, LIGHT), _png(draw, height, series, DARK), words)


def _png(draw: Callable[[Axes, Look], None], height: float, series: int, look: Look) -> str:
    figure = Figure(figsize=(4.6, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes, look)
    axes.tick_params(colors=look.text, labelsize=8, length=0)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set(color=look.text, size=8.5)
    if series > 1:
        figure.legend(
            loc="outside upper left", ncols=3, frameon=False, fontsize=8, labelcolor=look.text, handlelength=1.2
        )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, transparent=True, metadata={"Software": None})
    return data_address(stream.getvalue(), "image/png")


def data_address(content: bytes, kind: str) -> str:
    """A `data:` address that carries the content itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _colour(look: Look, number: int) -> str:
    return look.lines[number % len(look.lines)]


def _short(name: str) -> str:
    return _plain(name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…")


def _plain(name: str) -> str:
    """A name that matplotlib takes neither for a formula nor for an entry to hide."""
    return name.replace("$", r"\$").replace("_", "\u200b_", 1) if name.startswith("_") else name.replace("$", r"\$")
