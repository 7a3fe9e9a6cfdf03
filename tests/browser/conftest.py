"""A real browser that opens pages from files, and phantoms of which every voxel is known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mednoisy.data.images import write_nifti
from mednoisy.evaluation.metrics import TABLE_METRICS, case_metrics, write_metrics
from mednoisy.report.run_page import write_report

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The system's Chromium, driven by playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium found")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Call it with a page's path to get it opened; at the end nothing may have been complained of or fetched."""
    contexts, faults = [], []

    def open_page(path: Path, **options: Any) -> Any:
        contexts.append(chromium.new_context(**{"viewport": {"width": 1000, "height": 900}} | options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: _note_request(request.url, path, faults))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def _note_request(address: str, path: Path, faults: list[str]) -> None:
    if address != path.as_uri() and not address.startswith(("data:", "blob:")):
        faults.append(f"request of {address}")


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Call it with a name, rows of metrics and entries of `summary.json` to get the folder of an evaluation."""

    def make(name: str, rows: list[dict], **summary: Any) -> Path:
        folder = tmp_path_factory.mktemp("scored", numbered=True) / name
        write_metrics(folder / "metrics.csv", rows, ("case", "class", *TABLE_METRICS))
        content = {
            "schema": 2,
            "run": {"title": name, "cases": len({row["case"] for row in rows}), "axes": "3"},
            "labels": {"1": "organ"},
            "deployed": "prediction",
            "shown": "given",
            "checkpoints": {"given": {"step": None, "predictors": {}}},
            "cases": [],
            "versions": {"mednoisy": "0.1"},
        }
        (folder / "summary.json").write_text(json.dumps(content | summary))
        return folder

    return make


@pytest.fixture(scope="session")
def evaluation(tmp_path_factory: pytest.TempPathFactory, scored: Callable[..., Path]) -> Callable[..., Path]:
    """Call it with a name and cases (arrays by part, axes right, front, up) to get the folder of an evaluation."""

    def make(
        name: str,
        cases: dict[str, dict[str, np.ndarray]],
        spacing: tuple[float, ...] = (1.0, 1.0, 1.0),
        oriented: bool = True,
        **summary: Any,
    ) -> Path:
        folder = tmp_path_factory.mktemp("maps")
        entries, rows = [], []
        codes = [int(code) for code in summary.get("labels", {"1": "organ"})]
        for number, (case, parts) in enumerate(cases.items()):
            files = {part: folder / part / f"{number}.nii.gz" for part in parts}
            entries.append({"id": case} | {part: str(file) for part, file in files.items()})
            for part, array in parts.items():
                write_nifti(files[part], array, np.diag([*spacing, 1.0]), oriented=oriented)
            found = case_metrics(parts["prediction"], parts["reference"], spacing, codes)
            rows += [{"case": case, "class": code, **values} for code, values in found.items()]
        return scored(name, rows, cases=entries, **summary)

    return make


@pytest.fixture(scope="session")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Call it with folders to get their page, under a name that is not plain."""

    def make(*folders: Path) -> Path:
        return write_report(folders, tmp_path_factory.mktemp("page") / "Bericht über Fälle #1 100%.html")

    return make
