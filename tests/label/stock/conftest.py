"""Small runs, exported, in a copy of MONAI Label's own `monaibundle` app."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mednoisy.cli import main
from tests.small_runs import small_dataset, train_arguments

STOCK_APP = Path(sys.prefix) / "monailabel" / "sample-apps" / "monaibundle"
METHODS = {"phantom": "sdcl", "acdc": "sdcl", "dermoscopy": "mean_teacher"}  # by bundle: volumes, slices, pictures


def model_of(bundle: str) -> str:
    """The name of a bundle's exported network in the app."""
    return f"{bundle}_net"


def stock_app(folder: Path) -> Path:
    """A copy of the app: the server writes into it."""
    found = [STOCK_APP, *(Path(place).parents[2] / "monailabel/sample-apps/monaibundle" for place in sys.path if place)]
    source = next(place for place in found if place.is_dir())
    return Path(shutil.copytree(source, folder))


def conf(*models: str) -> dict[str, str]:
    """What the app needs to start offline."""
    return {"models": ",".join(models), "zoo_source": "ngc", "sam2": "false"}


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> Callable[[str], Path]:
    """The folder of a small finished run of a bundle, trained once; its data lie beside it in `data`."""
    folder = tmp_path_factory.mktemp("runs")

    def run(bundle: str) -> Path:
        place = folder / bundle
        if not place.exists():
            data = small_dataset(place / "data", bundle)
            words = train_arguments(data, place / "run", "--method", METHODS[bundle], bundle=bundle)
            assert main(words) == 0
        return place / "run"

    return run


@pytest.fixture(scope="session")
def app(runs, tmp_path_factory) -> Path:
    """The app with an exported network of each kind."""
    folder = stock_app(tmp_path_factory.mktemp("app") / "monaibundle")
    (folder / "model").mkdir(exist_ok=True)
    for bundle in METHODS:
        out = folder / "model" / model_of(bundle)
        assert main(["export", str(runs(bundle)), str(out), "--for", "monai-label"]) == 0
    return folder
