"""The tutorials, followed to the letter but for the number of steps."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from mednoisy.active import catalogue
from mednoisy.active.pool import Pool, query_draw
from mednoisy.bundle_check import check
from mednoisy.cli import main
from mednoisy.data.images import write_picture
from mednoisy.methods.method import Method, mixes_samples
from mednoisy.networks.unet import UNet
from tests.methods.small import small_batch, step_at
from tests.small_runs import small_dataset, train_arguments

DOCS = Path(__file__).parents[1] / "docs"
FENCED = re.compile(r"(?:`([\w.]+\.(?:py|yaml))`:\n\n)?```(\w*)\n(.*?)```", re.DOTALL)
MOST_LINES = 40  # of what a page has its reader write
OWN = "mednoisy train data/mine --method sdcl --recipe strong --folds 4 --output runs/mine"  # as long as is configured
INSTEAD = {
    "make demo": "mednoisy demo --output demo --steps 4",
    ". .venv/bin/activate": None,  # there is one already
    OWN: f"{OWN} --steps 4",
}


def blocks(page: str) -> list[tuple[str, str, str]]:
    """File name (empty for commands), language and text of every block."""
    return FENCED.findall((DOCS / page).read_text(encoding="utf-8"))


def make_own_files(folder: Path) -> None:
    """What a reader has before the first page: pictures called as people call them, masks of some."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :80]
    for number in range(6):
        mask = np.hypot(rows - generator.uniform(24, 40), columns - generator.uniform(24, 56)) < 14
        picture = np.where(mask[..., None], (200, 120, 90), (90, 60, 50)) + generator.normal(0, 20, (64, 80, 3))
        write_picture(folder / "scans" / f"Night {number} photo.png", picture.clip(0, 255).astype(np.uint8))
        if number < 4:
            write_picture(folder / "masks" / f"Night {number} mask.png", mask)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "made"),
    [
        ("tutorials/first_run.md", ["demo/report.html", "comparison.html", "predictions/test_000.nii.gz"]),
        (
            "tutorials/own_dataset.md",
            [
                "runs/mine/report.html",
                "runs/mine/predictions/Night_5.png",
                "comparison.html",
                "predictions/disc39.png",
                "runs/supervised/report.html",
            ],
        ),
        ("tutorials/own_method.md", ["studies/entropy/table.md", "studies/entropy/comparison.html"]),
        (
            "tutorials/which_case_next.md",
            [
                "queries/0/query.html",
                "data/round_2/annotations.csv",
                "runs/round_2/report.html",
                "queries/2/query.html",
            ],
        ),
    ],
)
def test_a_page_can_be_followed(page, made, tmp_path):
    make_own_files(tmp_path)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    written = 0
    for name, language, text in blocks(page):
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
            written += len([line for line in text.splitlines() if line.strip()])
            continue
        assert not language
        for command in text.splitlines():
            if (command := INSTEAD.get(command, re.sub(r"--steps \d+", "--steps 4", command))) is None:
                continue
            if command.startswith("export "):
                key, _, value = command.removeprefix("export ").partition("=")
                environment[key] = value
                continue
            done = subprocess.run(
                shlex.split(command), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert written < MOST_LINES
    for path in made:
        assert (tmp_path / path).is_file(), path


@pytest.fixture
def entropy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[torch.nn.Module], Method]]:
    """The method's class of own_method.md, as a reader who follows the page has it, beside its overlay."""
    for name, _, text in blocks("tutorials/own_method.md"):
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield import_module("entropy").EntropyMinimisation
    sys.modules.pop("entropy")


def test_unlabeled_crops_leave_labeled_terms_alone_under_batch_norm(entropy):
    """In one pass they would not: the network's batch norm takes its statistics from all that it is given at once."""
    torch.manual_seed(0)
    network = UNet(2, 1, 2, widths=(4, 6, 8), dropout=(0.0, 0.0, 0.0)).train()
    assert mixes_samples(network)
    batch = small_batch(spatial=(16, 16))
    others = replace(batch, unlabeled=3 * batch.unlabeled + 5)
    passes = [network(torch.cat([each.labeled, each.unlabeled]))[:4] for each in (batch, others)]
    assert not torch.allclose(*passes, atol=0.01)

    method = entropy(network).train()
    terms, with_others = (method(each, step_at())["student"] for each in (batch, others))
    assert set(terms) == {"dice", "ce", "entropy"}
    for name in ("dice", "ce"):
        assert torch.equal(terms[name][1], with_others[name][1]), name
    assert not torch.equal(terms["entropy"][1], with_others["entropy"][1])


@pytest.mark.slow
def test_the_method_of_the_page_runs_on_slices(entropy, tmp_path):
    """On phantom hearts in 2D, whose U-Net has batch norm: trained, evaluated and reported."""
    data, run = small_dataset(tmp_path / "hearts", "acdc"), tmp_path / "run"
    assert main(train_arguments(data, run, "--method", str(tmp_path / "entropy.yaml"), bundle="acdc")) == 0
    assert (run / "report.html").is_file()
    assert "student/entropy" in (run / "progress.csv").read_text().splitlines()[0].split(",")
    weights = torch.load(run / "models" / "model.pt", weights_only=True)
    assert any(name.endswith("running_mean") for name in weights)


def test_the_augmentation_of_the_page_can_be_applied(tmp_path, monkeypatch):
    for name, _, text in blocks("how_to/change_augmentation.md"):
        assert name in ("mine.yaml", "inverted.py")
        (tmp_path / name).write_text(text, encoding="utf-8")
    recipe = str(tmp_path / "mine.yaml")
    monkeypatch.syspath_prepend(str(tmp_path))
    checked = check(["acdc", "left_atrium"], ["supervised"], [recipe])
    assert [fault for each in checked for fault in each.faults] == []
    changed = import_module("inverted").Inverted().apply(torch.ones(2, 1, 2, 2), np.array([[0.0], [1.0]]))
    assert changed[:, 0, 0, 0].tolist() == [1, -1]
    sys.modules.pop("inverted")


def test_the_strategy_of_the_page_passes_the_test_of_the_page(tmp_path, monkeypatch):
    """In 40 lines, and by its name in the catalogue."""
    texts = [text for _, language, text in blocks("how_to/add_a_strategy.md") if language == "python"]
    code, entry, test = texts
    assert sum(len([line for line in text.splitlines() if line.strip()]) for text in texts) <= MOST_LINES
    module = ModuleType("mednoisy.active.strategies.least_foreground")
    exec(code, module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = {"Entry": catalogue.Entry, "least_foreground": module.least_foreground}
    monkeypatch.setattr(catalogue, "STRATEGIES", catalogue.STRATEGIES | eval(f"{{{entry}}}", names))
    own: dict[str, Callable[[], None]] = {}
    exec(test, own)
    own["test_the_emptiest_cases_come_first"]()
    pool = Pool(["some", "none"], foreground=np.array([[5], [0]]))
    assert catalogue.choose(pool, "least_foreground", 1, query_draw(0, 0))[0].id == "none"
