"""What a query has left in its folder: `query.json`, read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mednoisy.data.datalist import Datalist
from mednoisy.errors import UserError
from mednoisy.text_files import Unusable, read_json

QUERY, TABLE, PAGE = "query.json", "query.csv", "query.html"
PRE_ANNOTATIONS, UNCERTAINTY = "pre_annotations", "uncertainty"  # folders of label maps and grey maps
OF_PARTS = ("box", "per_patient", "same_patient")  # that it reads besides of slices and boxes
ASKED = (
    "strategy",
    "budget",
    "seed",
    "number",
    "rounds",
    "split",
    "split_digest",
    "pooling",
    "unit",
)  # that `annotate` reads
COLUMNS = (
    *("rank", "id", "axis", "slice", "start", "stop", "score", "uncertainty", "reason", "image", "pre_annotation"),
    "patient",
)
UNITS = {"case": "cases", "slice": "slices", "box": "boxes"}


@dataclass(frozen=True)
class ReadQuery:
    """A query.

    Attributes:
        folder: of it.
        content: of `query.json`, see docs/reference/query_file.md.
    """

    folder: Path
    content: Mapping[str, Any]

    @property
    def chosen(self) -> Sequence[Mapping[str, Any]]:
        """The chosen cases, best first."""
        chosen: Sequence[Mapping[str, Any]] = self.content["chosen"]
        return chosen

    @property
    def labels(self) -> dict[int, str]:
        """Name of each class."""
        return {int(code): str(name) for code, name in self.content["labels"].items()}

    @property
    def codes(self) -> tuple[int, ...]:
        """The source's code of each class in label maps; none where it is the class's own number."""
        return tuple(int(code) for code in self.content["codes"])

    @property
    def unit(self) -> str:
        """What was asked for, of `UNITS`."""
        return str(self.content["unit"])

    @property
    def mark(self) -> int | None:
        """The code in pre-annotations for what was not asked for; None where whole cases were."""
        return self.content.get("ignore")

    def corners(self, case: str) -> list[tuple[list[int], list[int]]]:
        """Of the slices or boxes of a case: first voxel and the one behind the last, along the axes of its file."""
        return [(entry["start"], entry["stop"]) for entry in self.chosen if entry["id"] == case and "start" in entry]

    def path(self, case: Mapping[str, Any], key: str) -> Path | None:
        """A file of a case (`image`, `pre_annotation`, `uncertainty`); None where there is none."""
        return self.folder / case[key] if case.get(key) else None


def read_query(folder: Path | str) -> ReadQuery:
    """The query of a folder.

    Raises:
        UserError: E519, it holds none, or a damaged one.
    """
    path = Path(folder) / QUERY
    cure = "Give the --output folder of a mednoisy query"
    if not path.is_file():
        raise UserError("E519", f"{folder} holds no query", cure)
    try:
        content = read_json(path)
        query = ReadQuery(Path(folder), content)
        _ = [(case["id"], case["image"], case["score"], case["reason"]) for case in query.chosen]
        _ = query.labels, query.codes, int(content["number"])
        if query.unit not in UNITS:
            raise ValueError(f"its unit is {query.unit!r}")
        if query.unit != "case":
            if not all(_is_region(entry["start"], entry["stop"]) for entry in query.chosen):
                raise ValueError(f"a {query.unit} has no place")
            if not isinstance(query.mark, int):
                raise ValueError("it names no code for what was not asked for")
        wanted = (*ASKED, *(OF_PARTS if query.unit != "case" else ()))
        if lacking := [key for key in wanted if key not in content]:
            raise ValueError(f"it has no {lacking[0]}")
        if strange := [case["id"] for case in query.chosen if not _names_a_file(case["id"])]:
            raise ValueError(f"the id {strange[0]!r} cannot be a file's name")
    except (Unusable, KeyError, TypeError, ValueError, AttributeError) as fault:
        raise UserError("E519", f"{path} is damaged: {fault}", cure) from fault
    return query


def cases_digest(datalist: Datalist) -> str:
    """16 hexadecimal digits of which cases are labeled, unlabeled, for validation and for tests."""
    sections = {name: cases for name, cases in datalist.sections.items() if name != "hidden"}
    return replace(datalist, sections=sections).split_digest


def check_no_query(folder: Path) -> None:
    """Refuse a folder that holds a query (E520); one that broke off has no `query.json` yet."""
    if (folder / QUERY).exists():
        cause = f"{folder} holds a query, whose label maps may have been corrected"
        raise UserError("E520", cause, "Give another --output")


def _names_a_file(case: str) -> bool:
    """Whether an id stays in the folder in which a file is called by it."""
    return not ("/" in case or "\\" in case or case.startswith(".") or not case)


def _is_region(start: Sequence[Any], stop: Sequence[Any]) -> bool:
    """Whether two corners hold anything."""
    pairs = zip(start, stop, strict=True)
    return len(start) in (2, 3) and all(type(low) is type(high) is int and 0 <= low < high for low, high in pairs)
