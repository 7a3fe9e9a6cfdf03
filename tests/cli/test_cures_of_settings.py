"""Cures followed: settings, overlays, weights and places with which no training begins."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from mednoisy.cli import main
from mednoisy.engines.trainer import SemiSupervisedTrainer
from mednoisy.errors import UserError
from mednoisy.files import locked
from mednoisy.networks.authors_checkpoints import load_published
from mednoisy.networks.encoders import ImageNetEncoder
from mednoisy.networks.unet import UNet
from mednoisy.report import run_page
from tests.cli.test_cures import filled, refused, refused_with
from tests.small_runs import small_dataset, train_arguments


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms, some weights, and finished runs."""
    folder = tmp_path_factory.mktemp("base")
    small_dataset(folder / "data")
    small_dataset(folder / "lesions", "dermoscopy")
    encoder = ImageNetEncoder(2, 3, "resnet18").state_dict()
    torch.save({key.split(".", 2)[2]: value for key, value in encoder.items()}, folder / "resnet18.pth")
    torch.save([1], folder / "list.pth")
    (folder / "torn.pth").write_bytes((folder / "resnet18.pth").read_bytes()[:1000])
    for name, more in (("run", ("--method", "supervised")), ("pretext", ("--method", "restoration"))):
        assert main(train_arguments(folder / "data", folder / name, *more)) == 0
    return folder


@pytest.fixture(autouse=True)
def work(base, tmp_path, monkeypatch) -> Path:
    for entry in base.iterdir():
        (shutil.copytree if entry.is_dir() else shutil.copy)(entry, tmp_path / entry.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_page, "write_report", lambda *_: None)  # takes longer than all else
    return tmp_path


def nothing() -> None:
    pass


def file(name: str, text: str) -> Callable[[], None]:
    def write() -> None:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)

    return write


def train(*more: str, method: str = "supervised", output: str = "new") -> list[str]:
    return train_arguments(Path("data"), Path(output), "--method", method, *more)


def of_lesions(*more: str, network: str = "deeplab") -> list[str]:
    width = ["width"] if network == "deeplab" else []
    words = train_arguments(Path("lesions"), Path("new"), bundle="dermoscopy", without=["network_def", *width])
    of_network = {
        "deeplab": ["network_def=%deeplab_def", "deeplab_def#encoder=resnet18"],
        "unet": ["network_def=%unet_def"],
    }
    return [*words, *(word for entry in of_network[network] for word in ("--set", entry)), *more]


MONAI = "{'_target_': 'monai.transforms.%s', 'keys': 'image'}"
UNIMATCH = train("--set", "batch_size=4", "--set", "train#stream#repeated=True", method="unimatch")
OF_MONAI = ["--set", "network_def={'_target_': 'monai.networks.nets.UNet', 'spatial_dims': 3, 'in_channels': 1, "]
OF_MONAI[1] += "'out_channels': 2, 'channels': [4, 8], 'strides': [2]}"


def without_width(words: list[str]) -> list[str]:
    at = words.index("width=2")
    return [*words[: at - 1], *words[at + 1 :]]


REPEATED = ("--set", "train#stream#repeated=True")
TURN = "{'_target_': 'mednoisy.perturb.geometry.QuarterTurns', 'axes': [0, %d]}"
LONG = ("--set", "patch_size=[16,16,32]", "--set", "stride=[16,16,32]", "--set", "coarse_stride=[16,16,32]")
FAULTS = "{'_target_': 'mednoisy.perturb.augmentation.Intensity', 'transforms': [%s]}"
FAULTS %= "{'_target_': 'mednoisy.perturb.picture_faults.MedianFilter'}"


