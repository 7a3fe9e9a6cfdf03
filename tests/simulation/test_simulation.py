"""The loop of a simulation: what is labeled when, what is asked of whom, what goes on after a kill at any point."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mednoisy.active.catalogue import STRATEGIES
from mednoisy.active.pool import Pick
from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from mednoisy.errors import UserError
from mednoisy.simulation import simulation as simulation_module
from mednoisy.simulation.simulation import Simulation
from mednoisy.studies.rows import Row
from tests.simulated import PATIENTS, STEP, FakeTrainings, dice_of, patients_dataset, write_run


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return patients_dataset(tmp_path_factory.mktemp("patients"))


@pytest.fixture
def trained(monkeypatch) -> FakeTrainings:
    fake = FakeTrainings()
    monkeypatch.setattr(simulation_module, "finish", fake)
    return fake


def first_in_order(run: Path, strategy: str, budget: int, **settings: Any) -> list[Pick]:
    """A query that takes the first unlabeled cases of the run's datalist, one a patient."""
    cases = Datalist.load(run.parent / "data" / "datalist.json").cases("unlabeled")
    first = {case["patient"]: case["id"] for case in reversed(cases)}
    return [Pick(0, name, float("inf"), "the first") for name in list(first.values())[::-1][:budget]]


def small(dataset: Path, output: Path, **changes: Any) -> Simulation:
    arguments: dict[str, Any] = {
        "strategies": ["random", "entropy"], "methods": ["supervised"], "start": 1, "budget": 1, "rounds": 2,
        "seeds": [0], "steps": 2, "query": first_in_order,
    }  # fmt: skip
    return Simulation(bundle="phantom", data=dataset, output=output, **(arguments | changes))


@pytest.fixture(autouse=True)
def three_classes(monkeypatch):
    """The bundle `phantom` has two codes, the small dataset three."""
    load = simulation_module.LabeledPool.load
    monkeypatch.setattr(simulation_module.LabeledPool, "load", lambda data, codes=None: load(data))


