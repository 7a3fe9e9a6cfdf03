"""Ids, paths and texts that no file name, line or table can hold are refused when the datalist is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mednoisy.cli import main
from tests.small_runs import small_dataset, train_arguments


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("data") / "data")


def refusal(data: Path, capsys: pytest.CaptureFixture, change: Any, run: Path) -> str:
    """What `train` says about a changed datalist."""
    path = data / "datalist.json"
    before = path.read_text(encoding="utf-8")
    content = json.loads(before)
    content.pop("split_digest")
    change(content)
    try:
        path.write_text(json.dumps(content), encoding="utf-8")
        code = main(train_arguments(data, run))
    finally:
        path.write_text(before, encoding="utf-8")
    assert code == 2
    assert not run.exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    return line


STRANGE = {"\0": r"'\x00'", "\n": r"'\n'", "\x1b[31m": r"'\x1b'", "\ud800": r"'\ud800'", "\u2028": r"'\u2028'"}


@pytest.mark.parametrize("key", ["id", "image", "label", "patient", "centre"])
@pytest.mark.parametrize("text", STRANGE)
def test_a_character_that_is_no_text_is_refused_before_training(tmp_path, capsys, data, text, key):
    def change(content: dict) -> None:
        content["test"][0][key] = f"a{text}b"

    line = refusal(data, capsys, change, tmp_path / "run")
    assert "E213 case" in line
    assert f"'{key}' holds the character {STRANGE[text]} (" in line
    assert "section 'test', entry 1). " in line


def test_an_id_that_is_too_long_for_a_file_is_refused(tmp_path, capsys, data):
    line = refusal(data, capsys, lambda content: content["test"][1].update(id="ä" * 101), tmp_path / "run")
    assert "E213 case 'ääääääääääääääääääää...': the id has 202 bytes, a file's name has room for 200 (" in line
    assert "section 'test', entry 2). Shorten it." in line


def test_names_of_the_dataset_and_its_classes_are_text(tmp_path, capsys, data):
    assert "E211" in refusal(data, capsys, lambda content: content.update(name="a\x07"), tmp_path / "run")
    line = refusal(data, capsys, lambda content: content["labels"].update({"1": "a\nb"}), tmp_path / "run")
    assert r"'labels' holds the character '\n'" in line


@pytest.mark.parametrize("text", ["[" * 50_000, '{"name": ' + "1" * 5_000 + "}", "\ufeff{"])
def test_json_that_python_cannot_take_is_refused_in_a_line(tmp_path, capsys, text):
    (tmp_path / "datalist.json").write_text(text, encoding="utf-8")
    assert main(train_arguments(tmp_path, tmp_path / "run")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mednoisy: E210 datalist {tmp_path / 'datalist.json'} is no JSON")


def test_letters_of_any_script_are_an_id(tmp_path, data):
    from mednoisy.data.datalist import Datalist

    path = data / "datalist.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("split_digest")
    content["test"][0]["id"] = "患者\u3000𝒜 é"
    other = data / "other.json"
    other.write_text(json.dumps(content), encoding="utf-8")
    assert Datalist.load(other).cases("test")[0]["id"] == "患者\u3000𝒜 é"
