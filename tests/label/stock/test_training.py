"""The stock trainer on studies of which some are labeled: from what is served, which only a better network replaces."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monailabel.datastore.local import LocalDatastore
from monailabel.tasks.train.bundle import BundleTrainTask
from PIL import Image

from mednoisy.cli import main
from tests.label.stock.conftest import conf, model_of, stock_app
from tests.small_runs import small_dataset

TRAINING_SECONDS = 420
LISTED = ("*.nii.gz", "*.jpg", "*.png")  # that the server looks for, among others
STATISTICS = re.compile("running_|num_batches")
HEART = ("left ventricle", "right ventricle", "myocardium")  # segments as they stand in a scene, not as classes do


def app_of(runs, folder: Path, *bundles: str) -> Path:
    """An app with exported runs, whose epochs are two steps."""
    app = stock_app(folder / "monaibundle")
    (app / "model").mkdir(exist_ok=True)
    for bundle in bundles:
        model = app / "model" / model_of(bundle)
        assert main(["export", str(runs(bundle)), str(model), "--for", "monai-label"]) == 0
        configuration = model / "configs" / "train.yaml"
        text, count = re.subn(r"(?m)^epoch_length: \d+$", "epoch_length: 2", configuration.read_text())
        assert count == 1
        configuration.write_text(text)
    return app


@pytest.fixture
def studies(tmp_path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    return folder


def submit(slicer: Any, case: str, label: Path, *segments: str) -> None:
    """A label as 3D Slicer submits it."""
    slicer.save_label(case, str(label), "", {"label_info": [{"name": name, "idx": 1} for name in segments]})


def train(running: Any, slicer: Any, model: str, **asked: Any) -> str:
    """Train to the end; the server's log since."""
    begin = running.log.stat().st_size
    slicer.train_start(model, {"device": "cpu", "max_epochs": 2, "multi_gpu": False, **asked})
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
    """The parameters of a file, without the statistics of its norms."""
    found = torch.load(path, weights_only=True)
    return torch.cat([tensor.flatten() for name, tensor in found.items() if not STATISTICS.search(name)])


def check_served(bundle: Path, before: torch.Tensor, log: str) -> None:
    """The served file changed only if the log tells of a higher Dice; what was trained came from it."""
    served = bundle / "models" / "model.pt"
    assert f"starting from {served}" in log
    scores = [line for line in log.splitlines() if "on held-out studies" in line]
    assert len(scores) == 1, log[-3000:]
    better = "is served: Dice" in scores[0]
    assert better or "stays: Dice" in scores[0]
    kept, trained = ("previous.pt", "model.pt") if better else ("model.pt", "candidate.pt")
    assert torch.equal(weights(served.with_name(kept)), before)
    assert 0 < (weights(served.with_name(trained)) - before).abs().max() < 0.05  # a few steps from there


def test_labeled_and_unlabeled_studies_train_the_served_network(runs, tmp_path, studies, server, client):
    """One label, then three: the log names the unlabeled studies; the served file changes only with a higher Dice."""
    data, model = small_dataset(tmp_path / "data"), model_of("phantom")
    for name in ("labeled_000", "labeled_001", "test_000", "unlabeled_000", "unlabeled_001"):
        shutil.copy(data / "images" / f"{name}.nii.gz", studies)
    app = app_of(runs, tmp_path, "phantom")
    bundle = app / "model" / model
    served = bundle / "models" / "model.pt"
    first = weights(served)
    running = server(app, studies, conf(model))
    slicer = client(running)

    submit(slicer, "labeled_000", data / "labels" / "labeled_000.nii.gz", "atrium")
    (studies / "junk.nii.gz").write_bytes(b"no image")  # as an upload may leave it
    log = train(running, slicer, model)
    assert f"starting from {served}" in log
    assert "1 labeled and 4 unlabeled cases" in log
    assert "left out of the training: E202 case 'junk'" in log
    assert "stays: no labeled study is held out" in log
    assert torch.equal(weights(served), first)
    assert 0 < (weights(served.with_name("candidate.pt")) - first).abs().max() < 0.05  # four steps from there

    for name in ("labeled_001", "test_000"):
        submit(slicer, name, data / "labels" / f"{name}.nii.gz", "atrium")
    log = train(running, slicer, model, max_epochs=4)
    assert "2 labeled and 2 unlabeled cases" in log
    check_served(bundle, first, log)
    assert json.loads((bundle / "runs" / "2" / "run.json").read_text())["method"] == "sdcl"
    answer, _ = slicer.infer(model, "unlabeled_000", {"device": "cpu"})  # with whatever is served now
    assert np.asarray(nibabel.load(answer).dataobj).shape == nibabel.load(studies / "unlabeled_000.nii.gz").shape


