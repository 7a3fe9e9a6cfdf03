"""Which rounds stay, and whose files are never touched."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mednoisy.errors import UserError
from mednoisy.files import locked
from mednoisy.monai_label import round as round_of_training
from mednoisy.monai_label.deployment import Deployed, Figure, take_back
from mednoisy.monai_label.pruning import prune, prune_when_idle
from mednoisy.monai_label.workplace import Settings, Workplace, listed_numbers, write_state
from tests.monai_label.conftest import SETTINGS

ENDED = 1_700_000_000.0  # long ago


def make_round(place: Workplace, number: int, **state) -> Path:
    """A round as one leaves it, all of its files older than its end; its folder."""
    folder = place.of_round(number)
    for name in ("data/labels/a.nii.gz", "start/checkpoints/a.pt", "run/checkpoints/last.pt", "run/.lock", "log.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, (ENDED - 5, ENDED - 5))
    write_state(folder / "expected.json", {})  # by a ranking, later
    write_state(folder / "round.json", {"number": number, "state": "done", "ended": ENDED, **state})
    write_state(place.folder / "orders" / str(number) / "entropy.json", {})
    return folder


@pytest.fixture
def rounds(place) -> Workplace:
    """Nine rounds, of which the fourth serves, before it the second and the first."""
    for number in range(1, 10):
        make_round(place, number)
    Deployed(4, (1, 2), "it is the best").write(place)
    return place


def there(place: Workplace) -> list[int]:
    return list(listed_numbers(place.folder / "rounds"))


def test_what_serves_what_served_before_and_the_newest_stay(rounds, capsys):
    """And what cannot serve again is no more among what served before."""
    assert prune(rounds, 3) == [1, 3, 5, 6]
    assert there(rounds) == [2, 4, 7, 8, 9] == list(listed_numbers(rounds.folder / "orders"))
    assert "rounds that are old were removed: 1, 3, 5, 6 (--keep-rounds 3)" in capsys.readouterr().err
    assert Deployed.read(rounds) == Deployed(4, (2,), "it is the best")
    assert prune(rounds, 3) == []
    assert take_back(rounds).round == 2
    with pytest.raises(UserError, match=r"^E579 "):
        take_back(rounds)
    assert prune(rounds, 1) == [4, 7, 8]
    assert there(rounds) == [2, 9]


def test_before_the_first_network_the_newest_stay(place):
    for number in (1, 2, 3):
        make_round(place, number, state="failed")
    assert prune(place, 1) == [1, 2]
    assert not (place.folder / "deployed.json").exists()


def beside(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def within(folder: Path) -> None:
    (folder / "run" / "predictions").mkdir()
    (folder / "run" / "predictions" / "mine.nii.gz").write_text("mine")


def changed(folder: Path) -> None:
    (folder / "data" / "labels" / "a.nii.gz").write_text("corrected")


def a_link(folder: Path) -> None:
    folder.rename(folder.parent.parent / "elsewhere")
    folder.symlink_to(folder.parent.parent / "elsewhere")


def a_linked_run(folder: Path) -> None:
    (folder / "run").rename(folder.parent.parent / "elsewhere")
    (folder / "run").symlink_to(folder.parent.parent / "elsewhere")


def another_number(folder: Path) -> None:
    write_state(folder / "round.json", {"number": 7, "state": "done", "ended": ENDED})


def not_ended(folder: Path) -> None:
    write_state(folder / "round.json", {"number": 3, "state": "training"})


def damaged(folder: Path) -> None:
    (folder / "round.json").write_text("{")


def without_state(folder: Path) -> None:
    (folder / "round.json").unlink()


@pytest.mark.parametrize(
    "touch",
    [beside, within, changed, a_link, a_linked_run, another_number, not_ended, damaged, without_state],
)
def test_what_is_not_our_own_stays_and_all_of_its_round_with_it(rounds, touch: Callable[[Path], None]):
    folder = rounds.of_round(3)
    touch(folder)
    (rounds.folder / "rounds" / "old").mkdir()
    before = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert prune(rounds, 3) == [1, 5, 6]
    assert {str(path.relative_to(folder)) for path in folder.rglob("*")} == before
    assert (rounds.folder / "rounds" / "old").is_dir()


@pytest.mark.parametrize("name", ["training", "scoring", "rounds/3/run"])
def test_nothing_goes_while_a_process_is_at_work(rounds, name):
    """A training or a ranking, whoever started it; of a run that a process has, that round."""
    folder = rounds.folder / name
    program = "import sys, time; from mednoisy.files import locked\n"
    program += f"with locked({str(folder)!r}): print('has it', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "has it\n"
        try:
            assert prune_when_idle(rounds, 3) == ([1, 5, 6] if name.endswith("run") else [])
        finally:
            other.kill()
    assert 3 in there(rounds)
    assert 3 in prune_when_idle(rounds, 3)


def test_a_folder_without_rounds_is_left_without_locks(place):
    assert prune_when_idle(place, 3) == []
    assert not (place.folder / "training").exists()


def test_a_file_that_is_not_let_go_is_told(rounds, monkeypatch, capsys):
    """The others go, and the next time the rest of that round."""
    unlink, refuse = Path.unlink, [True]

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if refuse and path == rounds.of_round(3) / "log.txt":
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    assert prune(rounds, 3) == [1, 5, 6]
    assert f"round 3 is left: {rounds.of_round(3) / 'log.txt'}: Permission denied" in capsys.readouterr().err
    refuse.clear()
    assert prune(rounds, 3) == [3]


def test_a_round_that_ends_makes_room_while_it_still_counts_as_running(rounds, monkeypatch):
    """So the server starts none meanwhile; what it removes follows from the settings."""
    rounds.keep_settings(Settings(**{**vars(SETTINGS), "keep_rounds": 2}))
    folder = make_round(rounds, 10, state="waiting")
    (folder / "run" / "config.yaml").touch()
    (folder / "run" / "report.html").touch()
    states = []

    def pruned(place: Workplace, keep: int) -> list[int]:
        states.append(round_of_training.read_state(folder / "round.json")["state"])
        return prune(place, keep)

    monkeypatch.setattr(round_of_training, "prune", pruned)
    monkeypatch.setattr(round_of_training, "finish", lambda words, threads: (0, False))
    monkeypatch.setattr(round_of_training, "launched", lambda *words, log: SimpleNamespace())
    monkeypatch.setattr(round_of_training, "figure_of", lambda run: Figure(None, {}))
    monkeypatch.setattr(round_of_training, "consider", lambda place, number: (Deployed.read(place), False))
    with locked(rounds.folder / "training"):
        assert round_of_training.run_round(rounds, "10") == 0
    assert states == ["training"]
    assert there(rounds) == [2, 4, 9, 10]
    assert round_of_training.read_state(folder / "round.json")["ended"] == pytest.approx(time.time(), abs=60)
