"""Notes that a user need not act on at once."""

from __future__ import annotations

import logging

import pytest

from mednoisy import notices


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    monkeypatch.setattr(notices, "_cases_of", {})


def test_a_note_is_one_line_on_stderr_and_in_the_log(capsys, caplog):
    with caplog.at_level(logging.INFO, "mednoisy"):
        notices.tell("two\nlines")
    assert capsys.readouterr().err == "mednoisy: two lines\n"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("WARNING", "two lines")]


def test_of_several_processes_the_first_one_tells(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    notices.tell("heard twice")
    assert capsys.readouterr().err == ""


def test_what_many_cases_share_is_told_of_a_few(capsys):
    for case in ("a", "b", "a", "c", "d", "e"):
        notices.tell_each(["image is odd"], case)
    assert capsys.readouterr().err.splitlines() == [
        "mednoisy: note: case 'a': image is odd",
        "mednoisy: note: case 'b': image is odd",
        "mednoisy: note: case 'c': image is odd",
        "mednoisy: note: case 'd': image is odd (further cases of this kind are not told)",
    ]
