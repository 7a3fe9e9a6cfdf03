"""Short-axis cine MRI of the Automated Cardiac Diagnosis Challenge (ACDC, 2017), in the split of SSL4MIS and BCP.

    python -m data_prep.acdc RAW OUT [--workers 2]

RAW holds either images/ and labels/ with patientNNN_frameNN.nii.gz, or the published folders patientNNN (perhaps in
`training`) with patientNNN_frameNN.nii.gz and patientNNN_frameNN_gt.nii.gz. OUT receives volumes on their own grid,
each scaled to 0..1 by its lowest and highest value as in the published form, their labels and datalist.json.
Patients stay together: 3 labeled are the published three patients' volumes. A second run does nothing.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np

from mednoisy.data.datalist import Case, Datalist
from mednoisy.errors import UserError

from .case_work import prepare_cases
from .command import command_line, folders, run_command
from .jobs import VolumeJob
from .listing import save_datalist

SPLIT = Path(__file__).parent / "splits" / "acdc.json"
LABELS = {0: "background", 1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
WHERE = ("", "training", "database/training")  # in RAW, the folders of the patients
SECTIONS = {"train": "labeled", "val": "validation", "test": "test"}


class CineJob(VolumeJob):
    """A volume whose intensities are scaled to 0..1."""

    def intensities(self, array: np.ndarray) -> np.ndarray:
        """By the volume's own lowest and highest value."""
        values = array.astype(np.float32)
        return (values - values.min()) / (values.max() - values.min())


def prepare(raw: Path | str, out: Path | str, workers: int = 1) -> Path:
    """Make the prepared dataset; the path of its datalist.

    Args:
        raw: folder of the source files, in either layout.
        out: folder to write.
        workers: processes.

    Raises:
        UserError: E222 no published patient in `raw`; E108 arguments out of range; E20x a damaged case.
    """
    raw, out = folders(raw, out, workers)
    split: dict[str, list[str]] = json.loads(SPLIT.read_text(encoding="utf-8"))
    jobs = {part: [job for patient in split[part] for job in _jobs(patient, raw, out)] for part in split}
    for part in ("val", "test"):  # without a reference they choose and test nothing
        jobs[part] = [job for job in jobs[part] if job.label is not None]
    if not any(jobs.values()):
        cause = f"{raw} holds no published case, neither images/ID.nii.gz nor patientNNN/patientNNN_frameNN.nii.gz"
        raise UserError("E222", cause, "Name the folder that holds `images` and `labels`, or the folders of patients")
    prepare_cases([job for part in jobs.values() for job in part], out, workers)
    sections = {SECTIONS[part]: [_entry(job) for job in jobs[part] if job.label is not None] for part in jobs}
    sections["unlabeled"] = [_entry(job) for job in jobs["train"] if job.label is None]
    datalist = Datalist(
        name="acdc", channels={0: "cine MRI"}, labels=LABELS, sections=sections, protocol=_protocol(split, jobs)
    )
    return save_datalist(datalist, out)


def main(argv: list[str] | None = None) -> int:
    """The command line; its exit code."""
    description = (__doc__ or "").split("\n")[0]
    parser = command_line("acdc", description, "folder with images/ and labels/, or with the folders of patients")
    return run_command(parser, argv, lambda given: prepare(given.raw, given.out, given.workers))


def _jobs(patient: str, raw: Path, out: Path) -> list[CineJob]:
    """What to do for a patient's annotated frames, in the order of time."""
    frame = re.compile(rf"{patient}_frame\d+")
    for folder in (raw / "images", *(raw / where / patient for where in WHERE)):
        paths = {path.name[:-7]: path for path in folder.glob(f"{patient}_frame*.nii.gz")}
        frames = sorted(case for case in paths if frame.fullmatch(case))
        if frames:
            break
    else:
        return []
    jobs = []
    for case in frames:
        labels = raw / "labels" / f"{case}.nii.gz", folder / f"{case}_gt.nii.gz"
        label = next((str(path) for path in labels if path.is_file()), None)
        jobs.append(CineJob(case, str(paths[case]), label, str(out), tuple(LABELS)))
    return jobs


def _patient(job: CineJob) -> str:
    return job.case.split("_")[0]


def _entry(job: CineJob) -> Case:
    return {**job.entry(), "patient": _patient(job)}


def _protocol(split: dict[str, list[str]], jobs: dict[str, list[CineJob]]) -> str:
    text = (
        "Published split of 70 training, 10 validation and 20 test patients, two volumes each; native grid, each "
        "volume scaled to 0..1 by its own lowest and highest value."
    )
    absent = {part: len(set(split[part]) - {_patient(job) for job in jobs[part]}) for part in split}
    names = [f"{count} of the published {part} patients" for part, count in absent.items() if count]
    return text + (f" Not here: {', '.join(names)}; compare with published figures accordingly." if names else "")


if __name__ == "__main__":
    sys.exit(main())