def table(output: Path) -> list[dict[str, str]]:
    with open(output / "rows.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_what_is_labeled_in_each_round(dataset, tmp_path, trained):
    """All cases of a chosen patient are revealed, in the order of the choices; the rest stays, without labels."""
    simulation = small(dataset, tmp_path / "s")
    assert simulation.run() == []
    kept = json.loads((tmp_path / "s" / "starts" / "seed0.json").read_text())["patients"]
    assert len(kept) == 1
    for training in simulation.trainings:
        datalist = Datalist.load(simulation.folder(training) / "data" / "datalist.json")
        labeled = datalist.patients("labeled")
        if training.strategy == "all_labels":
            assert labeled == [f"p{number}" for number in range(1, PATIENTS + 1)]
        else:
            assert labeled[0] == kept[0]
            assert len(labeled) == 1 + training.round
            assert {*labeled, *datalist.patients("unlabeled")} == {f"p{number}" for number in range(1, PATIENTS + 1)}
        assert len(datalist.cases("labeled")) == 2 * len(labeled)
        assert [case["id"] for case in datalist.cases("unlabeled")] == [c["id"] for c in datalist.cases("hidden")]
        assert datalist.cases("validation") == []  # these labels would come for free
        assert datalist.patients("test") == ["t"]
        if training.round > 1:
            before = Datalist.load(simulation.folder(training.before) / "data" / "datalist.json")
            assert labeled[:-1] == before.patients("labeled")
    others = [patient for patient in simulation.pool.patients if patient != kept[0]]
    last = simulation.trainings[-1]
    assert (last.strategy, last.round) == ("entropy", 2)
    assert simulation.choices.labeled(last) == [kept[0], *others[:2]]


def test_rows_and_table_hold_what_was_reached_and_paid(dataset, tmp_path, trained):
    simulation = small(dataset, tmp_path / "s", seeds=[0, 1])
    simulation.run()
    rows = table(tmp_path / "s")
    assert len(rows) == 2 * (2 * 3 + 1)  # two seeds of two strategies with three trainings, and of all labels
    total = sum(number + scan + 1 for number in range(1, PATIENTS + 1) for scan in range(2))
    for row in rows:
        folder = (tmp_path / "s" / row["run"]).parent
        patients = Datalist.load(folder / "data" / "datalist.json").patients("labeled")
        numbers = [int(patient[1:]) for patient in patients]
        assert float(row["dice"]) == pytest.approx(dice_of(len(patients), int(row["seed"])))
        assert int(row["patients"]) == len(patients)
        assert int(row["cases"]) == 2 * len(patients)
        assert int(row["slices"]) == sum(2 * number + 1 for number in numbers)
        assert int(row["foreground_voxels"]) == sum(2 * number + 3 for number in numbers)
        assert float(row["foreground_share"]) == pytest.approx(sum(2 * number + 3 for number in numbers) / total)
        assert row["processor_seconds"] == "90.0"
        assert row["hd95"] == "4.0"
    assert [row["round"] for row in rows if row["strategy"] == "all_labels"] == ["", ""]
    text = (tmp_path / "s" / "table.md").read_text()
    area = 100 * (0.5 + 2 * STEP + 0.001)  # of a straight line, its middle; mean of both seeds
    assert f"| random | {area:.1f} (" in text
    assert f"| entropy | {area:.1f} (" in text
    assert "random is not beaten by entropy, whose mean area is no higher." in text
    page = simulation.page.read_text()
    assert "random is not beaten by entropy" in page
    assert page.count("<picture>") == 2


def test_a_network_is_asked_after_its_own_training(dataset, tmp_path, trained):
    """The query gets the run of the round before; strategies without a network do not ask it."""
    asked: list[tuple] = []

    def query(run: Path, strategy: str, budget: int, **settings: Any) -> list[Pick]:
        assert (run / "summary.json").is_file()
        asked.append((run.relative_to(tmp_path / "s").as_posix(), strategy, budget, settings))
        return first_in_order(run, strategy, budget)

    strategies = ["random", "foreground_random_66", "entropy"]
    small(dataset, tmp_path / "s", strategies=strategies, query=query, pooling="mean", device="cpu").run()
    always = {"seed": 0, "rounds": 3, "pooling": "mean", "trust": False, "device": "cpu"}
    assert asked == [
        ("runs/supervised-seed0/start/run", "entropy", 1, {**always, "number": 0}),
        ("runs/supervised-seed0/entropy/round1/run", "entropy", 1, {**always, "number": 1}),
    ]


def test_methods_and_strategies_share_the_start_and_random_its_draws(dataset, tmp_path, trained):
    simulation = small(dataset, tmp_path / "s", methods=["supervised", "copy_paste:strong"], seeds=[3])
    simulation.run()
    picks = {path.relative_to(tmp_path / "s").as_posix(): path.read_text() for path in tmp_path.rglob("picks.json")}
    for number in (1, 2):
        first, second = (
            picks[f"runs/{row}-seed3/random/round{number}/picks.json"] for row in ("supervised", "copy_paste-strong")
        )
        assert first == second
    assert [path.name for path in (tmp_path / "s" / "starts").iterdir()] == ["seed3.json"]
    uppers = sorted(path.name for path in (tmp_path / "s" / "all_labels").iterdir())
    assert uppers == ["supervised-seed3", "supervised-strong-seed3"]
    assert [c[c.index("--recipe") + 1] for c in trained.commands if "all_labels" in " ".join(c)] == [
        "default",
        "strong",
    ]


def test_seeds_have_starts_of_their_own(dataset, tmp_path, trained):
    small(dataset, tmp_path / "s", rounds=1, strategies=["random"], seeds=list(range(6))).run()
    starts = {path.read_text() for path in (tmp_path / "s" / "starts").iterdir()}
    assert len(starts) > 1


class Killed(BaseException):
    """As if the process were gone."""


def files(output: Path) -> dict[str, str]:
    """Every text of a simulation, without the page."""
    left_out = (".lock", "simulation.html")
    paths = [path for path in output.rglob("*") if path.is_file() and path.name not in left_out]
    return {path.relative_to(output).as_posix(): path.read_text() for path in paths}


def killed_at(number: int, monkeypatch) -> Callable[[], bool]:
    """From now on the `number`-th file written or training ended is the last thing that happens; whether it came."""
    from mednoisy import files as files_module
    from mednoisy.simulation import choices as simulation_choices

    count = 0

    def counted(action: Callable) -> Callable:
        def act(*arguments: Any) -> Any:
            nonlocal count
            result = action(*arguments)
            count += 1
            if count == number:
                raise Killed
            return result

        return act

    write = counted(files_module.write_text)
    for module in (simulation_module, simulation_choices):
        monkeypatch.setattr(module, "write_text", write)
    monkeypatch.setattr("mednoisy.data.datalist.write_text", write)
    monkeypatch.setattr("mednoisy.evaluation.metrics.write_text", write)
    monkeypatch.setattr(simulation_module, "finish", counted(FakeTrainings()))
    return lambda: count >= number


def test_a_simulation_goes_on_after_a_kill_at_every_point(dataset, tmp_path, trained, monkeypatch):
    """Whatever was the last file or training, the second call ends with the files of an undisturbed simulation."""
    monkeypatch.setattr("mednoisy.report.simulation_page.rendered_page", lambda *content: "")
    monkeypatch.setattr("mednoisy.report.simulation_page._plots", lambda method: [])
    small(dataset, tmp_path / "whole").run()
    expected = files(tmp_path / "whole")
    assert "runs/supervised-seed0/entropy/round2/picks.json" in expected
    points = 0
    while True:
        points += 1
        output = tmp_path / "killed"
        with monkeypatch.context() as patched:
            came = killed_at(points, patched)
            with contextlib.suppress(Killed):
                small(dataset, output).run()
            if not came():
                break
        assert small(dataset, output).run() == []
        assert files(output) == expected, points
        shutil.rmtree(output)
    assert points == 1 + 6 * 3 + 4 + 2  # files of six trainings and their ends, four choices, start and simulation


def test_a_finished_simulation_does_nothing_and_may_grow(dataset, tmp_path, trained):
    small(dataset, tmp_path / "s").run()
    known = len(trained.commands)
    assert small(dataset, tmp_path / "s").run() == []
    assert len(trained.commands) == known
    small(dataset, tmp_path / "s", strategies=["random", "entropy", "margin"], seeds=[0, 1]).run()
    assert len(trained.commands) == known + 2 + 2 + 2 * 3  # two rounds of margin, then the second seed
    rows = table(tmp_path / "s")
    assert {row["strategy"] for row in rows} == {"random", "entropy", "margin", "all_labels"}


def test_an_interrupted_training_is_resumed(dataset, tmp_path, trained):
    simulation = small(dataset, tmp_path / "s", strategies=["random"], rounds=1)
    trained.fails = lambda command: "round1" in command
    assert simulation.run() == ["supervised, seed 0, random, round 1"]
    run = simulation.folder(simulation.trainings[-1]) / "run"
    run.mkdir()
    (run / "config.yaml").write_text("")
    trained.fails = lambda command: False
    assert small(dataset, tmp_path / "s", strategies=["random"], rounds=1, trust=True).run() == []
    assert trained.commands[-1][3:] == ["train", "--resume", str(run), "--trust"]


def test_what_fails_is_told_and_ends_its_strategy_alone(dataset, tmp_path, trained, capsys):
    """Rounds after a failed training or a refused query are not begun; all others are."""

    def query(run: Path, strategy: str, budget: int, **settings: Any) -> list[Pick]:
        if strategy == "bald":
            raise UserError("E393", "its uncertainty are not finite numbers", "Make them again", case="p1_0")
        return first_in_order(run, strategy, budget)

    trained.fails = lambda command: "margin/round1" in command
    strategies = ["bald", "margin", "entropy"]
    failed = small(dataset, tmp_path / "s", strategies=strategies, query=query).run()
    assert failed == ["supervised, seed 0, bald, round 1", "supervised, seed 0, margin, round 1"]
    assert "seed 0, bald, round 1: E393 case 'p1_0': its uncertainty are not finite" in capsys.readouterr().err
    finished = [(row["strategy"], row["round"]) for row in table(tmp_path / "s")]
    assert ("entropy", "2") in finished
    assert not {("bald", "1"), ("bald", "2"), ("margin", "1"), ("margin", "2")} & set(finished)
    assert "5 of 8 trainings are not" not in (tmp_path / "s" / "table.md").read_text()
    assert "4 of 8 trainings are finished" in (tmp_path / "s" / "table.md").read_text()


def test_an_undefined_dice_is_shown_as_such(dataset, tmp_path, trained):
    trained.dice = lambda labeled, seed: None if labeled == 2 else 0.5
    simulation = small(dataset, tmp_path / "s", strategies=["random", "entropy"])
    assert simulation.run() == []
    assert [row["dice"] for row in table(tmp_path / "s") if row["round"] == "1"] == ["", ""]
    text = (tmp_path / "s" / "table.md").read_text()
    assert "| random | – | 50.0 |" in text
    assert "nan" not in text.lower()
    assert "nan" not in simulation.page.read_text().lower().split("<h2>")[-1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounds": 6}, "E531 1 at the start and 6 rounds of 1 are 7 patients; the pool has 6"),
        ({"start": 2, "budget": 3}, "E531 2 at the start and 2 rounds of 3 are 8 patients"),
        ({"strategies": ["entropie"]}, "E395 unknown strategy 'entropie'. Did you mean 'entropy'"),
        ({"start_strategy": "typiclust"}, "E537 the strategy typiclust cannot choose the start"),
        ({"start_strategy": "entropy", "start_run": Path("run")}, "E537 the strategy entropy cannot choose"),
        ({"methods": ["supervised", Row("copy_paste", name="supervised")]}, "E535 the methods 'supervised:default'"),
        ({"methods": ["supervized"]}, "E101 unknown method 'supervized'"),
        ({"pooling": "max"}, "E515 unknown --pooling 'max'"),
        ({"start_strategy": "typiclust", "start_run": Path("absent")}, r"E402 absent.summary\.json cannot be used"),
        (
            {"rounds": 5, "methods": ["supervised", "mean_teacher:strong"]},
            "E531 .* no unlabeled case, which mean_teach",
        ),
        ({"rounds": 5, "methods": ["noisy_student"]}, "E531 .* no unlabeled case, which noisy_student"),
        (
            {"rounds": 4, "methods": ["supervised", Row("mean_teacher", settings={"batch_size": 8})]},
            "E590 a step of mean_teacher.* draws 4 unlabeled cases, and the last round may leave 2",
        ),
        ({"settings": {"labeled": 3}}, "E356 the setting 'labeled'"),
        ({"settings": {"widht": 3}}, "E103 the configuration has no entry 'widht'"),
    ],
)
def test_what_could_not_be_done_is_refused_before_anything_is_written(changes, message, dataset, tmp_path, trained):
    with pytest.raises(UserError, match=message):
        small(dataset, tmp_path / "s", **changes).run()
    assert not (tmp_path / "s").exists()
    assert trained.commands == []


