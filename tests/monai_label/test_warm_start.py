"""Where a round begins."""

from __future__ import annotations

import json

import pytest
import torch

from mednoisy.cli import main
from mednoisy.engines import checkpoint
from mednoisy.monai_label.deployment import Deployed
from mednoisy.monai_label.warm_start import write_start
from mednoisy.monai_label.workplace import write_state
from tests.small_runs import small_dataset, train_arguments


@pytest.fixture
def serving(place, tmp_path):
    """Round 1 serves, trained with SDCL on one study that is called `labeled_000`, and another."""
    data = small_dataset(tmp_path / "data")
    assert main(train_arguments(data, place.of_round(1) / "run", "--method", "sdcl")) == 0
    write_state(place.of_round(1) / "round.json", {"labeled": ["labeled_000", "labeled_001"]})
    Deployed(1, (), "").write(place)
    return data


def test_a_round_goes_on_from_all_weights_of_the_network_that_serves(place, serving, tmp_path, capsys):
    """Both students, encoder, decoder and head: every entry is taken."""
    start = write_start(place, tmp_path / "start", ["other"], folds=False)
    assert start.remark == "It starts from the network of round 1."
    kept = checkpoint.load(tmp_path / "start" / "checkpoints" / "pretext_serving.pt")["students"]
    method = checkpoint.load(place.of_round(1) / "run" / "checkpoints" / "last.pt")["method"]
    assert len(kept) == 2
    for name, weights in kept.items():
        for entry, value in weights.items():
            assert torch.equal(value, method[f"students.{name}.{entry}"])

    more = ["--pretext-from", str(tmp_path / "start"), "--set", f"pretext_parts={start.parts!r}"]
    capsys.readouterr()
    assert main(train_arguments(serving, tmp_path / "next", "--method", "sdcl", *more)) == 0
    told = next(line for line in capsys.readouterr().out.splitlines() if "hands over" in line)
    counts = [part.split(" entries")[0].split()[-3::2] for part in told.split(": ", 1)[1].split("; ")]
    assert all(taken == wanted for taken, wanted in counts), told


@pytest.mark.parametrize(
    ("held", "folds", "why"),
    [
        (["labeled_001"], False, "what serves has learned from labeled_001, which is held out now"),
        ([], True, "Folds start from scratch"),
    ],
)
def test_no_round_begins_where_its_figure_would_be_false(place, serving, tmp_path, held, folds, why):
    start = write_start(place, tmp_path / "start", held, folds=folds)
    assert start.parts == []
    assert why in start.remark
    assert not (tmp_path / "start").exists()


def test_before_the_first_network_there_is_nothing_to_begin_with(place, tmp_path):
    assert write_start(place, tmp_path / "start", [], folds=False).parts == []
    assert json.loads((place.folder / "settings.json").read_text())["bundle"] == "phantom"
