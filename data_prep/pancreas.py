"""The pancreas in abdominal CT (NIH Pancreas-CT, The Cancer Imaging Archive), in the split of CoraNet, BCP and SDCL.

    python -m data_prep.pancreas RAW OUT [--crop reference] [--split mcnet] [--allow-missing] [--workers 2]

RAW holds, at any depth, images as folders PANCREAS_0001 of DICOM slices or as files PANCREAS_0001.nii.gz, and labels
label0001.nii.gz, as the archive gives them. OUT receives volumes of 1 mm, clipped to -125..275 HU and scaled to 0..1 by
their own extremes, their labels and datalist.json: training cases in the published order, all with their label (12 or 6
labeled are the first of them), and the published test cases. `--crop reference` cuts every volume around its label as
the published data are, test cases included; `--crop none` shows the network the whole scan. A second run does nothing.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mednoisy.data.datalist import Case, Datalist
from mednoisy.data.formats.dicom import series_folders
from mednoisy.data.images import (
    Image,
    check_codes,
    check_image,
    distinct_values,
    listed,
    read_image,
    read_series,
    write_nifti,
)
from mednoisy.data.label_maps import read_reference
from mednoisy.errors import UserError

from .case_work import prepare_cases
from .command import check_complete, command_line, folders, run_command
from .jobs import VolumeJob
from .label_placement import placed_on
from .listing import save_datalist
from .resampling import resample

SPLITS = Path(__file__).parent / "splits" / "pancreas.json"
NAMES = ("coranet", "mcnet")
CROPS = ("none", "reference")
PARTS = ("train", "test")
LABELS = {0: "background", 1: "pancreas"}
CLIP_HU = (-125.0, 275.0)
SPACING_MM, MARGIN_VOXELS = 1.0, 25
IMAGE = re.compile(r"(?:PANCREAS_|image|data)?(\d{4})(?:\.nii|\.nii\.gz)", re.IGNORECASE)
FOLDER = re.compile(r"PANCREAS_(\d{4})", re.IGNORECASE)
LABEL = re.compile(r"label_?(\d{4})(?:\.nii|\.nii\.gz)", re.IGNORECASE)


@dataclass(frozen=True)
class CTJob(VolumeJob):
    """A scan, a file or a folder of slices, clipped, at 1 mm, scaled to 0..1 and perhaps cut around its label."""

    crop: str = "none"

    def sources(self) -> list[Path]:
        image = Path(self.image)
        files = sorted(path for path in image.rglob("*") if path.is_file()) if image.is_dir() else [image]
        return [*files, *([Path(self.label)] if self.label else [])]

    def prepare(self) -> list[str]:
        """Read, check, place the label, resample and write; how the label was placed is told."""
        folder = Path(self.image).is_dir()
        image = _read_scan(Path(self.image), self.case) if folder else read_image(self.image, case=self.case)
        check_image(image, case=self.case)
        notes, parts = [*image.notes], {}
        if self.label is not None:
            label = read_reference(self.label, self.codes, case=self.case)
            check_codes(distinct_values(label.array), self.codes, self.label, "Restore the file", case=self.case)
            array, how = placed_on(image, label, self.case, stored_first=folder)
            notes.append(how)
            parts["label"] = resample(replace(image, array=array), SPACING_MM, labels=True)
        clipped = replace(image, array=np.clip(image.array, *CLIP_HU, dtype=np.float32))
        parts["image"] = _scaled(resample(clipped, SPACING_MM))
        if self.crop == "reference":
            parts = _around(parts, self.case)
        for part, of_part in parts.items():
            kind = np.uint8 if part == "label" else np.float32
            write_nifti(self.outputs()[part], of_part.array.astype(kind), of_part.affine, oriented=image.oriented)
        return notes


def prepare(
    raw: Path | str,
    out: Path | str,
    crop: str = "none",
    split: str = "coranet",
    workers: int = 1,
    allow_missing: bool = False,
) -> Path:
    """Make the prepared dataset; the path of its datalist.

    Args:
        raw: folder of the source files.
        out: folder to write.
        crop: `none`, or `reference`: the box of the label and 25 voxels around it.
        split: of the published lists, `coranet` (62 and 18 cases) or `mcnet` (62 and 20, two of them withdrawn since).
        workers: processes.
        allow_missing: whether to go on without published cases. A training case without label is unlabeled, but left
            out where its label is to be cropped around.

    Raises:
        UserError: E222 no published case in `raw`; E379 some are not there; E259 a series that is no volume; E378 a
            label that does not fit its image; E108 arguments out of range; E20x a damaged case.
    """
    raw, out = folders(raw, out, workers)
    lists: dict[str, list[str]] = json.loads(SPLITS.read_text(encoding="utf-8"))[split]
    images, labels = _found(raw)
    found = {"images": images, "labels": labels}
    published = [*lists["train"], *lists["test"]]
    if not any(case in images for case in published):
        cause = f"{raw} holds no published case, neither folders PANCREAS_0001 nor files PANCREAS_0001.nii.gz"
        raise UserError("E222", cause, "Name the folder that holds images and labels, at any depth")
    absent = {part: [case for case in published if case not in there] for part, there in found.items()}
    check_complete([f"{part} of {listed(cases)}" for part, cases in absent.items() if cases], allow_missing)
    usable = {case for case in images if case in labels or (case in lists["train"] and crop == "none")}
    jobs = {
        case: CTJob(case, str(images[case]), str(labels[case]) if case in labels else None, str(out), (0, 1), crop=crop)
        for case in published
        if case in usable
    }
    prepare_cases(list(jobs.values()), out, workers)
    entries: dict[str, Case] = {case: job.entry() for case, job in jobs.items()}
    of_training = [entries[case] for case in lists["train"] if case in entries]
    sections = {
        "labeled": [entry for entry in of_training if "label" in entry],
        "unlabeled": [entry for entry in of_training if "label" not in entry],
        "test": [entries[case] for case in lists["test"] if case in entries],
    }
    missing = {part: [case for case in cases if case not in entries] for part, cases in lists.items() if part in PARTS}
    protocol = _protocol(split, crop, missing)
    return save_datalist(Datalist("pancreas", {0: "CT"}, LABELS, sections, protocol=protocol), out)


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    description = (__doc__ or "").split("\n")[0]
    parser = command_line("pancreas", description, "folder with the archive's images and labels", complete=True)
    parser.add_argument("--crop", choices=CROPS, default="none", help="around the label, as published (default: none)")
    parser.add_argument("--split", choices=NAMES, default="coranet", help="whose lists (default: coranet)")
    return run_command(
        parser,
        argv,
        lambda given: prepare(given.raw, given.out, given.crop, given.split, given.workers, given.allow_missing),
    )


def _found(raw: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and labels below a folder, by case; a file where there is a file and a folder of slices."""
    series: dict[str, Path] = {}
    images: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    for where, names, files in os.walk(raw):
        series |= {match[1]: Path(where, name) for name in names if (match := FOLDER.fullmatch(name))}
        names[:] = sorted(name for name in names if not FOLDER.fullmatch(name) and not name.startswith("."))
        for name in sorted(files):
            for known, pattern in ((images, IMAGE), (labels, LABEL)):
                if match := pattern.fullmatch(name):
                    known.setdefault(match[1], Path(where, name))
    return series | images, labels


