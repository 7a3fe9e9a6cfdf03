"""Voxels that nobody looked at: one code for them in labels, whichever codes the datalist ignores. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

IGNORED = 255  # in labels of 8 bits, as cases are kept; so classes have codes up to 254


def without_ignored(prediction: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`prediction` with background where `reference` is `IGNORED`, of which no class counts anything there.

    Examples:
        >>> without_ignored(np.array([1, 1, 0]), np.array([1, IGNORED, 1]))
        array([1, 0, 0])
    """
    ignored = reference == IGNORED
    return np.where(ignored, 0, prediction) if ignored.any() else prediction


def codes_with_mark(codes: Sequence[int], mark: int) -> list[int]:
    """What a file holds for each class, the class itself where `codes` is empty, and for `IGNORED` the mark.

    Examples:
        >>> codes_with_mark((0, 205), 9)[205], codes_with_mark((0, 205), 9)[:2], codes_with_mark((), 9)[IGNORED]
        (205, [0, 205], 9)
    """
    table = [*codes, *range(len(codes), IGNORED)]
    return [*table[:IGNORED], mark]


def free_mark(wanted: Sequence[int], codes: Collection[int], taken: Collection[int] = ()) -> int:
    """A code of 8 bits that no class has: the first wanted one, `IGNORED`, or else the highest.

    Args:
        wanted: codes that a dataset ignores already.
        codes: of its classes.
        taken: what means something else, such as white in a mask's picture.

    Examples:
        >>> free_mark((9,), (0, 1)), free_mark((), (0, 1)), free_mark((), (0, 1, 255), (254,))
        (9, 255, 253)
    """
    free = [code for code in (*wanted, *range(IGNORED, 0, -1)) if code not in codes and code not in taken]
    return free[0]
