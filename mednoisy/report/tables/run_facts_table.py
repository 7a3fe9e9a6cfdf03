"""How runs came about, as plain values for a page: their facts, what keeps them from being compared, versions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mednoisy.report.number_format import counted, duration, fact
from mednoisy.report.reading.runs import Run, class_names

NOT_IN_THE_LIST = ("title",)
USUAL_TOLERANCE = 1.0  # of NSD, in runs that state none


def fact_table(runs: Sequence[Run]) -> list[dict]:
    """What is known about how the runs came about, a line for each fact."""
    names = dict.fromkeys(name for run in runs for name in run.facts if name not in NOT_IN_THE_LIST)
    lines = [{"name": name.replace("_", " "), "values": [_fact(run, name) for run in runs]} for name in names]
    if any("method" in run.facts for run in runs):
        lines.append({"name": "deployed predictor", "values": [run.deployed or "none" for run in runs]})
    return [*lines, {"name": "folder", "values": [run.folder.name for run in runs]}]


def _fact(run: Run, name: str) -> str:
    value = run.facts.get(name)
    return duration(value) if name in ("seconds", "processor_seconds") else fact(value)


def doubts(runs: Sequence[Run]) -> list[str]:
    """What keeps figures of these runs from meaning the same: tolerances of NSD, references, names of classes."""
    sentences = []
    tolerances = tolerances_of(runs)
    if len(set(tolerances.values())) > 1:
        listed = ", ".join(f"{value:g} {runs[0].unit} in {name}" for name, value in tolerances.items())
        sentences.append(f"NSD cannot be compared: its tolerance is {listed}.")
    if cases := _of_other_references(runs):
        others = f" and {counted(len(cases) - 1, 'more case')}" if cases[1:] else ""
        verb = "were" if cases[1:] else "was"
        sentences.append(
            f"Runs cannot be compared on {cases[0]}{others}, which {verb} scored against other references: "
            "their volumes differ from run to run."
        )
    for code, name in class_names(runs).items():
        called = {run.name: run.class_name(code) for run in runs if code in run.classes}
        if len(set(called.values())) > 1:
            listed = ", ".join(f"{other} in {run}" for run, other in called.items())
            sentences.append(f"Class {code} is {listed}; here it is called {name}.")
    return sentences


def tolerances_of(runs: Sequence[Run]) -> dict[str, float]:
    """The tolerance of NSD by name of the run."""
    return {run.name: float(run.facts.get("tolerance", USUAL_TOLERANCE)) for run in runs}


def _of_other_references(runs: Sequence[Run]) -> list[str]:
    """Cases with a class whose reference has another volume in one run than in another."""
    volumes: dict[tuple[str, int], float] = {}
    cases: dict[str, None] = {}
    for run in runs:
        for row in run.metrics:
            volume = float(row.get("volume_reference", math.nan))
            if math.isnan(volume):
                continue
            before = volumes.setdefault((str(row["case"]), int(row["class"])), volume)
            if not math.isclose(before, volume, rel_tol=1e-5, abs_tol=1e-6):
                cases[str(row["case"])] = None
    return list(cases)


def versions(runs: Sequence[Run]) -> str:
    """Packages with the versions that made the figures."""
    texts = {f"{name} {version}" for run in runs for name, version in run.summary.versions.items()}
    return ", ".join(sorted(texts))
