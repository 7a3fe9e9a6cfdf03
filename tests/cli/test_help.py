"""What `--help` shows, and how fast."""

from __future__ import annotations

import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mednoisy import cli
from mednoisy.cli import COMMANDS, main, parser
from mednoisy.cli.entry import EXAMPLES
from mednoisy.composition import find, known, prepared_datasets
from mednoisy.studies.rows import Row

PROGRAM = "import sys\nfrom mednoisy.cli import main\ntry:\n  main(sys.argv[1:])\nexcept SystemExit: pass\n"
PROGRAM += "print('heavy:', sorted({'torch', 'monai', 'numpy', 'yaml', 'matplotlib'} & set(sys.modules)))"

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [EXAMPLES, *(command.EXAMPLE for command in COMMANDS.values()), *(page.read_text("utf-8") for page in PAGES)]
CALLS = {line for text in TEXTS for line in re.findall(r"^ *(mednoisy .*)$", text, re.MULTILINE)}
CALLS = sorted(line for line in CALLS if not line.endswith(" ..."))  # patterns


def shown(capsys: pytest.CaptureFixture, command: str) -> str:
    """The help of a command in one line."""
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_help_is_there_at_once_and_loads_no_torch():
    """`mednoisy --help` answers in under half a second, because it imports nothing heavy."""
    printed = subprocess.run([sys.executable, "-c", PROGRAM, "--help"], capture_output=True, text=True, check=True)
    assert printed.stdout.endswith("heavy: []\n")
    used_before = os.times()
    subprocess.run([sys.executable, "-m", "mednoisy", "--help"], capture_output=True, check=True)
    used = os.times()
    computing = used.children_user + used.children_system - used_before.children_user - used_before.children_system
    assert computing < 0.5  # of this process alone, so that a busy machine does not fail the test


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_is_light_too(command):
    """YAML at most, for the composition."""
    words = [sys.executable, "-c", PROGRAM, command, "--help"]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert f"usage: mednoisy {command}" in printed
    assert printed.splitlines()[-1] in ("heavy: []", "heavy: ['yaml']")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(command, capsys):
    assert "example: mednoisy " + command in shown(capsys, command)


@pytest.mark.parametrize("call", CALLS)
def test_examples_of_help_and_pages_can_be_called(call):
    """Options are there; bundles, methods, recipes and datasets are those of the package, or files of a page."""
    options = vars(parser().parse_args(shlex.split(call.partition(" > ")[0])[1:]))
    rows = [Row.parse(text) for text in options.get("methods") or ()]
    methods, recipes = options.get("method"), options.get("recipe")
    names = {
        "bundle": [options.get("bundle"), *options.get("bundles", ())],
        "method": [*(methods if isinstance(methods, list) else [methods]), *(row.method for row in rows)],
        "recipe": [*(recipes if isinstance(recipes, list) else [recipes]), *(row.recipe for row in rows)],
    }
    if options.get("resume") and options.get("output") is None:
        del names["bundle"]  # it is a run's folder
    for kind, given in names.items():
        for name in given:
            if name is not None and not name.endswith(".yaml") and "/" not in name:
                find(kind, name)
    if options["command"] == "prepare":
        assert options["dataset"] in prepared_datasets()
    assert options.get("file") is None or (ROOT / options["file"]).is_file()


def test_every_module_with_options_is_a_command():
    """And the other way round."""
    modules = {module.name for module in pkgutil.iter_modules(cli.__path__)}
    assert modules - {"arguments", "entry", "interruptions", "processes"} == set(COMMANDS)


@pytest.mark.parametrize(
    ("command", "kinds"), [("train", ("bundle", "method", "recipe")), ("check", ("bundle", "method", "recipe"))]
)
def test_the_help_names_what_is_there(command, kinds, capsys):
    text = shown(capsys, command)
    for kind in kinds:
        assert ", ".join(known(kind)) in text


def test_a_new_method_is_in_the_help(tmp_path, monkeypatch, capsys):
    """One more overlay among those of the package, and nothing else."""
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "entropy.yaml").write_text("method_name: entropy\n")
    monkeypatch.setattr("mednoisy.composition.catalogue.bundles_folder", lambda: tmp_path)
    assert "--method METHOD entropy, or an overlay's file" in shown(capsys, "train")


def test_the_help_of_prepare_names_the_datasets(capsys):
    *names, last = prepared_datasets()
    assert f"{', '.join(names)} or {last}" in shown(capsys, "prepare")
