from __future__ import annotations

import html.parser
import json
import re

import pytest

from mednoisy.errors import UserError
from mednoisy.report.page import write_report

NASTY = "<script>alert(1)</script> ü $x_1$"


class Addresses(html.parser.HTMLParser):
    """Collects tags and everything that a browser would fetch."""

    def __init__(self):
        super().__init__()
        self.tags, self.fetched = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "srcset", "href")]


def read(path):
    parser = Addresses()
    text = path.read_text(encoding="utf-8")
    parser.feed(text)
    return text, parser


def words(text):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))


def test_one_run_is_whole_in_one_file(finished_run, tmp_path):
    run = finished_run("run", {"c1": 1, "c2": 3, NASTY: 5, "c4": None})
    text, page = read(write_report([run], tmp_path / "report.html"))
    assert page.fetched
    assert all(address.startswith("data:image/") for address in page.fetched)
    assert page.tags.count("img") == 2 + 2 + 9  # figures per case, curves, three planes of three cases
    assert len(text) < 3_000_000


def test_names_are_escaped(finished_run, tmp_path):
    run = finished_run("run", {NASTY: 1, "c2": 3}, title="<b>SDCL & co</b>", protocol='"><img src=x>')
    text, page = read(write_report([run], tmp_path / "report.html", title="<i>atria</i>"))
    assert not {"script", "b", "i"} & set(page.tags)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; ü $x_1$" in text
    assert "x" not in page.fetched


def test_undefined_values_are_counted_and_named(finished_run, tmp_path):
    run = finished_run("run", {"c1": 1, "missed": None})
    shown = words(write_report([run], tmp_path / "report.html").read_text())
    assert "SDCL: missed" not in shown
    assert "sdcl: missed, atrium: HD95, ASD" in shown
    assert "1 value undefined and left out of the means" in shown


def test_the_sentence_says_who_is_ahead_either_way(finished_run, tmp_path):
    cases = [f"c{number}" for number in range(8)]
    near = finished_run("near", dict.fromkeys(cases, 1), title="Near")
    far = finished_run("far", dict.fromkeys(cases, 4), title="Far")
    ahead = words(write_report([far, near], tmp_path / "a.html").read_text())
    behind = words(write_report([near, far], tmp_path / "b.html").read_text())
    points = re.search(r"Near is ahead of Far by ([\d.]+) Dice points on 8 test cases \(better on 8 of 8", ahead)
    assert points
    assert f"Far is behind Near by {points[1]} Dice points on 8 test cases (better on 0 of 8" in behind
    assert "p 0.008" in ahead  # 2 / 2**8
    same = words(write_report([near, near], tmp_path / "c.html").read_text())
    assert "Near (near) 2 is level with Near (near) 1 on 8 test cases" in same


def test_several_runs_are_told_apart_by_what_differs(finished_run, tmp_path):
    four, eight = (finished_run(f"run{k}", {"c1": 1, "c2": 2}, labeled=k) for k in (4, 8))
    shown = words(write_report([four, eight], tmp_path / "report.html").read_text())
    assert "sdcl, labeled 8 is level with sdcl, labeled 4" in shown


def test_a_recipe_is_told_of_all_runs_or_of_none(finished_run, tmp_path):
    """Also where the methods differ as well."""
    plain = finished_run("plain", {"c1": 1, "c2": 2}, method="bcp", recipe="default")
    strong = finished_run("strong", {"c1": 1, "c2": 2}, method="sdcl", recipe="strong")
    both = words(write_report([plain, strong], tmp_path / "both.html").read_text())
    assert "sdcl, strong is level with bcp, default" in both


def test_many_runs_show_one_plane_each(finished_run, tmp_path):
    runs = [finished_run(f"run{k}", {"c1": 1, "c2": 2, "c3": 3}, seed=k) for k in range(4)]
    _, page = read(write_report(runs, tmp_path / "report.html"))
    assert page.tags.count("img") == 3 + 4 * 3


def test_pictures_in_colour(finished_run, tmp_path):
    run = finished_run("run", {"c1": 1, "c2": 2, "c3": 3}, flat=True)
    text, page = read(write_report([run], tmp_path / "report.html"))
    assert page.tags.count("img") == 2 + 2 + 3
    assert "c1, picture plane" not in text


def test_report_can_be_made_where_images_and_curves_are_gone(finished_run, tmp_path):
    run = finished_run("run", {"c1": 1, "c2": 2})
    for file in [*(run / "images").iterdir(), run / "progress.csv", run / "scores.csv"]:
        file.unlink()
    shown = words(write_report([run], tmp_path / "a.html").read_text())
    assert "there is no image, only the outlines are shown" in shown
    for file in (run / "predictions").iterdir():
        file.unlink()
    assert "No picture: the prediction could not be found" in words(
        write_report([run], tmp_path / "b.html").read_text()
    )


@pytest.mark.parametrize("change", [{"schema": 2}, {"run": {}}, {"deployed": None}])
def test_unusable_summaries_are_refused(finished_run, tmp_path, change):
    run = finished_run("run", {"c1": 1})
    summary = json.loads((run / "summary.json").read_text()) | change
    (run / "summary.json").write_text(json.dumps({key: value for key, value in summary.items() if value is not None}))
    with pytest.raises(UserError, match=r"E402 .*summary\.json cannot be used"):
        write_report([run], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"E402 .*Give the folder of a finished run"):
        write_report([tmp_path], tmp_path / "report.html")
