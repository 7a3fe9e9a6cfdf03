"""Every expected pixel is worked out from the planted arrays: x to the right, y to the front, z up, shown mirrored."""

from __future__ import annotations

import numpy as np
import pytest

from mednoisy.data.images import write_picture
from mednoisy.evaluation.metrics import case_metrics

SHAPE = (12, 10, 6)
PIXELS = """(canvas, [rows, columns]) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const all = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  const at = (share, size) => Math.floor(share * size);
  return Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, c) => {
    const from = 4 * (at((r + 0.5) / rows, canvas.height) * canvas.width + at((c + 0.5) / columns, canvas.width));
    return [...all.slice(from, from + 3)];
  }));
}"""

COUNT = """(canvas, colour) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const all = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  const alike = (from) => colour.every((value, channel) => Math.abs(all[from + channel] - value) < 40);
  for (let from = 0; from < all.length; from += 4) count += alike(from);
  return count;
}"""
BLACK, BLUE, ORANGE = (0, 0, 0), (0x3F, 0xD0, 0xFF), (0xFF, 0x9A, 0x3C)  # BLUE is the reference's


def plane(array, name, number):
    """A plane as it is shown: rows from the top, columns from the left."""
    axis = {"sagittal": 0, "coronal": 1, "axial": 2}[name]
    return np.take(array, number, axis=axis).T[::-1, ::-1]


def look(page, case=0):
    """Open the viewer of a case; its canvas."""
    viewer = page.locator("details.viewer").nth(case)
    viewer.locator("summary").click()
    page.wait_for_function(
        "viewer => viewer.querySelector('canvas').ariaLabel !== 'slice'", arg=viewer.element_handle()
    )
    return viewer.locator("canvas")


def pixels(canvas, shape):
    """Colour in the middle of each voxel of the plane that is shown, (rows, columns, 3)."""
    return np.array(canvas.evaluate(PIXELS, list(shape)))


def only(page, *layers):
    """Show these layers and no others."""
    for button in page.locator(".viewer[open] [data-layer]").all():
        wanted = button.get_attribute("data-layer") in layers
        if button.is_enabled() and (button.get_attribute("aria-pressed") == "true") != wanted:
            button.click()


def words(canvas):
    return canvas.get_attribute("aria-label")


@pytest.fixture(scope="module")
def planted():
    """A case whose prediction misses one voxel of a block and has another too much; grey tells back from front."""
    image = np.zeros(SHAPE, np.float32)
    image[6:, 5:], image[6:, :5] = 1, 0.5
    reference = np.zeros(SHAPE, np.uint8)
    reference[3:9, 3:7, 1:5] = 1
    prediction = reference.copy()
    prediction[3, 3, 2], prediction[10, 8, 2] = 0, 1
    return {"image": image, "reference": reference, "prediction": prediction}


@pytest.fixture(scope="module")
def planted_page(planted, evaluation, page_of):
    return page_of(evaluation("run", {"c": planted}, spacing=(1.0, 1.0, 2.0)))


def test_every_plane_shows_the_image_the_right_way_round(planted_page, opened, planted):
    page = opened(planted_page)
    canvas = look(page)
    only(page, "image")
    for name, number, extent in (("axial", 2, (12, 10)), ("coronal", 5, (12, 12)), ("sagittal", 7, (10, 12))):
        page.get_by_role("button", name=name).click()
        axis = ("sagittal", "coronal", "axial").index(name)
        page.locator(".slice input").fill(str(number))
        assert words(canvas).startswith(f"{name} slice {number + 1} of {SHAPE[axis]}")
        expected = 255 * plane(planted["image"], name, number)
        shown = pixels(canvas, expected.shape)
        away = np.abs(shown - expected[..., None])
        assert np.median(away) <= 4  # of 255, for the JPEG
        assert (away > 60).mean() < 0.2  # along the edges, which are smoothed
        box = canvas.bounding_box()
        assert box["width"] / box["height"] == pytest.approx(extent[0] / extent[1], rel=0.02)


