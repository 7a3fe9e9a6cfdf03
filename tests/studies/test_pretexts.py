"""The runs of pretexts that rows of a study share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mednoisy.studies.pretexts import PretextRun, pretexts_of
from mednoisy.studies.rows import Cell, Row
from mednoisy.studies.starts import Start

RESTORATION = Start("restoration")


def of(row: Row, labeled: int = 2, seed: int = 0) -> PretextRun | None:
    cell = Cell(row, labeled, seed)
    return pretexts_of([cell], "phantom", None, {"width": 2, "teachers": "each"}).get(cell.name)


def test_rows_share_a_pretext_whatever_their_labels_recipe_and_teachers():
    first = of(Row("supervised", start=RESTORATION))
    assert first is not None
    assert first.name == "restoration-seed0"
    assert of(Row("supervised", "strong", start=RESTORATION), labeled=4) == first
    assert of(Row("mean_teacher", settings={"teacher_decay": 0.9}, start=RESTORATION)) == first


def test_seeds_networks_and_what_concerns_the_pretext_tell_them_apart():
    rows = [
        (Row("supervised", start=RESTORATION), 1, "restoration-seed1"),
        (Row("supervised", start=Start("contrastive")), 0, "contrastive-seed0"),
        (Row("sdcl", start=RESTORATION), 0, "restoration-pair-seed0"),
        (Row("sdcl", settings={"teachers": "each"}, start=RESTORATION), 0, "restoration-pair-seed0"),
        (Row("supervised", settings={"width": 3}, start=RESTORATION), 0, "restoration-width=3-seed0"),
    ]
    for row, seed, name in rows:
        pretext = of(row, seed=seed)
        assert pretext is not None
        assert pretext.name == name


def test_settings_that_no_folder_can_be_called_after_tell_pretexts_apart():
    """Too long, or alike once written as a folder's name, though rows have names of their own."""
    long = {"_target_": "mednoisy.networks.unet.UNet", "in_channels": 1, "out_channels": 2, "dropout": [0.1] * 60}
    names = set()
    settings: list[dict[str, Any]] = [{"network_def": long}, {"network_def": {**long, "out_channels": 3}}]
    settings += [{"patch_size": [8, 8, 8]}, {"patch_size": "$[8, 8, 8]"}]
    for number, of_row in enumerate(settings):
        pretext = of(Row("supervised", settings=of_row, name=f"r{number}", start=RESTORATION))
        assert pretext is not None
        assert len(pretext.name) < 60
        assert set(pretext.name) <= {*"abcdefghijklmnopqrstuvwxyz0123456789-=_"}
        names.add(pretext.name)
    assert len(names) == 4


def test_no_pretext_is_learned_for_others():
    assert of(Row("supervised")) is None
    assert of(Row("supervised", start=Start(file=Path("w.pth")))) is None


def test_what_a_pretext_sets():
    """The study's settings and the row's, as far as they concern it, and the second network of a pair."""
    sdcl = of(Row("sdcl", settings={"width": 3, "teacher_decay": 0.9}, start=RESTORATION))
    assert sdcl is not None
    networks = {"student": "@network_def", "partner": "@partner_def"}
    assert sdcl.entries == {"width": 3, "stages#0#networks": networks}
    plain = of(Row("supervised", start=RESTORATION))
    assert plain is not None
    assert plain.entries == {"width": 2}


def test_a_setting_may_concern_it_by_way_of_another():
    """DeepLab has no width, the U-Net that stands in its place has."""
    cell = Cell(Row("supervised", start=RESTORATION), 2, 0)
    for shared in ({"width": 2}, {"width": 2, "network_def": "%unet_def"}):
        (pretext,) = pretexts_of([cell], "body_skin", None, shared).values()
        assert ("width" in pretext.entries) is (len(shared) == 2)
