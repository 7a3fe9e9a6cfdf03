"""What all cases of a dataset hold together, and what of it a user should know."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mednoisy.data.datalist import Datalist
from mednoisy.data.images import listed
from mednoisy.errors import UserError
from mednoisy.inspection.case_facts import CaseFacts, look_at
from mednoisy.report.pictures.case_arrays import CaseArrays

SECTIONS = ("labeled", "unlabeled", "pseudo", "validation", "test")
Row = dict[str, str]
UNSIZED = ("voxels", "pixels")


@dataclass(frozen=True)
class DatasetFacts:
    """What a dataset holds.

    Attributes:
        datalist: of the dataset.
        cases: in the order of sections and of the datalist.
    """

    datalist: Datalist
    cases: tuple[CaseFacts, ...]

    @property
    def read(self) -> list[CaseFacts]:
        """The cases that could be read."""
        return [case for case in self.cases if not case.fault]

    @property
    def faults(self) -> list[str]:
        return [case.fault for case in self.cases if case.fault]

    @property
    def unit(self) -> str:
        """Of volumes: mm³, or voxels or pixels where some file states no size."""
        volumes = all(len(case.shape) == 3 for case in self.read)
        if self.read and all(case.located for case in self.read):
            return "mm³" if volumes else "mm²"
        return "voxels" if any(len(case.shape) == 3 for case in self.read) else "pixels"

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of ids, sections and the values of images and labels, whatever the order and format."""
        rows = sorted((case.section, case.id, case.image_digest, case.label_digest) for case in self.cases)
        return hashlib.blake2b(json.dumps(rows).encode(), digest_size=8).hexdigest()

    def section_rows(self) -> list[Row]:
        """One line for each section: counts and the ranges of sizes, spacings, orientations and intensities."""
        rows = []
        for section in SECTIONS:
            cases = [case for case in self.read if case.section == section]
            if not cases:
                continue
            spaced = [case.spacing for case in cases if case.located]
            orientations = Counter(case.orientation for case in cases)
            rows.append(
                {
                    "section": section,
                    "cases": str(len(cases)),
                    "size": _ranges([case.shape for case in cases]),
                    "voxel mm": _ranges(spaced) if spaced else "not stated",
                    "axes": ", ".join(f"{name} ({count})" for name, count in orientations.most_common()),
                    "intensities": f"{min(c.lowest for c in cases):.6g} to {max(c.highest for c in cases):.6g}",
                }
            )
        return rows

    def class_rows(self) -> list[Row]:
        """One line for each class and section with labels: in how many cases it is, and its volume there."""
        rows = []
        for section in SECTIONS:
            cases = [case for case in self.read if case.section == section and case.voxels is not None]
            for code, name in self.datalist.labels.items():
                if code == 0 or not cases:
                    continue
                sizes = [
                    (case.voxels or {})[code] * (1.0 if self.unit in UNSIZED else case.voxel_size)
                    for case in cases
                    if (case.voxels or {})[code]
                ]
                median = f"{statistics.median(sizes):.5g}" if sizes else "–"
                spread = f"{min(sizes):.5g} to {max(sizes):.5g}" if sizes else "–"
                shown = f"{len(sizes)} of {len(cases)}"
                rows.append({"class": name, "section": section, "in cases": shown, "median": median, "range": spread})
        return rows

    def findings(self) -> list[str]:
        """What a user should know, as sentences."""
        return [*self._of_labels(), *self._of_images(), *self._same_images()]

    def _of_labels(self) -> Iterable[str]:
        labeled = [case for case in self.read if case.section == "labeled" and case.voxels is not None]
        if not labeled:
            yield "No case is labeled."
        for code, name in self.datalist.labels.items():
            if labeled and not any((case.voxels or {})[code] for case in labeled):
                yield f"No labeled case shows {name!r}."
        if empty := [case.id for case in self.read if case.empty]:
            yield f"Labels that show nothing: {listed(empty)}."

    def _of_images(self) -> Iterable[str]:
        for case in self.read:
            for value, count in case.no_data:
                yield f"{case.id}: {count} voxels are {value:.4g}, which stands for no data and hides all else."
        volumes = [case for case in self.read if len(case.shape) == 3]
        if unknown := [case.id for case in volumes if case.orientation == "not stated"]:
            yield f"Files that do not state where the patient's right is: {listed(unknown)}."
        if len(channels := Counter(case.channels for case in self.read)) > 1:
            yield f"Images have {', '.join(f'{n} channels ({count})' for n, count in sorted(channels.items()))}."

    def _same_images(self) -> Iterable[str]:
        same: dict[str, list[CaseFacts]] = defaultdict(list)
        for case in self.read:
            same[case.image_digest].append(case)
        for cases in same.values():
            if len(cases) > 1:
                names = listed([f"{case.id} ({case.section})" for case in cases])
                leak = len({"training" if c.section in SECTIONS[:3] else c.section for c in cases}) > 1
                yield f"The same image, voxel for voxel: {names}." + (
                    " Figures on it would be worthless." if leak else ""
                )


def inspect_dataset(data: Path | str, picture: Callable[[CaseFacts, CaseArrays], None] | None = None) -> DatasetFacts:
    """The facts of a dataset.

    Args:
        data: its folder, or a datalist.
        picture: is given each case that could be read, with its arrays.

    Raises:
        UserError: E210 to E226, a datalist that cannot be used; E365, it has no case.
    """
    path = Path(data)
    datalist = Datalist.load(path / "datalist.json" if path.is_dir() or path.suffix != ".json" else path)
    listed_cases = [(section, case) for section in SECTIONS for case in datalist.cases(section)]
    if not listed_cases:
        raise UserError("E365", f"{datalist.source} lists no case", "Prepare the dataset again, or mend the path")
    found = []
    for section, case in tqdm(listed_cases, desc="inspect", unit="case", disable=None):
        facts, arrays = look_at(case, section, datalist.labels, datalist.ignore)
        found.append(facts)
        if picture is not None and arrays is not None:
            picture(facts, arrays)
    return DatasetFacts(datalist, tuple(found))


def _ranges(values: Sequence[Sequence[float]]) -> str:
    """`160 to 192 x 160 x 88`: along each axis the least and the greatest; of files with fewer axes apart."""
    texts = []
    for axes in sorted({len(value) for value in values}, reverse=True):
        along = zip(*(value for value in values if len(value) == axes), strict=True)
        ends = [(f"{min(ones):.4g}", f"{max(ones):.4g}") for ones in along]
        texts.append(" x ".join(low if low == high else f"{low} to {high}" for low, high in ends))
    return "; ".join(texts)