@pytest.mark.parametrize(
    ("code", "fault", "words", "cure", "mend", "followed"),
    [
        ("E104", nothing, train(output="a#b"), "Rename it", nothing, train(output="ab")),
        ("E109", file("o.yaml", "seed: 3\n"), train("--dataset", "o.yaml"), r"leave others to (--set)", nothing, train("<1>", "seed=3")),
        ("E109", file("o.yaml", "about: {kind: volumes}\n"), train("--dataset", "o.yaml"), "Drop it", file("o.yaml", "steps: 2\n"), train("--dataset", "o.yaml")),
        ("E109", file("o.yaml", "teachers: each\nwidth: '@teachers'\n"), train("--dataset", "o.yaml", method="sdcl"), "Rename one of them", file("o.yaml", "wide: 2\nwidth: '@wide'\n"), train("--dataset", "o.yaml", method="sdcl")),
        ("E120", nothing, train("--set", "batch_size=3", *REPEATED, method="copy_paste"), "Choose an even number of labeled crops", nothing, train("--set", "batch_size=2", method="copy_paste")),
        ("E121", nothing, train("--set", "stages#1#labeled=4", *REPEATED, method="bcp"), "Choose the same number of both", nothing, train("--set", "stages#1#labeled=2", method="bcp")),
        ("E122", nothing, train("--set", "cutmix_boxes={'_target_': 'mednoisy.perturb.cutmix.CutMixRule'}", method="cps"), "Draw two or more unlabeled crops a step", nothing, train("--set", "cutmix_boxes={'_target_': 'mednoisy.perturb.cutmix.CutMixRule'}", "--set", "batch_size=4", method="cps")),
        ("E123", nothing, [*without_width(UNIMATCH), *OF_MONAI], "Take a network that has one", nothing, UNIMATCH),
        ("E123", nothing, [*without_width(UNIMATCH), *OF_MONAI], r"or method (\w+)", nothing, [*without_width(UNIMATCH), *OF_MONAI, "--method", "<1>"]),
        ("E229", nothing, train("--set", f"train#intensity={MONAI % 'RandGaussianNoised'}"), r"in (train#intensity), or (null)", nothing, train("--set", "train#intensity=null")),
        ("E230", nothing, train("--set", f"train#spatial#transforms=[{MONAI % 'RandFlipd'}]"), "Take classes of mednoisy.perturb", nothing, train("--set", "train#spatial#transforms=[{'_target_': 'mednoisy.perturb.geometry.Flip'}]")),
        ("E231", nothing, train(*LONG, "--set", f"train#spatial#transforms=[{TURN % 2}]"), "Make these sides of patch_size equal", nothing, train("--set", f"train#spatial#transforms=[{TURN % 2}]")),
        ("E231", nothing, train(*LONG, "--set", f"train#spatial#transforms=[{TURN % 2}]"), "or leave out the turns", nothing, train(*LONG)),
        ("E231", nothing, train("--set", f"train#spatial#transforms=[{TURN % 3}]"), r"Name axes from 0 to (2)", nothing, train("--set", f"train#spatial#transforms=[{TURN % 2}]")),
        ("E232", nothing, train("--set", f"train#intensity={FAULTS}"), "Leave it out", nothing, train("--set", "train#intensity=null", output="other")),
        ("E310", file("new", "mine"), train(), "Give a folder with --output", nothing, train(output="other")),
        ("E311", file("new/notes.txt", "mine"), train(), "Give an empty one with --output", nothing, train(output="other")),
        ("E311", nothing, train(output="run"), r"Add (--resume) to go on with it", nothing, train("<1>", output="run")),
        ("E311", nothing, train(output="run"), "or give another --output", nothing, train()),
        ("E501", nothing, train("--pretext", "restore"), r"Did you mean '(\w+)'", nothing, train("--pretext", "<1>")),
        ("E502", nothing, train("--pretext", "restoration", "--set", "pretext_steps=2"), r"Use --set pretext_steps=N, N from (1)", nothing, train("--pretext", "restoration", "--set", "pretext_steps=1")),
        ("E502", nothing, train("--pretext", "restoration", "--steps", "1"), r"Use (--steps \d+) or more", nothing, train("--pretext", "restoration", "<1>")),
        ("E502", nothing, train("--pretext", "restoration", "--set", "pretext_steps=5", "--steps", "1"), r"Use (--steps \d+) or more", nothing, train("--pretext", "restoration", "--set", "pretext_steps=5", "<1>")),
        ("E503", nothing, [*without_width(train("--pretext", "contrastive")), *OF_MONAI], "or train without a pretext", nothing, [*without_width(train()), *OF_MONAI]),
        ("E504", nothing, train("--pretext-from", "pretext", "--set", "width=3"), "Take a pretext of the same encoder", nothing, train("--pretext-from", "pretext")),
        ("E507", nothing, train("--pretext", "restoration", method="restoration"), "Drop --pretext", nothing, train(method="restoration")),
        ("E507", nothing, train("--pretext", "restoration", method="restoration"), "or take another", nothing, train("--pretext", "masked_autoencoding", method="restoration")),
        ("E508", nothing, train("--pretext-from", "run"), "Give the folder of a run that has finished its stage of a pretext", nothing, train("--pretext-from", "pretext")),
    ],
)  # fmt: skip
def test_a_training_is_called_again_as_the_cure_says(capsys, code, fault, words, cure, mend, followed):
    fault()
    proposed = refused_with(capsys, words, code, cure)
    assert not Path("new/run.json").exists()
    mend()
    assert main(filled(followed, proposed)) == 0


