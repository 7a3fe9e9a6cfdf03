from __future__ import annotations

import base64
import html.parser
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from mednoisy.errors import UserError
from mednoisy.report.round_page import write_round_page
from mednoisy.report.run_page import write_report

NASTY = "<script>alert(1) ü $x_1$ & 100%"
MANY = {f"k{number}": (0.5 + 0.04 * number, "") for number in range(10)}
DROPPED = {"d0": (0.4, "confidence"), "d1": (0.9, "area")}


class Pictures(html.parser.HTMLParser):
    """Collects tags, addresses and the words and addresses of pictures."""

    def __init__(self):
        super().__init__()
        self.tags, self.fetched, self.of_words, self.links = [], [], {}, []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.fetched += [found[name] for name in ("src", "srcset") if name in found]
        self.links += [found["href"]] if "href" in found else []
        if tag == "img":
            self.of_words[found["alt"]] = found["src"]


def read(path):
    parser, text = Pictures(), path.read_text(encoding="utf-8")
    parser.feed(text)
    return text, parser


def words(text):
    text = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", text)))


def pixels(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGB")).astype(int)


@pytest.mark.parametrize("axes", [2, 3])
def test_a_round_is_whole_in_one_file(labeled_round, axes):
    folder = labeled_round("run/rounds/student1", MANY | DROPPED | {NASTY: (0.99, "")}, axes=axes, hidden=True)
    text, page = read(write_round_page(folder, "ours"))
    assert all(address.startswith("data:image/") for address in page.fetched)
    assert page.tags.count("script") == 1
    assert len(text) < 3_000_000
    shown = words(text)
    assert "teacher (predictor p, step 400) labeled 13 cases of Discs. student1 trains on 11 of them (85 %)." in shown
    assert "Dice to the hidden reference, all 100.0 % Dice to the hidden reference, kept 50.0 %" in shown
    assert "neither training nor the choice of the kept has seen them" in shown
    assert page.tags.count("img") == 3 + 2 * (3 + 3 + 3 + 2)
    for name in ("k0", "k1", "k2", "k4", "k5", "k6", "k8", "k9", NASTY, "d0", "d1"):
        plane = "picture plane" if axes == 2 else "axial plane, the patient's right at the left"
        assert f"{name}, where the teacher doubted, {plane}" in page.of_words


def test_without_hidden_references_nothing_is_said_of_dice(labeled_round):
    text, page = read(write_round_page(labeled_round("student1", {"a": (0.9, ""), "b": (0.5, "confidence")})))
    assert "Dice" not in words(text)
    assert page.tags.count("img") == 2 + 4
    assert 'class="key reference"' not in text


def test_doubt_is_black_where_certain_and_white_where_undecided(labeled_round):
    """Of K classes a probability of 1 / K is the least that the chosen one can have."""
    cases = {"certain": (1.0, ""), "half": (0.75, ""), "undecided": (0.5, "")}
    _, page = read(write_round_page(labeled_round("student1", cases)))
    for case, shade in {"certain": 0, "half": 127.5, "undecided": 255}.items():
        middle = pixels(page.of_words[f"{case}, where the teacher doubted, picture plane"])[120:180, 120:180]
        assert middle.mean() == pytest.approx(shade, abs=4)
    three = {"undecided": (1 / 3, "")}
    _, page = read(write_round_page(labeled_round("student2", three, classes=2)))
    assert pixels(page.of_words["undecided, where the teacher doubted, picture plane"])[120:180, 120:180].min() > 250


def test_each_case_has_a_line_that_sorts(labeled_round):
    text, _ = read(write_round_page(labeled_round("student1", MANY | DROPPED)))
    rows = re.findall(r'<tr><th scope="row">(\w+)</th><td>([^<]*)</td><td class="number" data-value="([\d.]+)">', text)
    assert len(rows) == 12
    assert rows[1] == ("k1", "kept", "0.54")
    assert rows[10:] == [("d0", "dropped: confidence", "0.4"), ("d1", "dropped: area", "0.9")]


def test_what_cannot_be_read_leaves_a_note(labeled_round):
    folder = labeled_round("student1", {"a": (0.9, ""), "b": (0.8, ""), "c": (0.7, "")})
    (folder / "masks" / "a.png").write_bytes(b"nothing")
    (folder / "confidence" / "b.png").unlink()
    text, page = read(write_round_page(folder))
    assert re.search(r"No picture: E202 case 'a'", words(text))
    assert "No picture: no confidence could be found." in words(text)
    assert page.tags.count("img") == 2 + 2


def test_ignored_codes_of_a_hidden_reference_are_no_fault(labeled_round):
    """Declared, the marked part is left out of the picture; undeclared, the reference cannot be read."""
    folder = labeled_round("student1", {"a": (0.9, "")}, hidden=True)
    marked = np.zeros((60, 80), np.uint8)
    marked[20:40, 30:50], marked[:, 60:] = 255, 128
    Image.fromarray(marked).save(folder / "reference.png")
    content = json.loads((folder / "datalist.json").read_text()) | {"hidden": [{"id": "a", "label": "reference.png"}]}
    (folder / "datalist.json").write_text(json.dumps(content))
    assert "No picture: E224 case 'a'" in words(read(write_round_page(folder))[0])
    (folder / "datalist.json").write_text(json.dumps(content | {"ignore": [128]}))
    text, page = read(write_round_page(folder))
    assert "No picture" not in words(text)
    assert page.tags.count("img") == 3 + 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("round.json", "{", "round.json cannot be used"),
        ("round.json", "{}", "it lacks stage, teacher"),
        ("cases.csv", "id,kept\na,1\n", "it lacks the column 'confidence'"),
        ("cases.csv", "id,kept,reason,confidence,area,dice\n", "it holds no case"),
        ("datalist.json", None, "No such file"),
    ],
)
def test_a_damaged_round_is_refused(labeled_round, name, content, message):
    folder = labeled_round("student1", {"a": (0.9, "")})
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(UserError, match=f"E404 .*{message}"):
        write_round_page(folder)
    assert not (folder / "page.html").exists()


