"""Colorization from the command line: alone, before a method, started from, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from mednoisy.bundle_check import check, table
from mednoisy.cli import main
from mednoisy.engines import checkpoint
from mednoisy.networks.unet import UNet
from mednoisy.runs.opened_run import opened_run
from tests.bundles.test_pretexts import refused
from tests.small_runs import small_dataset, train_arguments

PATCH_DISCRIMINATOR = (
    "pretexts#colorization#discriminator={'_target_': 'monai.networks.nets.PatchDiscriminator', '_mode_': 'callable', "
    "'spatial_dims': 2, 'channels': 4, 'in_channels': 6, 'num_layers_d': 1}"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labeled, two unlabeled and two test pictures of lesions, in colour."""
    return small_dataset(tmp_path_factory.mktemp("lesions"), "dermoscopy")


@pytest.fixture
def gray_data(data: Path, tmp_path: Path) -> Path:
    """The same, one unlabeled picture of three equal channels and another of one."""
    folder = Path(shutil.copytree(data, tmp_path / "gray"))
    for case, mode in zip(unlabeled(folder), ("RGB", "L"), strict=True):
        with Image.open(folder / case["image"]) as picture:
            gray = picture.convert("L").convert(mode)
        gray.save(folder / case["image"])
    return folder


def unlabeled(folder: Path) -> list[dict]:
    return json.loads((folder / "datalist.json").read_text(encoding="utf-8"))["unlabeled"]


def arguments(data: Path, run: Path, *more: str) -> list[str]:
    return train_arguments(data, run, *more, bundle="dermoscopy")


@pytest.fixture(scope="module")
def colour_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of colorization alone, against MONAI's discriminator with bounded slope and a rate of its own."""
    run = tmp_path_factory.mktemp("runs") / "colours"
    more = ["--set", PATCH_DISCRIMINATOR, "--set", "pretexts#colorization#sigmoid=false"]
    more += ["--set", "pretexts#colorization#spectral_norm=true"]
    more += ["--set", "pretexts#colorization#discriminator_rate=0.0001"]
    assert main(arguments(data, run, "--method", "colorization", *more)) == 0
    return run


def test_its_page_shows_gray_generated_and_real(colour_run):
    page = (colour_run / "report.html").read_text(encoding="utf-8")
    assert "What the pretext colorization asks" in page
    assert "colorization is a pretext: it read images alone and predicts nothing, so it has no figures." in page
    for name in ("gray", "generated", "real"):
        assert page.count(f'alt="{name} of ') == 4


def test_the_configured_discriminator_is_the_one_that_learned(colour_run):
    content = checkpoint.load(colour_run / "checkpoints" / "last.pt")
    names = [name for name in content["method"] if name.startswith("students.discriminator.")]
    assert "students.discriminator.final_conv.conv.parametrizations.weight.original" in names
    rates = {name: state["param_groups"][0]["initial_lr"] for name, state in content["optimisers"].items()}
    assert rates == {"student": 2e-4, "discriminator": 1e-4}


def test_features_are_the_generators(colour_run, data, tmp_path):
    """Its encoder chooses the first cases to annotate, with nothing to be trusted; nobody takes the discriminator's."""
    opened = opened_run(colour_run, device="cpu")
    assert (opened.deployed, type(opened.network)) == (None, UNet)
    kept = checkpoint.load(colour_run / "checkpoints" / "pretext_colorization.pt")["students"]
    assert list(kept) == ["student"]
    assert all(torch.equal(value, kept["student"][key]) for key, value in opened.network.state_dict().items())
    words = ["query", str(data), "--strategy", "typiclust", "--features-of", str(colour_run), "--budget", "1"]
    assert main([*words, "--output", str(tmp_path / "query")]) == 0


def test_it_predicts_for_nobody(colour_run, data, tmp_path, capfd):
    image = str(next((data / "images").iterdir()))
    line = refused(["predict", str(colour_run), image, "--output", str(tmp_path / "p")], tmp_path / "p", capfd)
    assert f"E509 the run in {colour_run} learned the pretext colorization, which predicts nothing" in line


def test_a_method_after_it_begins_with_its_encoder(data, tmp_path, capfd):
    """And another run from the same, with the counts on stdout."""
    run, other = tmp_path / "run", tmp_path / "other"
    assert main(arguments(data, run, "--method", "mean_teacher", "--pretext", "colorization", "--steps", "4")) == 0
    log = (run / "log.txt").read_text(encoding="utf-8")
    assert "step 0 of 4 (colorization 1, training 3)" in log
    assert log.count("pretext colorization hands over its encoder: student 60 of 60 entries") == 1
    capfd.readouterr()
    assert main(arguments(data, other, "--method", "supervised", "--pretext-from", str(run))) == 0
    told = f"pretext colorization of {run} hands over its encoder: student 60 of 60 entries"
    assert told in capfd.readouterr().out


def test_gray_pictures_are_refused_by_name_or_skipped(gray_data, tmp_path, capfd):
    """Of one channel, and of three equal ones."""
    first, second = (case["id"] for case in unlabeled(gray_data))
    words = arguments(gray_data, tmp_path / "run", "--method", "colorization")
    line = refused(words, tmp_path / "run", capfd)
    assert f"E539 2 of 4 pictures (50 %: '{first}', '{second}') are gray (R = G = B)" in line
    assert "--skip-gray" in line
    assert main([*words, "--skip-gray"]) == 0
    told = "mednoisy: 2 of 4 images (50 %) are gray and take no part in the pretext colorization"
    assert capfd.readouterr().err.count(told) == 1


@pytest.mark.parametrize(
    ("bundle", "more", "told"),
    [
        (
            "phantom",
            ("--method", "colorization"),
            "E538 colorization needs pictures of three colour channels, and VNet",
        ),
        (
            "acdc",
            ("--pretext", "colorization", "--steps", "4"),
            "takes images of 1 channel and 2 axes. Take another pretext, such as --pretext restoration",
        ),
        ("dermoscopy", ("--method", "supervised", "--skip-gray"), "E113 --skip-gray does not go without the pretext"),
        (
            "dermoscopy",
            ("--method", "colorization", "--set", "pretexts#colorization#adversarial=hinge"),
            "E107 a value of the configuration is refused: stage 'colorization' cannot be made, adversarial is 'hinge'",
        ),
        (
            "dermoscopy",
            ("--method", "colorization", "--set", PATCH_DISCRIMINATOR.replace("in_channels': 6", "in_channels': 3")),
            "E541 the discriminator cannot score colours and gray of 8x8 pixels, a quarter of a crop of 32x32",
        ),
    ],
)
def test_what_cannot_be_is_refused(bundle, more, told, data, tmp_path, capfd):
    folder = data if bundle == "dermoscopy" else small_dataset(tmp_path / "data", bundle)
    run = tmp_path / "run"
    assert told in refused(train_arguments(folder, run, *more, bundle=bundle), run, capfd)


def test_a_bundle_without_colours_has_nothing_to_check():
    checked = check(["phantom"], ["colorization"], ["default"])
    assert table(checked)[-1] == "| phantom | colorization | - |"
    assert not any(each.faults for each in checked)
