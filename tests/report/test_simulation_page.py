"""The page of a simulation: whole in one file, names as text, plots that say what they show."""

from __future__ import annotations

import html
import re
from pathlib import Path

from mednoisy.report.simulation_page import write_simulation_page
from tests.active.test_simulated_curves import method, row
from tests.report.tables.test_simulation_tables import compared

NASTY = "<script>alert(1) ü $x_1$ & 100%"
FACTS = {"dataset": NASTY, "start": 1, "budget": 1, "rounds": 1, "seeds": "0, 1, 2"}


def words(path: Path) -> str:
    text = re.sub(r"<(script|style).*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", text)))


def test_the_page_says_what_is_simulated_and_what_came_of_it(tmp_path):
    write_simulation_page(tmp_path, [compared()], FACTS, ["10 of 20 trainings are finished"])
    text, shown = (tmp_path / "simulation.html").read_text(encoding="utf-8"), words(tmp_path / "simulation.html")
    assert f"Simulated annotation: {NASTY}" in shown
    assert "From 1 labeled at the start, 1 more in each of 1 round, chosen by 5 strategies." in shown
    assert "10 of 20 trainings are finished" in shown
    assert "random is beaten by foreground_random_66 (oracle), entropy" in shown
    assert "penalty: column's mean 50" in shown
    assert "seeds 0, 1, 2" in shown
    alternatives = re.findall(r'alt="([^"]*)"', text)
    assert [alternative.partition(",")[0] for alternative in alternatives] == [
        "Dice against labeled", "Dice against labeled share of the pool&#39;s foreground"
    ]  # fmt: skip
    assert all("all labels" in alternative for alternative in alternatives)
    assert set(re.findall(r'(?:src|srcset)="(.{10})', text)) == {"data:image"}
    assert len(text) < 1_500_000
    assert (tmp_path / "table.md").read_text(encoding="utf-8").startswith("## m\n")


def test_a_simulation_that_has_only_begun_has_a_page(tmp_path):
    """One training of one strategy, nothing of all labels, an undefined Dice."""
    for dice in (0.5, float("nan")):
        begun = method({"random": [[dice]], "entropy": [[dice]]})
        write_simulation_page(tmp_path, [begun], FACTS)
        shown = words(tmp_path / "simulation.html")
        assert "Pairwise penalties" not in shown
        assert "chosen by 2 strategies" in shown
        assert f"strategy start, 1 labeled random {'50.0' if dice == 0.5 else '–'} entropy" in shown
    assert row("random", 0, 0, 0.5)["patients"] == 1
