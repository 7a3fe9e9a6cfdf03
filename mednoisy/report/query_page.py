"""The page of a query: which cases to annotate next, what they look like, and why these."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mednoisy.files import write_text
from mednoisy.report.number_format import UNDEFINED, fact
from mednoisy.report.page_rendering import rendered_page
from mednoisy.report.pictures.query_pictures import query_pictures
from mednoisy.report.reading.queries import PAGE, UNITS, ReadQuery, read_query

SHOWN = 50  # cases with pictures; all are in the table
FACTS = {
    "strategy": "strategy",
    "run": "run",
    "features_of": "features of",
    "members": "opinions compared",
    "map": "map of uncertainty",
    "pooling": "pooled per case by",
    "pooling_reason": "because",
    "unit": "asked for",
    "box": "box, in voxels to the right, front and top",
    "per_patient": "of a patient at most",
    "pool": "could be chosen",
    "labeled": "cases labeled already",
    "seed": "seed",
    "number": "number of the query, from 0",
}


def write_query_page(folder: Path | str) -> Path:
    """Write `query.html` of a query's folder, from its files alone; the page's path.

    Raises:
        UserError: E519, as `read_query`. An image that cannot be read leaves a note in the place of its picture.
    """
    query = read_query(folder)
    write_text(query.folder / PAGE, rendered_page("query.html", ("table.js",), _content(query)))
    return query.folder / PAGE


def _content(query: ReadQuery) -> dict:
    content, classes = query.content, [code for code in query.labels if code]
    cases = [
        {
            "rank": rank,
            "name": case["id"],
            "place": _place(query, case),
            "score": UNDEFINED if case["score"] is None else f"{case['score']:.4g}",
            "value": "" if case["score"] is None else case["score"],
            "reason": case["reason"],
            "patient": case.get("patient", ""),
        }
        for rank, case in enumerate(query.chosen, 1)
    ]
    for line, case in zip(cases[:SHOWN], query.chosen, strict=False):
        image = query.path(case, "image")
        assert image is not None  # as `read_query` has checked
        files = query.path(case, "pre_annotation"), query.path(case, "uncertainty")
        corners = (case["start"], case["stop"]) if "start" in case else None
        name = f"{case['id']} {line['place']}".strip()
        line |= query_pictures(image, *files, name, classes, query.codes, query.mark, corners)
    return {
        "title": f"{content['dataset']}: which {query.unit} next",
        "unit": query.unit,
        "units": UNITS[query.unit],
        "mark": query.mark,
        "strategy": content["strategy"],
        "oracle": content["oracle"],
        "budget": len(cases),
        "pool": content["pool"],
        "cases": cases,
        "shown": SHOWN,
        "predicted": any(case.get("pre_annotation") for case in query.chosen),
        "map": content["map"],
        "white": f"{content['uncertainty_white']:.3g}" if content["uncertainty_white"] else "",
        "classes": [query.labels[code] for code in classes],
        "patients": any(line["patient"] for line in cases),
        "failed": content["failed"],
        "facts": {
            words: fact(content[name]) for name, words in FACTS.items() if content.get(name) not in (None, "", [])
        },
        "table": {"unfolded": True, "rows": cases},
    }


def _place(query: ReadQuery, case: Mapping[str, Any]) -> str:
    """Where a slice or a box lies, in voxels of the image's file."""
    if query.unit == "slice":
        return f"slice {case['slice']} of axis {case['axis']}"
    if query.unit == "box":
        return "box " + ", ".join(f"{low}:{high}" for low, high in zip(case["start"], case["stop"], strict=True))
    return ""
