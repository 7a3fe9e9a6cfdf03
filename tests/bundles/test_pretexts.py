"""Pretexts from the command line: alone, before a method, started from, in a study, and refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from mednoisy.active.features import pooled_bottleneck
from mednoisy.bundle_check import check
from mednoisy.cli import main
from mednoisy.composition import bundles_folder, known
from mednoisy.composition.stacking import pretexts
from mednoisy.engines import checkpoint
from mednoisy.methods.copy_paste import SupervisedCopyPaste
from mednoisy.runs.opened_run import opened_run
from mednoisy.studies import study
from tests.engines.small import assert_same, kept
from tests.small_runs import SMALL_ARGUMENTS, small_dataset, train_arguments

PRETEXTS = pretexts()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="module")
def pretext_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of restoration alone."""
    run = tmp_path_factory.mktemp("runs") / "restoration"
    assert main(train_arguments(data, run, "--method", "restoration")) == 0
    return run


def refused(arguments: list[str], output: Path, capfd: pytest.CaptureFixture) -> str:
    """The line that refuses a run, which leaves nothing."""
    capfd.readouterr()
    assert main(arguments) == 2
    assert not output.exists()
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("mednoisy: ")]
    return line


def test_every_pretext_is_a_method_and_an_entry():
    """And those of the frame are all there are."""
    assert PRETEXTS == ["colorization", "contrastive", "masked_autoencoding", "restoration"]
    assert set(PRETEXTS) <= set(known("method"))


def bundles_and_pretexts() -> list:
    """All bundles with all pretexts; all but one a kind of data are slow."""
    quick = {("acdc", "restoration"), ("phantom", "masked_autoencoding"), ("polyp", "contrastive")}
    quick |= {("dermoscopy", "colorization")}
    pairs = [(bundle, pretext) for bundle in known("bundle") for pretext in PRETEXTS]
    return [pytest.param(*pair, marks=[] if pair in quick else pytest.mark.slow) for pair in pairs]


@pytest.mark.parametrize(("bundle", "pretext"), bundles_and_pretexts())
def test_every_bundle_with_every_pretext_passes_the_check(bundle, pretext):
    """Before SDCL, which has two networks."""
    faults = [fault for each in check([bundle], ["sdcl"], ["strong"], pretext) for fault in each.faults]
    assert faults == []


def test_a_network_that_restores_nothing_is_a_fault(tmp_path):
    """Its last convolution makes a map for attention, not logits."""
    page = (bundles_folder() / "phantom" / "dataset.yaml").read_text(encoding="utf-8")
    other = "network_def: {_target_: tests.bundles.test_pretexts.Gated, classes: '@num_classes'}\npartner_def:"
    start, end = page.index("network_def:"), page.index("partner_def:")
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "dataset.yaml").write_text(page[:start] + other + page[end + len("partner_def:") :], encoding="utf-8")
    told = [fault for each in check([str(folder)], ["supervised"], ["default"], "restoration") for fault in each.faults]
    assert any("student 'student' of the pretext gives (1, 2, 40, 40, 24) for 1 channels" in fault for fault in told)


