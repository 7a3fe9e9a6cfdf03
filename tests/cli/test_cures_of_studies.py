"""Cures followed: grids of runs, and annotation simulated. Trainings are passed over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mednoisy.cli import main
from mednoisy.composition import bundles_folder
from mednoisy.report import run_page, simulation_page
from mednoisy.simulation import simulation as simulation_module
from mednoisy.simulation.choices import Choices
from mednoisy.studies import study as study_module
from tests.cli.test_cures import filled, refused_with
from tests.simulated import FakeTrainings, patients_dataset, write_run
from tests.small_runs import SMALL, as_arguments, small_dataset, train_arguments


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets, a finished run on one of them, and one that gives features."""
    folder = tmp_path_factory.mktemp("base")
    small_dataset(folder / "data")
    assert main(train_arguments(folder / "data", folder / "finished", "--method", "supervised")) == 0
    patients_dataset(folder / "patients")
    write_run(folder / "features", 0.5)
    return folder


@pytest.fixture
def work(base, tmp_path, monkeypatch) -> Path:
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Studies


@pytest.fixture
def signals(monkeypatch) -> list[str]:
    """Runs of a study are copies of a finished one, but for one for each signal listed here, which ends it."""
    signals: list[str] = []

    def finish(command: list[str], threads: int | None) -> tuple[int, bool]:
        if signals:
            signals.pop()
            return 1, True
        shutil.copytree("finished", command[command.index("--output") + 1])
        return 0, False

    monkeypatch.setattr(study_module, "finish", finish)
    monkeypatch.setattr(run_page, "write_report", lambda *_: None)  # takes seconds
    return signals


STUDY = ["study", "phantom", "--data", "data", "--output", "out", "--labeled", "2", "--steps", "2", "--validation", "0"]
STUDY += as_arguments(SMALL)
PLAIN = ["--methods", "supervised"]


def nothing() -> None:
    pass


def overlays_of_one_name() -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        shutil.copy(bundles_folder() / "methods" / "supervised.yaml", f"{folder}/it.yaml")


def weights_of_one_name() -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        shutil.copy("finished/models/model.pt", folder)


def another_model() -> None:
    Path("b/model.pt").rename("b/other.pt")


def another_name() -> None:
    Path("b/it.yaml").rename("b/other.yaml")


def rows(**changes: Any) -> Callable[[], None]:
    content = [{"method": "supervised", "settings": {"val_interval": 1}, **changes}]
    return lambda: Path("rows.yaml").write_text(yaml.safe_dump(content), encoding="utf-8") and None


def two_rows(**changes: Any) -> Callable[[], None]:
    content = [{"method": "supervised", "name": "one"}, {"method": "copy_paste", "name": "one", **changes}]
    return lambda: Path("rows.yaml").write_text(yaml.safe_dump(content), encoding="utf-8") and None


@pytest.mark.parametrize(
    ("code", "fault", "given", "cure", "mend", "followed"),
    [
        ("E352", overlays_of_one_name, ["--methods", "a/it.yaml", "b/it.yaml"], "Rename an overlay's file", another_name, ["--methods", "a/it.yaml", "b/other.yaml"]),
        ("E352", two_rows(), ["--rows", "rows.yaml"], "Give one of them a `name` of its own in a file of rows", two_rows(name="two"), ["--rows", "rows.yaml"]),
        ("E352", weights_of_one_name, ["--methods", "supervised", "--starts", "pretrained:a/model.pt", "pretrained:b/model.pt"], "Rename one of the files of weights", another_model, ["--methods", "supervised", "--starts", "pretrained:a/model.pt", "pretrained:b/other.pt"]),
        ("E354", rows(name="??"), ["--rows", "rows.yaml"], "Give the row a `name` in a file of rows", rows(name="mine"), ["--rows", "rows.yaml"]),
        ("E355", rows(metod="bcp"), ["--rows", "rows.yaml"], "Did you mean 'method'", rows(), ["--rows", "rows.yaml"]),
        ("E356", nothing, [*PLAIN, "--set", "labeled=1"], r"Drop it, and use (--\w+)", nothing, [*PLAIN, "<1>", "1"]),
        ("E356", nothing, [*PLAIN, "--set", "seed=1"], r"Drop it, and use (--\w+)", nothing, [*PLAIN, "<1>", "1"]),
        ("E356", nothing, [*PLAIN, "--set", "recipe_name=mine"], "Drop it", nothing, PLAIN),
    ],
)  # fmt: skip
def test_a_study_is_called_again_as_the_cure_says(work, signals, capsys, code, fault, given, cure, mend, followed):
    fault()
    proposed = refused_with(capsys, [*STUDY, *given], code, cure)
    assert not Path("out/runs").exists()
    mend()
    assert main([*STUDY, *filled(followed, proposed)]) == 0
    assert Path("out/table.md").is_file()