def test_disagreement_is_exactly_the_voxels_that_differ(planted_page, opened, planted):
    page = opened(planted_page)
    canvas = look(page)
    only(page, "disagreement")
    for number in range(SHAPE[2]):
        page.locator(".slice input").fill(str(number))
        missed = plane(planted["reference"] > planted["prediction"], "axial", number)
        extra = plane(planted["prediction"] > planted["reference"], "axial", number)
        shown = pixels(canvas, missed.shape)
        assert np.array_equal(shown.any(axis=-1), missed | extra)
        if number == 2:
            assert np.allclose(shown[missed], 0.6 * np.array(BLUE), atol=2)
            assert np.allclose(shown[extra], 0.6 * np.array(ORANGE), atol=2)


def test_wheel_keys_slider_and_swipe_move_through_the_slices(planted_page, opened):
    page = opened(planted_page)
    canvas = look(page)
    page.locator(".slice input").fill("2")
    assert words(canvas).startswith("axial slice 3 of 6")
    canvas.focus()
    page.keyboard.press("ArrowUp")
    assert words(canvas).startswith("axial slice 4 of 6")
    page.keyboard.press("PageDown")
    assert words(canvas).startswith("axial slice 1 of 6")
    page.keyboard.press("c")
    assert words(canvas).startswith("coronal slice")
    page.keyboard.press("a")
    canvas.hover()
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, -100)
    page.wait_for_function("document.querySelector('canvas').ariaLabel.startsWith('axial slice 2 of 6')")
    assert page.evaluate("scrollY") == before
    canvas.dispatch_event("pointerdown", {"pointerType": "touch", "clientX": 100, "clientY": 300})
    canvas.dispatch_event("pointermove", {"pointerType": "touch", "clientX": 130, "clientY": 300})
    assert words(canvas).startswith("axial slice 4 of 6")
    assert page.locator(".slice output").inner_text() == "axial slice 4 of 6"
    assert page.locator(".slice input").input_value() == "3"


def test_layers_toggle_by_button_and_key(planted_page, opened):
    page = opened(planted_page)
    canvas = look(page)
    only(page)
    everything = canvas.evaluate(COUNT, BLACK)
    for key, layer, colour in (("r", "reference", BLUE), ("p", "prediction", ORANGE)):
        button = page.get_by_role("button", name=layer, exact=True)
        canvas.focus()
        page.keyboard.press(key)
        assert button.get_attribute("aria-pressed") == "true"
        assert words(canvas).endswith(f"shown: {layer}")
        assert canvas.evaluate(COUNT, colour) > 500
        button.click()
        assert words(canvas).endswith("shown: nothing")
        assert canvas.evaluate(COUNT, BLACK) == everything
    canvas.focus()
    page.keyboard.press("i")
    assert canvas.evaluate(COUNT, (255, 255, 255)) > everything / 6


def test_label_codes_survive_exactly(evaluation, page_of, opened):
    codes = [1, 2, 3, 77, 127, 128, 200, 255, 256, 300]
    reference = np.zeros((12, 10, 3), np.int16)
    reference[1:11, 2:8] = np.array(codes)[:, None, None]
    prediction = reference[::-1].copy()  # so that both are told apart
    names = {str(code): f"class number {code}" for code in codes}
    parts = {"reference": reference, "prediction": prediction}
    page = opened(page_of(evaluation("run", {"c": parts}, labels=names)))
    canvas = look(page)
    assert page.get_by_role("button", name="image").is_disabled()
    box = canvas.bounding_box()
    for x in range(12):
        canvas.hover(position={"x": (11 - x + 0.5) / 12 * box["width"], "y": box["height"] / 2})
        found = page.locator(".readout").inner_text()
        both = [names.get(str(mask[x, 5, 1]), "background") for mask in (reference, prediction)]
        assert found == f"Reference: {both[0]} · Prediction: {both[1]}"
    only(page, "disagreement")
    shown = pixels(canvas, (10, 12))
    assert np.array_equal(shown.any(axis=-1), plane(reference != prediction, "axial", 1))