def _read_scan(folder: Path, case: str) -> Image:
    """The volume of the one series below a case's folder."""
    found = series_folders(folder)
    if len(found) != 1:
        cause = f"{folder} holds {len(found)} folders of DICOM slices, wanted one"
        raise UserError("E259", cause, "Keep the series that was annotated", case=case)
    return read_series(found[0], case=case)


def _scaled(image: Image) -> Image:
    low, high = image.array.min(), image.array.max()
    return replace(image, array=(image.array - low) / (high - low))


def _around(parts: dict[str, Image], case: str) -> dict[str, Image]:
    """Image and label cut to the label's box and a margin, as far as the scan goes."""
    places = np.argwhere(parts["label"].array)
    if not len(places):
        raise UserError("E378", "the label is empty, there is nothing to crop around", "Restore it", case=case)
    starts = np.maximum(places.min(axis=0) - MARGIN_VOXELS, 0)
    stops = np.minimum(places.max(axis=0) + 1 + MARGIN_VOXELS, parts["label"].array.shape)
    box = tuple(slice(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True))
    cut = {}
    for part, image in parts.items():
        affine = image.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ starts
        cut[part] = replace(image, array=image.array[box], affine=affine)
    return cut


def _protocol(split: str, crop: str, missing: Mapping[str, Sequence[str]]) -> str:
    of_split = {"coranet": "CoraNet, BCP and SDCL (62 training, 18 test cases)", "mcnet": "MC-Net (62 and 20)"}[split]
    of_crop = {
        "none": "Whole scans: no crop has seen a reference.",
        "reference": "Every scan is cropped around its reference with a margin of 25 voxels, unlabeled and test cases "
        "included, as published: an easier task than a whole scan.",
    }[crop]
    absent = [f"{len(cases)} of the published {part} cases" for part, cases in missing.items() if cases]
    text = f"Published split of {of_split}; -125 to 275 HU scaled to 0..1, 1 mm. {of_crop}"
    return text + (f" Not here: {' and '.join(absent)}; compare with published figures accordingly." if absent else "")


if __name__ == "__main__":
    sys.exit(main())
