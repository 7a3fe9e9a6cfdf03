"""A run chooses among its unlabeled cases: every strategy, the same again, by hand where the answer is known."""

from __future__ import annotations

import shutil
import weakref
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

from mednoisy.active.catalogue import STRATEGIES
from mednoisy.active.uncertainty_maps import entropy
from mednoisy.composition import bundles_folder
from mednoisy.errors import UserError
from mednoisy.methods.supervised import Supervised
from mednoisy.queries.query_with_run import query_run, scorer_of
from mednoisy.queries.question import Question
from mednoisy.queries.scored_pool import PoolScoring
from mednoisy.runs.opened_run import OpenedRun, opened_run
from tests.runs.test_cross_validation import SHAPE
from tests.small_queries import POOL, ids, train, write_pool


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    """Two students."""
    return train(data, tmp_path_factory.mktemp("runs") / "run", "sdcl")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_answers_from_a_run_and_the_same_again(strategy, run):
    picks = query_run(run, strategy, 3, seed=4)
    assert len({pick.id for pick in picks}) == 3
    assert {pick.id for pick in picks} <= {*POOL}
    assert not {"u4", "u5"} <= {pick.id for pick in picks}  # of one patient
    assert all(np.isfinite(pick.score) and pick.reason for pick in picks)
    torch.manual_seed(99)
    assert picks == query_run(run, strategy, 3, seed=4)


def test_the_score_is_the_mean_entropy_of_the_students(run):
    """By hand, from the students' own scores."""
    opened = opened_run(run)
    assert opened.deployed == "mean"
    expected = {}
    for case in opened.datalist.cases("unlabeled"):
        image = opened.image(case)
        scores = [opened.inferer(image[None], network)[0] for network in opened.peers["students"].values()]
        expected[case["id"]] = float(entropy(torch.stack(scores)).mean())
    picks = query_run(run, "entropy", 5, seed=0, same_patient=True)
    assert [pick.id for pick in picks] == sorted(expected, key=lambda case: -expected[case])
    assert [pick.score for pick in picks] == pytest.approx(sorted(expected.values(), reverse=True), rel=1e-5)


def test_an_oracle_draws_by_hidden_references_and_is_refused_without(run, data, tmp_path):
    picks = query_run(run, "foreground_random_66", 5, seed=0, same_patient=True)
    sizes = {name: int((label(data, name) > 0).sum()) for name in POOL}
    assert {pick.id: pick.score for pick in picks} == sizes
    without = write_pool(tmp_path, hidden=False)
    blind = train(without, tmp_path / "run")
    with pytest.raises(UserError, match=r"E517 case 'u1'.*predicted_foreground_random"):
        query_run(blind, "foreground_random_33", 2, seed=0)


def label(data: Path, name: str) -> np.ndarray:
    from mednoisy.data.images import read_image

    return read_image(data / "labels" / f"{name}.nii.gz").array


def test_the_folds_of_a_cross_validated_run_are_compared(data, tmp_path):
    run = train(data, tmp_path / "folds", folds=2)
    opened = opened_run(run)
    assert list(opened.peers["folds"]) == ["fold_0", "fold_1"]
    first, second = (next(iter(network.parameters())) for network in opened.peers["folds"].values())
    assert not torch.equal(first, second)
    assert len(query_run(run, "disagreement", 2, seed=0)) == 2


def test_a_network_alone_is_asked_with_dropout_and_cannot_disagree(data, tmp_path):
    run = train(data, tmp_path / "one")
    with pytest.raises(UserError, match="E514 disagreement"):
        query_run(run, "disagreement", 2, seed=0)
    one, other = (query_run(run, "bald", 4, seed=seed) for seed in (0, 1))
    assert [pick.score for pick in one] != [pick.score for pick in other]
    assert min(pick.score for pick in one) > 0


def test_an_unreadable_case_is_told_and_the_rest_ranked(data, tmp_path):
    copy = shutil.copytree(data, tmp_path / "data")
    run = train(copy, tmp_path / "run")
    (copy / "images" / "u2.nii.gz").write_bytes(b"torn")
    faults: list[UserError] = []
    for strategy in ("entropy", "kcenter", "badge", "random"):
        picks = query_run(run, strategy, 4, seed=0, same_patient=True, on_fault=faults.append)
        assert {pick.id for pick in picks} == {"u1", "u3", "u4", "u5"}
    assert {(fault.code, fault.case) for fault in faults} == {("E202", "u2")}
    with pytest.raises(UserError, match="E202 case 'u2'"):
        query_run(run, "entropy", 2, seed=0)