def test_a_training_starts_from_weights_that_fit(capsys):
    """All cures lead to one call."""
    for code, words, cure in (
        ("E340", of_lesions("--pretrained", "resnet.pth"), "Give the path of a .pth file"),
        ("E340", of_lesions("--pretrained", "torn.pth"), "Give a file of weights saved by torch.save"),
        ("E341", of_lesions("--pretrained", "list.pth"), "Give the weights of a classifier as torchvision or timm"),
        ("E343", of_lesions("--pretrained", "resnet18.pth", network="unet"), "Take DeepLabV3, DeepLabV3Plus or FPN"),
        ("E344", of_lesions("--pretrained", "resnet18.pth", "--set", "deeplab_def#encoder=resnet34"), "Give a file of"),
    ):
        refused(capsys, words, code, cure)
    assert main(of_lesions("--pretrained", "resnet18.pth", "--steps", "1")) == 0


def test_the_authors_weights_fit_the_network_that_they_were_saved_from():
    """No command reads them."""
    small, large = (UNet(2, 1, 2, (width,) * 5) for width in (2, 4))
    torch.save(small.state_dict(), "theirs.pth")
    with pytest.raises(UserError, match=r"E342 .*Build the network that the checkpoint was saved from \(class, width"):
        load_published(large, "theirs.pth")
    load_published(small, "theirs.pth")


# Runs that were stopped, and places that are taken


def test_a_place_that_cannot_be_written_or_is_at_work(capsys):
    Path("file").write_text("mine")
    refused(capsys, train(output="file/run"), "E315", "Give another --output")
    with ExitStack() as stack:
        stack.enter_context(locked(Path("new")))
        refused(capsys, train(), "E314", "Wait for it or give another --output")
        assert main(train(output="other")) == 0
    assert main(train()) == 0


@pytest.fixture
def stopped(monkeypatch) -> Callable[[int], None]:
    """Lets SIGTERM reach the next run in this step."""

    def stop(at: int) -> None:
        iterate = SemiSupervisedTrainer._iteration

        def iteration(trainer, *more):
            if trainer.state.iteration == at:
                os.kill(os.getpid(), signal.SIGTERM)
                monkeypatch.setattr(SemiSupervisedTrainer, "_iteration", iterate)
            return iterate(trainer, *more)

        monkeypatch.setattr(SemiSupervisedTrainer, "_iteration", iteration)

    return stop


def test_a_stopped_run_is_finished_before_it_is_scored(stopped, capsys):
    stopped(1)
    words = train(method="sdcl")
    told = refused_with(capsys, words, "E331", r"Go on with (--resume)", end=1)
    refused_with(capsys, ["evaluate", "new", "--device", "cpu"], "E318", r"Finish the run first \(--resume\)")
    assert main([*words, told[1]]) == 0
    assert main(["evaluate", "new", "--device", "cpu"]) == 0


def test_a_pretext_that_is_gone_is_restored(stopped, capsys):
    stopped(2)
    words = train("--pretext", "restoration", "--steps", "3")
    refused(capsys, words, "E331", "Go on with --resume", end=1)
    Path("new/checkpoints/pretext_restoration.pt").rename("kept.pt")
    refused(capsys, [*words, "--resume"], "E506", "Restore it, or train again")
    Path("kept.pt").rename("new/checkpoints/pretext_restoration.pt")
    assert main([*words, "--resume"]) == 0


