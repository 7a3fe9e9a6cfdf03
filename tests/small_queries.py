"""A run with unlabeled scans to choose from, whose hidden references an oracle may read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mednoisy.cli import main
from tests.runs.test_cross_validation import arguments, write_case

POOL = ("u1", "u2", "u3", "u4", "u5")


def write_pool(folder: Path, hidden: bool = True) -> Path:
    """Three labeled scans and five unlabeled ones, u4 and u5 of one patient; the folder."""
    labeled = [write_case(folder, name, number) for number, name in enumerate(("a1", "b1", "c1"))]
    unlabeled = [write_case(folder, name, 10 + number) for number, name in enumerate(POOL)]
    references = [{"id": case["id"], "label": case.pop("label")} for case in unlabeled]
    for case in unlabeled[3:]:
        case["patient"] = "p"
    content = {
        "name": "balls",
        "channels": {"0": "noise"},
        "labels": {"0": "background", "1": "atrium"},
        "labeled": labeled,
        "unlabeled": unlabeled,
        **({"hidden": references} if hidden else {}),
    }
    (folder / "datalist.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def train(data: Path, run: Path, method: str = "supervised", folds: int | None = None, *more: str) -> Path:
    """A run of two steps; its folder."""
    words = [*more, *([] if folds else ["--validation", "0"])]
    assert main(arguments(data, run, *words, folds=folds, method=method)) == 0
    return run


def query(source: Path, output: Path, *more: str, strategy: str = "entropy", budget: int = 2) -> int:
    """The exit code of a query."""
    words = ["query", str(source), "--strategy", strategy, "--budget", str(budget), "--output", str(output)]
    return main([*words, "--device", "cpu", *more])


def read(folder: Path) -> dict:
    """`query.json` of a folder."""
    return json.loads((folder / "query.json").read_text(encoding="utf-8"))


def ids(folder: Path) -> list[str]:
    """Of the chosen cases."""
    return [case["id"] for case in read(folder)["chosen"]]


def array(path: Path) -> np.ndarray:
    from mednoisy.data.images import read_image

    return np.asarray(read_image(path).array)
