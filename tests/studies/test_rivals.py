"""Rivals of a study's rows: which they are, what is missing, and what is gained over seeds and patients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from mednoisy.evaluation.figures import PredictorFigures
from mednoisy.evaluation.ranking import holm
from mednoisy.evaluation.statistics import paired_difference
from mednoisy.evaluation.summary_file import CheckpointFigures, RunSummary, ScoredCase
from mednoisy.report.reading.runs import Run
from mednoisy.studies.rivals import FinishedRow, rival_tables
from mednoisy.studies.rows import Row
from mednoisy.studies.starts import Start

CASES = tuple(ScoredCase(f"p{n // 2}_{n % 2}", "r", "p", patient=f"p{n // 2}") for n in range(24))


def run_of(level: float, seed: int) -> Run:
    """Twenty-four cases of twelve patients around a level of Dice, the same ones for equal level and seed."""
    scores = [
        {
            "checkpoint": checkpoint,
            "predictor": "student",
            "case": case.id,
            "class": 1,
            "dice": level + 0.01 * ((7 * place + 3 * seed + round(100 * level)) % 11) - (checkpoint == "honest"),
        }
        for checkpoint in ("honest", "final")
        for place, case in enumerate(CASES)
    ]
    honest = CheckpointFigures(1, {"student": PredictorFigures({}, {}, len(CASES))})
    summary = RunSummary({"method": "m", "seconds": 90}, {1: "a"}, "student", "honest", {"honest": honest}, 0, CASES)
    return Run(Path("run"), "run", summary, [], scores, [])


def finished(text: str | Row, level: float, seeds=(0,), labeled: int = 2) -> FinishedRow:
    row = Row.parse(text) if isinstance(text, str) else text
    return FinishedRow(row, labeled, {seed: run_of(level, seed) for seed in seeds})


def listed(table) -> list[tuple[str, str]]:
    return [(gain.row.row.folder, gain.rival.row.folder) for gain in table.gains]


def test_each_row_meets_its_rivals_and_every_pair_comes_once():
    rows = [
        finished("supervised", 0.3),
        finished("supervised:strong", 0.4),
        finished("copy_paste:strong", 0.5),
        finished("sdcl:strong", 0.55),
        finished("sdcl", 0.45),
    ]
    mixing, strong, plain, _ = rival_tables(rows, "phantom")
    assert listed(mixing) == [("sdcl-strong", "copy_paste-strong")]
    assert mixing.missing == {"copy_paste with 2 labeled": ("sdcl",)}
    assert listed(strong) == [
        ("copy_paste-strong", "supervised-strong"),
        ("sdcl-strong", "supervised-strong"),
        ("sdcl", "supervised"),
    ]
    assert listed(plain) == [(name, "supervised") for name in ("supervised-strong", "copy_paste-strong", "sdcl-strong")]
    assert (strong.missing, plain.missing) == ({}, {})
    gains = [gain for table in (mixing, strong, plain) for gain in table.gains]
    assert [gain.p_holm for gain in gains] == holm([gain.figures.p for gain in gains])
    assert len({gain.p_holm for gain in gains} - {None}) >= 1


def test_settings_that_a_rival_cannot_have_are_left_out_and_others_are_not():
    """Copy-paste has no `teachers`, but it has a width; a row of other width or of other labels is no rival."""
    rows = [
        finished("copy_paste:strong", 0.5),
        finished("copy_paste:strong width=4", 0.5, labeled=3),
        finished("sdcl:strong teachers=each", 0.55),
        finished(Row("sdcl", "strong", {"teachers": "each", "width": 4}, name="wide"), 0.6),
        finished("bcp:strong width=4", 0.6, labeled=3),
    ]
    mixing = rival_tables(rows, "phantom")[0]
    assert listed(mixing) == [
        ("sdcl-strong-teachers=each", "copy_paste-strong"),
        ("bcp-strong-width=4", "copy_paste-strong-width=4"),
    ]
    assert mixing.missing == {"copy_paste-strong-width=4 with 2 labeled": ("wide",)}


@pytest.mark.parametrize("shared", [{}, {"network_def": "%unet_def"}])
def test_a_setting_that_another_one_gives_its_use_is_no_less_the_rivals(shared):
    """DeepLab has no width; the U-Net that the row, or all rows, have in its place has."""
    network = {} if shared else {"network_def": "%unet_def"}
    rows = [
        finished(Row(method, settings={**network, "width": 4}, name=method), level)
        for method, level in (("copy_paste", 0.5), ("bcp", 0.6))
    ]
    mixing = rival_tables(rows, "body_skin", shared=shared)[0]
    assert listed(mixing) == [("bcp", "copy_paste")]


def test_gains_are_those_of_the_deployed_predictor_at_the_final_checkpoint():
    """Of one seed the paired difference by patients; of others only the seeds that both rows have."""
    sdcl, rival = finished("sdcl", 0.55, seeds=(0, 1)), finished("copy_paste", 0.5)
    gain = rival_tables([sdcl, rival], "phantom")[0].gains[0].figures
    peer = paired_difference(rival.scores(0), sdcl.scores(0), "dice", {case.id: case.patient for case in CASES})
    assert (gain.mean, gain.p, gain.patients) == (peer["difference"], peer["p"], 12)
    assert gain.interval == pytest.approx(peer["interval"])
    assert list(gain.of_seed) == [0]
    assert sdcl.mean().mean == pytest.approx(sum(row["dice"] for s in (0, 1) for row in sdcl.scores(s)) / 48)
    assert sdcl.minutes == 1.5


def test_rows_without_a_seed_in_common_are_not_compared():
    tables = rival_tables([finished("sdcl", 0.55, seeds=(1,)), finished("copy_paste", 0.5, seeds=(0,))], "phantom")
    assert tables[0].gains == ()
    assert tables[0].missing == {"copy_paste with 2 labeled": ("sdcl",)}


def test_rivals_are_found_by_method_whatever_a_row_is_called():
    rows: list[FinishedRow] = [
        finished(Row("copy_paste", "strong", name="boxes"), 0.5),
        finished(Row("sdcl", "strong", name="ours"), 0.6),
    ]
    mixing: Mapping = {table.title: table for table in rival_tables(rows, "phantom")}
    assert listed(next(iter(mixing.values()))) == [("ours", "boxes")]


def test_rows_meet_rivals_of_their_own_start_and_themselves_from_scratch():
    """A rival of another start would be worth nothing: what it differs in is not the method alone."""
    restored = Start("restoration")
    rows = [
        finished("supervised", 0.3),
        finished(Row("supervised", start=restored), 0.4),
        finished("sdcl", 0.5),
        finished(Row("sdcl", start=restored), 0.55),
        finished(Row("sdcl", start=Start("contrastive")), 0.5),
    ]
    _, supervised, _, scratch = rival_tables(rows, "phantom")
    assert listed(supervised) == [("sdcl", "supervised"), ("sdcl-from-restoration", "supervised-from-restoration")]
    assert supervised.missing == {"supervised-from-contrastive with 2 labeled": ("sdcl-from-contrastive",)}
    assert listed(scratch) == [
        ("supervised-from-restoration", "supervised"),
        ("sdcl-from-restoration", "sdcl"),
        ("sdcl-from-contrastive", "sdcl"),
    ]
    assert scratch.gains[0].figures.mean == pytest.approx(rows[1].gain_over(rows[0]).mean)