def test_the_whole_pool_may_be_labeled_where_no_method_learns_from_the_rest(dataset, tmp_path, trained):
    small(dataset, tmp_path / "s", rounds=5, methods=["copy_paste"]).check()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 2}, "E532 the simulation in .* has budget 1, this one 2"),
        ({"rounds": 3}, "E532 the simulation in .* has rounds 2, this one 3"),
        ({"steps": 3}, "E532 the simulation in .* has steps 2, this one 3"),
        ({"settings": {"width": 2}}, "E532 the simulation in .* has settings {}, this one {'width': '2'}"),
        ({"methods": [Row("copy_paste", name="supervised")]}, "E532 .* has method 'supervised' 'supervised:default'"),
    ],
)
def test_another_simulation_is_refused(changes, message, dataset, tmp_path, trained):
    small(dataset, tmp_path / "s").run()
    before, known = files(tmp_path / "s"), len(trained.commands)
    with pytest.raises(UserError, match=message):
        small(dataset, tmp_path / "s", **changes).run()
    assert files(tmp_path / "s") == before
    assert len(trained.commands) == known


def test_a_folder_of_something_else_is_refused(dataset, tmp_path, trained):
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(UserError, match=r"E532 .* holds other files"):
        small(dataset, tmp_path).run()


def test_damaged_choices_are_refused(dataset, tmp_path, trained):
    small(dataset, tmp_path / "s").run()
    for text, message in (("{", "E319 .*seed0.json is damaged"), ('{"patients": ["x"]}', "E319 .* names no patients")):
        (tmp_path / "s" / "starts" / "seed0.json").write_text(text)
        with pytest.raises(UserError, match=message):
            small(dataset, tmp_path / "s").run()