def test_steps_that_give_no_number_end_a_run(capsys):
    words = train("--steps", "5", "--set", "learning_rate=1e30", "--set", "precision=bf16")
    refused(capsys, words, "E330", "Train again in fp32 or at a lower learning rate", end=1)
    assert main(train("--steps", "5", "--set", "precision=fp32", output="other")) == 0


def test_checkpoints_that_are_gone_damaged_or_of_another_run(capsys):
    evaluate, last = ["evaluate", "run", "--device", "cpu"], Path("run/checkpoints/last.pt")
    last.rename("kept.pt")
    command = refused_with(capsys, evaluate, "E321", r"mednoisy (train --resume \S+)\.$")
    assert main(filled(["<1>"], command)) == 0
    assert main(evaluate) == 0
    last.write_bytes(last.read_bytes()[:-2000])
    if last.with_name("previous.pt").is_file():
        command = refused_with(capsys, evaluate, "E322", r"mednoisy (train --resume \S+)\.$")
        assert main(filled(["<1>"], command)) == 0
    shutil.copy("pretext/checkpoints/last.pt", last)
    refused(capsys, ["train", "--resume", "run"], "E317", "or give another --output")
    assert main(train()) == 0


def test_several_processes_train_folds_one_by_one(capsys, monkeypatch):
    words = train("--folds", "2", "--set", "batch_size=1")
    at = words.index("--validation")
    del words[at : at + 2]
    monkeypatch.setenv("WORLD_SIZE", "2")
    proposed = refused_with(capsys, words, "E372", r"Call without torchrun, or train each fold alone: (--set \S+)\.$")
    monkeypatch.delenv("WORLD_SIZE")
    assert main(words) == 0
    assert main(train("--set", "batch_size=1", *filled(["<1>"], proposed), output="fold")) == 0


def test_a_program_is_executed_for_who_trusts_it(capsys):
    config = Path("run/config.yaml")
    config.write_text(config.read_text().replace("val_interval: 2", "val_interval: $__import__('math').ceil(1.5)"))
    evaluate = ["evaluate", "run", "--device", "cpu"]
    trust = refused_with(capsys, evaluate, "E390", r"Add (--trust) if you know who made it")
    assert main([*evaluate, trust[1]]) == 0


# Rounds of pseudo-labels


ROUNDS = ("--set", "rounds=1", "--steps", "2")


def test_pseudo_labels_need_unlabeled_cases_and_a_teacher_of_the_same_classes(capsys):
    import json

    path = Path("data/datalist.json")
    content = json.loads(path.read_text())
    content.pop("split_digest", None)
    path.write_text(json.dumps(content | {"unlabeled": [], "hidden": []}))
    refused(capsys, train(*ROUNDS, method="noisy_student"), "E360", "or lower --labeled")
    fewer = ("--labeled", "1", "--set", "batch_size=1", "--set", "minimum_area=0")
    assert main(train(*ROUNDS, *fewer, method="noisy_student")) == 0


def test_a_round_keeps_something_by_lower_rules_and_is_not_lost(stopped, capsys):
    strict = train(*ROUNDS, "--set", "minimum_area=1.0", method="noisy_student")
    lower = refused_with(capsys, strict, "E361", r"for example (--set \S+), into another --output", end=1)
    words = train(*ROUNDS, *filled(["<1>"], lower), "--steps", "4", method="noisy_student", output="other")
    stopped(3)
    refused(capsys, words, "E331", "Go on with --resume", end=1)
    rounds = Path("other/rounds")
    rounds.rename("kept")
    refused(capsys, [*words, "--resume"], "E362", "Restore the folder, or train again")
    shutil.rmtree(rounds, ignore_errors=True)
    Path("kept").rename(rounds)
    assert main([*words, "--resume"]) == 0


def test_a_teacher_tells_the_same_classes_apart(capsys):
    words = train_arguments(Path("lesions"), Path("new"), "--method", "noisy_student", *ROUNDS, bundle="dermoscopy")
    words += ["--set", "minimum_area=0", "--teacher"]
    refused(capsys, [*words, "run"], "E363", "Give a run on the same classes")
    assert main(train_arguments(Path("lesions"), Path("teacher"), "--method", "supervised", bundle="dermoscopy")) == 0
    assert main([*words, "teacher"]) == 0
