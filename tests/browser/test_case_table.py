from __future__ import annotations

import math
import time

import pytest

from mednoisy.evaluation.metrics import TABLE_METRICS

ROWS = ".cases-table tbody tr"


def row(case, dice, hd95=1.0):
    return {"case": case, "class": 1} | dict.fromkeys(TABLE_METRICS, 1.0) | {"dice": dice, "hd95": hd95}


@pytest.fixture
def table(scored, page_of, opened):
    """Call it with rows to get the page of their evaluation."""
    return lambda rows: opened(page_of(scored("run", rows)))


def cases(page):
    return page.locator(f"{ROWS}:visible > th").all_inner_texts()


def heading(page, name):
    return page.locator(".cases-table th", has=page.get_by_role("button", name=name))


def test_numbers_sort_as_numbers_and_undefined_ones_come_last(table):
    page = table([row("c1", 0.1, 9.5), row("c2", 0.2, 10.5), row("c3", 0.3, math.nan), row("c4", 0.4, 100.0)])
    hd95 = heading(page, "HD95")
    assert hd95.get_attribute("aria-sort") == "none"
    hd95.get_by_role("button").click()
    assert cases(page) == ["c1", "c2", "c4", "c3"]
    assert hd95.get_attribute("aria-sort") == "ascending"
    hd95.get_by_role("button").press("Enter")
    assert cases(page) == ["c4", "c2", "c1", "c3"]
    assert hd95.get_attribute("aria-sort") == "descending"
    heading(page, "Dice").get_by_role("button").press("Space")
    assert cases(page) == ["c1", "c2", "c3", "c4"]
    assert hd95.get_attribute("aria-sort") == "none"


def test_names_sort_by_the_numbers_in_them(table):
    page = table([row("case 10", 0.1), row("case 9", 0.2), row("Case 1", 0.3)])
    heading(page, "Case").get_by_role("button").click()
    assert cases(page) == ["Case 1", "case 9", "case 10"]


def test_figures_that_look_alike_sort_by_what_they_are(table):
    """All are shown as 50.0 %."""
    page = table([row("b", 0.50012), row("c", 0.50013), row("a", 0.50011)])
    heading(page, "Dice").get_by_role("button").click()
    assert cases(page) == ["a", "b", "c"]


def test_filter_by_name_and_by_what_is_undefined(table):
    page = table([row("north 1", 0.1), row("north 2", 0.2, math.nan), row("south 2", 0.3, math.nan)])
    page.get_by_label("Filter").fill("NORTH")
    assert cases(page) == ["north 1", "north 2"]
    page.get_by_label("undefined").check()
    assert cases(page) == ["north 2"]
    assert page.locator(".filter output").inner_text() == "1 of 3 rows"
    page.get_by_label("Filter").fill("")
    assert cases(page) == ["north 2", "south 2"]


def test_thousands_of_rows_sort_at_once(table):
    page = table([row(f"case {number}", (number * 7919 % 5000) / 5000) for number in range(5000)])
    page.locator(".cases-table summary").click()
    start = time.monotonic()
    heading(page, "Dice").get_by_role("button").click()
    assert page.locator(f"{ROWS} >> nth=0").locator("th").inner_text() == "case 0"
    assert time.monotonic() - start < 4  # seconds; 0.3 where nothing else is running
    page.get_by_role("button", name="Show all 5000 rows").click()
    dice = page.locator(".cases-table tbody").evaluate(
        "body => Array.from(body.rows, row => row.cells[2].dataset.value)"
    )
    assert [float(value) for value in dice] == [number / 5000 for number in range(5000)]


@pytest.mark.parametrize("width", [1024, 1280, 1920])
def test_the_last_column_is_whole_at_usual_widths(scored, page_of, opened, width):
    """Without scrolling to the side: all metrics of 24 cases with long names, so that there is a bar at the right."""
    rows = [row(f"patient{number:03d}_frame01_long_axis", number / 24, 100.25) for number in range(24)]
    page = opened(page_of(scored("run", rows)), viewport={"width": width, "height": 800})
    region = page.locator(".cases-table .scroll")
    assert len(page.locator(".cases-table thead th").all()) == 2 + len(TABLE_METRICS)
    assert region.evaluate("part => part.scrollHeight > part.clientHeight")
    assert region.evaluate("part => part.scrollWidth <= part.clientWidth")
