"""`mednoisy query`: what it writes, what it leaves out, what it refuses."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import monai.bundle
import numpy as np
import pytest

from mednoisy.active.catalogue import STRATEGIES
from mednoisy.active.pool import Pick
from mednoisy.cli import main
from mednoisy.cli import query as command
from mednoisy.errors import UserError
from mednoisy.queries.query_to_folder import Sources, query_to_folder
from mednoisy.queries.question import Question
from tests.runs.test_cross_validation import refusal
from tests.small_queries import POOL, array, ids, query, read, train, write_pool

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    return train(data, tmp_path_factory.mktemp("runs") / "run")


def test_a_query_is_a_folder_of_its_own(run, data, tmp_path, capsys):
    """Ranked, with scores and reasons; each chosen case predicted as `mednoisy predict` would."""
    output = tmp_path / "query"
    assert query(run, output, budget=3) == 0
    told = capsys.readouterr().out
    content = read(output)
    chosen = content["chosen"]
    assert [line.split()[0] for line in told.splitlines()[:3]] == ids(output)
    assert [case["score"] for case in chosen] == sorted([case["score"] for case in chosen], reverse=True)
    assert content["pool"] == 5
    assert content["labeled"] == 3
    assert content["pooling"] == "mean"
    assert content["run_facts"] == {"dataset": "phantom", "method": "supervised", "recipe": "default", "steps": 2}
    with open(output / "query.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["id"] for row in rows} == {*POOL}
    assert [row["rank"] for row in rows] == ["1", "2", "3", "", ""]
    assert all(float(row["uncertainty"]) > 0 and (output / row["image"]).is_file() for row in rows)
    words = ["predict", str(run), *(str(output / case["image"]) for case in chosen), "--device", "cpu"]
    assert main([*words, "--output", str(tmp_path / "predicted")]) == 0
    for case in chosen:
        made = output / case["pre_annotation"]
        np.testing.assert_array_equal(array(made), array(tmp_path / "predicted" / made.name))
        assert array(output / case["uncertainty"]).max() > 200  # an untrained network doubts nearly everything
    page = (output / "query.html").read_text(encoding="utf-8")
    assert page.count("<img") == 6
    assert "No picture" not in page
    assert all(f"{rank}. {case['id']}" in page for rank, case in enumerate(chosen, 1))
    assert chosen[0]["reason"] in page


def test_the_same_seed_has_the_same_answer_and_features_are_not_computed_twice(run, tmp_path, monkeypatch):
    first, again = tmp_path / "a", tmp_path / "b"
    assert query(run, first, "--seed", "3", strategy="kcenter") == 0
    assert query(run, again, "--seed", "3", strategy="kcenter") == 0
    for name in ("query.json", "query.csv", "features.h5"):
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
    monkeypatch.setattr("mednoisy.queries.scored_pool.pooled_bottleneck", None)  # whoever calls it fails
    (first / "query.json").unlink()  # as if it had been interrupted
    assert query(run, first, "--seed", "3", strategy="kcenter") == 0
    assert query(run, tmp_path / "c", "--features", str(again / "features.h5"), strategy="kcenter") == 0
    assert ids(first) == ids(again) == ids(tmp_path / "c")


def test_features_of_another_run_are_refused(run, data, tmp_path, capsys):
    other = train(data, tmp_path / "other", "supervised", None, "--seed", "1")
    assert query(other, tmp_path / "theirs", strategy="kcenter") == 0
    words = ["query", str(run), "--strategy", "kcenter", "--budget", "2", "--output", str(tmp_path / "out")]
    told = refusal(capsys, [*words, "--features", str(tmp_path / "theirs" / "features.h5"), "--device", "cpu"])
    assert "E511" in told
    assert "does not belong here: its network is" in told
    assert not (tmp_path / "out").exists()


def test_features_are_of_an_image_not_of_its_name(run, data, tmp_path, capsys):
    """Two folders hold another scan of the same name: what is known of the one is not used for the other."""
    for name, source in (("A", "u1"), ("B", "u2")):
        (tmp_path / name).mkdir()
        shutil.copy(data / "images" / f"{source}.nii.gz", tmp_path / name / "s0.nii.gz")
        shutil.copy(data / "images" / "u3.nii.gz", tmp_path / name / "s1.nii.gz")
    words = {name: ("--images", str(tmp_path / name)) for name in "AB"}
    for name, output in (("A", "a"), ("B", "b"), ("A", "again")):
        assert query(run, tmp_path / output, *words[name], strategy="kcenter") == 0
    (tmp_path / "again" / "query.json").unlink()
    assert query(run, tmp_path / "again", *words["B"], strategy="kcenter") == 0
    features = {name: (tmp_path / name / "features.h5").read_bytes() for name in ("a", "b", "again")}
    assert features["again"] == features["b"] != features["a"]
    given = ["query", str(run), *words["B"], "--features", str(tmp_path / "a" / "features.h5"), "--device", "cpu"]
    told = refusal(capsys, [*given, "--strategy", "kcenter", "--budget", "1", "--output", str(tmp_path / "out")])
    assert re.search("E511 case 's0': .*made of another image", told), told


def test_what_a_file_of_features_lacks_is_computed(run, tmp_path, data):
    """As that of a query which left a case out."""
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in POOL:
        shutil.copy(data / "images" / f"{name}.nii.gz", scans / f"v{name}.nii.gz")
    (scans / "vu3.nii.gz").write_bytes(b"torn")
    words = ("--images", str(scans), "--same-patient")
    assert query(run, tmp_path / "first", *words, strategy="kcenter") == 1
    again = (*words, "--features", str(tmp_path / "first" / "features.h5"))
    assert query(run, tmp_path / "torn", *again, strategy="kcenter") == 1
    shutil.copy(data / "images" / "u3.nii.gz", scans / "vu3.nii.gz")
    assert query(run, tmp_path / "whole", *again, strategy="kcenter", budget=5) == 0
    assert sorted(ids(tmp_path / "whole")) == [f"v{name}" for name in POOL]


def test_a_case_whose_features_are_not_finite_is_left_out_and_never_stored(run, tmp_path, capsys, monkeypatch):
    from mednoisy.queries import scored_pool

    seen: list[int] = []

    def feature(*words):
        seen.append(len(seen))
        made = pooled_bottleneck(*words)
        return np.full_like(made, np.nan) if len(seen) == 2 else made

    pooled_bottleneck = scored_pool.pooled_bottleneck
    monkeypatch.setattr(scored_pool, "pooled_bottleneck", feature)
    assert query(run, tmp_path / "out", strategy="kcenter") == 1
    assert "E393 case 'u2': its features are not finite numbers" in capsys.readouterr().err
    assert [case["id"] for case in read(tmp_path / "out")["failed"]] == ["u2"]
    (tmp_path / "out" / "query.json").unlink()
    assert query(run, tmp_path / "out", strategy="kcenter") == 0
    assert len(seen) == 8 + 1


def test_images_of_a_folder_are_chosen_from_but_for_the_labeled(run, data, tmp_path):
    output = tmp_path / "query"
    scans = tmp_path / "scans"
    scans.mkdir()
    shutil.copy(data / "images" / "u1.nii.gz", scans / "new.nii.gz")
    everything = ("--images", str(data / "images"), str(scans))
    assert query(run, output, *everything, "--duplicates", "--same-patient", budget=6) == 0
    assert sorted(ids(output)) == sorted([*POOL, "new"])
    assert {case["id"] for case in read(output)["chosen"] if case.get("patient") == "p"} == {"u4", "u5"}
    assert query(run, tmp_path / "distinct", *everything, "--same-patient", budget=5) == 0
    assert not {"u1", "new"} <= {*ids(tmp_path / "distinct")}  # the same scan twice


@pytest.mark.parametrize("name", ["a1", "u2"])
def test_a_new_scan_is_not_called_as_a_listed_one(name, run, data, tmp_path, capsys):
    shutil.copy(data / "images" / "u1.nii.gz", tmp_path / f"{name}.nii.gz")
    words = ["query", str(run), "--output", str(tmp_path / "out"), "--strategy", "entropy", "--budget", "1"]
    told = refusal(capsys, [*words, "--images", str(tmp_path / f"{name}.nii.gz")])
    assert f"E207 case '{name}'" in told
    assert not (tmp_path / "out").exists()


def test_a_case_that_cannot_be_read_is_named_and_the_rest_ranked(run, data, tmp_path, capsys):
    scans = tmp_path / "scans"
    scans.mkdir()
    for number in range(1, 6):  # copies: no patient is known
        shutil.copy(data / "images" / f"u{number}.nii.gz", scans / f"v{number}.nii.gz")
    (scans / "v3.nii.gz").write_bytes(b"torn")
    assert query(run, tmp_path / "query", "--images", str(scans), budget=4) == 1
    assert "mednoisy: E202 case 'v3'" in capsys.readouterr().err
    assert sorted(ids(tmp_path / "query")) == ["v1", "v2", "v4", "v5"]
    assert [case["id"] for case in read(tmp_path / "query")["failed"]] == ["v3"]
    assert "v3: E202" in (tmp_path / "query" / "query.html").read_text(encoding="utf-8")


def test_a_cold_start_takes_features_of_any_run_or_chances(run, data, tmp_path):
    assert query(data, tmp_path / "a", "--features-of", str(run), strategy="typiclust", budget=3) == 0
    content = read(tmp_path / "a")
    assert content["run"] is None
    assert content["features_of"] == str(run)
    assert not any("pre_annotation" in case for case in content["chosen"])
    page = (tmp_path / "a" / "query.html").read_text(encoding="utf-8")
    assert page.count("<img") == 3
    assert "No picture" not in page
    assert query(data, tmp_path / "b", strategy="random", budget=3) == 0
    assert len(ids(tmp_path / "b")) == 3
    assert not (tmp_path / "b" / "features.h5").exists()


@pytest.mark.parametrize(
    ("source", "words", "told"),
    [
        ("run", ("--budget", "9"), "E394 9 cases are asked for, 5 can be chosen"),
        ("run", ("--strategy", "typclust"), "E395 unknown strategy 'typclust'. Did you mean 'typiclust'"),
        ("run", ("--strategy", "disagreement"), "E514 disagreement compares two students or folds"),
        ("run", ("--members", "folds"), "E514 the run has not several folds"),
        ("run", ("--features", "absent.h5"), "E512 absent.h5 does not exist"),
        ("run", ("--pooling", "max"), "E515 unknown --pooling"),
        (
            "run",
            ("--strategy", "clasp_pe", "--pooling", "mean"),
            "E515 the strategy clasp_pe has no use.*take.*: entropy",
        ),
        ("run", ("--strategy", "random", "--members", "flips"), "E515 the strategy random has no use for --members"),
        ("run", ("--images", "nowhere"), "E201"),
        ("data", ("--strategy", "entropy"), "E516 the strategy entropy asks a trained network"),
        ("data", ("--strategy", "typiclust"), "E516 the strategy typiclust compares features.*--features-of RUN"),
        ("data", ("--data", "elsewhere", "--strategy", "random"), "E113 --data does not go with a dataset"),
        ("nowhere", (), "E520 .*nowhere is neither a run nor a prepared dataset"),
    ],
)
def test_what_cannot_be_answered_is_refused(source, words, told, run, data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = {"run": run, "data": data}.get(source, tmp_path / source)
    given = ["query", str(place), "--output", "out", "--device", "cpu", "--strategy", "entropy", "--budget", "2"]
    line = refusal(capsys, [*given, *words])
    assert re.search(told, line), line
    assert not Path("out").exists()


def test_a_folder_of_corrections_is_not_written_over(run, tmp_path, capsys):
    output = tmp_path / "query"
    assert query(run, output) == 0
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    words = ["query", str(run), "--output", str(output), "--strategy", "margin", "--budget", "2"]
    assert f"E520 {output} holds a query" in refusal(capsys, words)
    with pytest.raises(UserError, match="E520"):
        query_to_folder(Question("random", 2), Sources(run), output)
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


@pytest.mark.filterwarnings("ignore:parsing config_file")
def test_a_bundle_tells_what_it_left_out_and_by_its_exit_code(run, data, tmp_path, capsys):
    (scans := tmp_path / "scans").mkdir()
    shutil.copy(data / "images" / "u1.nii.gz", scans / "new.nii.gz")
    (scans / "torn.nii.gz").write_bytes(b"torn")
    config = ROOT / "bundles" / "phantom" / "configs" / "query.yaml"
    more = {"run_dir": str(run), "output_dir": str(tmp_path / "query"), "budget": 1}
    sources = f"$Sources(Path(@run_dir), [{str(scans)!r}], device='cpu')"
    with pytest.raises(SystemExit) as end:
        monai.bundle.run(run_id="run", config_file=str(config), sources=sources, **more)
    assert end.value.code == 1
    told = capsys.readouterr()
    assert f"page: {tmp_path / 'query' / 'query.html'}" in told.out
    assert "mednoisy: E202 case 'torn'" in told.err


def test_an_unfinished_run_is_refused(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "summary.json").unlink()
    words = ["query", str(copy), "--output", str(tmp_path / "out"), "--strategy", "random", "--budget", "2"]
    assert "E402" in refusal(capsys, words)


def test_the_help_names_every_strategy():
    assert set(command.STRATEGIES) == set(STRATEGIES)


def test_a_damaged_query_is_refused(tmp_path, capsys):
    words = ["annotate", str(tmp_path), str(tmp_path), "--data", str(tmp_path), "--output", str(tmp_path / "out")]
    assert "E519" in refusal(capsys, words)
    outside = {"id": "../a", "image": "a.png", "score": 1, "reason": ""}
    leads_away = {"chosen": [outside], "labels": {}, "codes": [], "number": 0}
    lacks = {"chosen": [{"id": "a"}], "labels": {}, "codes": [], "number": 0}
    for text in ("{", "[]", json.dumps(leads_away | {"chosen": []}), json.dumps(lacks), json.dumps(leads_away)):
        (tmp_path / "query.json").write_text(text)
        assert "E519" in refusal(capsys, words)


def test_a_score_of_minus_infinity_is_null(data, tmp_path, monkeypatch):
    """The logarithm of a case that the network does not doubt; JSON has no such number."""
    picks = [Pick(0, "u1", float("-inf"), "certain")]
    monkeypatch.setattr("mednoisy.queries.query_with_run.choose", lambda *_, **__: picks)
    assert query(data, tmp_path / "query", strategy="random", budget=1) == 0
    assert '"score": null' in (tmp_path / "query" / "query.json").read_text(encoding="utf-8")
    assert "Infinity" not in (tmp_path / "query" / "query.json").read_text(encoding="utf-8")
    assert "–" in (tmp_path / "query" / "query.html").read_text(encoding="utf-8")
