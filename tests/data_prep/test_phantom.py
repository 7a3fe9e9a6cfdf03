"""`mednoisy prepare phantom`: a dataset from nothing, or one line that says why not."""

from __future__ import annotations

import json

import pytest

from mednoisy.cli import main
from mednoisy.data.datalist import Datalist


def prepared(out, *more):
    few = ["--labeled", "2", "--validation", "1", "--test", "1", "--size", "32"]
    return main(["prepare", "phantom", str(out), *few, *more])


def test_a_dataset_is_there_and_its_line_tells_what(tmp_path, capsys):
    assert prepared(tmp_path / "data") == 0
    assert "2 labeled, 1 validation, 1 test. Synthetic, seed 0" in capsys.readouterr().out
    datalist = Datalist.load(tmp_path / "data" / "datalist.json")
    assert datalist.name == "phantom_body"
    assert "skin or not" in datalist.regions


def test_a_larger_dataset_begins_with_the_cases_of_a_smaller_one(tmp_path):
    for name, count in (("small", "2"), ("large", "3")):
        assert prepared(tmp_path / name, "--labeled", count, "--seed", "4") == 0
    for case in ("labeled_000", "labeled_001", "test_000"):
        images = [(tmp_path / name / "images" / f"{case}.png").read_bytes() for name in ("small", "large")]
        assert images[0] == images[1]


def test_other_kinds_and_what_is_ignored(tmp_path):
    assert prepared(tmp_path / "eight", "--ignore-uncertain") == 0
    assert json.loads((tmp_path / "eight" / "datalist.json").read_text())["ignore"] == [1]
    words = ["prepare", "phantom", str(tmp_path / "lesions"), "--kind", "lesion", "--labeled", "1", "--test", "0"]
    assert main([*words, "--validation", "0"]) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--kind", "bodies"], "E218 unknown kind of phantom 'bodies'. Did you mean 'body'?"),
        (["--size", "8"], "E549 a body of 8 pixels a side cannot be drawn. Take a --size from 32 to 1024"),
        (["--kind", "lesion"], "E549 a phantom of kind 'lesion' has one size"),
        (["--test", "-1"], "E108 --test is -1"),
        (["--labeled", "0"], "E108 there would be no case to learn from"),
        (["--seed", "-1"], "E108 --seed is -1"),
        (["--size", "large"], "E100 argument --size: invalid int value: 'large'"),
    ],
)
def test_what_cannot_be_made(more, message, tmp_path, capsys):
    assert prepared(tmp_path / "data", *more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mednoisy: {message}")
    assert not (tmp_path / "data").exists()
