"""Studies in files: those of the results, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mednoisy.active.catalogue import STRATEGIES
from mednoisy.cli import main
from mednoisy.composition import compose
from mednoisy.composition.config_files import read_config
from mednoisy.errors import UserError
from mednoisy.simulation.simulation import Simulation
from mednoisy.studies.files import read_rows, read_simulation, read_study
from mednoisy.studies.row_checks import check_row
from mednoisy.studies.rows import Row
from mednoisy.studies.study import Study

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "benchmarks" / "studies").glob("*.yaml"))
SIMULATIONS = sorted((ROOT / "benchmarks" / "studies" / "simulations").glob("*.yaml"))
STUDY = """
bundle: phantom
rows:
- supervised
- sdcl:strong teachers=each
- {method: bcp, recipe: strong, name: ours, settings: {width: 4}, labeled: [2], seeds: [1, 2], starts: [scratch]}
labeled: [2, 4]
starts: [scratch, restoration]
pretext_steps: 7
steps: 10
validation: 0
dataset: own.yaml
threads: 1
settings: {width: 2}
"""

SIMULATION = """
bundle: phantom
methods:
- supervised
- {method: sdcl, recipe: strong, name: slow, settings: {teachers: each}}
strategies: [random, entropy]
start: 2
rounds: 3
steps: 10
start_strategy: typiclust
start_run: runs/pretext
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def page_of(path: Path) -> str:
    """The text of the page of results that shows a study."""
    page = re.sub("_(long|rounds|phantom|isic2017)$", "", path.stem)
    return (ROOT / "docs" / "results" / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_studies_of_the_results_can_be_composed(path):
    """Every bundle, method and recipe is there, and every setting is an entry of each row's configuration."""
    study = Study(data=Path("data"), output=Path("output"), **read_study(path))
    assert len({cell.name for cell in study.cells}) == len(study.cells)
    for row in study.table_rows:
        files = compose(study.bundle, row.method, row.recipe).config_files
        entries = {key for file in files for key in read_config(file)}
        assert {key.partition("#")[0] for key in (*study.settings, *row.settings)} <= entries, row
    text = page_of(path)
    assert f"mednoisy study --file benchmarks/studies/{path.name} " in text
    assert f"<!-- {path.stem}, made by benchmarks/study_page.py -->" in text


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_tables_of_the_results_are_of_these_studies(path):
    """The page has a line for each row and number of labels, with its number of seeds, in this order."""
    study = Study(data=Path("data"), output=Path("output"), **read_study(path))
    text = page_of(path)
    table = text.partition(f"<!-- {path.stem}, made by benchmarks/study_page.py -->")[2].partition("<!-- end -->")[0]
    if not table.strip():
        assert "has been run yet" in text
        return
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    deployed = [line for line in lines if len(line) == 10 and line[3].endswith(" (deployed)")]
    cells = list(dict.fromkeys((str(cell.labeled), cell.row.title, cell.recipe) for cell in study.cells))
    assert [tuple(line[:3]) for line in deployed] == cells
    for line in deployed:
        seeds = [cell for cell in study.cells if [str(cell.labeled), cell.row.title, cell.recipe] == line[:3]]
        assert line[8] == str(len(seeds))


def test_what_a_file_says(tmp_path):
    assert read_study(written(tmp_path, STUDY)) == {
        "bundle": "phantom",
        "methods": [
            Row("supervised"),
            Row("sdcl", "strong", {"teachers": "each"}),
            Row("bcp", "strong", {"width": 4}, "ours", [2], [1, 2], ["scratch"]),
        ],
        "labeled": [2, 4],
        "starts": ["scratch", "restoration"],
        "pretext_steps": 7,
        "seeds": [0],
        "steps": 10,
        "validation": 0,
        "dataset": Path("own.yaml"),
        "threads": 1,
        "settings": {"width": 2},
    }


def test_the_file_that_the_docs_show(tmp_path):
    """It can be read, and is a study of the package's bundles and methods."""
    text = (ROOT / "docs" / "how_to" / "run_a_study.md").read_text(encoding="utf-8")
    shown = text.partition("```yaml\n")[2].partition("```")[0]
    study = Study(data=Path("data"), output=Path("output"), **read_study(written(tmp_path, shown)))
    for row in study.table_rows:
        files = compose(study.bundle, row.method, row.recipe).config_files
        assert {*study.settings, *row.settings} <= {key for file in files for key in read_config(file)}
    assert next(cell.name for cell in study.cells if cell.seed) == "sdcl_with_a_slow_teacher-3-labeled-seed1"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("steps: 10", "stesp: 10", "unknown entry 'stesp'. Did you mean 'steps'?"),
        ("steps: 10", "steps: 0", "steps is 0; it must be a whole number from 1 on"),
        ("steps: 10", "steps: true", "steps is True; it must be a whole number from 1 on"),
        ("steps: 10\n", "", "steps missing. Correct the file"),
        ("labeled: [2, 4]", "labeled: 2", "labeled is 2; it must be a list of whole numbers from 1 on"),
        ("- supervised", "- 3", "row 1 is 3, neither a text nor a table"),
        ("method: bcp", "methd: bcp", "row 3: unknown entry 'methd'. Did you mean 'method'?"),
        ("method: bcp, ", "", "row 3: method missing"),
        ("{width: 4}", "4", "row 3: settings is 4; it must be a table of entries of the configuration"),
        ("seeds: [1, 2]", "seeds: [-1]", "row 3: seeds is [-1]; it must be a list of whole numbers from 0 on"),
        (
            "starts: [scratch, restoration]",
            "starts: restoration",
            "starts is 'restoration'; it must be a list of starts",
        ),
        ("starts: [scratch]}", "starts: []}", "row 3: starts is []; it must be a list of starts"),
        ("pretext_steps: 7", "pretext_steps: 0", "pretext_steps is 0; it must be a whole number from 1 on"),
        ("bundle: phantom", "bundle: [", "while parsing"),
        ("bundle: phantom", "- phantom", "while parsing"),
    ],
)
def test_a_file_that_is_refused(before, after, message, tmp_path):
    assert before in STUDY
    path = written(tmp_path, STUDY.replace(before, after, 1))
    with pytest.raises(UserError, match=f"E355 {re.escape(str(path))} cannot be used: .*{re.escape(message)}"):
        read_study(path)