def test_one_viewer_shows_all_runs(evaluation, page_of, opened, planted):
    other = planted | {"prediction": planted["reference"]}
    page = opened(page_of(evaluation("first", {"c": planted}), evaluation("second", {"c": other})))
    assert page.locator("details.viewer").count() == 1
    canvas = look(page)
    only(page, "disagreement")
    page.locator(".slice input").fill("2")
    assert pixels(canvas, SHAPE[1::-1]).any(axis=-1).sum() == 2
    page.get_by_label("Run").select_option("second")
    assert not pixels(canvas, SHAPE[1::-1]).any()


def test_a_picture_in_colour_has_layers_and_no_slices(scored, page_of, opened, tmp_path):
    colour = np.zeros((40, 60, 3), np.uint8)
    colour[:20], colour[20:] = (200, 40, 40), (40, 160, 40)
    reference = np.zeros((40, 60), bool)
    reference[10:30, 15:45] = True
    prediction = np.roll(reference, 4, axis=0)
    files = {"image": colour, "reference": reference, "prediction": prediction}
    for part, array in files.items():
        write_picture(tmp_path / f"{part}.png", array)
    rows = [{"case": "c", "class": 1, **case_metrics(prediction, reference, (1, 1))[1]}]
    entries = [{"id": "c"} | {part: str(tmp_path / f"{part}.png") for part in files}]
    page = opened(page_of(scored("run", rows, cases=entries)))
    canvas = look(page)
    assert words(canvas).startswith("Picture, shown: image")
    assert not page.locator(".slice").is_visible()
    only(page, "image")
    shown = pixels(canvas, (40, 60))
    assert np.abs(shown[:18] - (200, 40, 40)).max() < 24  # JPEG halves the colours' resolution
    assert np.abs(shown[22:] - (40, 160, 40)).max() < 24
    only(page, "disagreement")
    assert np.array_equal(pixels(canvas, (40, 60)).any(axis=-1), reference != prediction)


def test_a_large_volume_is_thinned_out_and_the_page_says_so(evaluation, page_of, opened):
    mask = np.zeros((200, 220, 100), np.uint8)
    mask[2:-2, 2:-2, 2:-2] = 1
    page = opened(page_of(evaluation("run", {"c": {"reference": mask, "prediction": mask}})))
    canvas = look(page)
    assert "one voxel of 2 × 1 × 1 is shown" in page.locator(".viewer").inner_text()
    page.locator(".slice input").fill("49")
    assert words(canvas).startswith("axial slice 100 of 100")


@pytest.fixture(scope="module")
def bright_at_the_right():
    """A case whose image is bright at the patient's right, where x is large."""
    image = np.zeros(SHAPE, np.float32)
    image[7:] = 1
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:9, 3:7, 1:5] = 1
    return {"image": image, "reference": mask, "prediction": mask}


def test_marks_stand_at_the_sides_that_they_name(bright_at_the_right, evaluation, page_of, opened):
    page = opened(page_of(evaluation("run", {"c": bright_at_the_right})))
    frames = page.locator(".framed").all()
    assert [frame.locator(".side").all_inner_texts() for frame in frames] == [["R", "L"], ["R", "L"], ["A", "P"]]
    for frame in frames:
        box = frame.locator("img").bounding_box()
        left, right = (mark.bounding_box()["x"] for mark in frame.locator(".side").all())
        assert box["x"] < left < box["x"] + box["width"] / 4
        assert box["x"] + box["width"] * 3 / 4 < right < box["x"] + box["width"]
    canvas = look(page)
    only(page, "image")
    shown = pixels(canvas, SHAPE[1::-1]).mean(axis=-1)
    assert shown[:, :3].mean() > 200 > 50 > shown[:, -3:].mean()
    stage = page.locator(".stage")
    assert (stage.get_attribute("data-left"), stage.get_attribute("data-top")) == ("R", "A")


def test_no_side_is_named_where_files_state_none(bright_at_the_right, evaluation, page_of, opened):
    page = opened(page_of(evaluation("run", {"c": bright_at_the_right}, oriented=False)))
    assert page.locator(".framed").count() == 3
    assert page.locator(".side").count() == 0
    look(page)
    page.get_by_role("button", name="coronal").click()
    stage = page.locator(".stage")
    assert (stage.get_attribute("data-left"), stage.get_attribute("data-top")) == (None, None)
    assert "counted from" not in page.locator("details.viewer").inner_text()