class Gated(torch.nn.Module):
    """Lists its head before a convolution of its decoder."""

    divisor = 1

    def __init__(self, classes: int):
        super().__init__()
        self.encoder = torch.nn.Conv3d(1, 3, 1)
        self.head = torch.nn.Conv3d(3, classes, 1)
        self.decoder = torch.nn.Conv3d(3, 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        gate = self.decoder(self.encoder(image))
        return self.head(self.encoder(image) * gate.mean(dim=1, keepdim=True))


def test_a_pretext_alone_has_no_figures_and_says_so(pretext_run, capfd):
    """Its page shows losses and pictures; scoring it again changes nothing."""
    page = (pretext_run / "report.html").read_text(encoding="utf-8")
    summary = json.loads((pretext_run / "summary.json").read_text(encoding="utf-8"))
    assert (summary["deployed"], summary["checkpoints"], summary["cases"]) == ("", {}, [])
    assert "restoration is a pretext: it read images alone and predicts nothing, so it has no figures." in page
    assert "What the pretext restoration asks" in page
    assert page.count('alt="corrupted of ') == page.count('alt="restored of ') == 4
    for absent in ("All cases", "Undefined values", "there was no labeled case"):
        assert absent not in page
    assert main(["evaluate", str(pretext_run)]) == 0
    shown = capfd.readouterr().out
    assert f"it predicts nothing, so nothing is scored; start a run from it by --pretext-from {pretext_run}" in shown
    assert json.loads((pretext_run / "summary.json").read_text(encoding="utf-8")) == summary


def test_features_of_a_pretext_can_be_had(pretext_run):
    """The network is in evaluation mode, its weights those that the run has kept."""
    opened = opened_run(pretext_run, device="cpu")
    assert opened.deployed is None
    network = opened.network.eval()
    kept = checkpoint.load(pretext_run / "checkpoints" / "pretext_restoration.pt")["students"]["student"]
    assert all(torch.equal(value, kept[key]) for key, value in network.state_dict().items())
    image = torch.rand(1, 16, 16, 16)
    feature = pooled_bottleneck(network, image, opened.inferer)
    assert feature.shape == (16,)  # width 2, three levels down
    np.testing.assert_array_equal(feature, pooled_bottleneck(network, image, opened.inferer))


@pytest.mark.parametrize(
    "pretext",
    ["restoration", *(pytest.param(name, marks=pytest.mark.slow) for name in ("contrastive", "masked_autoencoding"))],
)
def test_a_pretext_before_a_method_is_told_and_scored(pretext, data, tmp_path):
    """Facts, page and log; four steps are one and three."""
    run = tmp_path / "run"
    assert main(train_arguments(data, run, "--method", "mean_teacher", "--pretext", pretext, "--steps", "4")) == 0
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    facts = summary["run"]
    assert (facts["method"], facts["pretext"], facts["pretext_steps"]) == ("mean_teacher", pretext, 1)
    assert list(summary["checkpoints"]["final"]["predictors"]) == ["student", "teacher"]
    assert f"What the pretext {pretext} asks" in (run / "report.html").read_text(encoding="utf-8")
    log = (run / "log.txt").read_text(encoding="utf-8")
    assert f"step 0 of 4 ({pretext} 1, training 3)" in log
    assert log.count(f"pretext {pretext} hands over its encoder: student 20 of 20 entries") == 1


def test_a_run_starts_from_the_encoder_of_another(pretext_run, data, tmp_path, capfd):
    """At learning rate 0 its encoder is the pretext's; what matched is told on stdout."""
    run = tmp_path / "run"
    more = ("--method", "supervised", "--pretext-from", str(pretext_run), "--set", "learning_rate=0.0")
    assert main(train_arguments(data, run, *more, "--set", "optimiser#weight_decay=0.0")) == 0
    assert f"pretext restoration of {pretext_run} hands over its encoder: student 20 of 20" in capfd.readouterr().out
    kept = checkpoint.load(pretext_run / "checkpoints" / "pretext_restoration.pt")["students"]["student"]
    model = torch.load(run / "models" / "model.pt", weights_only=True)
    encoder = [key for key in model if key.startswith("encoder.")]
    assert len(encoder) == 20
    assert all(torch.equal(model[key], kept[key]) for key in encoder)
    assert not any(
        torch.equal(model[key], kept[key]) for key in model if key.startswith("decoder.") and "weight" in key
    )


def test_a_run_goes_on_bit_for_bit_when_what_it_started_from_is_gone(pretext_run, data, tmp_path, monkeypatch):
    """Stopped in the first of two stages; the pretext and its run are taken away."""
    copy = shutil.copytree(pretext_run, tmp_path / "pretext")
    more = ("--method", "sdcl", "--steps", "4", "--pretext-from", str(copy))
    assert main(train_arguments(data, tmp_path / "whole", *more)) == 0
    step_of, seen = SupervisedCopyPaste.losses, []

    def losses_and_signal(self, batch, step):
        seen.append(step.number)
        if len(seen) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step_of(self, batch, step)

    with monkeypatch.context() as patched:
        patched.setattr(SupervisedCopyPaste, "losses", losses_and_signal)
        assert main(train_arguments(data, tmp_path / "run", *more)) == 1
    assert seen == [0]
    shutil.rmtree(copy)
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert_same(kept(tmp_path / "run"), kept(tmp_path / "whole"))
    model, whole = (torch.load(tmp_path / name / "models" / "model.pt", weights_only=True) for name in ("run", "whole"))
    assert_same(model, whole)


def test_a_refused_run_keeps_nothing_of_what_it_would_start_from(pretext_run, data, tmp_path, capfd):
    more = ("--method", "supervised", "--pretext-from", str(pretext_run), "--set", "batch_size=9")
    assert "E220" in refused(train_arguments(data, tmp_path / "run", *more), tmp_path / "run", capfd)


def test_images_without_any_label_are_enough(data, tmp_path):
    """The cold start: the bundle's own number of labeled cases is not insisted on, and the run goes on, too."""
    content = json.loads((data / "datalist.json").read_text(encoding="utf-8"))
    for section in ("labeled", "unlabeled"):
        for case in content[section]:
            case["image"] = str(data / case["image"])
    unlabeled = content["unlabeled"] + [{"id": case["id"], "image": case["image"]} for case in content["labeled"]]
    del content["split_digest"]
    content |= {"labeled": [], "unlabeled": unlabeled, "validation": [], "test": [], "hidden": []}
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "datalist.json").write_text(json.dumps(content), encoding="utf-8")
    arguments = ["train", "phantom", "--data", str(folder), "--output", str(tmp_path / "run"), "--steps", "2"]
    assert main([*arguments, "--device", "cpu", *SMALL_ARGUMENTS, "--method", "masked_autoencoding"]) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["labeled"] == 0
    assert main(["train", "--resume", str(tmp_path / "run"), "--device", "cpu"]) == 0


