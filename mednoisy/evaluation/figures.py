"""Figures of a predictor over many cases: of each metric, by class and over classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mednoisy.evaluation import json_values as checked


@dataclass(frozen=True)
class MetricFigures:
    """One metric over cases; None for what too few defined cases leave open.

    Attributes:
        mean, sd, median: of the defined cases; `sd` is that of a sample (divisor n - 1).
        quartiles: the first and the third.
        interval: 95 % interval of the mean, patients being what varies (`resampling.mean_intervals`).
        n: defined cases.
        undefined: cases without a value; over classes, pairs of case and class without one.
        patients: who the defined cases are of.
        penalised: the mean of a distance with the image's diagonal where one of two masks is empty; None of other
            metrics, and where a diagonal is not known.
    """

    mean: float | None
    sd: float | None
    median: float | None
    quartiles: tuple[float, float] | None
    interval: tuple[float, float] | None
    n: int
    undefined: int
    patients: int = 0
    penalised: float | None = None

    @classmethod
    def from_json(cls, content: Any, name: str = "figures") -> MetricFigures:
        """From the entry of a summary, `name` in messages; before schema 3 each case was a patient of its own.

        Raises:
            KeyError: a figure is missing.
            ValueError: one is of another type.
        """
        entry = checked.table(content, name)
        return cls(
            mean=checked.number_or_none(entry["mean"], f"{name} mean"),
            sd=checked.number_or_none(entry["sd"], f"{name} sd"),
            median=checked.number_or_none(entry["median"], f"{name} median"),
            quartiles=checked.range_or_none(entry["quartiles"], f"{name} quartiles"),
            interval=checked.range_or_none(entry["interval"], f"{name} interval"),
            n=checked.count(entry["n"], f"{name} n"),
            undefined=checked.count(entry["undefined"], f"{name} undefined"),
            patients=checked.count(entry.get("patients", entry["n"]), f"{name} patients"),
            penalised=checked.number_or_none(entry.get("penalised"), f"{name} penalised"),
        )


@dataclass(frozen=True)
class PredictorFigures:
    """What one predictor reaches at one checkpoint.

    Attributes:
        by_class: class code to metric to its figures.
        over_classes: metric to its figures; the value of a case is the mean of its defined classes.
        cases: how many.
    """

    by_class: Mapping[int, Mapping[str, MetricFigures]]
    over_classes: Mapping[str, MetricFigures]
    cases: int

    @property
    def pairs(self) -> int:
        """How many pairs of case and class there are, which `undefined` over classes counts."""
        return self.cases * len(self.by_class)

    @classmethod
    def from_json(cls, content: Any, name: str = "figures") -> PredictorFigures:
        """From the entry of a summary, `name` in messages.

        Raises:
            KeyError: an entry is missing.
            ValueError: one is of another type.
        """
        entry = checked.table(content, name)
        classes = checked.table(entry["classes"], f"{name} classes")
        return cls(
            by_class={int(code): _by_metric(metrics, f"{name} class {code}") for code, metrics in classes.items()},
            over_classes=_by_metric(entry["all"], f"{name} all"),
            cases=checked.count(entry["cases"], f"{name} cases"),
        )

    def to_json(self) -> dict[str, Any]:
        """The entry of a summary, which `from_json` reads."""
        return {
            "classes": {
                str(code): {metric: asdict(figures) for metric, figures in metrics.items()}
                for code, metrics in self.by_class.items()
            },
            "all": {metric: asdict(figures) for metric, figures in self.over_classes.items()},
            "cases": self.cases,
        }


def _by_metric(content: Any, name: str) -> dict[str, MetricFigures]:
    metrics = checked.table(content, name)
    return {metric: MetricFigures.from_json(figures, f"{name} {metric}") for metric, figures in metrics.items()}
