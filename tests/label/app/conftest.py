"""Our server over real scans of the left atrium at 2.5 mm, with a network that trains in a minute."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from mednoisy.cli import main
from mednoisy.data.phantoms import make_dataset
from tests.small_runs import SMALL_ARGUMENTS

SHARED = Path(__file__).parents[4] / "shared" / "data" / "left_atrium"
SMALL = (
    "width=4", "patch_size=[32,32,16]", "stride=[16,16,8]", "coarse_stride=[32,32,16]", "val_interval=20",
    "batch_size=2",
)  # fmt: skip
BETWEEN = 0.5  # seconds
LEAKING = (  # what the client of MONAI Label does
    "ignore:Exception ignored in. <(socket.socket|_io.FileIO):pytest.PytestUnraisableExceptionWarning"
)


@dataclass(frozen=True)
class Atria:
    """Scans of the left atrium and what a reader would draw on them.

    Attributes:
        images, labels: files by id, of the studies and of the held cases.
        studies, held: ids.
    """

    images: dict[str, Path]
    labels: dict[str, Path]
    studies: list[str]
    held: list[str]

    def copy_to(self, folder: Path) -> Path:
        """A folder of the studies, without a label."""
        folder.mkdir()
        for study in self.studies:
            shutil.copyfile(self.images[study], folder / self.images[study].name)
        return folder


@pytest.fixture(scope="session")
def atria(tmp_path_factory) -> Atria:
    """12 studies and 5 held cases of the published split."""
    if not SHARED.is_dir():
        pytest.skip("real data are not here: ../shared/data is absent")
    folder = tmp_path_factory.mktemp("atria") / "left_atrium"
    assert main(["prepare", "left_atrium", str(SHARED), str(folder), "--spacing", "2.5"]) == 0
    listed = json.loads((folder / "datalist.json").read_text())
    studies, held = listed["labeled"][:12], listed["test"][:5]
    cases = [*studies, *held]
    return Atria(
        {case["id"]: folder / case["image"] for case in cases},
        {case["id"]: folder / case["label"] for case in cases},
        [case["id"] for case in studies],
        [case["id"] for case in held],
    )


@dataclass(frozen=True)
class Phantoms:
    """Phantoms without a label yet.

    Attributes:
        studies: the folder that is served.
        labels: what a reader would draw, by id.
        outside: a folder beside, in which nothing may change.
    """

    studies: Path
    labels: dict[str, Path]
    outside: Path


def phantoms(folder: Path, count: int = 6) -> Phantoms:
    """A folder of studies and, apart from it, their labels."""
    listed = json.loads(make_dataset(folder / "made", labeled=count, unlabeled=0, test=0).read_text())["labeled"]
    studies = folder / "beside" / "studies"
    studies.mkdir(parents=True)
    for case in listed:
        shutil.copyfile(folder / "made" / case["image"], studies / f"{case['id']}.nii.gz")
    return Phantoms(studies, {case["id"]: folder / "made" / case["label"] for case in listed}, folder / "beside")


def phantom_program(studies: Path, *more: str) -> list[str]:
    """Words that start our server over phantoms, with SDCL in a few steps."""
    words = [sys.executable, "-m", "mednoisy", "label", "--bundle", "phantom", "--studies", str(studies)]
    words += ["--method", "sdcl", "--steps", "4", "--folds", "2", "--device", "cpu", "--port", "{port}", *more]
    return [*words, *SMALL_ARGUMENTS]


def program(studies: Path, *more: str, method: str = "sdcl", steps: int = 50) -> list[str]:
    """Words that start our server, for the fixture `server`."""
    words = [sys.executable, "-m", "mednoisy", "label", "--bundle", "left_atrium", "--studies", str(studies)]
    words += ["--method", method, "--steps", str(steps), "--device", "cpu", "--port", "{port}", *more]
    return [*words, *(word for text in SMALL for word in ("--set", text))]


def wait_for(done: Callable[[], Any], seconds: float, told: Callable[[], Any] = lambda: "") -> Any:
    """What `done` gives once it is true; fails with what `told` gives where that takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := done():
            return found
        time.sleep(BETWEEN)
    raise AssertionError(f"not done after {seconds} s: {told()}")


def finished_training(url: str, seconds: float) -> dict[str, Any]:
    """The state of the training that was started last, once it has ended."""

    def state() -> dict[str, Any]:
        return dict(requests.get(f"{url}/train/", timeout=60).json())

    return dict(wait_for(lambda: (now := state())["status"] != "RUNNING" and now, seconds, state))


def finished_ranking(url: str, seconds: float) -> dict[str, Any]:
    """How the ranking of studies ended."""

    def state() -> dict[str, Any]:
        return dict(requests.get(f"{url}/scoring/", timeout=60).json())

    network = requests.get(f"{url}/info/", timeout=60).json()["mednoisy"]["network"]["round"]
    ended = wait_for(lambda: (now := state())["state"] == "idle" and now.get("network") == str(network) and now,
                     seconds, state)  # fmt: skip
    return dict(ended)


def words_of(answer: requests.Response) -> str:
    """What a refusal says."""
    return str(answer.json()["detail"])