@pytest.mark.slow
def test_rows_of_a_study_may_begin_with_a_pretext(data, tmp_path, capfd, monkeypatch):
    """The same steps with and without; a pretext that there is not is refused before the first run."""
    monkeypatch.setattr(study, "finish", lambda command, threads: (main(command[3:]), False))  # in this process
    words = ["study", "phantom", "--data", str(data), "--output", str(tmp_path / "study"), "--labeled", "2"]
    words += ["--steps", "3", "--validation", "0", *SMALL_ARGUMENTS, "--set", "device='$torch.device(\"cpu\")'"]
    assert main([*words, "--methods", "supervised", "supervised pretext=restoration"]) == 0
    table = (tmp_path / "study" / "table.md").read_text(encoding="utf-8")
    assert "supervised pretext=restoration" in table
    progress = tmp_path / "study" / "runs" / "supervised-pretext=restoration-2-labeled-seed0" / "progress.csv"
    assert [line.split(",")[:2] for line in progress.read_text(encoding="utf-8").splitlines()[1:]] == [
        ["1", "restoration"],
        ["3", "training"],
    ]
    other = [str(tmp_path / "other") if word == str(tmp_path / "study") else word for word in words]
    line = refused([*other, "--methods", "supervised pretext=vicreg"], tmp_path / "other", capfd)
    assert "E501 unknown pretext 'vicreg'" in line


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--method", "sdcl", "--pretext", "restore"], "E501 unknown pretext 'restore'. Did you mean 'restoration'?"),
        (["--method", "sdcl", "--pretext", "restoration"], "E502 1 of 2 steps are asked for the pretext; 2 stages"),
        (["--pretext", "restoration", "--set", "pretext_steps=2"], "E502 2 of 2 steps are asked for the pretext"),
        (["--method", "restoration", "--pretext", "restoration"], "E507 the run would learn the pretext restoration"),
        (["--method", "contrastive", "--folds", "2"], "E509 a pretext predicts nothing, so folds of it cannot be"),
        (["--pretext-from", "nowhere"], "nowhere holds no finished pretext"),
        (["--pretext", "contrastive", "--set", "pretexts#contrastive#with=3"], "E103 "),
        (["--pretext", "masked_autoencoding", "--set", "pretexts#masked_autoencoding={'_target_': "
          "'mednoisy.methods.masked_autoencoding.MaskedAutoencoding', '_mode_': 'callable', 'share': 1.5}"],
         "E107 a value of the configuration is refused: stage 'masked_autoencoding' cannot be made, the share of"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(more, told, data, tmp_path, capfd):
    assert told in refused(train_arguments(data, tmp_path / "run", *more), tmp_path / "run", capfd)


def test_an_encoder_that_does_not_match_is_refused(pretext_run, data, tmp_path, capfd):
    """Another width has no entry in common."""
    more = ("--method", "supervised", "--pretext-from", str(pretext_run), "--set", "width=3")
    line = refused(train_arguments(data, tmp_path / "run", *more), tmp_path / "run", capfd)
    assert f"E504 nothing of the pretext of {pretext_run} fits this run's networks by name and shape" in line
    assert "(entries they have: student 20)" in line


def test_a_network_without_encoder_is_refused(data, tmp_path, capfd):
    network = "network_def={'_target_': 'monai.networks.nets.BasicUNet', 'spatial_dims': 3, 'out_channels': 2}"
    more = ("--method", "supervised", "--pretext", "contrastive", "--set", network)
    line = refused(train_arguments(data, tmp_path / "run", *more, without=["width"]), tmp_path / "run", capfd)
    assert "E503 BasicUNet cannot learn a pretext: it has no `encoder` that gives a list of feature maps" in line


def test_a_pretext_predicts_for_nobody(pretext_run, data, tmp_path, capfd):
    """Neither images nor a noisy student's first round."""
    image = str(next((data / "images").iterdir()))
    told = f"E509 the run in {pretext_run} learned the pretext restoration, which predicts nothing"
    assert told in refused(["predict", str(pretext_run), image, "--output", str(tmp_path / "p")], tmp_path / "p", capfd)
    more = ("--method", "noisy_student", "--teacher", str(pretext_run))
    assert told in refused(train_arguments(data, tmp_path / "run", *more), tmp_path / "run", capfd)
