"""The page of a simulation: curves of Dice against labels, what strategies gain and cost, who beats whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mednoisy.active.learning_curves import over_seeds
from mednoisy.active.simulated_curves import MethodCurves, penalties
from mednoisy.files import write_text
from mednoisy.report.number_format import counted, fact
from mednoisy.report.page_rendering import rendered_page
from mednoisy.report.plots.plot_kinds import EmbeddedPlot
from mednoisy.report.plots.study_plots import Point, against
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

PAGE, TABLE = "simulation.html", "table.md"
AXES = {"patients": "labeled", "foreground_share": "labeled share of the pool's foreground, %"}
ALL = "all labels"


def write_simulation_page(
    folder: Path, methods: Sequence[MethodCurves], facts: Mapping[str, Any], remarks: Sequence[str] = ()
) -> None:
    """Write `simulation.html` and `table.md` of what is finished so far.

    Args:
        methods: of `simulated_curves.curves_of`.
        facts: what was simulated, by name; `rounds` and `budget` among them.
        remarks: texts worth reading first, such as what is not finished.
    """
    matrix, found = penalties(methods), gains(methods)
    seeds = max((len(curve.seeds) for method in methods for curve in method.curves.values()), default=0)
    texts = notes(seeds, facts["rounds"], facts["budget"], matrix)
    write_text(folder / TABLE, simulation_table(methods, matrix, [*remarks, *texts]))
    strategies = len(methods[0].curves)
    content = {
        "title": f"Simulated annotation: {facts['dataset']}",
        "lead": (
            f"From {facts['start']} labeled at the start, {facts['budget']} more in each of "
            f"{counted(facts['rounds'], 'round')}, chosen by {strategies} strateg{'y' if strategies == 1 else 'ies'}."
        ),
        "facts": {name: fact(value) for name, value in facts.items()},
        "remarks": remarks,
        "methods": [
            {
                "name": method.name,
                "plots": _plots(method),
                "verdicts": verdicts(found, method),
                "tables": [
                    {"name": name, "lines": lines}
                    for name, lines in (
                        ("What each strategy reached", overview(method, matrix)),
                        ("Dice % by round", by_round(method)),
                        ("Against random", gain_lines(found, method.name)),
                        ("What was labeled at the end", cost_lines(method)),
                    )
                    if lines
                ],
            }
            for method in methods
        ],
        "penalties": [] if matrix is None else penalty_lines(matrix),
        "notes": texts,
    }
    write_text(folder / PAGE, rendered_page("simulation.html", (), content))


def _plots(method: MethodCurves) -> list[EmbeddedPlot]:
    """Dice against labeled patients and against labeled foreground, all labels as a level line."""
    plots = []
    for axis, label in AXES.items():
        scale = 100 if axis.endswith("share") else 1
        series = {titled(name): _points(method, name, axis, scale) for name in method.curves}
        series = {name: points for name, points in series.items() if points}
        if not series:
            continue
        places = [point.place for points in series.values() for point in points]
        full = over_seeds([100 * value for value in method.full.values()], (0, 100))
        if full.mean is not None:
            ends = dict.fromkeys((min(places), max(places)))
            series[ALL] = [Point(place, full.mean, full.interval) for place in ends]
        ticks = sorted(set(places)) if axis == "patients" else None
        words = f"Dice against {label}, a line each for {', '.join(series)}"
        plots.append(against(series, label, "Dice %, test cases", words, ticks=ticks, limits=(0, 100)))
    return plots


def _points(method: MethodCurves, strategy: str, axis: str, scale: float) -> list[Point]:
    curve, points = method.curves[strategy], []
    for number in range(curve.dice.shape[1]):
        place, figures = curve.cost(axis, number), curve.at(number)
        if place is not None and figures.mean is not None:
            ends = figures.interval and (100 * figures.interval[0], 100 * figures.interval[1])
            points.append(Point(scale * place, 100 * figures.mean, ends))
    return points
