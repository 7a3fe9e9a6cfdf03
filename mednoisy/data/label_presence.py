"""What labeled cases never show, and so nothing can learn."""

from __future__ import annotations

from collections.abc import Mapping

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.images import listed
from mednoisy.data.volume_slices import Slices


def absent_labels(cases: CachedCases | Slices, labels: Mapping[int, str]) -> list[str]:
    """A line for each class that no labeled case holds, and one for cases whose label is empty throughout.

    Args:
        cases: the labeled ones.
        labels: name of each code; 0 is background.
    """
    volumes = cases.cases if isinstance(cases, Slices) else cases
    codes_of = {item["id"]: set(item["label"].unique().tolist()) for item in volumes.items if "label" in item}
    seen = {code for codes in codes_of.values() for code in codes}
    lines = [
        f"no labeled case holds code {code} ({name}), so it cannot be learned"
        for code, name in labels.items()
        if code != 0 and code not in seen
    ]
    empty = sorted(case for case, codes in codes_of.items() if codes <= {0})
    if empty:
        lines.append(f"the label is empty throughout in {len(empty)} labeled cases: {listed(empty)}")
    return lines
