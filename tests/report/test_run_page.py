from __future__ import annotations

import base64
import hashlib
import html
import html.parser
import json
import re

import numpy as np
import pytest

from mednoisy.data.images import write_nifti
from mednoisy.errors import UserError
from mednoisy.evaluation.metrics import read_metrics
from mednoisy.evaluation.statistics import summarise
from mednoisy.report.run_page import write_report
from mednoisy.report.tables.terminal_tables import result_lines

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
    """What a reader sees, in one line."""
    text = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))


def change(folder, **entries):
    """Put entries into a run's summary; None takes one away."""
    summary = json.loads((folder / "summary.json").read_text()) | entries
    (folder / "summary.json").write_text(
        json.dumps({key: value for key, value in summary.items() if value is not None})
    )


def test_one_run_is_whole_in_one_file(finished_run, tmp_path):
    run = finished_run("run", {"c1": 1, "c2": 3, NASTY: 5, "c4": None})
    text, page = read(write_report([run], tmp_path / "report.html"))
    assert page.fetched
    assert all(address.startswith("data:image/") for address in page.fetched)
    plots = 2 + 2 + 1 + 2  # how they spread, case by case, Dice on validation cases, loss terms of two students
    assert page.tags.count("img") == plots + 9  # three planes of three cases
    assert len(text) < 3_000_000


def test_scripts_and_style_are_those_of_the_policy(finished_run, tmp_path):
    text, _ = read(write_report([finished_run("run", {"c1": 1, "c2": 3})], tmp_path / "report.html"))
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    parts = re.findall(r"<(style|script)>(.*?)</\1>", text, re.DOTALL)
    assert [name for name, _ in parts] == ["style", "script", "script"]
    for name, content in parts:
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert re.search(rf"{name}-src [^;]*'sha256-{re.escape(digest)}'", policy)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not re.search(r"\s(style|on\w+)=", re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL))


def test_names_are_escaped(finished_run, tmp_path):
    run = finished_run("run", {NASTY: 1, "c2": 3}, title="<b>SDCL & co</b>", protocol='"><img src=x>')
    text, page = read(write_report([run], tmp_path / "report.html", title="<i>atria</i>"))
    assert not {"b", "i"} & set(page.tags)
    assert page.tags.count("script") == 2 + 2  # two of the page, two with slices
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
    assert "p 0.008" in ahead  # 2 / 2**8; one pair needs no correction
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
    assert page.tags.count("img") == 2 + 2 + 1 + 4 * 3


def test_pictures_in_colour(finished_run, tmp_path):
    run = finished_run("run", {"c1": 1, "c2": 2, "c3": 3}, flat=True)
    text, page = read(write_report([run], tmp_path / "report.html"))
    assert page.tags.count("img") == 2 + 2 + 1 + 2 + 3
    assert "c1, picture plane" not in text
    assert "Look at the layers" in text


def test_report_can_be_made_where_images_and_curves_are_gone(finished_run, tmp_path):
    run = finished_run("run", {"c1": 1, "c2": 2})
    for file in [*(run / "images").iterdir(), run / "progress.csv", run / "scores.csv"]:
        file.unlink()
    shown = words(write_report([run], tmp_path / "a.html").read_text())
    assert "of the reference; there are no images. Outlines:" in shown
    for file in (run / "predictions").iterdir():
        file.unlink()
    assert "No picture: the prediction could not be found" in words(
        write_report([run], tmp_path / "b.html").read_text()
    )


def test_an_evaluation_of_a_folder_has_no_steps_and_no_predictors(finished_run, tmp_path):
    run = finished_run("run", {"c1": 1, "c2": 2})
    figures = summarise(read_metrics(run / "metrics.csv")).to_json()
    facts = {"title": "theirs", "predictions": "a", "tolerance": 1.0, "axes": "3"}
    change(
        run, schema=2, run=facts, shown="given", deployed="prediction",
        checkpoints={"given": {"step": None, "predictors": {"prediction": figures}}},
        failed=[{"id": "c9", "reason": "E202 it is empty"}], notes=["prediction axes turned: c2"],
    )  # fmt: skip
    for file in ("scores.csv", "progress.csv"):
        (run / file).unlink()
    shown = words(write_report([run], tmp_path / "report.html").read_text())
    assert "Evaluation: theirs theirs reaches a mean Dice of" in shown
    assert "over 2 cases, with" in shown
    assert "1 case could not be scored" in shown
    assert "c9 E202 it is empty" in shown
    assert "prediction axes turned: c2" in shown
    assert "deployed" not in shown
    assert "At step" not in shown
    (line,) = result_lines(run)
    assert line.startswith("2 cases: Dice 0.")


