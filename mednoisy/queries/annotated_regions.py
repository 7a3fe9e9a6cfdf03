"""Labels of slices and boxes that come back from an annotator, beside those that their case has already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mednoisy.active.regions import inside
from mednoisy.data.datalist import Datalist
from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.label_maps import ignored_codes, read_reference, stored_codes
from mednoisy.errors import UserError
from mednoisy.report.reading.queries import ReadQuery


@dataclass(frozen=True)
class RegionLabels:
    """What is known of a case that was asked, before its correction is taken.

    Attributes:
        case: its id.
        corners: of the slices or boxes that were asked for; None where the whole case was.
        before: (*spatial), classes of earlier rounds, `IGNORED` where nobody looked; None where there are none.
        known: whether all that was asked for has labels already.
    """

    case: str
    corners: Sequence[tuple[Sequence[int], Sequence[int]]] | None
    before: np.ndarray | None
    known: bool

    def wanted(self, shape: Sequence[int]) -> np.ndarray:
        """(*shape), bool: where labels were asked for and are none yet.

        Raises:
            UserError: E528, a place that was asked for lies outside the image.
        """
        if self.corners is None:
            return np.ones(shape, bool)
        axes = [size for size in shape if size > 1] if len(self.corners[0][0]) != len(shape) else shape
        for _, stop in self.corners:
            if len(stop) != len(axes) or any(last > size for last, size in zip(stop, axes, strict=True)):
                cause = (
                    f"what was asked for ends at {'x'.join(map(str, stop))}, the image at {'x'.join(map(str, axes))}"
                )
                raise UserError("E528", cause, "Ask again: the image has been changed since", case=self.case)
        wanted = inside(shape, self.corners)
        return wanted if self.before is None else wanted & (self.before.reshape(shape) == IGNORED)

    def drawn(self, labels: np.ndarray) -> np.ndarray:
        """Labels of a correction where they are wanted, `IGNORED` elsewhere.

        Raises:
            UserError: E528, as `wanted`, or all of that is marked as not looked at.
        """
        if self.corners is None:
            return labels
        drawn = np.where(self.wanted(labels.shape), labels, IGNORED).astype(np.uint8)
        if (drawn == IGNORED).all():
            cause = "all that was asked for is marked as not looked at"
            raise UserError("E528", cause, "Label it, or take the file away", case=self.case)
        return drawn

    def merged(self, drawn: np.ndarray) -> np.ndarray:
        """These labels, and those of earlier rounds, which stay as they are."""
        if self.before is None:
            return drawn
        before = self.before.reshape(drawn.shape)
        return np.where(before == IGNORED, drawn, before).astype(np.uint8)


def labels_of_regions(asked: ReadQuery, datalist: Datalist, case: str) -> RegionLabels:
    """What a dataset knows of a case that was asked.

    Raises:
        UserError: E2xx, its label file cannot be read.
    """
    corners = None if asked.mark is None else asked.corners(case)
    others = {entry["id"] for section in ("validation", "test") for entry in datalist.sections[section]}
    entry = {entry["id"]: entry for entry in datalist.cases("labeled")}.get(case)
    if entry is None or corners is None or case in others:
        return RegionLabels(case, corners, None, entry is not None or case in others)
    before = read_reference(
        entry["label"], set(datalist.labels), ignore=ignored_codes(entry), stored=stored_codes(entry), case=case
    ).array
    try:
        known = not (before[inside(before.shape, corners)] == IGNORED).any()
    except ValueError:  # of another image, which is refused by its id
        known = False
    return RegionLabels(case, corners, before, known)
