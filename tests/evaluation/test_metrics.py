from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mednoisy.errors import UserError
from mednoisy.evaluation.metrics import (
    DISTANCES,
    MAIN_METRICS,
    TABLE_METRICS,
    case_metrics,
    read_metrics,
    write_metrics,
)

SPACINGS = {"voxel_1": (1.0, 1.0, 1.0), "iso_0.625": (0.625,) * 3, "aniso_0.6_0.8_3.0": (0.6, 0.8, 3.0)}


def golden_pairs(path):
    with np.load(path) as figures:
        for index, name in enumerate(figures["names"]):
            shape = tuple(figures[f"{name}__shape"])
            masks = [
                np.unpackbits(figures[f"{name}__{side}"])[: math.prod(shape)].reshape(shape) for side in ("pred", "gt")
            ]
            tables = {spacing: figures[f"medpy__{spacing}"][index] for spacing in SPACINGS}
            yield str(name), *masks, figures["medpy_dc_jc"][index], tables


@pytest.mark.parametrize("spacing", SPACINGS)
def test_medpy_gives_the_same_values_on_real_atria(golden, spacing):
    for name, prediction, reference, (dice, jaccard), tables in golden_pairs(golden("surface_metrics_la.npz")):
        values = case_metrics(prediction, reference, SPACINGS[spacing][: prediction.ndim])[1]
        hd, hd95, asd, asd_back, assd = tables[spacing]
        expected = {
            "dice": dice, "jaccard": jaccard, "hd": hd, "hd95": hd95, "asd": asd, "assd": assd,
            "asd_reference_to_prediction": asd_back, "masd": (asd + asd_back) / 2,
        }  # fmt: skip
        assert {key: values[key] for key in expected} == pytest.approx(expected, rel=1e-9, abs=1e-12), name


def test_figures_worked_out_by_hand():
    """A bar of 3 pixels against one of 2, 1 mm apart across: distances 1, 1, sqrt(2) and back 1, 1."""
    prediction, reference = np.zeros((4, 6), int), np.zeros((4, 6), int)
    prediction[1, 1:4] = 7
    reference[2, 1:3] = 7
    values = case_metrics(prediction, reference, (1.0, 1.0))[7]
    assert values["dice"] == values["jaccard"] == 0
    assert values["asd"] == pytest.approx((2 + math.sqrt(2)) / 3)
    assert values["assd"] == pytest.approx((4 + math.sqrt(2)) / 5)
    assert values["masd"] == pytest.approx(((2 + math.sqrt(2)) / 3 + 1) / 2)
    assert values["asd_reference_to_prediction"] == 1
    assert values["hd"] == pytest.approx(math.sqrt(2))
    assert values["hd95_maximum"] == pytest.approx(1 + 0.9 * (math.sqrt(2) - 1))  # rank .95 * 2 = 1.9 of 1, 1, sqrt(2)
    assert values["hd95"] == pytest.approx(1 + 0.8 * (math.sqrt(2) - 1))  # rank .95 * 4 = 3.8 of 1, 1, 1, 1, sqrt(2)
    assert values["nsd"] == 4 / 5
    assert (values["volume_prediction"], values["volume_reference"]) == (3, 2)


def test_nsd_counts_a_distance_that_equals_the_tolerance():
    prediction, reference = np.zeros((2, 8, 2), bool), np.zeros((2, 8, 2), bool)
    prediction[0, 1, 0], reference[0, 4, 0] = True, True
    assert case_metrics(prediction, reference, (1.0, 0.1, 1.0), tolerance=0.3)[1]["nsd"] == 1
    assert case_metrics(prediction, reference, (1.0, 0.1, 1.0), tolerance=0.29)[1]["nsd"] == 0


def test_golden_nsd_equals_monai_without_subvoxels(golden):
    tables = {
        pair["name"]: pair["monai"] for pair in json.loads(golden("surface_metrics_la.json").read_text())["pairs"]
    }
    for name, prediction, reference, _, _ in golden_pairs(golden("surface_metrics_la.npz")):
        for tolerance in (1, 2):
            expected = tables[name]["iso_0.625"][f"surface_dice_{tolerance}"]
            values = case_metrics(prediction, reference, (0.625,) * prediction.ndim, tolerance=tolerance)[1]
            assert values["nsd"] == pytest.approx(expected, rel=1e-5), name


@pytest.mark.parametrize("spacing", SPACINGS)
def test_golden_maximum_of_directed_percentiles_equals_monai(golden, spacing):
    tables = {
        pair["name"]: pair["monai"] for pair in json.loads(golden("surface_metrics_la.json").read_text())["pairs"]
    }
    for name, prediction, reference, _, _ in golden_pairs(golden("surface_metrics_la.npz")):
        values = case_metrics(prediction, reference, SPACINGS[spacing][: prediction.ndim])[1]
        expected = tables[name][spacing]["hd95_max_of_directed_percentiles"]
        assert values["hd95_maximum"] == pytest.approx(expected, rel=1e-5), name


