"""A scripted annotator: three rounds of annotate, train and query over HTTP, with power cuts in between."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import requests

from mednoisy.data.images import read_image
from mednoisy.evaluation.overlap import dice_by_class
from tests.label.app.conftest import LEAKING, Atria, finished_ranking, finished_training, program, wait_for

pytestmark = pytest.mark.filterwarnings(LEAKING)
SECONDS = 900  # for a training on a busy core
NEW_LABELS = (1, 2, 3)  # in each round


@pytest.mark.timeout(3000)
def test_dice_rises_over_three_rounds_and_power_cuts_lose_nothing(server, client, atria: Atria, tmp_path):
    """The server asks for studies and is given real labels; the figures are of cases whose labels it never sees."""
    studies = atria.copy_to(tmp_path / "studies")
    made = server(program=program(studies, "--folds", "2", "--batch", "4"))
    annotator, dices, labeled = client(made), [], []

    assert (
        requests.post(f"{made.url}/infer/left_atrium", params={"image": atria.studies[0]}, timeout=60).status_code
        == 409
    )

    for number, budget in enumerate(NEW_LABELS, 1):
        for _ in range(budget):
            asked = annotator.next_sample("uncertain_and_different", {})
            assert asked["id"] not in labeled
            assert Path(asked["path"]) == (studies / f"{asked['id']}.nii.gz").resolve()
            annotator.save_label(
                asked["id"], str(atria.labels[asked["id"]]), params={"label_info": [{"name": "atrium", "idx": 1}]}
            )
            labeled.append(asked["id"])

        started = annotator.train_start("left_atrium", {"max_epochs": 50, "device": "cuda"})
        assert started["status"] == "RUNNING"
        if number == 2:  # the server alone dies, and the training goes on
            process = wait_for(lambda: pid_of(studies, 2), 60)
            made.restart()
            assert annotator.train_status()["status"] == "RUNNING"
            assert pid_of(studies, 2) == process
        if number == 3:  # all of it dies, and goes on where it was
            wait_for(lambda: annotator.train_status()["steps"] >= 20, SECONDS)
            os.killpg(pid_of(studies, 3), signal.SIGKILL)
            made.restart()
            assert annotator.train_status()["status"] == "RUNNING"
        ended = finished_training(made.url, SECONDS)
        assert ended["status"] == "DONE", ended
        finished_ranking(made.url, SECONDS)
        dices.append(held_dice(annotator, atria))

    assert len(set(labeled)) == sum(NEW_LABELS)
    for study in labeled:
        kept = read_image(studies / "labels" / "final" / f"{study}.nii.gz").array
        assert np.array_equal(kept, read_image(atria.labels[study]).array)
    assert set(annotator.datastore()["objects"]) == set(atria.studies)
    assert dices[-1] > dices[0] + 0.03, dices
    deployed = annotator.info()["mednoisy"]["network"]
    assert deployed["round"] is not None
    print("Dice on held cases:", [f"{dice:.3f}" for dice in dices], deployed["reason"])


def pid_of(studies: Path, number: int) -> int | None:
    """Of the process of a round that is at work; None where it has ended."""
    state = json.loads((studies / ".mednoisy" / "rounds" / str(number) / "round.json").read_text())
    return state.get("pid") if state["state"] in ("waiting", "training") else None


def held_dice(annotator, atria: Atria) -> float:
    """The mean Dice of what the server predicts of uploaded cases that are no studies of it."""
    dices = []
    for case in atria.held:
        file, answer = annotator.infer("left_atrium", "", {"result_extension": ".nii.gz", "disagreement": False},
                                       file=str(atria.images[case]))  # fmt: skip
        assert answer["label_names"] == {"atrium": 1}
        reference, predicted = read_image(atria.labels[case]), read_image(Path(file))
        assert np.allclose(predicted.affine, reference.affine)
        dices.append(dice_by_class(predicted.array, reference.array, [1])[0])
    return float(np.mean(dices))
