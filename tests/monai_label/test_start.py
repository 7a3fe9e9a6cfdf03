"""What `mednoisy label` refuses before it becomes a server, and who may import MONAI Label."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mednoisy.cli import main
from mednoisy.composition.catalogue import bundles_folder
from mednoisy.errors import UserError
from mednoisy.files import locked
from mednoisy.monai_label import start
from mednoisy.monai_label.deployment import Deployed
from mednoisy.monai_label.intake import save_label
from mednoisy.monai_label.start import check_port
from mednoisy.monai_label.studies import found_studies
from tests.monai_label.conftest import SETTINGS, box

PACKAGE = Path(__file__).parents[2] / "mednoisy"
SERVERS = {"app.py", "datastore.py", "server.py"}


def words(place, *more: str) -> list[str]:
    return ["label", "--bundle", "phantom", "--studies", str(place.studies), "--device", "cpu", *more]


@pytest.fixture
def without_monailabel(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None)


def test_without_monai_label_one_line_says_what_to_install(place, without_monailabel, capsys):
    before = (place.folder / "settings.json").read_bytes()
    assert main(words(place, "--method", "sdcl")) == 2
    told = capsys.readouterr().err
    assert told.startswith("mednoisy: E581 the server needs MONAI Label, which is not installed here.")
    assert told.count("\n") == 1
    assert (place.folder / "settings.json").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--strategy", "entrophy"], "E395 unknown strategy 'entrophy'. Did you mean 'entropy'?"),
        (["--pretext", "nothing"], "E501 unknown pretext 'nothing'"),
        (["--method", "sdlc"], "E101 unknown method 'sdlc'"),
        (["--set", "widht=2"], "E103"),
        (["--features-of", "absent"], "E402"),
        (["--lease", "0"], "E100 argument --lease"),
        (["--folds", "1"], "E370 1 folds are asked for"),
    ],
)
def test_what_a_training_would_refuse_is_refused_at_once(place, without_monailabel, capsys, more, told):
    assert main(words(place, *more)) == 2
    assert told in capsys.readouterr().err


def test_an_overlay_is_found_from_another_folder_too(place, tmp_path, monkeypatch, capsys):
    """Rounds begin later, and the server may be restarted from elsewhere."""
    monkeypatch.setattr(start, "serve", lambda place, settings, host, port: place.keep_settings(settings))
    monkeypatch.setattr(start, "check_installed", lambda: None)
    monkeypatch.setattr(start, "check_port", lambda host, port: None)
    overlays = tmp_path / "my overlays"
    overlays.mkdir()
    given = {name: overlays / f"{name}.yaml" for name in ("method", "recipe")}
    shutil.copy(bundles_folder() / "methods" / "sdcl.yaml", given["method"])
    given["recipe"].write_text("recipe_name: mine\n")
    monkeypatch.chdir(overlays)
    asked = ["--method", "method.yaml", "--recipe", "recipe.yaml"]
    main(words(place, *asked))
    monkeypatch.chdir(tmp_path)
    settings = place.settings()
    assert (settings.method, settings.recipe) == (str(given["method"]), str(given["recipe"]))
    assert main(words(place, *asked)) == 2
    assert "E101 unknown method 'method.yaml'" in capsys.readouterr().err
    main(words(place, "--method", "sdcl", "--recipe", "default"))
    assert (place.settings().method, place.settings().recipe) == ("sdcl", "default")


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert main(["label", "--bundle", "phantom", "--studies", str(tmp_path / "absent")]) == 2
    assert "E582 the folder of studies" in capsys.readouterr().err
    assert main(["label", "--studies", str(tmp_path)]) == 2
    assert "E100 the following arguments are required: --bundle" in capsys.readouterr().err


def test_labels_of_other_classes_are_not_served(place, label_file, without_monailabel, capsys):
    save_label(place, found_studies(place)[0], label_file(box()), SETTINGS.classes, {})
    assert main(words(place, "--set", "label_names=['background','vein']")) == 2
    assert "E588 the labels in" in capsys.readouterr().err
    (place.labels / "a.nii.gz").unlink()
    assert main(words(place, "--set", "label_names=['background','vein']")) == 2
    assert "E581" in capsys.readouterr().err  # as far as it comes here


def test_a_network_of_other_classes_does_not_serve_under_new_names(place, without_monailabel, capsys):
    """Without a label left: a vein would be called an atrium."""
    Deployed(1, (), "").write(place)
    assert main(words(place, "--set", "label_names=['background','vein']")) == 2
    assert "E588 the network in" in capsys.readouterr().err


def test_a_port_that_is_taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UserError, match=r"^E583 cannot listen at 127.0.0.1:\d+: Address already in use"):
            check_port("127.0.0.1", other.getsockname()[1])


def test_the_server_takes_the_place_of_the_process(place, monkeypatch):
    """On this machine alone unless told, with an app that MONAI Label finds, and settings that a training finds."""
    became: list = []
    planted = place.folder / "app" / "lib" / "torch.py"  # as studies from elsewhere may have it
    kept = place.folder / "app" / "logs" / "app.log"
    for path in (planted, planted.parents[1] / "torch.py", kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: object())
    monkeypatch.setattr(start, "check_port", lambda host, port: None)
    monkeypatch.setattr(os, "execve", lambda *call: became.append(call))
    main(words(place, "--method", "sdcl", "--steps", "7", "--port", "8123", "--keep-rounds", "5"))
    ((program, arguments, environment),) = became
    assert program == sys.executable
    assert arguments[1:4] == ["-m", "monailabel.main", "start_server"]
    assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
    assert arguments[arguments.index("--port") + 1] == "8123"
    assert environment["MONAI_LABEL_SESSION_PATH"] == str(place.folder / "sessions")
    assert "App" in (place.folder / "app" / "main.py").read_text()
    found = [path.relative_to(place.folder / "app") for path in (place.folder / "app").rglob("*.*")]
    assert sorted(map(str, found)) == ["logs/app.log", "main.py"]
    settings = place.settings()
    assert (settings.method, settings.steps, settings.classes) == ("sdcl", 7, ("background", "atrium"))
    assert settings.keep_rounds == 5


AS_ANOTHER_PROGRAM = """
import os, sys
from pathlib import Path
from mednoisy.monai_label import start
from mednoisy.monai_label.workplace import Workplace
from tests.monai_label.conftest import SETTINGS

become = os.execve
os.execve = lambda *call: become("/bin/sleep", ["sleep", "60"], {})
start.serve(Workplace(Path(sys.argv[1])), SETTINGS, "127.0.0.1", 1)
"""


def test_the_program_that_the_command_becomes_keeps_the_folder_for_itself(place):
    words = [sys.executable, "-c", AS_ANOTHER_PROGRAM, str(place.studies)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=PACKAGE.parent) as server:
        try:
            while Path(f"/proc/{server.pid}/comm").read_text() != "sleep\n":
                time.sleep(0.05)
            with pytest.raises(UserError, match="E584 another server has the studies in"):
                start.serve(place, SETTINGS, "127.0.0.1", 1)
        finally:
            server.kill()
    with locked(place.folder / "server"):
        pass


def test_nothing_else_imports_monailabel():
    def imports(path: Path) -> set[str]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        return {name.partition(".")[0] for name in names}

    found = {path for path in PACKAGE.rglob("*.py") if "monailabel" in imports(path)}
    assert found == {PACKAGE / "monai_label" / name for name in SERVERS}
