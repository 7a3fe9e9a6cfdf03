from __future__ import annotations

import base64
import io
import itertools
import math
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mednoisy.report.plots.plot_kinds import DOTS_PER_INCH, WIDTH, bland_altman, curves, distributions, dots_per_case


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def axes_drawn(monkeypatch):
    """The axes of each picture made, light then dark, as they were when it was saved."""
    found = []
    save = Figure.savefig

    def saved(figure, *arguments, **options):
        found.append(figure)
        save(figure, *arguments, **options)
        figure.canvas.draw()  # at the figure's own resolution again, so that extents fit together

    monkeypatch.setattr(Figure, "savefig", saved)
    return found


def picture(address):
    kind, content = address.split(",", 1)
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()] if figure.legends else []


VALUES = {"a": {"c1": 80.0, "c2": 90.0, "c3": 85.0}, "b": {"c1": 70.0, "c2": math.nan, "c3": 75.0}}
VOLUMES = {"a": ([11.0, 23.0, 35.0], [10.0, 20.0, 30.0]), "b": ([8.0, math.nan], [10.0, 20.0])}
PLOTS = {
    "distributions": lambda: distributions(VALUES, "Dice %", "how Dice spreads"),
    "bland_altman": lambda: bland_altman(VOLUMES, "ml", "volumes"),
    "dots_per_case": lambda: dots_per_case(VALUES, "Dice %", "cases", higher_is_better=True),
    "curves": lambda: curves({"a": ([1, 2], [3.0, 4.0]), "b": ([1, 2], [2.0, 1.0])}, "loss", "curves"),
}


@pytest.mark.parametrize("make", PLOTS.values(), ids=PLOTS)
def test_plots_repeat_and_come_light_and_dark(make):
    plot = make()
    assert make() == plot
    light, dark = picture(plot.light), picture(plot.dark)
    assert light.size == dark.size
    assert light.width == round(WIDTH * DOTS_PER_INCH)
    assert plot.light != plot.dark
    assert light.getchannel("A").getextrema() == (0, 255)


def test_undefined_cases_have_no_dot_and_are_counted(axes_drawn):
    distributions(VALUES | {"none": {"c1": math.nan}}, "Dice %", "")
    (axes,) = axes_drawn[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b\n(1 undefined)", "none\n(1 undefined)"]
    assert [line.get_xdata().tolist() for line in axes.lines] == [[80, 85, 90], [70, 75]]
    top, bottom = axes.transData.transform([(80, 0), (80, 1)])[:, 1]
    assert top > bottom


def test_names_of_twelve_series_do_not_overlap(axes_drawn):
    names = [f"a method with a long name, published recipe, seed {number}" for number in range(12)]
    distributions({name: {"c1": 1.0, "c2": math.nan} for name in names}, "HD95 mm", "")
    (axes,) = axes_drawn[0].axes
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))
    assert min(box.x0 for box in boxes) >= 0
    assert len({label.get_text() for label in axes.get_yticklabels()}) == 12


def test_thousands_of_cases_are_drawn():
    values = np.random.Generator(np.random.PCG64(0)).gamma(2, 3, 3000)
    plot = distributions({"many": {str(number): float(value) for number, value in enumerate(values)}}, "HD95 mm", "")
    assert len(plot.light) < 300_000


def test_one_series_names_its_limits_in_the_plot(axes_drawn):
    """Differences 1, 3, 5: bias 3, standard deviation 2."""
    bland_altman({"a": VOLUMES["a"]}, "ml", "")
    (axes,) = axes_drawn[0].axes
    assert [text.get_text() for text in axes.texts] == ["−1.96 sd\n−0.92 ml", "bias\n+3.00 ml", "+1.96 sd\n+6.92 ml"]
    dots = next(line for line in axes.lines if len(line.get_xdata()) == 3)
    assert dots.get_xdata().tolist() == [10.5, 21.5, 32.5]
    assert dots.get_ydata().tolist() == [1, 3, 5]
    assert (axes.get_xscale(), axes.get_yscale(), legend(axes_drawn[0])) == ("linear", "linear", [])


def test_several_series_name_their_limits_in_the_legend(axes_drawn):
    bland_altman(VOLUMES, "ml", "")
    assert legend(axes_drawn[0]) == ["a: bias +3.00, limits −0.92 to +6.92 ml", "b"]
    assert not axes_drawn[0].axes[0].texts


@pytest.mark.parametrize("length", [3, 15, 20, 40, 80])
def test_legends_stay_within_the_picture(axes_drawn, length):
    names = [f"{number} {'name ' * 20}"[:length] + f"{number}" for number in range(7)]
    curves({name: ([1, 2], [1.0, 2.0]) for name in names}, "loss", "")
    box = axes_drawn[0].legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= axes_drawn[0].bbox.x1
    assert axes_drawn[0].axes[0].get_window_extent().height > 2 * axes_drawn[0].dpi
    assert len(set(legend(axes_drawn[0]))) == 7


@pytest.mark.parametrize("name", ["$x_1", "_hidden", "<script>&", "a\nb", "naïve Überlauf", "x" * 300, " "])
def test_any_name_can_be_drawn(name):
    distributions({name: {name: 1.0, "b": 2.0}, "other": {"b": 1.0}}, name, name)
    bland_altman({name: ([1.0, 2.0], [1.0, 1.0]), "other": ([1.0], [1.0])}, "ml", name)
    dots_per_case({name: {name: 1.0}, "other": {name: 1.0}}, "Dice %", name, higher_is_better=True)


@pytest.mark.parametrize(("values", "limits"), [([99.0, 100.0], (0, 100)), ([0.0, 1.0], (0, None)), ([0.0], (0, None))])
@pytest.mark.parametrize("kind", ["distributions", "dots_per_case", "curves"])
def test_axes_end_where_values_do(axes_drawn, kind, values, limits):
    """And dots on the border are whole."""
    of_case = {"a": {f"c{number}": value for number, value in enumerate(values)}}
    if kind == "distributions":
        distributions(of_case, "x", "words", limits=limits)
    elif kind == "dots_per_case":
        dots_per_case(of_case, "x", "words", higher_is_better=True, limits=limits)
    else:
        curves({"a": (list(range(len(values))), values)}, "x", "words", limits=limits)
    (axes,) = axes_drawn[0].axes
    low, high = axes.get_ylim() if kind == "curves" else axes.get_xlim()
    assert low == 0 if values[0] == 0 else 90 < low < 99
    assert high == 100 if limits[1] else high > values[-1]
    assert axes.lines
    assert not any(line.get_clip_on() for line in axes.lines)
