"""Label maps that a run predicted of DICOM series, as DICOM segmentations beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mednoisy.data.images import case_name
from mednoisy.data.label_maps import read_stored
from mednoisy.errors import UserError
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.inference.dicom_seg import write_dicom_seg
from mednoisy.runs.predict_with_run import source_codes


def dicom_segmentations(
    run: Path | str,
    series: Sequence[Mapping[str, str]],
    label_maps: Sequence[Path],
    on_fault: Callable[[UserError], None] | None = None,
) -> list[Path]:
    """A DICOM segmentation `ID.dcm` beside each label map `ID.nii.gz`, of what the file holds; their paths, in order.

    A label map that somebody corrected since it was predicted becomes one as it is now.

    Args:
        run: folder of the run that predicted, which names the classes.
        series: cases, `id` and, as `image`, a folder with one DICOM series.
        label_maps: of some or all of these series.
        on_fault: is given what a series is refused for, and the others go on; None: the first such one ends it.

    Raises:
        UserError: as `read_finished_run`, `source_codes`, `read_stored` and `write_dicom_seg`.
    """
    summary, codes = read_finished_run(run).summary, source_codes(run)
    names = {number: name for number, name in summary.labels.items() if number}
    folder_of, made = {case["id"]: Path(case["image"]) for case in series}, []
    for file in label_maps:
        case = case_name(file)
        path = file.with_name(f"{case}.dcm")
        try:
            labels = read_stored(file, codes, {0, *names}, case=case).image
            write_dicom_seg(path, folder_of[case], labels, names, summary.name)
        except UserError as fault:
            if on_fault is None:
                raise
            on_fault(fault)
            continue
        made.append(path)
    return made
