"""Of which classes a run's predictions keep the largest component alone: where that helps on cases unseen by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch.nn import Module

from mednoisy.data.datalist import Case, Datalist
from mednoisy.data.label_maps import LabelMap, ignored_codes, read_stored, stored_codes
from mednoisy.engines.run_folder import folds_of
from mednoisy.errors import UserError, did_you_mean
from mednoisy.evaluation.metric_rows import score_case
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.evaluation.undefined_values import mean_of_defined
from mednoisy.inference.largest_component import kept_largest
from mednoisy.inference.prediction import predict_case
from mednoisy.notices import tell
from mednoisy.report.number_format import counted

CHOSEN, ALL = "chosen", "all"  # ways to name classes


@dataclass(frozen=True)
class Effect:
    """What keeping the largest component alone does to a class; means over cases where they are defined.

    Attributes:
        name: of the class.
        cases: how many were looked at.
        dice, hd95: before and after; HD95 in the unit of the references.
    """

    name: str
    cases: int
    dice: tuple[float, float]
    hd95: tuple[float, float]

    @property
    def helps(self) -> bool:
        """Whether one of both gets better and neither worse."""
        no_worse = self.dice[1] >= self.dice[0] and self.hd95[1] <= self.hd95[0]
        return no_worse and (self.dice[1] > self.dice[0] or self.hd95[1] < self.hd95[0])

    def __str__(self) -> str:
        before, after = (100 * value for value in self.dice)
        figures = f"Dice {before:.1f} to {after:.1f}, HD95 {self.hd95[0]:.1f} to {self.hd95[1]:.1f}"
        return f"{self.name} {'yes' if self.helps else 'no'} ({figures})"


def classes_to_clean(
    wanted: str, folder: Path | str, parser: ConfigParser, network: Module, codes: Sequence[int]
) -> tuple[int, ...]:
    """The classes of which label maps shall keep the largest component alone, ascending.

    Args:
        wanted: names of classes with commas between, `all`, or `chosen`: those that it helps on the cases held out of
            each fold or, in a run without folds, on its validation cases. What it does to each is told on stderr. Test
            cases choose nothing.
        folder: of the finished run.
        parser: of its configuration, parsed.
        network: that it deploys.
        codes: the source's code of each class in the run's label maps; none where these are the class codes.

    Raises:
        UserError: E323, no case to choose by; E324, an unknown class; else as `read_stored` and `predict_case`.
    """
    datalist: Datalist = parser.get_parsed_content("datalist")
    names = {name: code for code, name in datalist.labels.items() if code}
    if wanted == ALL:
        return tuple(sorted(names.values()))
    if wanted != CHOSEN:
        asked = [name.strip() for name in wanted.split(",")]
        if unknown := [name for name in asked if name not in names]:
            raise UserError("E324", f"the run knows no class {unknown[0]!r}", did_you_mean(unknown[0], [*names, ALL]))
        return tuple(sorted({names[name] for name in asked}))
    cases = _held_out(Path(folder), datalist, codes) if folds_of(folder) else _validation(datalist, parser, network)
    found = effects(cases, datalist.labels)
    if not found:
        cause = f"{folder} has neither folds nor validation cases to choose by"
        raise UserError("E323", cause, f"Name the classes: --keep-largest {next(iter(names))}, or all")
    what = "held-out" if folds_of(folder) else "validation"
    told = "; ".join(map(str, found.values()))
    tell(f"largest component alone, by {counted(next(iter(found.values())).cases, what + ' case')}: {told}")
    return tuple(sorted(code for code, effect in found.items() if effect.helps))


def effects(cases: Iterator[tuple[str, np.ndarray, LabelMap]], labels: Mapping[int, str]) -> dict[int, Effect]:
    """The effect on each foreground class by its code; none without cases.

    Args:
        cases: id, predicted classes (*spatial) and reference of each.
        labels: class names by code, with background.
    """
    codes = [code for code in labels if code]
    values: dict[tuple[int, str], list[list[float]]] = {
        (c, metric): [[], []] for c in codes for metric in ("dice", "hd95")
    }
    count = 0
    for case, predicted, marked in cases:
        count += 1
        truth = marked.image.as_slice()
        cleaned = kept_largest(torch.from_numpy(predicted), "full").numpy()
        for at, array in enumerate((predicted, cleaned)):
            known = array if marked.ignored is None else np.where(marked.ignored.reshape(array.shape), 0, array)
            for row in score_case(case, known.reshape(truth.shape), truth.array, truth.steps, codes):
                for metric in ("dice", "hd95"):
                    values[int(row["class"]), metric][at].append(float(row[metric]))
    if not count:
        return {}
    means = {key: (_mean(before), _mean(after)) for key, (before, after) in values.items()}
    return {code: Effect(labels[code], count, means[code, "dice"], means[code, "hd95"]) for code in codes}


def _held_out(folder: Path, datalist: Datalist, codes: Sequence[int]) -> Iterator[tuple[str, np.ndarray, LabelMap]]:
    """The label maps that each fold's network has made of the cases that it had not seen."""
    predictions = {case.id: folder / case.prediction for case in read_finished_run(folder).summary.cases}
    for case in datalist.cases("labeled"):
        predicted = read_stored(predictions[case["id"]], codes, datalist.labels, case=case["id"]).image.array
        yield case["id"], predicted.astype(np.uint8), _reference(case, datalist)


def _validation(
    datalist: Datalist, parser: ConfigParser, network: Module
) -> Iterator[tuple[str, np.ndarray, LabelMap]]:
    """The label maps that a run's network makes of its validation cases, which have chosen its checkpoint alone."""
    seen_as: tuple[Any, Any] = (
        parser.get_parsed_content("preprocessing"),
        parser.get_parsed_content("evaluation#inferer"),
    )
    for case in datalist.cases("validation"):
        made = predict_case(case, {"it": network}, *seen_as, parser.get_parsed_content("device"), progress=True)
        yield case["id"], made.labels["it"], _reference(case, datalist)


def _reference(case: Case, datalist: Datalist) -> LabelMap:
    return read_stored(case["label"], stored_codes(case), datalist.labels, ignore=ignored_codes(case), case=case["id"])


def _mean(values: Sequence[float]) -> float:
    return float(mean_of_defined(values))
