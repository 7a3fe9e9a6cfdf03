"""The pictures of the tutorial on the annotation server, of phantoms: what a round leaves, and where folds disagree.

`python docs/generate/tutorial_pictures.py docs/images` learns four labels of eight phantoms as the server does
(without the server: MONAI Label is not needed), predicts a study that has no label, and opens the page of the round in
Chromium. It takes some minutes, and is run by hand when a page's looks have changed.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot
from matplotlib.colors import ListedColormap
from playwright.sync_api import sync_playwright

from mednoisy.data.images import read_image
from mednoisy.data.phantoms import make_dataset
from mednoisy.monai_label.intake import save_label
from mednoisy.monai_label.prediction import Predictor
from mednoisy.monai_label.studies import found_studies
from mednoisy.monai_label.training import Trainings, serving_run
from mednoisy.monai_label.workplace import Settings, Workplace

LABELED, UNLABELED, FOLDS, STEPS = 4, 4, 2, 250
SMALL = (
    "width=8", "norm=instance", "learning_rate=0.004", "patch_size=[32,32,16]", "stride=[16,16,8]",
    "coarse_stride=[32,32,16]", "val_interval=250", "precision=fp32",
)  # fmt: skip
CLASSES = ("background", "atrium")
LIMIT = 300_000  # bytes of a picture
BETWEEN = 1.0  # seconds
CLASS, DISAGREEMENT = "#2ca25f", "#ff7f0e"
VIEW = {"width": 1000, "height": 700}


def labeled_studies(folder: Path) -> Workplace:
    """Studies of which four have a label, submitted as a viewer does it."""
    made = make_dataset(folder / "made", labeled=LABELED, unlabeled=UNLABELED, test=0)
    listed = json.loads(made.read_text(encoding="utf-8"))
    place = Workplace(folder / "studies")
    for case in [*listed["labeled"], *listed["unlabeled"]]:
        place.studies.mkdir(exist_ok=True)
        shutil.copyfile(folder / "made" / case["image"], place.studies / f"{case['id']}.nii.gz")
    place.keep_settings(
        Settings("phantom", CLASSES, method="supervised", steps=STEPS, folds=FOLDS, set=SMALL, device="cpu")
    )
    drawn = {case["id"]: folder / "made" / case["label"] for case in listed["labeled"]}
    for study in found_studies(place):
        if study.id in drawn:
            save_label(place, study, drawn[study.id], CLASSES, {})
    return place


def learn(place: Workplace) -> Path:
    """A round of training; the folder of its run."""
    trainings = Trainings(place)
    trainings.start()
    while trainings.running():
        time.sleep(BETWEEN)
    run = serving_run(place)
    if run is None:
        raise RuntimeError(f"the round ended without a network: {trainings.newest()}")
    return run


def draw_disagreement(place: Workplace, path: Path) -> None:
    """The slice of all unlabeled studies where folds disagree most: the scan, and what a viewer shows over it."""
    predictor, best = Predictor(place), (-1, np.empty(0), np.empty(0), np.empty(0))
    for study in found_studies(place):
        if study.label is None:
            answer = predictor.predict(study.image, study.id)
            assert answer.disagreement is not None  # of folds
            counts = answer.disagreement.sum(axis=(0, 1))
            at = int(counts.argmax())
            if counts[at] > best[0]:
                slices = (read_image(study.image).array, answer.labels, answer.disagreement)
                best = (int(counts[at]), *(array[:, :, at].T for array in slices))
    _, scan, labels, disagreement = best
    figure, (plain, shown) = pyplot.subplots(1, 2, figsize=(7.2, 3.9), layout="constrained")
    for axes, title in ((plain, "a scan without a label"), (shown, "what is shown to be corrected")):
        axes.imshow(scan, cmap="gray", origin="lower", interpolation="nearest")
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
    agreed = (labels == 1) & ~disagreement  # a voxel of a label map is of one segment
    for mask, colour, name in ((agreed, CLASS, CLASSES[1]), (disagreement, DISAGREEMENT, "disagreement")):
        over = np.ma.masked_where(~mask, mask)
        shown.imshow(over, cmap=ListedColormap([colour]), origin="lower", interpolation="nearest", alpha=0.6)
        shown.plot([], [], "s", color=colour, label=name)
    shown.legend(loc="upper right", fontsize=9)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def photograph(page: Path, path: Path) -> None:
    """The first screen of a page."""
    program = next(found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name)))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        opened = browser.new_page(viewport=VIEW)
        opened.goto(page.as_uri())
        opened.screenshot(path=path)
        browser.close()


def main(output: Path) -> None:
    """Write `disagreement.png` and `round.png`."""
    matplotlib.use("agg")
    with tempfile.TemporaryDirectory(prefix="mednoisy-") as folder:
        place = labeled_studies(Path(folder))
        run = learn(place)
        draw_disagreement(place, output / "disagreement.png")
        photograph(run / "report.html", output / "round.png")
        while Trainings(place).running() or _ranks(place):
            time.sleep(BETWEEN)  # or what the round has started would write into a folder that goes
    for name in ("disagreement.png", "round.png"):
        size = (output / name).stat().st_size
        print(f"{output / name}: {size} bytes")
        if size > LIMIT:
            raise SystemExit(f"{name} is larger than {LIMIT} bytes")


def _ranks(place: Workplace) -> bool:
    from mednoisy.monai_label.scoring import progress

    return progress(place)["state"] in ("scoring", "estimating")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
