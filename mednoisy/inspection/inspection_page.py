"""The page of a dataset, and its table on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mednoisy.files import write_text
from mednoisy.inspection.case_facts import CaseFacts
from mednoisy.inspection.dataset_facts import UNSIZED, DatasetFacts, inspect_dataset
from mednoisy.report.page_rendering import rendered_page
from mednoisy.report.pictures.case_arrays import CaseArrays, largest_slice, slice_of
from mednoisy.report.pictures.case_pictures import outlined_picture
from mednoisy.report.tables.text_tables import markdown_table

THUMBNAILS, PIXELS = 60, 200  # how many cases are pictured, and how wide
SHORT_TABLE = 40  # rows that are shown at once


def write_inspection(data: Path | str, output: Path | str) -> DatasetFacts:
    """Write the page of a dataset; its facts.

    Raises:
        UserError: as `inspect_dataset`; E320, a full disk.
    """
    strips: list[dict[str, Any]] = []

    def picture(case: CaseFacts, arrays: CaseArrays) -> None:
        if len(strips) >= THUMBNAILS:
            return
        plane = "picture"
        if arrays.reference.ndim == 3:
            plane = "axial"
            arrays = slice_of(arrays, plane, largest_slice(arrays.reference, plane))
        codes = [code for code in case.voxels or {} if code]
        shown = outlined_picture(arrays, plane, case.id, PIXELS, codes)
        strips.append({"name": case.id, "section": case.section, "pictures": [shown], "why_not": ""})

    facts = inspect_dataset(data, picture)
    write_text(output, rendered_page("inspection.html", ("table.js",), _content(facts, strips)))
    return facts


def terminal_text(facts: DatasetFacts) -> str:
    """Tables and findings for a terminal."""
    tables = [markdown_table(rows, list(rows[0])) for rows in (facts.section_rows(), _classes(facts)) if rows]
    findings = "".join(f"- {finding}\n" for finding in facts.findings())
    return "\n".join([*tables, *([findings] if findings else []), f"digest {facts.digest}"])


def _classes(facts: DatasetFacts) -> list[dict[str, str]]:
    unit = facts.unit
    return [
        {(f"{key} {unit}" if key in ("median", "range") else key): v for key, v in row.items()}
        for row in facts.class_rows()
    ]


def _content(facts: DatasetFacts, strips: list[dict[str, Any]]) -> dict[str, Any]:
    labels = {code: name for code, name in facts.datalist.labels.items() if code}
    return {
        "title": f"{facts.datalist.name}: what is in the dataset",
        "protocol": facts.datalist.protocol,
        "count": len(facts.cases),
        "sections": facts.section_rows(),
        "classes": list(labels.values()),
        "class_rows": _classes(facts),
        "findings": facts.findings(),
        "faults": facts.faults,
        "digest": facts.digest,
        "strips": strips,
        "table": {
            "unfolded": len(facts.cases) <= SHORT_TABLE,
            "headings": [f"{name} {facts.unit}" for name in labels.values()],
            "rows": [_row(case, list(labels), facts.unit) for case in facts.read],
        },
    }


def _row(case: CaseFacts, codes: list[int], unit: str) -> dict[str, Any]:
    size = 1.0 if unit in UNSIZED else case.voxel_size
    volumes = [None if case.voxels is None else case.voxels[code] * size for code in codes]
    return {
        "name": case.id,
        "section": case.section,
        "size": " x ".join(map(str, case.shape)),
        "spacing": " x ".join(f"{step:.4g}" for step in case.spacing) if case.located else "not stated",
        "orientation": case.orientation,
        "numbers": [(f"{value:.6g}", value) for value in (case.lowest, case.highest)],
        "volumes": [("–", "") if volume is None else (f"{volume:.5g}", volume) for volume in volumes],
        "digest": case.image_digest,
    }