@pytest.mark.filterwarnings("ignore:parsing config_file")  # as ever where MONAI reads a configuration
def test_slices_and_pictures_train_the_served_networks(runs, tmp_path, studies, capsys):
    """Of one folder each network takes what it is for; segments are told by their names, pictures as PNG and JPEG.

    With the server's list of studies and its trainer, in this process: what is between them, volumes show.
    """
    hearts = small_dataset(tmp_path / "hearts", "acdc")
    pictures = small_dataset(tmp_path / "pictures", "dermoscopy")
    for name in ("labeled_000", "labeled_001", "unlabeled_000"):
        shutil.copy(hearts / "images" / f"{name}.nii.gz", studies / f"heart_{name}.nii.gz")
        Image.open(pictures / "images" / f"{name}.png").save(studies / f"skin_{name}.jpg", quality=95)
    shutil.copy(pictures / "images" / "unlabeled_001.png", studies / "skin_unlabeled_001.png")
    listed = LocalDatastore(str(studies), extensions=LISTED)

    def submit(case: str, label: Path, *segments: str) -> None:
        said = [{"name": name, "idx": 1} for name in segments]
        listed.save_label(case, str(label), "final", {"label_info": said, "client_id": "Slicer"})

    for name in ("labeled_000", "labeled_001"):
        submit(f"heart_{name}", scene(hearts / "labels" / f"{name}.nii.gz", tmp_path), *HEART)
    drawn = [pictures / "labels" / f"{name}.png" for name in ("labeled_000", "labeled_001")]
    submit("skin_labeled_000", drawn[0], "lesion")
    volume = SimpleITK.JoinSeries([SimpleITK.ReadImage(str(drawn[1])) > 0])
    SimpleITK.WriteImage(volume, str(tmp_path / "drawn.nii.gz"))
    submit("skin_labeled_001", tmp_path / "drawn.nii.gz", "lesion")

    app = app_of(runs, tmp_path, "acdc", "dermoscopy")
    for bundle, unlabeled in (("acdc", 1), ("dermoscopy", 2)):
        folder = app / "model" / model_of(bundle)
        before = weights(folder / "models" / "model.pt")
        capsys.readouterr()
        BundleTrainTask(str(folder), {})({"device": "cpu", "max_epochs": 2, "model": model_of(bundle)}, listed)
        facts = json.loads((folder / "runs" / "1" / "run.json").read_text())
        assert (facts["labeled"], facts["unlabeled"], facts["validation"]) == (1, unlabeled, 1)
        check_served(folder, before, capsys.readouterr().out)
    for name in ("labeled_000", "labeled_001"):
        learned = nibabel.load(app / "model" / model_of("acdc") / "labels" / f"heart_{name}.nii.gz")
        wanted = nibabel.load(hearts / "labels" / f"{name}.nii.gz")
        np.testing.assert_array_equal(np.asarray(learned.dataobj), np.asarray(wanted.dataobj))


def scene(label: Path, folder: Path) -> Path:
    """A label map of a heart with the places of `HEART` in its scene."""
    source = nibabel.load(label)
    places = np.array([0, 2, 3, 1], np.uint8)  # of the right ventricle, the myocardium, the left ventricle
    sent = folder / label.name
    nibabel.save(nibabel.Nifti1Image(places[np.asarray(source.dataobj).astype(int)], source.affine), sent)
    return sent
