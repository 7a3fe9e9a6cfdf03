"""What codes mean in two folders of label maps, decided for all of their files and checked against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mednoisy.data.images import listed
from mednoisy.data.mask_greys import greys_of_folder
from mednoisy.errors import UserError
from mednoisy.evaluation.prediction_pairs import Pair

if TYPE_CHECKING:
    from mednoisy.evaluation.folder_scoring import PairResult, ScoringRules


def check_ignored(rules: ScoringRules) -> None:
    """Refuse a code that is to be scored and left out."""
    both = sorted(set(rules.ignore) & set(rules.labels or ()))
    if both:
        cause = f"code {both[0]} is to be left out and to be scored"
        raise UserError("E244", cause, "Name it in --ignore or in --labels")


def with_folder_greys(pairs: Sequence[Pair], rules: ScoringRules, workers: int) -> ScoringRules:
    """The rules with what greys mean in each folder, where pictures may show white: none of it goes file by file."""
    if rules.labels is not None and set(rules.labels) - {0} != {1}:
        return rules
    greys = {
        "prediction": greys_of_folder([pair.prediction for pair in pairs], rules.mapping, workers=workers),
        "reference": greys_of_folder([pair.reference for pair in pairs], rules.mapping, rules.ignore, workers),
    }
    return replace(rules, folder_greys={part: found for part, found in greys.items() if found is not None})


def check_codes_meet(results: Sequence[PairResult], rules: ScoringRules) -> None:
    """Refuse two folders whose classes have no code in common: every figure would be 0 or undefined."""
    if rules.labels is not None:
        return
    rows = [row for result in results for row in result.rows]
    found = {
        part: {int(row["class"]) for row in rows if float(row[f"volume_{part}"]) > 0}
        for part in ("prediction", "reference")
    }
    if all(found.values()) and not found["prediction"] & found["reference"]:
        texts = [listed([str(code) for code in sorted(codes)]) for codes in found.values()]
        cause = f"predictions hold the codes {texts[0]} and references {texts[1]}, none in common"
        raise UserError("E241", cause, "Exchange them by --map OLD=NEW, or name the classes by --labels")
