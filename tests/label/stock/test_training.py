"""The stock trainer on studies of which some are labeled: from what is served, which only a better network replaces."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from mednoisy.cli import main
from tests.label.stock.conftest import conf, model_of, stock_app
from tests.small_runs import small_dataset

TRAINING_SECONDS = 420
MODEL = model_of("phantom")


@pytest.fixture
def place(runs, tmp_path) -> tuple[Path, Path, Path]:
    """An app whose epochs are two steps, empty studies, and a prepared dataset."""
    app = stock_app(tmp_path / "monaibundle")
    bundle = app / "model" / MODEL
    bundle.parent.mkdir(exist_ok=True)
    assert main(["export", str(runs("phantom")), str(bundle), "--for", "monai-label"]) == 0
    configuration = bundle / "configs" / "train.yaml"
    text = configuration.read_text()
    assert "epoch_length: 20" in text
    configuration.write_text(text.replace("epoch_length: 20", "epoch_length: 2"))
    studies = tmp_path / "studies"
    studies.mkdir()
    return app, studies, small_dataset(tmp_path / "data")


def annotate(slicer: Any, data: Path, *cases: str) -> None:
    """Submit labels as 3D Slicer does."""
    for case in cases:
        told = {"label_info": [{"name": "atrium", "idx": 1}], "model": MODEL}
        slicer.save_label(case, str(data / "labels" / f"{case}.nii.gz"), "", told)


def train(running: Any, slicer: Any, **asked: Any) -> str:
    """Train to the end; the server's log since."""
    begin = running.log.stat().st_size
    slicer.train_start(MODEL, {"device": "cpu", "max_epochs": 2, "multi_gpu": False, **asked})
    end = time.monotonic() + TRAINING_SECONDS
    while time.monotonic() < end:
        status = slicer.train_status()
        if status["status"] in ("DONE", "ERROR"):
            log = running.log.read_bytes()[begin:].decode(errors="replace")
            assert status["status"] == "DONE", log[-6000:]
            return log
        time.sleep(1)
    raise AssertionError(f"no end in {TRAINING_SECONDS} s: {running.log_end()}")


def weights(path: Path) -> torch.Tensor:
    return torch.cat([tensor.flatten().float() for tensor in torch.load(path, weights_only=True).values()])


def test_labeled_and_unlabeled_studies_train_the_served_network(place, server, client):
    """One label, then three: the log names the unlabeled studies; the served file changes only with a higher Dice."""
    app, studies, data = place
    for name in ("labeled_000", "labeled_001", "test_000", "unlabeled_000", "unlabeled_001"):
        shutil.copy(data / "images" / f"{name}.nii.gz", studies)
    bundle = app / "model" / MODEL
    served = bundle / "models" / "model.pt"
    first = weights(served)
    running = server(app, studies, conf(MODEL))
    slicer = client(running)

    annotate(slicer, data, "labeled_000")
    (studies / "junk.nii.gz").write_bytes(b"no image")  # as an upload may leave it
    log = train(running, slicer)
    assert f"starting from {served}" in log
    assert "1 labeled and 4 unlabeled cases" in log
    assert "left out of the training: E202 case 'junk'" in log
    assert "stays: no labeled study is held out" in log
    assert torch.equal(weights(served), first)
    assert not torch.equal(weights(served.with_name("candidate.pt")), first)
    moved = (weights(served.with_name("candidate.pt")) - first).abs().max()
    assert moved < 0.05  # four steps from there, not from anywhere

    annotate(slicer, data, "labeled_001", "test_000")
    log = train(running, slicer, max_epochs=4)
    assert "2 labeled and 2 unlabeled cases" in log
    scores = [line for line in log.splitlines() if "on held-out studies" in line]
    assert len(scores) == 1, log[-3000:]
    if "is served: Dice" in scores[0]:
        assert torch.equal(weights(served.with_name("previous.pt")), first)
        assert not torch.equal(weights(served), first)
    else:
        assert "stays: Dice" in scores[0]
        assert torch.equal(weights(served), first)
    assert json.loads((bundle / "runs" / "2" / "run.json").read_text())["method"] == "sdcl"
    answer, _ = slicer.infer(MODEL, "unlabeled_000", {"device": "cpu"})  # with whatever is served now
    assert np.asarray(nibabel.load(answer).dataobj).shape == nibabel.load(studies / "unlabeled_000.nii.gz").shape
