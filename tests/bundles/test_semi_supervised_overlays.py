"""The overlays of UA-MT, cross pseudo supervision, FixMatch, UniMatch and online labels, from the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from mednoisy.cli import main
from mednoisy.composition import compose
from tests.small_runs import SMALL, small_dataset, train_arguments

DEPLOYED = {
    "ua_mt": ("student", {"student", "teacher"}),
    "cps": ("a", {"a", "b", "mean"}),
    "fixmatch": ("student", {"student"}),
    "unimatch": ("student", {"student"}),
    "offline_labels": ("momentum", {"momentum", "student", "teacher"}),
    "online_labels": ("momentum", {"momentum", "student", "teacher"}),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("phantoms"))


def run(dataset: Path, folder: Path, method: str, *more: str) -> dict:
    """Two steps on phantoms; the run's last checkpoint."""
    assert main(train_arguments(dataset, folder, "--method", method, *more)) == 0
    assert (folder / "report.html").is_file()
    return torch.load(folder / "checkpoints" / "last.pt", weights_only=True)


@pytest.mark.parametrize("method", DEPLOYED)
def test_two_steps(method, dataset, tmp_path):
    """Trained, evaluated and reported; every predictor is scored and the deployed one exported as plain weights."""
    assert run(dataset, tmp_path / "run", method)["step"] == 2
    with open(tmp_path / "run" / "scores.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    deployed, predictors = DEPLOYED[method]
    assert {row["predictor"] for row in rows} == predictors
    assert rows[0]["predictor"] == deployed
    exported = torch.load(tmp_path / "run" / "models" / "model.pt", weights_only=True)
    parser = compose("phantom", overrides=SMALL).workflow().parser
    parser.get_parsed_content("network_def").load_state_dict(exported)


@pytest.mark.slow
@pytest.mark.parametrize("method", DEPLOYED)
def test_the_published_recipe(method, dataset, tmp_path):
    """Its settings fit the overlays, and the teacher is then in training mode."""
    last = run(dataset, tmp_path / "run", method, "--recipe", "published")
    assert all(torch.isfinite(value).all() for value in last["method"].values())


@pytest.mark.slow
def test_cps_with_cutmix(dataset, tmp_path):
    """The overlay names no boxes; they are given as a setting."""
    boxes = "cutmix_boxes={'_target_': 'mednoisy.perturb.cutmix.CutMixRule', 'probability': 1.0}"
    plain = run(dataset, tmp_path / "plain", "cps", "--set", "batch_size=4")
    mixed = run(dataset, tmp_path / "mixed", "cps", "--set", "batch_size=4", "--set", boxes)
    name = "students.a.head.1.bias"
    assert not torch.equal(plain["method"][name], mixed["method"][name])


def content(method: str, seed: int = 0) -> dict[str, torch.nn.Module]:
    """The networks of an overlay, made as the bundle makes them."""
    parser = compose("phantom", method, overrides=SMALL | {"seed": seed}).workflow().parser
    parser.parse(reset=True)
    networks = {}
    for number, name in enumerate(("network_def", "partner_def")):
        torch.manual_seed(seed + number)
        networks[name] = parser.get_parsed_content(name)
    if "source_def" in parser:  # drawn behind the partner, when the stages are made
        networks["source_def"] = parser.get_parsed_content("source_def")
    return networks


def test_partners_have_the_same_structure_and_weights_of_their_own():
    """The partner is a second instance of the bundle's network, filled from a seed of its own, again and again."""
    first, again, other = content("cps"), content("cps"), content("cps", seed=1)
    a, b = (first[name].state_dict() for name in ("network_def", "partner_def"))
    assert {key: value.shape for key, value in a.items()} == {key: value.shape for key, value in b.items()}
    name = "head.1.weight"
    assert not torch.equal(a[name], b[name])
    assert torch.equal(b[name], again["partner_def"].state_dict()[name])
    assert not torch.equal(b[name], other["partner_def"].state_dict()[name])


def test_the_second_stage_gets_the_momentum_teacher(dataset, tmp_path):
    """Offline it stays what the first stage left: .95 of the first weights and .05 of those after one step."""
    settings = SMALL | {"online": False, "steps": 2, "dataset_dir": str(dataset), "output_dir": str(tmp_path / "run")}
    settings["model_file"] = str(tmp_path / "run" / "models" / "model.pt")
    parser = compose("phantom", "online_labels", overrides=settings).run().parser
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)["method"]
    start = content("online_labels")["source_def"].state_dict()
    trained = parser.get_parsed_content("source_def").state_dict()
    for name, value in start.items():
        expected = 0.95 * value + 0.05 * trained[name]
        torch.testing.assert_close(last[f"teacher.network.{name}"], expected)
    name = "head.1.weight"
    assert not torch.equal(start[name], trained[name])
    assert not torch.equal(last[f"students.student.{name}"], trained[name])
