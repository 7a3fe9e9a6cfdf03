"""The files of a round of pseudo-labels, and its figures, which are taken from these files alone."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mednoisy.data.datalist import Case, Datalist
from mednoisy.data.file_formats import is_picture
from mednoisy.data.ignored_voxels import IGNORED, without_ignored
from mednoisy.data.image_pairs import check_pair
from mednoisy.data.images import read_image
from mednoisy.data.label_maps import ignored_codes, read_reference, stored_codes
from mednoisy.engines.disk_full import writing
from mednoisy.errors import DONE_IN_PART, UserError
from mednoisy.evaluation.metrics import write_metrics
from mednoisy.evaluation.overlap import dice_by_class
from mednoisy.evaluation.undefined_values import mean_of_defined
from mednoisy.files import write_text
from mednoisy.inference.label_map_files import label_file, write_grey
from mednoisy.pseudo.selection_rules import SelectionRules

COLUMNS = ("id", "kept", "reason", "confidence", "area", "dice", "centre")
DIGITS = 6  # of figures that are written
Row = dict[str, Any]


def cases_to_label(datalist: Datalist) -> list[Case]:
    """The unlabeled cases, and those that have pseudo-labels already (of an earlier run), without them."""
    cases = datalist.cases("unlabeled") + datalist.cases("pseudo")
    return [{key: value for key, value in case.items() if key not in ("label", "confidence")} for case in cases]


@dataclass(frozen=True)
class RoundFiles:
    """What a round leaves in its folder.

    `masks/ID.png` (or `.nii.gz`) and `confidence/ID.png`, uint8 at native size: class codes (of a picture with two
    classes 0 and 255), and 255 times the probability of the chosen class. `teacher.json`, written first: whose labels
    these are. `cases.csv`: a row for each case; `round.json`: figures of the round; `datalist.json`, written last: the
    run's datalist whose section `pseudo` holds the cases that were kept.

    Attributes:
        folder: of the round.
        datalist: of the run; its `cases_to_label` are labeled.
        rules: which are kept.
    """

    folder: Path
    datalist: Datalist
    rules: SelectionRules

    @property
    def whole(self) -> bool:
        """Whether the round is complete."""
        return self.datalist_file.is_file()

    @property
    def datalist_file(self) -> Path:
        return self.folder / "datalist.json"

    @property
    def teacher_file(self) -> Path:
        return self.folder / "teacher.json"

    def begin(self, teacher: Mapping[str, Any]) -> None:
        """Keep what is here of this teacher and these rules, and throw all else away.

        Args:
            teacher: what `teacher.json` tells: stage, teacher, its step, digest and predictor, rules.

        Raises:
            UserError: E320, see `writing`.
        """
        text = json.dumps(teacher, indent=1) + "\n"
        with writing(self.teacher_file):
            if self.teacher_file.is_file() and self.teacher_file.read_bytes() == text.encode():
                return
            for path in (self.datalist_file, self.teacher_file):  # first, or a kill could leave them without masks
                path.unlink(missing_ok=True)
            if self.folder.exists():
                shutil.rmtree(self.folder)
            write_text(self.teacher_file, text)

    def has(self, case: Case) -> bool:
        """Whether a case is labeled."""
        return self.mask(case).is_file() and self.confidence(case).is_file()

    def mask(self, case: Case) -> Path:
        return label_file(self.folder / "masks", case["id"], case["image"])

    def confidence(self, case: Case) -> Path:
        return label_file(self.folder / "confidence", case["id"], case["image"])

    def write_case(self, case: Case, labels: np.ndarray, confidence: np.ndarray, affine: np.ndarray) -> None:
        """Write codes and confidences in 0..1, both (*spatial).

        Raises:
            UserError: E320, see `writing`.
        """
        mask, codes = self.mask(case), self.rules.cleaned(labels)
        if is_picture(mask) and len(self.datalist.labels) == 2:
            codes = codes * np.uint8(255)
        with writing(mask):
            write_grey(self.confidence(case), np.rint(confidence * 255).astype(np.uint8), affine)
            write_grey(mask, codes, affine)

    def finish(self, teacher: Mapping[str, Any]) -> dict[str, Any]:
        """Write `cases.csv`, `round.json` and `datalist.json`; the figures of the round.

        Raises:
            UserError: E361, no case is kept; E204 to E206, a hidden reference does not fit its image; E320.
        """
        cases = cases_to_label(self.datalist)
        hidden = {case["id"]: case for case in self.datalist.cases("hidden")}
        rows = [self._row(case, hidden.get(case["id"])) for case in cases]
        kept = [row for row in rows if row["kept"]]
        figures = {
            **teacher,
            "unlabeled": len(rows),
            "kept": len(kept),
            "share_kept": _rounded(len(kept) / len(rows)),
            **{name: _mean([row[name] for row in kept]) for name in ("confidence", "area")},
            "dice": _mean([row["dice"] for row in rows]),
            "dice_kept": _mean([row["dice"] for row in kept]),
        }
        with writing(self.folder):
            write_metrics(self.folder / "cases.csv", rows, COLUMNS)
            write_text(self.folder / "round.json", json.dumps(figures, indent=1) + "\n")
        if not kept:
            raise UserError(
                "E361",
                f"no pseudo-label of {teacher['stage']} passes the rules ({self.folder / 'cases.csv'} tells why)",
                "Train again, longer or with lower rules, for example --set minimum_area=0, into another --output",
                exit_code=DONE_IN_PART,
            )
        with writing(self.datalist_file):
            self._extended({row["id"] for row in kept}).save(self.datalist_file)
        return figures

    def _row(self, case: Case, reference: Case | None) -> Row:
        codes, name = self.datalist.labels, case["id"]
        mask = read_reference(self.mask(case), codes, case=name)
        confidence = read_image(self.confidence(case), case=name).array
        foreground = mask.array > 0
        area = float(foreground.mean())
        certain = float(confidence[foreground].mean() if foreground.any() else confidence.mean()) / 255
        reason = self.rules.dropped_by(area, certain)
        overlap = math.nan
        if reference is not None:
            ignore, stored = ignored_codes(reference), stored_codes(reference)
            truth = read_reference(reference["label"], codes, ignore=ignore, stored=stored, case=name)
            check_pair(mask, truth, {*codes, IGNORED} if ignore else codes, case=name)
            predicted = without_ignored(mask.array, truth.array)
            overlap = float(mean_of_defined(dice_by_class(predicted, truth.array, range(1, len(codes)))))
        row = {"confidence": _rounded(certain), "area": _rounded(area), "dice": _rounded(overlap)}
        return {"id": name, "kept": int(not reason), "reason": reason, **row, "centre": case.get("centre", "")}

    def _extended(self, kept: set[str]) -> Datalist:
        unlabeled = cases_to_label(self.datalist)
        pseudo = [
            {**case, "label": str(self.mask(case)), "confidence": str(self.confidence(case))}
            for case in unlabeled
            if case["id"] in kept
        ]
        dropped = [case for case in unlabeled if case["id"] not in kept]
        return replace(self.datalist, sections={**self.datalist.sections, "pseudo": pseudo, "unlabeled": dropped})


def _mean(values: Sequence[float]) -> float | None:
    """Over defined values; None where there is none, as JSON knows no NaN."""
    mean = float(mean_of_defined(values))
    return None if math.isnan(mean) else _rounded(mean)


def _rounded(value: float) -> float:
    return round(value, DIGITS)
