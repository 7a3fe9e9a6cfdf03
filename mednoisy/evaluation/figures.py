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
        interval: bootstrap 95 % interval of the mean.
        n: defined cases.
        undefined: cases without a value; over classes, pairs of case and class without one.
    """

    mean: float | None
    sd: float | None
    median: float | None
    quartiles: tuple[float, float] | None
    interval: tuple[float, float] | None
    n: int
    undefined: int

    @classmethod
    def from_json(cls, content: Any, name: str = "figures") -> MetricFigures:
        """From the entry of a summary, `name` in messages.

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
