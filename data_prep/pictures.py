"""What datasets of pictures share: a picture's source, the split of a folder, the prepared dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mednoisy.data.datalist import Case, Datalist
from mednoisy.data.file_matching import images_with_masks
from mednoisy.errors import UserError
from mednoisy.text_files import read_json

from .case_tables import origins_of
from .case_work import prepare_cases
from .jobs import PictureJob
from .listing import drawn_order, save_datalist

PARTS = {"train": "labeled", "val": "validation", "test": "test"}
CHANNELS = {0: "red", 1: "green", 2: "blue"}


@dataclass(frozen=True)
class Source:
    """A picture, its mask where it has one, and its centre and its scene of a recording where these are known."""

    case: str
    image: Path
    mask: Path | None
    centre: str | None = None
    scene: str | None = None


def prepare_pictures(
    name: str,
    structure: str,
    protocol: str,
    parts: Mapping[str, Sequence[Source]],
    out: Path,
    seed: int,
    workers: int,
    void: int | None = None,
) -> Path:
    """Copy pictures, write masks and `datalist.json`; its path.

    Args:
        name: of the dataset.
        structure: what a mask shows.
        protocol: of the split; how labels are drawn and where test cases come from is added.
        parts: sources by `train`, `val` and `test`; those of the last two without mask are left out.
        out: folder to write.
        seed: of the order of labeled cases, in which centres keep their shares (`drawn_order`).
        workers: processes.
        void: a code of masks for pixels outside the picture's field, see `PictureJob`.

    Raises:
        UserError: E207 an id twice; E20x and E22x a damaged picture or mask.
    """
    counts = Counter(source.case for part in parts.values() for source in part)
    if twice := [case for case, count in counts.items() if count > 1]:
        cause = f"is there twice, in one part or in two ({len(twice)} such)"
        raise UserError("E207", cause, "Remove or rename one of each", case=twice[0])
    jobs = {
        source.case: PictureJob(
            source.case, str(source.image), str(source.mask) if source.mask else None, str(out), void
        )
        for part in parts
        for source in parts[part]
        if part == "train" or source.mask
    }
    prepare_cases(list(jobs.values()), out, workers)
    sections = {
        PARTS[part]: [_entry(source, jobs[source.case]) for source in parts[part] if source.mask] for part in parts
    }
    sections["labeled"] = _in_drawn_order(sections["labeled"], seed)
    sections["unlabeled"] = [_entry(source, jobs[source.case]) for source in parts["train"] if not source.mask]
    texts = [protocol, f"The order in which cases are labeled was drawn with seed {seed}.", _of_centres(sections)]
    datalist = Datalist(
        name=name,
        channels=CHANNELS,
        labels={0: "background", 1: structure},
        sections=sections,
        spacing_unit="pixel",
        protocol=" ".join(text for text in texts if text),
    )
    return save_datalist(datalist, out)


def sources_of_split(raw: Path, parts: Mapping[str, Sequence[str]]) -> dict[str, list[Source]]:
    """The pictures and masks of `raw` as its `split.json` lists them, with what `cases.csv` says of their origin.

    Args:
        raw: folder.
        parts: for each of `train`, `val` and `test`, the lists of the split that it joins.

    Raises:
        UserError: E222 a split that is none, or lists pictures that are not there; E42x as `images_with_masks`; E243 as
            `origins_of`.
    """
    path = raw / "split.json"
    try:
        split = read_json(path)
        listed = {part: [str(case) for key in keys for case in split[key]] for part, keys in parts.items()}
    except (ValueError, TypeError, KeyError) as error:
        wanted = ", ".join(key for keys in parts.values() for key in keys)
        raise UserError("E222", f"{path} does not list {wanted}: {error}", "Write a list of ids for each") from error
    pairs = images_with_masks(raw / "images", raw / "masks")
    if absent := [case for cases in listed.values() for case in cases if case not in pairs]:
        cause = f"{path} lists {len(absent)} pictures that {raw / 'images'} has not, {absent[0]!r} for one"
        raise UserError("E222", cause, "Add them, or take them out of the split")
    origins = origins_of(raw / "cases.csv")
    if origins and not any(case in origins for cases in listed.values() for case in cases):
        cause = f"{raw / 'cases.csv'} names none of the split's cases, but {min(origins)!r}"
        raise UserError("E243", cause, "Write the ids as split.json has them")
    return {
        part: [Source(case, *pairs[case], *origins.get(case, (None, None))) for case in cases]
        for part, cases in listed.items()
    }


def _entry(source: Source, job: PictureJob) -> Case:
    origin = {"centre": source.centre, "scene": source.scene}
    return {**job.entry(), **{name: value for name, value in origin.items() if value}}


def _in_drawn_order(cases: list[Case], seed: int) -> list[Case]:
    strata: dict[str, list[str]] = {}
    for case in cases:
        strata.setdefault(case.get("centre", ""), []).append(case["id"])
    by_id = {case["id"]: case for case in cases}
    return [by_id[case] for case in drawn_order(strata, seed)]


def _of_centres(sections: Mapping[str, Sequence[Case]]) -> str:
    """Which centres the test cases come from, and which of those nothing was learned from; empty if unknown."""
    trained = {case.get("centre") for section in ("labeled", "unlabeled") for case in sections[section]}
    counts = Counter(case["centre"] for case in sections["test"] if "centre" in case)
    counted = [f"{count} of {name}{'' if name in trained else ' (not in training)'}" for name, count in counts.items()]
    return f"Test cases by centre: {', '.join(counted)}." if counted else ""
