"""Cures followed: pictures that colours are learned from, regions of classes, phantoms."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mednoisy.cli import main
from mednoisy.data.images import read_image, write_picture
from tests.cli.test_cures import filled, refused_with
from tests.small_runs import small_dataset, train_arguments


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset for each of two bundles."""
    folder = tmp_path_factory.mktemp("base")
    for bundle in ("phantom", "dermoscopy"):
        small_dataset(folder / bundle, bundle)
    return folder


@pytest.fixture
def work(base, tmp_path, monkeypatch) -> Path:
    """Where commands are called: a folder with copies of the datasets."""
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nothing() -> None:
    pass


def change(edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the datalist of the pictures."""
    path = Path("dermoscopy/datalist.json")
    content = json.loads(path.read_text())
    edit(content)
    content.pop("split_digest", None)
    path.write_text(json.dumps(content))


def gray(*sections: str) -> Callable[[], None]:
    """Makes pictures of some sections gray."""

    def fault() -> None:
        content = json.loads(Path("dermoscopy/datalist.json").read_text())
        for case in (case for section in sections for case in content[section]):
            path = Path("dermoscopy", case["image"])
            write_picture(path, np.repeat(read_image(path, channels=True).array[..., :1], 3, axis=-1))

    return fault


def small_pictures() -> None:
    for case in json.loads(Path("dermoscopy/datalist.json").read_text())["unlabeled"]:
        noise = np.random.default_rng(0).integers(0, 255, (20, 20, 3))
        write_picture(Path("dermoscopy", case["image"]), noise.astype(np.uint8))


def none_unlabeled() -> None:
    change(lambda content: content.update(unlabeled=[], hidden=[]))


def crops(side: int) -> list[str]:
    return [word for name in ("patch_size", "stride", "coarse_stride") for word in ("--set", f"{name}=[{side},{side}]")]


AS_THEY_ARE = [  # pictures are not resized to a crop
    "--set",
    "preprocessing#transforms#1={'_target_': 'monai.transforms.Identityd', 'keys': 'image'}",
]


def discriminator(channels: int, layers: int) -> list[str]:
    entry = {"_target_": "monai.networks.nets.PatchDiscriminator", "_mode_": "callable", "spatial_dims": 2}
    entry |= {"channels": 4, "in_channels": channels, "num_layers_d": layers}
    return ["--set", f"pretexts#colorization#discriminator={entry}"]


ALONE, BEFORE = ["--method", "colorization"], ["--method", "supervised", "--pretext", "colorization"]
INSTEAD = ["--method", "supervised", "<1>"]


@pytest.mark.parametrize(
    ("code", "fault", "bundle", "given", "cure", "mend", "to", "followed"),
    [
        ("E538", nothing, "phantom", BEFORE, r"such as (--pretext \w+)", nothing, "phantom", INSTEAD),
        ("E538", nothing, "phantom", ALONE, r"or a bundle for pictures, such as (\w+)", nothing, "<1>", ALONE),
        ("E539", gray("unlabeled"), "dermoscopy", ALONE, "Leave them out by (--skip-gray)", nothing, "dermoscopy", [*ALONE, "<1>"]),
        ("E539", gray("unlabeled"), "dermoscopy", ALONE, "or take them from the datalist", none_unlabeled, "dermoscopy", ALONE),
        ("E539", gray("labeled", "unlabeled"), "dermoscopy", ALONE, r"Take (--pretext \w+) instead", nothing, "dermoscopy", INSTEAD),
        ("E540", small_pictures, "dermoscopy", [*ALONE, *AS_THEY_ARE, *crops(64)], r"Use smaller crops \(--set patch_size=", nothing, "dermoscopy", [*ALONE, *AS_THEY_ARE, *crops(32)]),
        ("E540", small_pictures, "dermoscopy", [*ALONE, *AS_THEY_ARE, *crops(64)], "or take them from the datalist", none_unlabeled, "dermoscopy", [*ALONE, *AS_THEY_ARE, *crops(64)]),
        ("E541", nothing, "dermoscopy", [*ALONE, *discriminator(6, 2)], r"Use larger crops \(--set patch_size=", nothing, "dermoscopy", [*ALONE, *discriminator(6, 2), *crops(64)]),
        ("E541", nothing, "dermoscopy", [*ALONE, *discriminator(3, 1)], "or another discriminator of 6 channels", nothing, "dermoscopy", [*ALONE, *discriminator(6, 1)]),
    ],
)  # fmt: skip
def test_colours_are_learned_as_the_cure_says(work, capsys, code, fault, bundle, given, cure, mend, to, followed):
    def words(bundle: str, more: list[str]) -> list[str]:
        return train_arguments(Path(bundle), Path("out"), *more, "--steps", "4", bundle=bundle)

    fault()
    proposed = refused_with(capsys, words(bundle, given), code, cure)
    assert not Path("out").exists()
    mend()
    assert main(words(*filled([to], proposed), filled(followed, proposed))) == 0


# Regions and phantoms


def regions(**of: Any) -> Callable[[], None]:
    return lambda: change(lambda content: content.update(regions=of))


@pytest.mark.parametrize(
    ("fault", "cure", "mend"),
    [
        (regions(skin=[0, 1]), 'Write for example {"skin or not": {"not skin":', regions(**{"skin or not": {"not skin": [0], "skin": [1]}})),
        (regions(skin={"all": [0, 9]}), "Take codes from 0 to 1", regions(skin={"all": [0, 1]})),
        (regions(skin={"a\nll": [0, 1]}), "Leave it out", regions(skin={"all": [0, 1]})),
    ],
)  # fmt: skip
def test_regions_are_unions_of_classes(work, capsys, fault, cure, mend):
    fault()
    refused_with(capsys, ["inspect", "dermoscopy"], "E545", cure)
    mend()
    assert main(["inspect", "dermoscopy"]) == 0


@pytest.mark.parametrize(
    ("given", "cure", "followed"),
    [
        (["--kind", "lesion", "--size", "64"], "Drop --size", ["--kind", "lesion"]),
        (["--kind", "lesion", "--size", "64"], r"or take (--kind \w+)", ["--size", "64", "<1>"]),
        (["--size", "8"], r"Take a (--size) from (\d+) to \d+", ["<1>", "<2>"]),
        (["--kind", "heart", "--ignore-uncertain"], r"Take (--kind \w+)", ["--ignore-uncertain", "--size", "32", "<1>"]),
    ],
)  # fmt: skip
def test_phantoms_are_made_as_the_cure_says(tmp_path, capsys, given, cure, followed):
    few = ["--labeled", "1", "--validation", "0", "--test", "0"]
    words = ["prepare", "phantom", str(tmp_path / "out"), *few]
    proposed = refused_with(capsys, [*words, *given], "E549", cure)
    assert not (tmp_path / "out").exists()
    assert main([*words, *filled(followed, proposed)]) == 0