def test_a_page_counts_what_is_missed_and_says_what_it_would_cost(finished_run, tmp_path):
    """HD95 of an unshifted prediction is 0, so that half of the diagonal is left: of 40 x 57.6 x 48 mm it is 85.0."""
    origins = {"c1": {"patient": "p", "diagonal": 85.0}, "c2": {"patient": "p", "diagonal": 85.0}}
    one = finished_run("one", {"c1": 0, "c2": None}, origins=origins, title="one")
    shown = words(write_report([one], tmp_path / "one.html").read_text())
    assert "HD95 mm 0.00 median 0.00 1 of 2 undefined penalised 42.50" in shown
    assert "Intervals and tests are by patient: 2 cases of 1 patient." in shown
    other = finished_run("other", {"c1": 0, "c2": None}, title="other")
    shown = words(write_report([one, other], tmp_path / "both.html").read_text())
    assert "ASD mm Undefined distances Cases" in shown
    assert shown.count("penalised 42.50") >= 2
    assert "penalised not known" in shown
    assert "after Holm's correction for the one pair of runs on this page" in shown


def test_scenes_are_called_scenes(finished_run, tmp_path):
    run = finished_run("run", {"c1": 0, "c2": 1, "c3": 2}, origins={"c1": {"scene": "s"}, "c2": {"scene": "s"}})
    shown = words(write_report([run], tmp_path / "report.html").read_text())
    assert "by scene: 2 cases of 1 scene, and 1 case without one, each for itself." in shown
    assert "bootstrap resamples of scenes with all their cases" in shown


def test_run_and_folder_compare(finished_run, tmp_path):
    """Each at the checkpoint that it shows."""
    trained, given = (finished_run(name, {"c1": 1, "c2": 2, "c3": 2}, title=name) for name in ("trained", "given"))
    change(given, schema=2, shown="given", deployed="prediction", checkpoints={"given": {"step": None}})
    (given / "scores.csv").unlink()
    shown = words(write_report([trained, given], tmp_path / "report.html").read_text())
    assert "Checkpoint: honest (best on validation) and given" in shown
    assert "Given means label maps from elsewhere, scored as they are." in shown
    assert "given is level with trained on 3 test cases" in shown
    assert "Another choice of the checkpoint: final" in shown


def test_many_runs_begin_with_the_one_that_ranks_first(finished_run, tmp_path):
    runs = [finished_run(f"run{k}", {"c1": k, "c2": k + 1}, title=f"run {k}") for k in (4, 3, 0, 2, 5, 6)]
    shown = words(write_report(runs, tmp_path / "report.html").read_text())
    assert "run 0 ranks first of 6 runs by mean Dice on 2 cases, and in 100 % of the resamples" in shown
    assert "run 0 is ahead of run 4 by" in shown
    assert "run 5 is behind" not in shown
    assert "10 more pairs of runs" in shown  # of 15, 5 are with the baseline


def test_another_reference_is_told_and_left_out_of_the_slices(finished_run, tmp_path):
    runs = [finished_run(name, {"c1": 1}, title=name) for name in ("first", "second", "third")]
    (runs[2] / "references" / "0.nii.gz").write_bytes((runs[2] / "predictions" / "0.nii.gz").read_bytes())
    shown = words(write_report(runs, tmp_path / "report.html").read_text())
    assert "The reference of this case is another one in third" in shown
    assert re.search(r"Run first ?second ", shown)  # the choice of runs in the viewer


def test_an_image_on_another_grid_is_not_shown(finished_run, tmp_path):
    run = finished_run("run", {"c1": 1})
    write_nifti(run / "images" / "0.nii.gz", np.zeros((4, 4, 4), np.float32), np.eye(4))
    assert "the image is not shown: " in words(write_report([run], tmp_path / "report.html").read_text())


@pytest.mark.parametrize("changes", [{"schema": 4}, {"run": {}}, {"deployed": None}])
def test_unusable_summaries_are_refused(finished_run, tmp_path, changes):
    run = finished_run("run", {"c1": 1})
    change(run, **changes)
    with pytest.raises(UserError, match=r"E402 .*summary\.json cannot be used"):
        write_report([run], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"E402 .*Give the folder of a finished run"):
        write_report([tmp_path], tmp_path / "report.html")


def test_distances_in_different_units_are_not_compared(finished_run, tmp_path):
    metric, pixels = finished_run("metric", {"c1": 1}), finished_run("pixels", {"c1": 1}, spacing_unit="pixel")
    with pytest.raises(UserError, match=r"E403 .*metric.* in mm.*pixels.* in pixel") as caught:
        write_report([metric, pixels], tmp_path / "report.html")
    assert caught.value.code == "E403"
    assert not (tmp_path / "report.html").exists()
    write_report([pixels], tmp_path / "report.html")


