"""One run a folder, one process a run."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mednoisy.engines import run_folder
from mednoisy.engines.run_folder import RunFolder
from mednoisy.errors import UserError

FACTS = {"method": "sdcl", "labeled": 8, "patch_size": (8, 8)}


def test_a_new_folder_holds_facts_configuration_and_log(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "new", facts=FACTS)
    folder.config_text = "steps: 3\n"
    folder.open()
    folder.close()
    assert json.loads((folder.path / "run.json").read_text()) == {"method": "sdcl", "labeled": 8, "patch_size": [8, 8]}
    assert (folder.path / "config.yaml").read_text() == "steps: 3\n"
    assert "INFO started: " in (folder.path / "log.txt").read_text()
    assert {path.name for path in folder.path.iterdir()} == {".lock", "run.json", "config.yaml", "log.txt"}


def test_another_run_is_refused_and_left_alone(tmp_path):
    first = RunFolder(tmp_path, facts=FACTS)
    first.open()
    first.close()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=r"E311 output folder .* holds another run. Add --resume"):
        RunFolder(tmp_path, facts=FACTS).open()
    other = RunFolder(tmp_path, resume=True, facts=FACTS | {"labeled": 4})
    with pytest.raises(UserError, match=r"E313 the run in .* has labeled 8, this one 4"):
        other.open()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_files_that_are_no_run_are_refused_hidden_ones_are_not(tmp_path):
    (tmp_path / ".DS_Store").write_text("")
    RunFolder(tmp_path).check()
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"E311 output folder .* holds other files"):
        RunFolder(tmp_path).open()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".DS_Store", "thesis.txt"]
    with pytest.raises(UserError, match=r"E310 output .*thesis\.txt is a file"):
        RunFolder(tmp_path / "thesis.txt").open()


def test_nothing_to_resume_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"E312 .* holds no run to resume"):
        RunFolder(tmp_path / "none", resume=True).open()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["run.json", "config.yaml"])
@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_run_whose_files_are_damaged_is_not_resumed(tmp_path, name, content):
    for resume in (False, True):
        folder = RunFolder(tmp_path, resume=resume, facts=FACTS)
        folder.config_text = "steps: 3\n"
        if resume:
            (tmp_path / name).write_bytes(content)
            with pytest.raises(UserError, match=rf"E319 .*{name} is damaged: .* give another --output"):
                folder.open()
        else:
            folder.open()
            folder.close()


def test_a_resumed_run_has_the_facts_it_had(tmp_path):
    for resume in (False, True):
        folder = RunFolder(tmp_path, resume, FACTS)
        folder.open()
        folder.close()
    assert (tmp_path / "log.txt").read_text().count("INFO resumed: ") == 1


def test_a_resumed_run_has_the_configuration_it_had(tmp_path):
    """Another value of any entry is refused by name; where a run is, and on what, may change."""
    first = RunFolder(tmp_path / "run")
    first.config_text = "teacher_decay: 0.99\ndevice: cpu\n"
    first.open()
    first.close()
    again = RunFolder(tmp_path / "run", resume=True)
    again.config_text = "teacher_decay: 0.5\ndevice: cpu\n"
    with pytest.raises(UserError, match=r"E313 the run in .* has teacher_decay 0\.99, this one 0\.5"):
        again.open()
    again.config_text = "teacher_decay: 0.99\ndevice: cuda\n"
    again.open()
    again.close()


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.open()
    folder.checkpoints.mkdir()
    (folder.checkpoints / ".partial-x.pt").write_bytes(b"half")
    folder.close()
    again = RunFolder(tmp_path / "run", resume=True)
    again.open()
    again.close()
    assert not list((tmp_path / "run").rglob(".partial-*"))


def test_a_second_process_is_refused(tmp_path):
    folder = RunFolder(tmp_path, facts=FACTS)
    folder.open()
    code = (
        "import sys; from mednoisy.engines.run_folder import RunFolder; from mednoisy.errors import UserError\n"
        "facts = {'method': 'sdcl', 'labeled': 8, 'patch_size': [8, 8]}\n"
        "try: RunFolder(sys.argv[1], resume=True, facts=facts).open()\n"
        "except UserError as fault: print(fault)\n"
        "else: print('open')"
    )
    outputs = [subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True).stdout]
    folder.close()
    outputs.append(subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True).stdout)
    assert outputs[0].startswith("E314 another process is at work in")
    assert outputs[1] == "open\n"


def test_a_folder_that_cannot_be_written_is_refused_and_nothing_stays(tmp_path, monkeypatch):
    def full(path, text):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run_folder, "write_text", full)
    with pytest.raises(UserError, match=r"E315 cannot write to .* \(Permission denied\)") as error:
        RunFolder(tmp_path / "run").open()
    assert error.value.exit_code == 2
    assert not (tmp_path / "run").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"E315"):
        RunFolder(tmp_path / "file" / "run").open()


def test_only_a_new_run_without_checkpoint_is_discarded(tmp_path):
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run", facts=FACTS)
    folder.open()
    (folder.path / "tensorboard").mkdir()
    (folder.path / "checkpoints").mkdir()
    assert not folder.discard()
    (folder.path / "checkpoints").rmdir()
    (folder.path / "note.txt").write_text("mine")
    assert folder.discard()
    assert [path.name for path in folder.path.iterdir()] == ["note.txt"]


def test_other_ranks_neither_check_nor_write(tmp_path):
    first = RunFolder(tmp_path, facts=FACTS)
    first.open()
    before = sorted(tmp_path.iterdir())
    second = RunFolder(tmp_path, facts=FACTS, main=False)
    second.check()  # the main process has begun already
    second.open()
    second.close()
    first.close()
    assert sorted(tmp_path.iterdir()) == before
