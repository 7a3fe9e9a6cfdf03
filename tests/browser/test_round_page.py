from __future__ import annotations

import json

import numpy as np
import pytest

from mednoisy.data.images import write_picture
from mednoisy.evaluation.metrics import write_metrics
from mednoisy.report.round_page import write_round_page

NASTY = "<script>document.title = 'taken' ü \"'&amp; $x_1$ 100%"


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    """The page of a round of five pictures, one of them dropped, with references."""
    folder = tmp_path_factory.mktemp("Runde über Fälle #1")
    disc = ((np.indices((48, 64)) - 24) ** 2).sum(axis=0) < 150
    names = [NASTY, "b", "c", "d", "lost"]
    for name in names:
        write_picture(folder / "images" / f"{name}.png", np.stack([90 + 80 * disc] * 3, axis=-1).astype(np.uint8))
        write_picture(folder / "masks" / f"{name}.png", 255 * disc.astype(np.uint8))
        write_picture(folder / "confidence" / f"{name}.png", np.full((48, 64), 240, np.uint8))
    entries = [{"id": name, "image": f"images/{name}.png", "label": f"masks/{name}.png"} for name in names]
    datalist = {
        "name": NASTY, "labels": {"0": "background", "1": NASTY}, "pseudo": entries[:4], "unlabeled": entries[4:],
        "hidden": [{"id": name, "label": f"masks/{name}.png"} for name in names],
    }  # fmt: skip
    (folder / "datalist.json").write_text(json.dumps(datalist))
    rows = [
        {"id": name, "kept": 1, "reason": "", "confidence": 0.9 - place / 10, "area": 0.1, "dice": 1.0, "centre": "C1"}
        for place, name in enumerate(names)
    ]
    rows[-1] |= {"kept": 0, "reason": "area"}
    write_metrics(folder / "cases.csv", rows, tuple(rows[0]))
    facts = {
        "stage": "student1", "teacher": NASTY, "teacher_step": 4, "teacher_digest": "0a", "predictor": "p", "rules": {},
        "unlabeled": 5, "kept": 4, "share_kept": 0.8, "confidence": 0.75, "area": 0.1, "dice": 1.0, "dice_kept": 1.0,
    }  # fmt: skip
    (folder / "round.json").write_text(json.dumps(facts))
    return write_round_page(folder, NASTY)


@pytest.mark.parametrize("width", [360, 1400])
def test_a_round_fits_the_window_and_nasty_names_stay_text(page_path, opened, width):
    page = opened(page_path, viewport={"width": width, "height": 800})
    assert page.title() == f"student1: pseudo-labels of this round, {NASTY}"
    assert NASTY in page.locator("main").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator(".strip").count() == 5
    shown = page.locator("img").evaluate_all("images => images.every(image => image.complete && image.naturalWidth)")
    assert shown
    first, second = (page.locator(".strip").first.locator("img").nth(number).bounding_box() for number in (0, 1))
    assert (first["y"] == second["y"]) == (width == 360)


def test_cases_of_a_round_sort_and_filter(page_path, opened):
    page = opened(page_path)
    rows = page.locator(".cases-table tbody th")
    page.locator(".cases-table th button", has_text="confidence").click()
    assert rows.all_inner_texts() == ["lost", "d", "c", "b", NASTY]
    page.get_by_role("searchbox").fill("dropped")
    assert rows.all_inner_texts() == ["lost"]
    assert page.locator("output").inner_text() == "1 of 5 rows"


def test_a_lone_case_is_no_larger_than_others(page_path, opened):
    """One case was dropped; its pictures do not fill the page."""
    page = opened(page_path, viewport={"width": 1400, "height": 800})
    assert page.locator(".strip").last.bounding_box()["width"] <= 500
