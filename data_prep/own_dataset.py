"""A dataset of the cases that a source holds: what is refused, what is told, what is written."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mednoisy.data.datalist import Case, Datalist
from mednoisy.data.images import case_name, listed
from mednoisy.data.label_maps import read_reference
from mednoisy.errors import UserError
from mednoisy.notices import tell

from .case_work import prepare_cases
from .listing import save_datalist
from .own_codes import Classes, classes_of_source, named, reading_of
from .own_jobs import OwnJob
from .own_labels import LabelReading, same_grid
from .own_sources import Source, SourceCase
from .own_survey import Findings, Look, survey

OF_ALL = ("E223", "E256", "E257", "E366")  # codes of faults that say how a source is, not that a file is damaged
PICTURE_CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}


@dataclass(frozen=True)
class Settings:
    """What the user says beside where the files are.

    Attributes:
        patients: a regular expression, searched in `FOLDER/FILE` of a case's image; its first group is the patient.
        names: as `--names` has them.
        ignore: codes of labels that mark what nobody looked at.
        match_grids: whether labels on another grid are resampled.
        link: whether files stay where they are.
        name: of the dataset; by default the output folder's.
        workers: processes.
    """

    patients: str = ""
    names: tuple[str, ...] = ()
    ignore: tuple[int, ...] = ()
    match_grids: bool = False
    link: bool = False
    name: str = ""
    workers: int = 1


def prepare(source: Source, out: Path | str, settings: Settings = Settings()) -> tuple[Path, list[UserError]]:
    """Make the prepared dataset; the path of its datalist, and the faults of cases that were left out.

    Raises:
        UserError: E256, labels that do not fit their images, all of them; E257, codes, channels or kinds that do not go
            together; E258, what `link` cannot leave as it is; E366; E367, nothing that can be read; E368, a pattern of
            patients.
    """
    out = Path(out)
    source = replace(source, ignore=tuple(sorted({*source.ignore, *settings.ignore})))
    by_code, in_order = named(settings.names)
    by_code = by_code or (dict(source.names) if not in_order else {})
    patient_of = _patients(source.cases, settings.patients)
    reading = reading_of(source, by_code, settings.workers)
    looks = [Look(case, reading, settings.match_grids) for case in source.cases]
    findings, faults = survey(looks, out, settings.workers)
    _refuse_all(findings, faults)
    for note in source.notes:
        tell(f"note: {note}")
    _tell(findings)
    classes = classes_of_source(source, findings, reading, by_code, in_order)
    cases = [case for case in source.cases if case.id in findings]
    channels = _channels(source, findings)
    if settings.link:
        entries = _linked(cases, findings, classes, reading)
    else:
        jobs = [_job(case, classes, reading, settings, out) for case in cases]
        prepare_cases(jobs, out, settings.workers)
        entries = {job.case: job.entry() for job in jobs}
    for case, patient in patient_of.items():
        if case in entries and patient:
            entries[case]["patient"] = patient
    datalist = _datalist(source, cases, entries, classes, channels, findings, settings, out)
    return save_datalist(datalist, out), faults


def _patients(cases: Sequence[SourceCase], pattern: str) -> dict[str, str]:
    """The patient of each case, by what the pattern finds in folder and name of its image."""
    if not pattern:
        return {}
    texts = {case.id: f"{Path(case.images[0]).parent.name}/{case_name(case.images[0])}" for case in cases}
    found = {case: re.search(pattern, text) for case, text in texts.items()}
    if without := [texts[case] for case, match in found.items() if match is None]:
        cause = f"--patients {pattern!r} finds nothing in {listed(without)}"
        raise UserError("E368", cause, "Write a pattern that every FOLDER/FILE has")
    return {case: next((one for one in match.groups() if one), match.group()) for case, match in found.items() if match}


def _refuse_all(findings: Mapping[str, Findings], faults: Sequence[UserError]) -> None:
    """Refuse what is wrong with a source, all cases at once; a damaged file is another matter, unless all are."""
    of_source = [fault for fault in faults if fault.code in OF_ALL]
    if len(of_source) == 1:
        raise of_source[0]
    if of_source:
        texts = [f"{fault.case} ({fault.cause})" for fault in of_source]
        cause = f"{len(texts)} cases cannot be taken as they are: {listed(texts, 20)}"
        raise UserError("E369", cause, of_source[0].cure)
    if not findings:
        first = faults[0]
        raise UserError("E367", f"no case can be read, the first for this: {first.cause}", first.cure, case=first.case)
    misfits = [f"{case} ({one.misfit})" for case, one in findings.items() if one.misfit]
    if misfits:
        cause = f"labels of {len(misfits)} cases do not lie on their images' grids: {listed(misfits, 20)}"
        raise UserError("E256", cause, "Export them on the images' grids, or resample them by --match-grids")
    kinds = {one.picture for one in findings.values()}
    if len(kinds) > 1:
        pictures = listed([case for case, one in findings.items() if one.picture], 3)
        volumes = listed([case for case, one in findings.items() if not one.picture], 3)
        cause = f"the images are pictures ({pictures}) and volumes ({volumes})"
        raise UserError("E257", cause, "Prepare the two as datasets of their own")


def _tell(findings: Mapping[str, Findings]) -> None:
    """Tell what a user should know of the files: what contradicts itself, labels beside their images, equal images."""
    cases_of: dict[str, list[str]] = defaultdict(list)
    same: dict[str, list[str]] = defaultdict(list)
    for case, one in findings.items():
        same[one.digest].append(case)
        for note in one.notes:
            cases_of[note].append(case)
    for note, cases in cases_of.items():
        tell(f"note: {note}: {listed(cases)}")
    beside = {case: one.apart for case, one in findings.items() if not same_grid(one.apart)}
    if beside:
        most = max(beside.values())
        tell(f"note: labels lie up to {most:.2g} voxels beside their images, and are put on these: {listed([*beside])}")
    for cases in same.values():
        if len(cases) > 1:
            tell(
                f"note: the same image, voxel for voxel, is listed as {listed(cases)}: keep one, or both will be split"
            )


def _channels(source: Source, findings: Mapping[str, Findings]) -> dict[int, str]:
    """Names of the channels, which all volumes must have alike; pictures may be grey and in colour (E257)."""
    counts: dict[int, list[str]] = defaultdict(list)
    for case, one in findings.items():
        counts[one.channels].append(case)
    pictures = next(iter(findings.values())).picture
    if len(counts) > 1 and not (pictures and {*counts} == {1, 3}):
        texts = [f"{count} ({listed(cases, 3)})" for count, cases in sorted(counts.items())]
        cause = f"images have different numbers of channels: {', '.join(texts)}"
        raise UserError("E257", cause, "Give every case the same channels, or prepare datasets of their own")
    count = max(counts)
    names = source.channels or (PICTURE_CHANNELS.get(count) if pictures else None)
    names = names or (("image",) if count == 1 else tuple(f"channel {number}" for number in range(count)))
    if len(names) != count:
        cause = f"{len(names)} channels are named ({listed(list(names))}), images have {count}"
        raise UserError("E257", cause, "Name each channel once by --channels")
    return dict(enumerate(names))


def _job(case: SourceCase, classes: Classes, reading: LabelReading, settings: Settings, out: Path) -> OwnJob:
    label = case.labels[0] if case.labels else None
    return OwnJob(
        case.id,
        case.images[0],
        label,
        str(out),
        images=case.images,
        labels=case.labels,
        reading=reading,
        codes=(0, 1) if classes.white else classes.codes,
        ignored_as=classes.ignored_as if classes.ignored_as is not None else 255,
        match=settings.match_grids,
    )


def _linked(
    cases: Sequence[SourceCase], findings: Mapping[str, Findings], classes: Classes, reading: LabelReading
) -> dict[str, Case]:
    """Entries that name the files where they are; refuses what no loader takes as it is (E258)."""
    beside = [case.id for case in cases if not same_grid(findings[case.id].apart)]
    several = [case.id for case in cases if len(case.images) > 1]
    moved = [case.id for case in cases if any("resampled" in note for note in findings[case.id].notes)]
    for what, which in (
        ("labels lie beside their images", beside),
        ("channels are in files of their own", several),
        ("series are to be made volumes", [case.id for case in cases if Path(case.images[0]).is_dir()]),
        ("classes are in files of their own", [case.id for case in cases if reading.one_a_class and case.labels]),
        ("labels are to be resampled", moved),
    ):
        if which:
            raise UserError("E258", f"--link leaves files as they are, but {what}: {listed(which)}", "Drop --link")
    entries: dict[str, Case] = {}
    for case in cases:
        entries[case.id] = {"id": case.id, "image": case.images[0]}
        if case.labels:
            entries[case.id]["label"] = case.labels[0]
            stored = classes.source_codes
            read_reference(case.labels[0], classes.names, ignore=reading.ignore, stored=stored, case=case.id)
    return entries


def _datalist(
    source: Source,
    cases: Sequence[SourceCase],
    entries: Mapping[str, Case],
    classes: Classes,
    channels: dict[int, str],
    findings: Mapping[str, Findings],
    settings: Settings,
    out: Path,
) -> Datalist:
    sections: dict[str, list[Case]] = {"labeled": [], "unlabeled": [], "test": []}
    for case in cases:
        sections[case.section if case.labels else "unlabeled"].append(entries[case.id])
    located = any(one.located for one in findings.values())
    ignore = () if classes.ignored_as is None else source.ignore if settings.link else (classes.ignored_as,)
    split = "Test cases as the source has them." if sections["test"] else "No case is set aside for validation or test."
    return Datalist(
        name=settings.name or source.name or out.resolve().name,
        channels=channels,
        labels=classes.names,
        sections=sections,
        spacing_unit="mm" if located else "pixel",
        protocol=f"Own files: every label is for training. {split}",
        ignore=ignore,
        codes=classes.source_codes,
        as_source=settings.link and bool(classes.source_codes),
    )
