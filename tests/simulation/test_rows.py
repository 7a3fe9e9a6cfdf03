"""Which trainings a simulation is made of, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from mednoisy.composition import bundles_folder, compose
from mednoisy.simulation.rows import (
    ALL_LABELS,
    SHARED_START,
    all_labels_row,
    for_each_strategy,
    learns_without_labels,
    trainings,
    unlabeled_drawn,
)
from mednoisy.studies.rows import Row


def test_every_training_comes_after_what_it_begins_from():
    rows = [Row("supervised"), Row("sdcl", "strong")]
    listed = trainings(rows, ["random", "entropy"], 3, [0, 1, 1])
    assert len(listed) == 2 * 2 * (1 + 2 * 3) + 2 * 2  # of each seed and row; supervised under both recipes
    places = {training.folder: place for place, training in enumerate(listed)}
    assert len(places) == len(listed)
    for place, training in enumerate(listed):
        if training.before is not None:
            assert places[training.before.folder] < place
            assert training.before.round == training.round - 1
    first = [(training.strategy, training.round) for training in listed[:6]]
    assert first == [
        (SHARED_START, 0), (ALL_LABELS, 0), ("random", 1), ("entropy", 1), ("random", 2), ("entropy", 2)
    ]  # fmt: skip
    assert [listed[0].name, listed[1].name, listed[3].name] == [
        "supervised, seed 0, start", "supervised, seed 0, all labels", "supervised, seed 0, entropy, round 1"
    ]  # fmt: skip
    assert listed[3].folder == Path("runs/supervised-seed0/entropy/round1")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Row("supervised"), Row("supervised")),
        (Row("supervised", "strong", {"width": 3}, "wide"), Row("supervised", "strong", {"width": 3}, "wide")),
        (Row("sdcl", "strong", {"teachers": "each"}), Row("supervised", "strong")),
        (Row("own/mine.yaml", "published"), Row("supervised", "published")),
    ],
)
def test_all_labels_are_for_supervised_training_under_the_same_recipe(row, expected):
    assert all_labels_row(row) == expected


def test_a_shared_start_is_a_row_of_every_strategy():
    rows = [{"strategy": SHARED_START, "seed": 0}, {"strategy": "random", "seed": 0}]
    assert for_each_strategy(rows, ["random", "entropy", "random"]) == [
        {"strategy": "random", "seed": 0}, {"strategy": "entropy", "seed": 0}, {"strategy": "random", "seed": 0}
    ]  # fmt: skip


def test_methods_that_learn_without_labels_are_known_by_their_stages():
    folder = bundles_folder() / "methods"
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    without = {name for name in names if not learns_without_labels(compose("phantom", name).config)}
    pretexts = {"colorization", "contrastive", "masked_autoencoding", "restoration"}
    assert without == {"copy_paste", "copy_paste_pair", "supervised", "supervised_pair"} | pretexts


def test_how_many_unlabeled_cases_a_step_draws_is_read_from_the_stages():
    """As the stages that a run makes have it; of slices one case has many."""
    folder = bundles_folder() / "methods"
    for name in sorted(path.stem for path in folder.glob("*.yaml")):
        for size in (4, 8):
            composition = compose("phantom", name, overrides={"batch_size": size})
            parser = composition.workflow().parser
            parser.parse(reset=True)
            made = max(stage.unlabeled for stage in parser.get_parsed_content("stages"))
            assert unlabeled_drawn({**composition.config, "batch_size": size}) == max(made, 1), name
    assert unlabeled_drawn(compose("acdc", "mean_teacher").config) == 1
    assert unlabeled_drawn({"batch_size": 9, "stages": [{"unlabeled": "$len(@steps)"}]}) == 1
