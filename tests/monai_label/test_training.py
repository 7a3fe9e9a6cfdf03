"""How rounds are planned, and the words that train them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mednoisy.cli import entry
from mednoisy.errors import UserError
from mednoisy.monai_label import round as round_module
from mednoisy.monai_label import training
from mednoisy.monai_label.intake import save_label
from mednoisy.monai_label.plans import PRETEXT, Plan, command, plan_of
from mednoisy.monai_label.studies import Study, found_studies
from mednoisy.monai_label.training import Trainings, busy
from mednoisy.monai_label.workplace import Settings, write_state
from tests.monai_label.conftest import SETTINGS, box

SDCL = Settings("left_atrium", ("background", "atrium"), method="sdcl", steps=40, set=("width=4",))


def some(labeled: int, unlabeled: int) -> list[Study]:
    return [Study(f"s{n}", Path("i"), Path("l") if n < labeled else None) for n in range(labeled + unlabeled)]


@pytest.mark.parametrize(
    ("labeled", "unlabeled", "folds", "method"),
    [(1, 4, None, "sdcl"), (2, 4, 2, "sdcl"), (3, 4, 3, "sdcl"), (7, 1, 3, "sdcl"), (4, 0, 3, "supervised")],
)
def test_few_labels_are_held_out_in_turn(labeled, unlabeled, folds, method):
    plan = plan_of(some(labeled, unlabeled), SDCL)
    assert (plan.labeled, plan.unlabeled, plan.folds, plan.method) == (labeled, unlabeled, folds, method)
    assert plan.held == ()
    assert ("With a single label nothing tells how good the network is." in plan.remarks) == (labeled == 1)


def test_many_labels_leave_a_fixed_part_out():
    plan = plan_of(some(30, 5), SDCL)
    assert plan.folds is None
    assert 2 <= len(plan.held) < 15
    assert plan.labeled == 30 - len(plan.held)


def test_nothing_labeled_is_refused(place):
    with pytest.raises(UserError, match=r"^E578 "):
        Trainings(place).start()
    assert not (place.folder / "rounds").exists()


def test_the_command_parses_as_mednoisy_train(tmp_path):
    words = command(SDCL, Plan(2, 3, (), 2, "sdcl", ()), tmp_path, 3)
    options = entry.parser().parse_args(["train", *words])
    assert (options.bundle, options.method, options.labeled, options.folds) == ("left_atrium", "sdcl", 2, 2)
    assert (options.steps, options.seed, options.validation) == (40, 3, None)
    assert options.set == ["width=4", "train#stream#repeated=True"]
    alone = entry.parser().parse_args(["train", *command(SDCL, Plan(1, 3, (), None, None, ()), tmp_path, 1)])
    assert (alone.folds, alone.validation, alone.method) == (None, 0, None)


def test_a_lock_that_another_process_has_is_a_training_that_runs(place):
    """Whoever holds it: a server that was started again did not start the training."""
    folder = place.folder / "training"
    assert not busy(folder)
    program = "import sys, time; from mednoisy.files import locked\n"
    program += f"with locked({str(folder)!r}): print('has it', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "has it\n"
        try:
            assert busy(folder)
            assert Trainings(place).running()
            with pytest.raises(UserError, match=r"^E577 "):
                Trainings(place).start()
        finally:
            other.kill()
    assert not busy(folder)


def test_a_round_that_is_refused_tells_the_line(place, label_file):
    """The bundle `phantom` cannot be trained with a patch of no size: the state says so, and nothing serves."""
    place.keep_settings(Settings("phantom", SETTINGS.classes, device="cpu", steps=2, set=("patch_size=[0,0,0]",)))
    save_label(place, found_studies(place)[0], label_file(box()), SETTINGS.classes, {})
    trainings = Trainings(place)
    assert trainings.start()["number"] == 1
    end = time.monotonic() + 500
    while trainings.running() and time.monotonic() < end:
        time.sleep(0.2)
    assert trainings._process is not None
    trainings._process.wait(60)
    state = trainings.state(1)
    assert state["state"] == "failed"
    assert state["outcome"].startswith("E"), state
    assert not (place.folder / "deployed.json").exists()


def test_what_a_round_notes_before_its_start_returns_stays(place, label_file, monkeypatch):
    """A round that ends at once is done, whatever the server does meanwhile."""
    save_label(place, found_studies(place)[0], label_file(box()), SETTINGS.classes, {})

    def ends_at_once(module, place, number, log):
        path = place.of_round(int(number)) / "round.json"
        write_state(path, {**json.loads(path.read_text()), "state": "done", "pid": 4, "outcome": "it serves"})
        process = subprocess.Popen(["true"])
        process.wait()
        return process

    monkeypatch.setattr(training, "launched", ends_at_once)
    state = Trainings(place).start()
    assert (state["state"], state["outcome"]) == ("done", "it serves")


def test_a_round_that_is_beginning_is_stopped_by_who_started_it(place, label_file, monkeypatch):
    """It has not noted its process yet; that of an earlier attempt may be another's by now."""
    save_label(place, found_studies(place)[0], label_file(box()), SETTINGS.classes, {})
    monkeypatch.setattr(training, "launched", lambda *words, log: subprocess.Popen(["sleep", "60"]))
    trainings = Trainings(place)
    assert "pid" not in trainings.start()
    process = trainings._process
    assert process is not None
    monkeypatch.setattr(training, "busy", lambda folder: True)
    with pytest.raises(UserError, match=r"^E577 a training is only beginning"):
        Trainings(place).stop()
    assert trainings.stop() is not None
    assert process.wait(10) == -signal.SIGTERM