@pytest.mark.parametrize(
    ("strategy", "budget", "more", "told"),
    [
        ("entropy", 6, {}, "E394 6 cases are asked for, 5 can be chosen"),
        ("entropy", 5, {}, "E394 only 4 of 5 cases"),
        ("entorpy", 2, {}, "E395 unknown strategy 'entorpy'. Did you mean 'entropy'"),
        ("entropy", 2, {"pooling": "max"}, "E515 unknown --pooling 'max'"),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(strategy, budget, more, told, run):
    with pytest.raises(UserError, match=told):
        query_run(run, strategy, budget, seed=0, **more)


def test_poolings_differ(run):
    scores = {rule: query_run(run, "entropy", 4, seed=0, pooling=rule)[0].score for rule in ("mean", "top_share")}
    assert scores["top_share"] >= scores["mean"]


def test_a_case_smaller_than_the_patch_and_one_larger_have_features(run):
    opened = opened_run(run)
    assert max(SHAPE) > opened.inferer.patch_size[0]
    assert len(query_run(run, "typiclust", 2, seed=0)) == 2


def test_cases_of_ones_own_are_chosen_by_the_features_of_a_run_whatever_it_had_labels_of(run):
    """Three of the eight had labels in the run: they may be chosen, and cover nothing."""
    datalist = opened_run(run).datalist
    cases = [
        {"id": case["id"], "image": case["image"]}
        for case in (*datalist.cases("labeled"), *datalist.cases("unlabeled"))
    ]
    picks = query_run(run, "kcenter", 8, seed=0, cases=cases, duplicates=True)
    assert {pick.id for pick in picks} == {"a1", "b1", "c1", *POOL}
    assert picks[0].reason == "the most central case"
    with pytest.raises(UserError, match="E516 the strategy entropy asks a trained network"):
        query_run(run, "entropy", 2, seed=0, cases=cases)


def test_a_pretext_has_features_of_its_student_and_no_predictions(run, data, tmp_path, monkeypatch):
    """Its `predictors()` is empty."""
    pretext = train(data, tmp_path / "pretext")
    whole = [pick.id for pick in query_run(pretext, "kcenter", 3, seed=0)]
    monkeypatch.setattr(Supervised, "predictors", lambda self: {})
    opened = opened_run(pretext)
    assert opened.deployed is None
    assert [pick.id for pick in query_run(pretext, "kcenter", 3, seed=0)] == whole
    with pytest.raises(UserError, match=r"E518 .* pretext, which predicts nothing; entropy asks predictions"):
        query_run(pretext, "entropy", 2, seed=0)


def test_features_are_read_from_disk_and_a_case_at_a_time_is_in_memory(run, tmp_path):
    """However many cases there are: of each a few numbers stay, its features are mapped from the file."""
    opened = opened_run(run)
    held: list[int] = []

    class Watched(OpenedRun):
        def image(self, case):
            held.append(sum(alive() is not None for alive in images))
            image = super().image(case)
            images.append(weakref.ref(image))
            return image

    images: list[weakref.ref] = []
    watched = Watched(**{field.name: getattr(opened, field.name) for field in fields(OpenedRun)})
    question = Question("uncertain_and_different", 2)
    scorer = scorer_of(question, watched)
    scoring = PoolScoring(("features", "uncertainty"), scorer, watched, watched, tmp_path)
    kept, found = scoring.fields(opened.datalist.cases("unlabeled"), opened.datalist.cases("labeled"))
    assert len(kept) == 5
    assert isinstance(found["features"], np.memmap)
    assert isinstance(found["labeled"], np.memmap)
    assert found["labeled"].shape == (3, found["features"].shape[1])
    assert max(held) <= 1


def test_monai_asks_a_run_by_the_config_of_a_bundle(run, tmp_path):
    """`python -m monai.bundle run --config_file .../query.yaml` answers as the command line does."""
    configs = bundles_folder() / "phantom" / "configs"
    workflow = ConfigWorkflow(
        config_file=str(configs / "query.yaml"),
        meta_file=str(configs / "metadata.json"),
        logging_file=False,
        workflow_type="infer",
        run_dir=str(run),
        output_dir=str(tmp_path / "query"),
        budget=2,
    )
    workflow.run()
    assert ids(tmp_path / "query") == [pick.id for pick in query_run(run, "entropy", 2, seed=0)]
    assert (tmp_path / "query" / "query.html").is_file()
