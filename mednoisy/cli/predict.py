"""`mednoisy predict`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mednoisy.cli.arguments import add_device, add_trust, count, device_entry
from mednoisy.errors import DONE, DONE_IN_PART, REFUSED, UserError
from mednoisy.files import locked

HELP = "segment images with what a run deploys, on their own grids"
SHOWN = 5  # cases of which most is to be feared
EXAMPLE = (
    "mednoisy predict runs/sdcl scans --output predictions\n"
    "  mednoisy predict runs/sdcl a.nii.gz 'more/*_t1.nii.gz' --stride 56 56 40 --output predictions\n"
    "  mednoisy predict runs/sdcl exported_series --dicom-seg --output predictions"
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    command.add_argument("run", type=Path, help="folder of a finished run; of a cross-validated one all its networks")
    command.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="files, folders or quoted patterns: of the kind that was trained on; "
        "a folder of DICOM slices is a scan, called by its folders",
    )
    command.add_argument(
        "--output", type=Path, required=True, help="folder of the label maps ID.nii.gz (of pictures ID.png)"
    )
    command.add_argument(
        "--stride", type=count, nargs="+", metavar="N",
        help="voxels from window to window, one number or one an axis: half the patch is quick (default: the run's)",
    )  # fmt: skip
    command.add_argument(
        "--keep-largest", nargs="?", const="chosen", metavar="CLASSES",
        help="keep the largest component alone of classes NAME,NAME or all; without a name, of those for which that "
        "helps on cases held out of the folds or on validation cases",
    )  # fmt: skip
    command.add_argument(
        "--expected-dice", action="store_true",
        help="also tell how good each prediction is likely to be, worst first: OUTPUT/expected_dice.csv",
    )  # fmt: skip
    command.add_argument(
        "--dicom-seg", action="store_true",
        help="of DICOM series also write DICOM segmentations OUTPUT/ID.dcm, a segment a class: these carry patient and "
        "study of their series, as viewers need it; label maps do not (pip install 'mednoisy[dicom]')",
    )  # fmt: skip
    command.add_argument(
        "--others", action="store_true",
        help="also write OUTPUT/NAME/ID by every other predictor of the run: its students, its teacher, each fold",
    )  # fmt: skip
    command.add_argument("--again", action="store_true", help="also make label maps that are there already")
    command.add_argument(
        "--slices",
        type=int,
        choices=(0, 1, 2),
        help="axis along which slices are cut, for networks in 2D (default: that of the coarsest voxels)",
    )
    add_device(command)
    add_trust(command)


def run(options: argparse.Namespace) -> int:
    """Predict, print the paths of the label maps and what images are refused for; the exit code."""
    from mednoisy.inference.dicom_seg import check_dicom_seg
    from mednoisy.inference.found_images import cases_named
    from mednoisy.runs.early_checks import check_prediction

    overrides: dict[str, Any] = dict(device_entry(options.device))
    cases = cases_named(options.images)
    images = [Path(case["image"]) for case in cases]
    if options.dicom_seg:
        check_dicom_seg(images, options.output)
    check_prediction(options.run, images, options.trust)
    if options.stride is not None:
        overrides["stride"] = _stride(options)
    if options.slices is not None:
        overrides["slices"] = options.slices
    if options.expected_dice:
        from mednoisy.runs.expected_dice import check_expectable

        check_expectable(options.run)
    from mednoisy.runs.predict_with_run import predict_with_run

    faults: list[UserError] = []
    with locked(options.output, "*"):
        made = predict_with_run(
            options.run, cases, options.output, overrides, options.trust, faults.append, options.again,
            options.keep_largest, options.others,
        )  # fmt: skip
        if options.expected_dice and made:
            _tell_expected(options, cases, made)
        segmentations: list[Path] = []
        if options.dicom_seg and made:
            from mednoisy.runs.dicom_segmentations import dicom_segmentations

            segmentations = dicom_segmentations(options.run, cases, made, faults.append)
    for path in (*made, *segmentations):
        print(path)
    for fault in faults:
        print(f"mednoisy: {fault}", file=sys.stderr)
    if not faults:
        return DONE
    return DONE_IN_PART if made else REFUSED


def _tell_expected(options: argparse.Namespace, cases: Sequence[dict[str, str]], made: Sequence[Path]) -> None:
    """Write what Dice is to be expected of the label maps that were made, and print the lowest."""
    from mednoisy.data.images import case_name
    from mednoisy.runs.expected_dice import expected_dice, write_expected_dice

    done = {case_name(path) for path in made}
    there = [case for case in cases if case["id"] in done]
    found = expected_dice(options.run, there, trust=options.trust, device=options.device)
    print(f"expected Dice, lowest first: {write_expected_dice(options.output, found)}")
    for of_case in found[:SHOWN]:
        print(f"  {of_case.case}  {'; '.join(f'{name} {told}' for name, told in of_case.classes.items())}")


def _stride(options: argparse.Namespace) -> list[int]:
    """A stride for each axis of the run's patch.

    Raises:
        UserError: E375, it does not fit the patch.
    """
    from mednoisy.composition import of_run

    patch = of_run(options.run, trust=options.trust).config.get("patch_size")
    if not isinstance(patch, list):  # an expression of somebody's own
        return options.stride
    stride = options.stride * (len(patch) if len(options.stride) == 1 else 1)
    if len(stride) != len(patch) or any(step > side for step, side in zip(stride, patch, strict=True)):
        cause = f"--stride {' '.join(map(str, options.stride))} does not fit the run's patch of {patch} voxels"
        raise UserError("E375", cause, f"Give {len(patch)} numbers from 1 to these, or one")
    return stride
