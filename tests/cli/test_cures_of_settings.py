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
    of_network = {"deeplab": ["network_def=%deeplab_def", "deeplab_def#encoder=resnet18"], "unet": ["network_def=%unet_def"]}
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
BLUR = "{'_target_': 'mednoisy.perturb.intensity.Intensity', 'transforms': [%s]}"


@pytest.mark.parametrize(
    ("code", "fault", "words", "cure", "mend", "followed"),
    [
        ("E104", nothing, train(output="a#b"), "Rename it", nothing, train(output="ab")),
        ("E109", file("o.yaml", "seed: 3\n"), train("--dataset", "o.yaml"), r"leave others to (--set)", nothing, train("<1>", "seed=3")),
        ("E109", file("o.yaml", "about: {kind: volumes}\n"), train("--dataset", "o.yaml"), "Drop it", file("o.yaml", "steps: 2\n"), train("--dataset", "o.yaml")),
        ("E109", file("o.yaml", "teachers: each\nwidth: '@teachers'\n"), train("--dataset", "o.yaml", method="sdcl"), "Rename one of them", file("o.yaml", "wide: 2\nwidth: '@wide'\n"), train("--dataset", "o.yaml", method="sdcl")),
        ("E120", nothing, train("--set", "batch_size=3", *REPEATED, method="bcp"), "Choose an even number of labeled crops", nothing, train("--set", "batch_size=4", *REPEATED, method="bcp")),
        ("E121", nothing, train("--set", "stages#1#unlabeled=4", *REPEATED, method="bcp"), "Choose the same number of both", nothing, train("--set", "stages#1#unlabeled=2", *REPEATED, method="bcp")),
        ("E122", nothing, train("--set", "cutmix_boxes={'_target_': 'mednoisy.perturb.cutmix.CutMixRule'}", method="cps"), "Draw two or more unlabeled crops a step", nothing, train("--set", "cutmix_boxes={'_target_': 'mednoisy.perturb.cutmix.CutMixRule'}", "--set", "batch_size=4", method="cps")),
        ("E123", nothing, [*without_width(UNIMATCH), *OF_MONAI], "Take a network that has one", nothing, UNIMATCH),
        ("E123", nothing, [*without_width(UNIMATCH), *OF_MONAI], r"or method (\w+)", nothing, [*without_width(UNIMATCH), *OF_MONAI, "--method", "<1>"]),
        ("E229", nothing, train("--set", f"train#intensity={MONAI % 'RandGaussianNoised'}"), r"in (train#intensity), or (null)", nothing, train("--set", "train#intensity=null")),
        ("E230", nothing, train("--set", f"train#spatial#transforms=[{MONAI % 'RandFlipd'}]"), "Take classes of mednoisy.perturb", nothing, train("--set", "train#spatial#transforms=[{'_target_': 'mednoisy.perturb.geometry.Flip'}]")),
        ("E231", nothing, train(*LONG, "--set", f"train#spatial#transforms=[{TURN % 2}]"), "Make these sides of patch_size equal", nothing, train("--set", f"train#spatial#transforms=[{TURN % 2}]")),
        ("E231", nothing, train(*LONG, "--set", f"train#spatial#transforms=[{TURN % 2}]"), "or leave out the turns", nothing, train(*LONG)),
        ("E231", nothing, train("--set", f"train#spatial#transforms=[{TURN % 3}]"), r"Name axes from 0 to (2)", nothing, train("--set", f"train#spatial#transforms=[{TURN % 2}]")),
        ("E310", file("new", "mine"), train(), "Give a folder with --output", nothing, train(output="other")),
        ("E311", file("new/notes.txt", "mine"), train(), "Give an empty one with --output", nothing, train(output="other")),
        ("E311", nothing, train(output="run"), r"Add (--resume) to go on with it", nothing, train("<1>", output="run")),
        ("E311", nothing, train(output="run"), "or give another --output", nothing, train()),
        ("E340", nothing, of_lesions("--pretrained", "resnet.pth"), "Give the path of a .pth file", nothing, of_lesions("--pretrained", "resnet18.pth")),
        ("E340", nothing, of_lesions("--pretrained", "torn.pth"), "Give a file of weights saved by torch.save", nothing, of_lesions("--pretrained", "resnet18.pth")),
        ("E341", nothing, of_lesions("--pretrained", "list.pth"), "Give the weights of a classifier as torchvision or timm release them", nothing, of_lesions("--pretrained", "resnet18.pth")),
        ("E343", nothing, of_lesions("--pretrained", "resnet18.pth", network="unet"), "Take DeepLabV3, ", nothing, of_lesions("--pretrained", "resnet18.pth")),
        ("E344", nothing, of_lesions("--pretrained", "resnet18.pth", "--set", "deeplab_def#encoder=resnet34"), "Give a file of torchvision or timm for resnet34", nothing, of_lesions("--pretrained", "resnet18.pth")),
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
