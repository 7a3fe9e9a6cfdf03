from __future__ import annotations

import numpy as np
import pytest

NASTY = "</script><!--<script>document.title = 'taken'</script> ü \"'&amp; $x_1$"


def case(shift=0):
    reference = np.zeros((24, 20, 12), np.uint8)
    reference[6:16, 5:14, 3:9] = 1
    return {"reference": reference, "prediction": np.roll(reference, shift, axis=0), "image": reference + 0.5}


@pytest.fixture(scope="module")
def three(evaluation, page_of):
    """The page of three evaluations of three cases."""
    shifts = {"near": (1, 1, 2), "middle": (2, 2, 3), "far": (4, 5, 3)}
    return page_of(
        *(
            evaluation(name, {f"case {number}": case(shift) for number, shift in enumerate(of_run)})
            for name, of_run in shifts.items()
        )
    )


def test_a_page_opens_from_a_file_of_any_name(evaluation, page_of, opened):
    """The fixture sees to it that nothing is complained of and nothing is fetched."""
    path = page_of(evaluation("run", {"c1": case(1), "c2": case(2)}))
    assert "ü" in path.name
    assert " " in path.name
    page = opened(path)
    assert page.title() == "Evaluation: run"
    assert page.locator("img").first.evaluate("image => image.complete && image.naturalWidth > 0")


def test_nothing_can_leave_the_page(evaluation, page_of, chromium):
    """Not even to an address inside the page, and no script or style of a stranger runs."""
    page = chromium.new_page()
    page.goto(page_of(evaluation("run", {"c": case(1)})).as_uri())
    with pytest.raises(Exception, match="Failed to fetch"):
        page.evaluate("fetch('data:text/plain,out')")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title = 1\">')")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 2'}))")
    assert page.title() == "Evaluation: run"
    page.close()


def test_nasty_names_stay_text(evaluation, page_of, opened):
    names = {"1": NASTY}
    failed = [{"id": f"lost {NASTY}", "reason": f"why {NASTY}"}]
    summary = {"labels": names, "failed": failed, "notes": [f"note {NASTY}"]}
    first = evaluation("first", {NASTY: case(1)}, run={"title": NASTY, NASTY: NASTY}, **summary)
    second = evaluation("second", {NASTY: case(2)}, run={"title": f"other {NASTY}"}, **summary)
    page = opened(page_of(first, second))
    assert page.title() == "Segmentation: 2 runs compared"
    text = page.locator("body").inner_text()
    for expected in (f"Best: {NASTY}", f"lost {NASTY}", f"why {NASTY}", f"note {NASTY}"):
        assert expected in text
    assert page.locator("script").count() == 3  # two of the page, one holds the slices
    page.locator("details.viewer > summary").click()
    canvas = page.locator("canvas")
    page.wait_for_function("document.querySelector('canvas').ariaLabel !== 'slice'")
    canvas.hover()
    assert page.locator(".readout").inner_text() == f"Reference: {NASTY} · Prediction: {NASTY}"
    assert page.locator("option").all_inner_texts() == [NASTY, f"other {NASTY}"]


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_is_wider_than_the_window(three, opened, width):
    page = opened(three, viewport={"width": width, "height": 800})
    for part in page.locator("summary").all():
        part.click()
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("canvas").first.bounding_box()["width"] > 100


def test_dark_and_light_follow_the_reader(three, opened):
    brightness = {}
    for scheme in ("dark", "light"):
        page = opened(three, color_scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness[scheme] = sum(int(part) for part in colour.strip("rgb()").split(","))
    assert brightness["dark"] < 100
    assert brightness["light"] > 700


def test_three_runs_are_compared(three, opened):
    page = opened(three)
    text = page.locator("main").inner_text()
    assert "middle is behind near by" in text
    assert "far lies 26.7 Dice points below near on 3 cases" in text  # the interval holds 0
    ranking = page.get_by_role("region", name="Ranking").locator("tbody th").all_inner_texts()
    assert ranking == ["near", "middle", "far"]
    page.get_by_text("1 more pair of runs").click()
    assert page.get_by_text("against middle").is_visible()
    assert page.locator("details.viewer").count() == 3
    heads = page.locator(".cases-table thead tr").nth(0).locator("th").all_inner_texts()
    assert [head.strip(" ↕") for head in heads] == ["Case", "Class", "near", "middle", "far"]
    page.locator(".cases-table th button", has_text="Dice").nth(2).click()
    assert page.locator(".cases-table tbody th").all_inner_texts() == ["case 1", "case 0", "case 2"]


def test_on_paper_nothing_is_folded_and_no_viewer_is_left(three, opened):
    page = opened(three)
    folded = page.get_by_text("against middle")
    assert not folded.is_visible()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert folded.is_visible()
    assert not page.locator("details.viewer").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not folded.is_visible()


def test_without_scripts_figures_and_outlines_are_there(three, opened):
    page = opened(three, java_script_enabled=False)
    assert page.locator(".planes img").count() == 27
    assert not page.locator("details.viewer").first.is_visible()
    assert not page.locator(".filter").is_visible()


def test_cases_that_failed_are_named_at_once(evaluation, page_of, opened):
    failed = [{"id": "lost", "reason": "E202 the file is empty"}]
    page = opened(page_of(evaluation("run", {"c": case(1)}, failed=failed)))
    page.get_by_role("link", name="1 case could not be scored").click()
    assert page.locator("#failed").evaluate("part => part.getBoundingClientRect().top < innerHeight")
    assert "lost E202 the file is empty" in page.locator("#failed + ul").inner_text()


def test_a_lone_run_fits_a_phone_and_its_tables_scroll(evaluation, page_of, opened):
    page = opened(page_of(evaluation("run", {"c1": case(1), "c2": case(2)})), viewport={"width": 400, "height": 800})
    assert page.locator(".scroll[aria-label^='Figures, checkpoint']").count() == 0
    further = page.get_by_role("region", name="Further metrics")
    further.evaluate("region => region.scrollTo(10000, 0)")
    assert further.evaluate("region => region.scrollLeft") > 0
    last = further.locator("td").last.bounding_box()
    assert last["x"] + last["width"] <= 400
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_further_metrics_are_unfolded_where_no_other_figures_stand(evaluation, page_of, opened):
    """One class of one predictor: all else of the section is in the cards. With a second class there is a table."""
    alone = opened(page_of(evaluation("run", {"c1": case(1), "c2": case(2)})))
    section = alone.locator("section", has=alone.get_by_role("heading", name="Figures", exact=True))
    assert section.locator("details").count() == 0
    assert section.get_by_role("region", name="Further metrics").is_visible()
    parts = case(1)
    parts["reference"][8:10, 6:8, 4:6] = 2
    beside = opened(page_of(evaluation("run", {"c1": parts}, labels={"1": "organ", "2": "lesion"})))
    assert beside.get_by_role("region", name="Figures by class").is_visible()
    assert not beside.get_by_role("region", name="Further metrics").is_visible()
    beside.get_by_text("Further metrics").click()
    assert beside.get_by_role("region", name="Further metrics").is_visible()