def test_the_start_may_be_chosen_by_the_features_of_a_run(dataset, tmp_path, trained):
    def query(run: Path, strategy: str, budget: int, **settings: Any) -> list[Pick]:
        if run.name == "pretext":
            assert (strategy, budget, settings["number"]) == ("typiclust", 2, 0)
            assert {case["patient"] for case in settings["cases"]} == {f"p{p}" for p in range(1, PATIENTS + 1)}
            assert not any("label" in case for case in settings["cases"])
            return [Pick(0, "p5_1", 1.0, "typical"), Pick(1, name, 1.0, "typical")]
        return first_in_order(run, strategy, budget)

    changes = {"start": 2, "start_strategy": "typiclust", "start_run": tmp_path / "pretext", "query": query}
    name = "p2_0"
    write_run(tmp_path / "pretext", None)
    simulation = small(dataset, tmp_path / "s", **changes)
    simulation.run()
    assert simulation.choices.labeled(simulation.trainings[0]) == ["p5", "p2"]
    name = "elsewhere"
    assert small(dataset, tmp_path / "other", **changes).run() == ["supervised, seed 0, start"]


def test_the_command_line(dataset, tmp_path, trained, capsys):
    """From options and from a file; done, done in part, refused."""
    places = ["--data", str(dataset), "--device", "cpu"]
    words = [
        "--strategies",
        "random",
        "foreground_random_33",
        "--methods",
        "supervised",
        "--rounds",
        "1",
        "--steps",
        "2",
    ]
    assert main(["simulate", "phantom", *places, "--output", str(tmp_path / "a"), *words]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"page: {tmp_path / 'a' / 'simulation.html'}"
    file = tmp_path / "small.yaml"
    file.write_text(
        "bundle: phantom\nmethods: [supervised]\nstrategies: [random, foreground_random_33]\nrounds: 1\nsteps: 2\n"
    )
    assert main(["simulate", "--file", str(file), *places, "--output", str(tmp_path / "b")]) == 0
    assert (tmp_path / "a" / "rows.csv").read_text() == (tmp_path / "b" / "rows.csv").read_text()
    trained.fails = lambda command: "round1" in command
    assert main(["simulate", "phantom", *places, "--output", str(tmp_path / "c"), *words]) == 1
    assert "mednoisy: supervised, seed 0, random, round 1 failed" in capsys.readouterr().err
    for more, message in (
        (["--rounds", "9"], "E531 1 at the start and 9 rounds of 1 are 10 patients; the pool has 6"),
        (["--strategies", "rndom"], "E395 unknown strategy 'rndom'. Did you mean 'random'"),
        (["--file", str(file)], "E113 bundle does not go with --file"),
    ):
        assert main(["simulate", "phantom", *places, "--output", str(tmp_path / "d"), *words, *more]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "d").exists()


def test_the_page_of_the_documentation_names_every_strategy():
    text = (Path(__file__).parents[2] / "docs" / "how_to" / "simulate_annotation.md").read_text(encoding="utf-8")
    assert [name for name in STRATEGIES if f"`{name}`" not in text] == []
