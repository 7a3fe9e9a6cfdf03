"""Which weights a server is left with after a training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from monai.handlers import CheckpointLoader
from torch import nn

from mednoisy.engines.served_network import (
    next_run_folder,
    serve_the_better,
    stages_for_studies,
    start_from_served,
)
from mednoisy.engines.stages import Stage
from mednoisy.methods.supervised import Supervised


class Judge:
    """Stands for a validator: the Dice of a network is its bias; of nothing held out there is none."""

    def __init__(self, *, held_out: bool = True):
        self.held_out = held_out

    def scores(self, networks, autocast, sections):
        assert sections == ("validation",)
        return (
            {"validation": {name: network.bias.item() for name, network in networks.items()}} if self.held_out else {}
        )


def weights(path: Path, bias: float) -> Path:
    torch.save({"weight": torch.ones(1, 1), "bias": torch.tensor([bias])}, path)
    return path


def bias(path: Path) -> float:
    return torch.load(path, weights_only=True)["bias"].item()


@pytest.mark.parametrize(
    ("before", "after", "held_out", "served", "beside", "told"),
    [
        (0.5, 0.75, True, 0.75, {"previous.pt": 0.5}, "is served: Dice 0.7500 on held-out studies, 0.5000 before"),
        (0.75, 0.5, True, 0.75, {"candidate.pt": 0.5}, "Dice 0.5000 on held-out studies is not above its 0.7500"),
        (0.5, 0.5, True, 0.5, {"candidate.pt": 0.5}, "is not above"),
        (0.5, 0.75, False, 0.5, {"candidate.pt": 0.75}, "no labeled study is held out, so the two cannot be compared"),
        (float("nan"), 0.5, True, float("nan"), {"candidate.pt": 0.5}, "cannot be compared"),
    ],
)
def test_only_a_higher_dice_takes_the_place(tmp_path, before, after, held_out, served, beside, told):
    place = weights(tmp_path / "model.pt", before)
    trained = weights(tmp_path / "trained.pt", after)
    network = nn.Linear(1, 1)
    kept = network.bias.item()
    assert told in serve_the_better(network, place, trained, Judge(held_out=held_out))
    assert bias(place) == pytest.approx(served, nan_ok=True)
    assert {path.name: bias(path) for path in tmp_path.glob("*e.pt") if path != place} | {
        path.name: bias(path) for path in tmp_path.glob("previous.pt")
    } == beside
    assert network.bias.item() == kept


def test_the_first_network_is_served_without_a_contest(tmp_path):
    serve_the_better(nn.Linear(1, 1), tmp_path / "models" / "model.pt", weights(tmp_path / "a.pt", 1), Judge())
    assert bias(tmp_path / "models" / "model.pt") == 1


def test_weights_are_loaded_where_the_server_asks_for_them(tmp_path):
    network = nn.Linear(1, 1)
    before = network.bias.item()
    assert start_from_served(network, [object()]) == "starting from initial weights"
    assert network.bias.item() == before
    loader = CheckpointLoader(str(weights(tmp_path / "model.pt", 3)), {"model": network})
    assert start_from_served(network, [loader]).endswith("model.pt")
    assert network.bias.item() == 3


def test_without_unlabeled_studies_the_network_learns_from_labels(capsys):
    network = nn.Conv2d(1, 2, 1)
    semi = Stage("semi", lambda: Supervised(network), labeled=2, unlabeled=2)
    plain = Stage("plain", lambda: Supervised(network), labeled=2)
    assert stages_for_studies([plain, semi], network, 3, 4, "per_sample") == [plain, semi]
    assert stages_for_studies([plain], network, 0, 4, "per_sample") == [plain]
    (instead,) = stages_for_studies([plain, semi], network, 0, 4, "per_sample")
    assert (instead.labeled, instead.unlabeled) == (4, 0)
    assert instead.method().predictors()["student"] is network
    assert "there is no unlabeled study" in capsys.readouterr().err


def test_run_folders_count_on(tmp_path):
    assert next_run_folder(tmp_path / "runs") == str(tmp_path / "runs" / "1")
    for name in ("1", "7", "notes"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert next_run_folder(tmp_path / "runs") == str(tmp_path / "runs" / "8")
