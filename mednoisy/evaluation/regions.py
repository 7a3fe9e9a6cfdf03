"""Overlap of regions, which unite classes: rows of a run's `regions.csv`, beside those of its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mednoisy.evaluation.metrics import Row
from mednoisy.evaluation.overlap import dice_of_sizes, jaccard_of_sizes

FILE = "regions.csv"
COLUMNS = ("case", "set", "region", "class", "dice", "jaccard")


def region_rows(
    case: str,
    prediction: np.ndarray,
    reference: np.ndarray,
    regions: Mapping[str, Mapping[str, Sequence[int]]],
    ignored: np.ndarray | None = None,
) -> list[Row]:
    """The rows of one case, one for each region of each set; Dice and Jaccard are NaN where both masks are empty.

    Args:
        case: its id.
        prediction, reference: label codes of one shape.
        regions: name of a set to name of a region to its codes; background may be among them.
        ignored: where nobody looked at the reference, of the same shape; left out of both.

    Returns:
        `set` and `region` by name, `class` the number of the region in its set, from 0.

    Examples:
        >>> sets = {"two": {"none": (0,), "any": (1, 2)}}
        >>> rows = region_rows("A1", np.array([[0, 1, 2, 2]]), np.array([[0, 0, 1, 2]]), sets)
        >>> [(row["region"], row["dice"]) for row in rows]
        [('none', 0.6666666666666666), ('any', 0.8)]
    """
    rows: list[Row] = []
    counted = np.ones(reference.shape, bool) if ignored is None else ~ignored
    for name, parts in regions.items():
        for number, (part, codes) in enumerate(parts.items()):
            masks = [np.isin(codes_of, list(codes)) & counted for codes_of in (prediction, reference)]
            sizes = [int(np.count_nonzero(mask)) for mask in (masks[0] & masks[1], *masks)]
            row: Row = {"case": case, "set": name, "region": part, "class": number}
            rows.append({**row, "dice": dice_of_sizes(*sizes), "jaccard": jaccard_of_sizes(*sizes)})
    return rows
