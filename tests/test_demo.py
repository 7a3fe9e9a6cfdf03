"""The demo with few steps: all its parts, none of its figures."""

from __future__ import annotations

import pytest

from mednoisy import demo
from mednoisy.cli import main
from mednoisy.errors import UserError
from mednoisy.studies import study


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setattr(study, "finish", lambda command, threads: (main([*command[3:], "--device", "cpu"]), False))


@pytest.mark.slow
def test_the_demo_compares_its_methods_on_one_page(tmp_path, capsys):
    assert main(["demo", "--output", str(tmp_path), "--steps", "2"]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    table = (tmp_path / "table.md").read_text()
    for method in demo.METHODS:
        assert method in table
        assert method in page or method.upper() in page
    assert f"report: {tmp_path / 'report.html'}" in capsys.readouterr().out


def test_a_failed_run_of_the_demo_is_no_success(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "finish", lambda command, threads: (2, False))
    with pytest.raises(UserError, match=r"E353 .*supervised-2-labeled-seed0.* failed"):
        demo.run_demo(tmp_path, steps=2)
    assert not (tmp_path / "report.html").exists()
