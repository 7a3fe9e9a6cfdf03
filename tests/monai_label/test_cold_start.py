"""Before the first label: a pretext learned from the scans alone, whose features choose the first ones."""

from __future__ import annotations

import shutil

import pytest

from mednoisy.data.phantoms import make_dataset
from mednoisy.monai_label import round as round_module
from mednoisy.monai_label import training
from mednoisy.monai_label.leases import Leases
from mednoisy.monai_label.orders import read_order
from mednoisy.monai_label.plans import PRETEXT
from mednoisy.monai_label.round import run_round
from mednoisy.monai_label.scoring import rank_wanted
from mednoisy.monai_label.selection import Selection
from mednoisy.monai_label.training import Trainings
from mednoisy.monai_label.workplace import Settings, Workplace
from tests.small_runs import SMALL


@pytest.fixture
def unlabeled(tmp_path) -> Workplace:
    """Five phantoms, none labeled, and a server that wishes a pretext."""
    make_dataset(tmp_path / "made", labeled=0, unlabeled=5, test=0)
    shutil.copytree(tmp_path / "made" / "images", tmp_path / "studies")
    place = Workplace(tmp_path / "studies")
    settings = tuple(f"{name}={value}" for name, value in SMALL.items() if name != "device")
    place.keep_settings(
        Settings("phantom", ("background", "atrium"), method="sdcl", steps=2, pretext="restoration", device="cpu",
                 batch=2, set=settings)
    )  # fmt: skip
    return place


def test_the_first_studies_are_chosen_by_what_they_show(unlabeled, monkeypatch):
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(round_module, "launched", lambda *words, log: started.append(words))

    class Started:
        pid = 0

        def poll(self) -> int:
            return 0

    monkeypatch.setattr(training, "launched", lambda *words, log: Started())
    state = Trainings(unlabeled).start_pretext()
    assert state is not None
    assert (state["method"], state["unlabeled"]) == ("restoration", 5)

    assert run_round(unlabeled, PRETEXT) == 0
    assert Trainings(unlabeled).state(PRETEXT)["outcome"] == "the pretext is learned"
    assert [words[0] for words in started] == ["scoring"]
    assert Trainings(unlabeled).start_pretext() is None

    rank_wanted(unlabeled)
    order = read_order(unlabeled, "cold", "typiclust")
    assert order is not None
    assert order.fault is None
    assert len(order.picks) == 2
    found = Selection(unlabeled, Leases(unlabeled, 60)).next("uncertain_and_different", "x")
    assert found is not None
    assert found["id"] == order.picks[0]["id"]
    assert found["remarks"] == [
        "No network has been trained yet, so typiclust chooses in place of uncertain_and_different."
    ]