def test_a_folder_from_elsewhere_does_not_say_what_is_run(place, monkeypatch):
    """Somebody's studies come with a round that was interrupted: the server's own bundle and settings go on with it."""
    state = {
        "number": 1, "digest": "", "state": "training", "started": 0.0, "command": ["/elsewhere/bundle"],
        "labeled": ["a"], "held": [], "unlabeled": 2, "folds": None, "method": "/elsewhere/overlay.yaml",
        "start": ["$__import__('os').abort()", "encoder"], "remarks": [],
    }  # fmt: skip
    write_state(place.of_round(1) / "round.json", state)
    run: list[list[str]] = []
    monkeypatch.setattr(round_module, "finish", lambda words, threads: (run.append(words), (2, False))[1])
    round_module.run_round(place, "1")
    (words,) = run
    assert words[4:6] == ["phantom", "--data"]
    assert "pretext_parts=['encoder']" in words
    assert not any(word.startswith("/elsewhere") or "abort" in word for word in words)


@pytest.fixture
def stopped(place, label_file, monkeypatch) -> Settings:
    """Settings under which the first round was stopped."""
    save_label(place, found_studies(place)[0], label_file(box()), SETTINGS.classes, {})

    def stops_at_once(module, place, number, log):
        path = place.of_round(int(number)) / "round.json"
        write_state(path, {**json.loads(path.read_text()), "state": "stopped"})
        process = subprocess.Popen(["true"])
        process.wait()
        return process

    monkeypatch.setattr(training, "launched", stops_at_once)
    settings = replace(SETTINGS, method="mean_teacher", recipe=str(place.studies / "recipe.yaml"))
    Path(str(settings.recipe)).write_text("learning_rate: 0.01\n")
    place.keep_settings(settings)
    assert Trainings(place).start()["number"] == 1
    return settings


@pytest.mark.parametrize(
    "changed",
    [
        {"device": "cpu", "threads": 3, "trust": True},
        {"strategy": "random", "batch": 3, "lease_minutes": 1.5, "upload_mb": 1, "keep_rounds": 9},
        {"folds": 4},  # of one label there are none
        {"pretext": "restoration", "features_of": "/elsewhere"},  # before the first label
    ],
)
def test_a_stopped_round_goes_on_under_options_that_change_nothing_of_it(place, stopped, changed):
    place.keep_settings(replace(stopped, **changed))
    assert Trainings(place).start()["number"] == 1


@pytest.mark.parametrize(
    "changed", [{"method": "ua_mt"}, {"recipe": None}, {"steps": 9}, {"seed": 1}, {"set": ("width=8",)}]
)
def test_options_that_change_what_is_learned_begin_another_round(place, stopped, changed):
    place.keep_settings(replace(stopped, **changed))
    assert Trainings(place).start()["number"] == 2


def test_another_label_overlay_or_pretext_begins_another_round(place, stopped, label_file):
    Path(str(stopped.recipe)).write_text("learning_rate: 0.02\n")
    assert Trainings(place).start()["number"] == 2
    save_label(place, found_studies(place)[1], label_file(box()), SETTINGS.classes, {})
    assert Trainings(place).start()["number"] == 3
    (place.pretext / "run").mkdir(parents=True)
    (place.pretext / "run" / "report.html").write_text("")
    assert Trainings(place).start()["number"] == 4
    assert Trainings(place).start()["number"] == 4


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        ("mednoisy: E206 a label holds 7. Mend it.\nmednoisy: note: flat\n", "E206 a label holds 7. Mend it."),
        ("mednoisy: note: case 'a': is flat\n", "it ended with exit code -9, see "),
    ],
)  # fmt: skip
def test_a_round_that_failed_tells_its_own_fault(place, monkeypatch, told, outcome):
    """Neither a note, where it was killed for memory, nor what ended it when it was tried before."""
    state = {"number": 1, "state": "waiting", "labeled": ["a"], "held": [], "unlabeled": 2, "folds": None, "start": []}
    write_state(place.of_round(1) / "round.json", state)
    log = place.of_round(1) / "log.txt"
    log.write_text("mednoisy: E320 the disk was full then.\n")

    def finish(words: list[str], threads: int | None) -> tuple[int, bool]:
        with open(log, "a") as stream:
            stream.write(told)
        return -9, False

    monkeypatch.setattr(round_module, "finish", finish)
    round_module.run_round(place, "1")
    assert Trainings(place).state(1)["outcome"].startswith(outcome)


def test_a_pretext_that_is_learned_again_is_the_training_that_runs(place, monkeypatch):
    """Rounds before it failed, so nothing serves, and a server that is started again goes back to the pretext."""

    class Started:
        pid = 1

        def poll(self) -> None:
            return None

    monkeypatch.setattr(training, "launched", lambda *words, log: Started())
    place.keep_settings(Settings("phantom", SETTINGS.classes, pretext="restoration"))
    write_state(place.of_round(1) / "round.json", {"number": 1, "state": "failed", "started": 1.0})
    trainings = Trainings(place)
    trainings.start_pretext()
    newest = trainings.newest()
    assert newest is not None
    assert newest["number"] == PRETEXT
    assert trainings.running()


def test_damaged_state_is_told(place):
    folder = place.of_round(1)
    write_state(folder / "round.json", {"number": 1})
    (folder / "round.json").write_text("{")
    with pytest.raises(UserError, match=r"^E580 .*round.json is damaged"):
        Trainings(place).newest()
    assert json.loads((place.folder / "settings.json").read_text())["bundle"] == "phantom"
    assert os.path.isfile(place.folder / "settings.json")
