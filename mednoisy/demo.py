"""The demo: phantoms of which few are labeled, three ways to train on them, one page."""

from __future__ import annotations

import shutil
from pathlib import Path

from mednoisy.data.phantoms import make_dataset
from mednoisy.errors import UserError
from mednoisy.files import locked, written_aside
from mednoisy.studies.study import Study

METHODS = ("supervised", "copy_paste", "sdcl")


def run_demo(output: Path, steps: int = 600, seed: int = 0) -> Path:
    """Make 2 labeled, 16 unlabeled and 8 test phantoms, train, evaluate and compare; the path of the page.

    A demo that was interrupted goes on where it stopped.

    Args:
        output: folder of data, runs and page.
        steps: of each run.
        seed: draws the phantoms, the initial weights and the training.

    Raises:
        UserError: E353 a run failed; see `Study.run`.
    """
    data = output / f"data-seed{seed}"
    if not (data / "datalist.json").is_file():
        with locked(data, "*"):
            make_dataset(data, seed=seed)
    study = Study(
        bundle="phantom",
        data=data,
        output=output,
        methods=METHODS,
        labeled=[2],
        seeds=[seed],
        steps=steps,
        threads=1,  # networks this small gain little from two, which wait for one another on a busy machine
    )
    failed = study.run()
    if failed:
        raise UserError("E353", f"{', '.join(failed)} failed", "See the lines above", exit_code=1)
    page = output / "report.html"
    with written_aside(page) as aside:
        shutil.copyfile(output / "comparison.html", aside)
    return page