def test_nsd_of_different_tolerances_is_doubted(finished_run, tmp_path):
    """A run that states none has 1 mm."""
    runs = [finished_run(name, {"c1": 1}, title=name) for name in ("plain", "same", "wide")]
    for run, facts in zip(runs, ({}, {"tolerance": 1.0}, {"tolerance": 2.5}), strict=True):
        change(run, run={"title": run.name} | facts)
    agreed = words(write_report(runs[:2], tmp_path / "a.html").read_text())
    assert "NSD cannot be compared" not in agreed
    doubted = words(write_report(runs, tmp_path / "b.html").read_text())
    assert "NSD cannot be compared: its tolerance is 1 mm in plain, 1 mm in same, 2.5 mm in wide." in doubted


def test_a_class_of_two_names_has_the_first_and_a_note(finished_run, tmp_path):
    first, second = (finished_run(name, {"c1": 1, "c2": None}, title=name) for name in ("first", "second"))
    change(second, labels={"1": "ventricle"})
    shown = words(write_report([first, second], tmp_path / "report.html").read_text())
    assert "Class 1 is atrium in first, ventricle in second; here it is called atrium." in shown
    assert shown.count("ventricle") == 1
    assert "ventricle" in words(write_report([second], tmp_path / "alone.html").read_text())


@pytest.mark.parametrize(("codes", "readable"), [(None, True), ([1, 2], True), ([1], False), ("absent", False)])
def test_files_are_read_with_the_codes_they_were_scored_with(finished_run, tmp_path, codes, readable):
    """Runs list none: then those of the classes count. A file that cannot be read leaves a note, not a page unmade."""
    run = finished_run("run", {"c1": 1, "c2": 2})
    write_nifti(run / "predictions" / "0.nii.gz", np.full((40, 48, 32), 2, np.uint8), np.diag([1.0, 1.2, 1.5, 1.0]))
    if codes != "absent":
        summary = json.loads((run / "summary.json").read_text()) | {"codes": codes}
        (run / "summary.json").write_text(json.dumps(summary))
    text, page = read(write_report([run], tmp_path / "report.html"))
    assert ("No picture: E206 case &#39;c1&#39;: " in text) is not readable
    assert page.tags.count("img") == 2 + 2 + 1 + 2 + (6 if readable else 3)


def test_a_damaged_file_leaves_a_note(finished_run, tmp_path):
    runs = [finished_run(name, {"c1": 1}, title=name) for name in ("whole", "damaged")]
    (runs[1] / "predictions" / "0.nii.gz").write_bytes(b"nothing")
    text, page = read(write_report(runs, tmp_path / "report.html"))
    assert re.search(r"No picture: E2\d\d case &#39;c1&#39;: ", text)
    assert page.tags.count("img") == 2 + 2 + 1 + 3
    assert "Look through the slices" in text


@pytest.mark.parametrize("several", [False, True])
def test_nothing_to_score_is_said(finished_run, tmp_path, several):
    run, other = (finished_run(name, {"c1": None}, title=name) for name in ("nothing", "something"))
    for name in ("metrics.csv", "scores.csv"):
        (run / name).write_text((run / name).read_text().splitlines()[0] + "\n")
    folders = [run, other] if several else [run]
    shown = words(write_report(folders, tmp_path / "report.html").read_text())
    assert "There was nothing to score in nothing: the label maps hold no class." in shown
    assert "every case has a prediction" not in shown
    if several:
        shown = words(write_report([run, run], tmp_path / "report.html").read_text())
        assert "There was nothing to score in nothing" in shown


def test_one_predictor_has_cards_and_no_table_beside_them(finished_run, tmp_path):
    run = finished_run("run", {"c1": 1, "c2": 2})
    whole = read(write_report([run], tmp_path / "whole.html"))[0]
    assert 'aria-label="Figures, checkpoint' in whole
    change(run, schema=2, shown="given", checkpoints={"given": {"step": None}})
    (run / "scores.csv").unlink()
    text = read(write_report([run], tmp_path / "report.html"))[0]
    assert 'aria-label="Figures, checkpoint' not in text
    assert "<h2>Figures</h2>" not in text  # older tables have no further metrics
    assert 'class="card"' in text


def test_an_image_that_one_run_has_serves_all(finished_run, tmp_path):
    runs = [finished_run(name, {"c1": 1}, title=name) for name in ("bare", "rich", "elsewhere")]
    for run in (runs[0], runs[2]):
        (run / "images" / "0.nii.gz").unlink()
    (runs[2] / "references" / "0.nii.gz").write_bytes((runs[2] / "predictions" / "0.nii.gz").read_bytes())
    text = write_report(runs, tmp_path / "report.html").read_text()
    assert text.count("there is no image, only the outlines are shown") == 1  # of the one with another reference
    assert '"image": null' not in text