def test_table_holds_the_main_metrics_and_what_case_metrics_gives():
    assert TABLE_METRICS[:4] == MAIN_METRICS
    assert set(TABLE_METRICS) < set(case_metrics(np.ones((2, 2)), np.ones((2, 2)), (1, 1))[1])


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
def test_many_and_distant_codes_are_found(dtype):
    """Few codes are counted one by one, many by sorting; background alone has none."""
    codes = np.arange(100).reshape(10, 10).astype(dtype)
    assert list(case_metrics(codes, codes, (1, 1))) == list(range(1, 100))
    codes[codes > 3] = 3
    assert list(case_metrics(codes, codes * 0, (1, 1))) == [1, 2, 3]


@pytest.mark.parametrize("swapped", [False, True])
def test_one_empty_is_zero_overlap_and_undefined_distance(swapped):
    full, empty = np.ones((3, 4, 5), np.uint8), np.zeros((3, 4, 5), np.uint8)
    values = case_metrics(*((empty, full) if swapped else (full, empty)), (1, 1, 1))[1]
    assert values["dice"] == values["jaccard"] == values["nsd"] == 0
    assert all(math.isnan(values[name]) for name in DISTANCES)
    assert sorted((values["volume_prediction"], values["volume_reference"])) == [0, 0.06]


def test_both_empty_is_undefined_and_named_only_if_asked_for():
    empty = np.zeros((3, 4, 5), np.uint8)
    assert case_metrics(empty, empty, (1, 1, 1)) == {}
    values = case_metrics(empty, empty, (1, 1, 1), labels=[2])[2]
    assert all(math.isnan(values[name]) for name in ("dice", "jaccard", "hd95", "asd", "nsd"))
    assert values["volume_prediction"] == values["volume_reference"] == 0


def test_classes_are_scored_apart():
    """Any class scored from the map of all equals the class scored alone."""
    draw = np.random.Generator(np.random.PCG64(4))
    prediction, reference = draw.integers(0, 4, (2, 9, 8, 7))
    together = case_metrics(prediction, reference, (1, 2, 3))
    assert list(together) == [1, 2, 3]
    for code, values in together.items():
        assert case_metrics(prediction == code, reference == code, (1, 2, 3)) == {1: pytest.approx(values, nan_ok=True)}
    assert case_metrics(prediction.astype(float), reference, (1, 2, 3), labels={3: "wall"}) == {3: together[3]}


@pytest.mark.parametrize(
    ("prediction", "reference", "spacing", "message"),
    [
        (np.zeros((3, 3)), np.zeros((3, 4)), (1, 1), "must be equal"),
        (np.zeros((3, 3, 3, 3)), np.zeros((3, 3, 3, 3)), (1, 1, 1, 1), "2 or 3 axes"),
        (np.zeros((3, 3)), np.zeros((3, 3)), (1, 1, 1), "must be 2 lengths"),
        (np.zeros((3, 3)), np.zeros((3, 3)), (1, 0), "lengths above 0"),
        (np.full((3, 3), 0.5), np.zeros((3, 3)), (1, 1), "whole numbers"),
        (np.zeros((3, 3)), np.full((3, 3), np.nan), (1, 1), "whole numbers"),
        (np.zeros((3, 3)), np.full((3, 3), np.inf), (1, 1), "whole numbers"),
    ],
)
def test_what_does_not_fit_is_refused(prediction, reference, spacing, message):
    with pytest.raises(ValueError, match=message):
        case_metrics(prediction, reference, spacing)


def test_table_survives_the_way_to_disk(tmp_path):
    rows = [
        {"case": 'a,"ü"', "class": 1, "dice": 0.1 + 0.2, "hd95": math.nan},
        {"case": "b", "class": 2, "dice": 0.0, "hd95": 3.5},
    ]
    write_metrics(tmp_path / "metrics.csv", rows, ("case", "class", "dice", "hd95"))
    assert (tmp_path / "metrics.csv").read_text().splitlines()[1].endswith("0.30000000000000004,")
    back = read_metrics(tmp_path / "metrics.csv")
    assert back[1] == rows[1]
    assert back[0] == pytest.approx(rows[0], nan_ok=True)


@pytest.mark.parametrize("text", ["", "name,age\n", "case,class,dice\na,1,high\n", "case,class,dice\na,one,1\n"])
def test_other_tables_are_refused(tmp_path, text):
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(UserError, match=r"E401 .*metrics\.csv is no table of metrics"):
        read_metrics(tmp_path / "metrics.csv")