def test_a_study_that_was_stopped_goes_on_with_the_same_settings_alone(work, signals, capsys):
    signals.append("SIGTERM")
    refused_with(capsys, [*STUDY, *PLAIN], "E350", "Call the study again to go on", end=1)
    other = [*STUDY, *PLAIN, "--steps", "1"]
    refused_with(capsys, other, "E351", "Go on with the same settings, or give another --output")
    assert main([*STUDY, *PLAIN]) == 0
    assert main([*other, "--output", "another"]) == 0


# Simulations


@pytest.fixture
def trained(monkeypatch) -> FakeTrainings:
    """Trainings end at once; the bundle `phantom` has two codes, the small dataset three."""
    fake = FakeTrainings()
    monkeypatch.setattr(simulation_module, "finish", fake)
    monkeypatch.setattr(simulation_page, "write_simulation_page", lambda *_: None)
    load = simulation_module.LabeledPool.load
    monkeypatch.setattr(simulation_module.LabeledPool, "load", lambda data, codes=None: load(data))
    return fake


SIMULATE = ["simulate", "phantom", "--data", "patients", "--output", "out", "--strategies", "random"]
SIMULATE += ["--methods", "supervised", "--rounds", "1", "--steps", "2"]


def untested() -> None:
    change(lambda content: content["labeled"].extend(content.pop("test")))


def with_test_cases() -> None:
    change(lambda content: content.update(test=[content["labeled"].pop() for _ in range(2)]))


def change(edit: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(Path("patients/datalist.json").read_text())
    edit(content)
    Path("patients/datalist.json").write_text(json.dumps(content))


def taken() -> None:
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")


def a_file(**names: str) -> Callable[[], None]:
    methods = [{"method": "supervised"}, {"method": "copy_paste", "name": "supervised", **names}]
    content = {"bundle": "phantom", "methods": methods, "strategies": ["random"], "rounds": 1, "steps": 2}
    content |= {"start": 1, "budget": 1, "seeds": [0]}
    return lambda: Path("s.yaml").write_text(yaml.safe_dump(content)) and None


FILE = ["simulate", "--file", "s.yaml", "--data", "patients", "--output", "out"]


@pytest.mark.parametrize(
    ("code", "fault", "words", "cure", "mend", "followed"),
    [
        ("E356", nothing, [*SIMULATE, "--set", "labeled=2"], r"Drop it, and use (--\w+)", nothing, [*SIMULATE, "<1>", "2"]),
        ("E531", nothing, [*SIMULATE, "--rounds", "9"], r"Lower --start, --budget or --rounds", nothing, [*SIMULATE, "--rounds", "5"]),
        ("E532", taken, SIMULATE, "Give an empty folder with --output", nothing, [*SIMULATE, "--output", "new"]),
        ("E533", untested, SIMULATE, "List some labeled cases in the section 'test'", with_test_cases, SIMULATE),
        ("E535", a_file(), FILE, "Give one of them a `name` of its own in a file", a_file(name="mixing"), FILE),
        ("E537", nothing, [*SIMULATE, "--start-strategy", "entropy"], r"Take (random)", nothing, [*SIMULATE, "--start-strategy", "<1>"]),
    ],
)  # fmt: skip
def test_a_simulation_is_called_again_as_the_cure_says(work, trained, capsys, code, fault, words, cure, mend, followed):
    fault()
    proposed = refused_with(capsys, words, code, cure)
    assert trained.commands == []
    mend()
    assert main(filled(followed, proposed)) == 0
    assert trained.commands


def test_a_start_is_chosen_by_the_features_of_a_run(work, trained, capsys, monkeypatch):
    """What it chooses is no business of this test: the run is made up."""
    monkeypatch.setattr(
        Choices, "_query", lambda choices, run, strategy, *_, **__: choices.pool.chosen("random", 1, None)
    )
    proposed = refused_with(
        capsys, [*SIMULATE, "--start-strategy", "entropy"], "E537", r"or one of (\w+),? .*with (--start-run)"
    )
    assert main([*SIMULATE, "--start-strategy", *filled(["<1>", "<2>", "features"], proposed)]) == 0


def test_a_simulation_that_was_stopped_goes_on_with_the_same_alone(work, trained, capsys, monkeypatch):
    monkeypatch.setattr(simulation_module, "finish", lambda *_: (1, True))
    refused_with(capsys, SIMULATE, "E534", "Call the simulation again to go on", end=1)
    other = [*SIMULATE, "--budget", "2"]
    refused_with(capsys, other, "E532", "Go on with the same, or give another --output")
    monkeypatch.setattr(simulation_module, "finish", trained)
    assert main(SIMULATE) == 0
    assert main([*other, "--output", "another"]) == 0
