"""What labeled cases never show, and so nothing can learn."""

from __future__ import annotations

from collections.abc import Mapping

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.images import listed
from mednoisy.data.volume_slices import Slices
from mednoisy.errors import UserError


def absent_labels(cases: CachedCases | Slices, labels: Mapping[int, str]) -> list[str]:
    """A line for each class that no labeled case holds, for cases ignored throughout, and for those of empty label.

    Args:
        cases: the labeled ones.
        labels: name of each code; 0 is background.
    """
    codes_of = _codes_of(cases)
    seen = {code for codes in codes_of.values() for code in codes}
    lines = [
        f"no labeled case holds code {code} ({name}), so it cannot be learned"
        for code, name in labels.items()
        if code != 0 and code not in seen
    ]
    ignored = sorted(case for case, codes in codes_of.items() if codes == {IGNORED})
    if ignored:
        lines.append(f"every voxel is ignored in {len(ignored)} labeled cases, which teach nothing: {listed(ignored)}")
    empty = sorted(case for case, codes in codes_of.items() if codes <= {0, IGNORED} and case not in ignored)
    if empty:
        lines.append(f"the label is empty throughout in {len(empty)} labeled cases: {listed(empty)}")
    return lines


def check_looked_at(cases: CachedCases | Slices) -> None:
    """Refuse labeled cases of which nobody looked at a single voxel.

    Raises:
        UserError: E249.
    """
    codes_of = _codes_of(cases) if cases.partly_labeled else {}
    if codes_of and all(codes == {IGNORED} for codes in codes_of.values()):
        cause = f"every voxel of all {len(codes_of)} labeled cases has a code that the datalist ignores"
        raise UserError("E249", cause, "Take the code of a class out of `ignore`, or label some voxels")


def _codes_of(cases: CachedCases | Slices) -> dict[str, set[int]]:
    """The codes of each labeled case."""
    volumes = cases.cases if isinstance(cases, Slices) else cases
    return {item["id"]: set(item["label"].unique().tolist()) for item in volumes.items if "label" in item}
