"""The left atrium of the 2018 Atrial Segmentation Challenge, in the form that the literature shares.

    python -m data_prep.left_atrium RAW OUT [--spacing 1.25] [--workers 2]

RAW holds either images/ID.nii.gz and labels/ID.nii.gz, or the published ID/mri_norm2.h5. OUT receives images,
labels and datalist.json: training cases in the published order, all with their label where there is one (take
a subset with `Datalist.with_labeled`), and the published test cases. A second run does nothing; other settings
or newer sources do again what they concern.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py

from mednoisy.data.datalist import Case, Datalist
from mednoisy.errors import UserError

from .case_work import prepare_cases
from .command import command_line, folders, run_command
from .jobs import VolumeJob
from .listing import save_datalist

SPLIT = Path(__file__).parent / "splits" / "left_atrium.json"
SPACING_MM = 0.625  # of all published files; the HDF5 files do not state it
LABELS = {0: "background", 1: "left atrium"}


def prepare(raw: Path | str, out: Path | str, spacing: float | None = None, workers: int = 1) -> Path:
    """Make the prepared dataset; the path of its datalist.

    Args:
        raw: folder of the source files, in either layout.
        out: folder to write.
        spacing: millimetres along every axis; None keeps the native grid of 0.625 mm.
        workers: processes.

    Raises:
        UserError: E222 no published case in `raw`; E108 arguments out of range; E20x a damaged case.
    """
    raw, out = folders(raw, out, workers)
    if spacing is not None and not 0.1 <= spacing <= 20:
        raise UserError("E108", f"spacing is {spacing:g} mm", "Choose .1 to 20 mm, or leave it out for the native grid")
    split = json.loads(SPLIT.read_text(encoding="utf-8"))
    jobs = {section: [job for case in split[section] if (job := _job(case, raw, out, spacing))] for section in split}
    jobs["test"] = [job for job in jobs["test"] if job.label is not None]  # without a reference it tests nothing
    if not jobs["train"] and not jobs["test"]:
        cause = f"{raw} holds no published case, neither images/ID.nii.gz nor ID/mri_norm2.h5"
        raise UserError("E222", cause, "Name the folder that holds `images` and `labels`, or the folders of the cases")
    prepare_cases(jobs["train"] + jobs["test"], out, workers)
    sections: dict[str, list[Case]] = {
        "labeled": [job.entry() for job in jobs["train"] if job.label is not None],
        "unlabeled": [job.entry() for job in jobs["train"] if job.label is None],
        "test": [job.entry() for job in jobs["test"]],
    }
    missing = {section: len(split[section]) - len(jobs[section]) for section in split}
    datalist = Datalist(
        name="left_atrium",
        channels={0: "late gadolinium-enhanced MRI"},
        labels=LABELS,
        sections=sections,
        protocol=_protocol(spacing or SPACING_MM, missing),
    )
    return save_datalist(datalist, out)


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    description = (__doc__ or "").split("\n")[0]
    parser = command_line("left_atrium", description, "folder with images/ and labels/, or with ID/mri_norm2.h5")
    parser.add_argument("--spacing", type=float, help="millimetres along every axis (default: native, 0.625)")
    return run_command(parser, argv, lambda given: prepare(given.raw, given.out, given.spacing, given.workers))


def _job(case: str, raw: Path, out: Path, spacing: float | None) -> VolumeJob | None:
    """What to do for a published case; None where `raw` has no image of it."""
    volume = raw / case / "mri_norm2.h5"
    image, label = raw / "images" / f"{case}.nii.gz", raw / "labels" / f"{case}.nii.gz"
    if volume.is_file():
        labeled = _has_label(volume, case)
        return VolumeJob(
            case, str(volume), str(volume) if labeled else None, str(out), tuple(LABELS), spacing, SPACING_MM
        )
    if image.is_file():
        return VolumeJob(case, str(image), str(label) if label.is_file() else None, str(out), tuple(LABELS), spacing)
    return None


def _has_label(volume: Path, case: str) -> bool:
    try:
        with h5py.File(volume) as file:
            return "label" in file
    except OSError as error:
        cause = f"{volume} cannot be read: {error}"
        raise UserError("E202", cause, "Copy the file again, or remove it", case=case) from error


def _protocol(spacing: float, missing: dict[str, int]) -> str:
    text = (
        f"Published split of 80 training and 20 test cases, {spacing:g} mm. The published crops have seen the "
        "reference of every case, unlabeled and test cases included."
    )
    absent = [f"{count} of the published {section} cases" for section, count in missing.items() if count]
    return text + (f" Not here: {' and '.join(absent)}; compare with published figures accordingly." if absent else "")


if __name__ == "__main__":
    sys.exit(main())