def test_files_that_hold_something_else(tmp_path):
    path = written(tmp_path, "- supervised\n- {method: sdcl, settings: {teachers: each}}\n")
    assert read_rows(path) == [Row("supervised"), Row("sdcl", settings={"teachers": "each"})]
    with pytest.raises(UserError, match=r"E355 .* it is no table of entries"):
        read_study(path)
    for text in ("rows: [supervised]", "[]"):
        with pytest.raises(UserError, match=r"E355 .* it is no list of rows"):
            read_rows(written(tmp_path, text))
    with pytest.raises(UserError, match=r"E355 .* cannot be used: .*No such file"):
        read_rows(tmp_path / "absent.yaml")


PLACES = ("--data", "D", "--output", "O")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--file", "absent.yaml", *PLACES], "E355 absent.yaml cannot be used: "),
        (["--file", "a.yaml"], "E100 the following arguments are required: --data, --output"),
        (["phantom", "--file", "a.yaml", *PLACES], "E113 bundle does not go with --file"),
        (["--file", "a.yaml", *PLACES, "--validation", "0"], "E113 --validation does not go with --file"),
        (["--file", "a.yaml", *PLACES, "--set", "width=2"], "E113 --set does not go with --file"),
        (["phantom", *PLACES], "E100 the following arguments are required: --methods, --labeled, --steps"),
        ([], "E100 the following arguments are required: bundle, --data, --output, --methods, --labeled, --steps"),
        (
            ["phantom", *PLACES, "--labeled", "2", "--steps", "2", "--methods", "bcp", "--rows", "r.yaml"],
            "E113 --methods does not go with --rows",
        ),
    ],
)
def test_arguments_of_study_that_are_refused(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["study", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"mednoisy: {message}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", SIMULATIONS, ids=lambda path: path.stem)
def test_the_simulations_of_the_results_can_be_composed(path):
    """Every strategy, bundle, method and setting is there; random and a foreground-aware random are among them."""
    simulation = Simulation(data=Path("data"), output=Path("output"), **read_simulation(path))
    for row in simulation.rows:
        check_row(row, simulation.bundle, simulation.settings)
    assert {"random", "foreground_random_66"} <= set(simulation.strategies) <= set(STRATEGIES)
    assert len(set(simulation.strategies)) >= 6
    assert len(simulation.seeds) >= 3


def test_a_simulation_in_a_file(tmp_path):
    path = written(tmp_path, SIMULATION)
    assert read_simulation(path) == {
        "bundle": "phantom",
        "methods": [Row("supervised"), Row("sdcl", "strong", {"teachers": "each"}, "slow")],
        "strategies": ["random", "entropy"],
        "start": 2,
        "budget": 1,
        "rounds": 3,
        "seeds": [0],
        "steps": 10,
        "start_strategy": "typiclust",
        "start_run": Path("runs/pretext"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it is no table of entries"),
        (SIMULATION.replace("rounds: 3", "rounds: 0"), "rounds is 0; it must be a whole number from 1 on"),
        (SIMULATION.replace("rounds: 3", ""), "rounds missing"),
        (SIMULATION.replace("rounds", "round"), "unknown entry 'round'. Did you mean 'rounds'"),
        (SIMULATION.replace("[random, entropy]", "random"), "strategies is 'random'; it must be a list of strategies"),
        (SIMULATION.replace("[random, entropy]", "[1]"), r"strategies is \[1\]; it must be a list of strategies"),
        (SIMULATION.replace("name: slow", "labeled: [3]"), "a method has labeled, seeds or starts of its own"),
        (SIMULATION.replace("name: slow", "starts: [scratch]"), "a method has labeled, seeds or starts of its own"),
        (SIMULATION.replace("start: 2", "start: .nan"), "start is nan; it must be a whole number from 1 on"),
    ],
)
def test_files_that_are_no_simulation(text, message, tmp_path):
    with pytest.raises(UserError, match=f"E355 .*{message}"):
        read_simulation(written(tmp_path, text))