def test_a_runs_page_lists_its_rounds_in_order_and_links_them(finished_run, labeled_round, tmp_path):
    run = finished_run("run", {"c1": 1, "c2": 2})
    for number in (10, 1, 2):
        folder = labeled_round(f"run/rounds/student{number}", {"a": (0.9, "")}, hidden=number == 1)
        if number != 2:
            write_round_page(folder)
    (run / "rounds" / "student11").mkdir()  # under way
    text, page = read(write_report([run], run / "report.html"))
    assert page.links == ["rounds/student1/page.html", "rounds/student10/page.html"]
    assert re.findall(r'<tr><th scope="row">(?:<a[^>]*>)?(student\d+)', text) == ["student1", "student2", "student10"]
    assert "student1 teacher 400 1 of 1 100 % 75.0 20.0 100.0 50.0" in words(text)
    _, elsewhere = read(write_report([run], tmp_path / "elsewhere.html"))
    assert elsewhere.links == []
    assert "student10" in words((tmp_path / "elsewhere.html").read_text())


def test_a_run_without_rounds_has_no_such_section(finished_run, tmp_path):
    run = finished_run("run", {"c1": 1, "c2": 2})
    assert "<h2>Rounds</h2>" not in write_report([run], tmp_path / "report.html").read_text()


def test_a_run_whose_round_is_damaged_is_refused(finished_run, labeled_round, tmp_path):
    run = finished_run("run", {"c1": 1})
    folder = labeled_round("run/rounds/student1", {"a": (0.9, "")})
    (folder / "round.json").write_text(json.dumps({"stage": "student1"}))
    with pytest.raises(UserError, match="E404"):
        write_report([run], tmp_path / "report.html")
