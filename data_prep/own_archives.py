"""The cases of published layouts: Decathlon's `dataset.json`, and nnU-Net's raw folders, one file a channel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mednoisy.data.images import case_name, listed
from mednoisy.errors import UserError

from .own_pairs import Rule, safe_ids
from .own_sources import CHANNEL, Images, Source, SourceCase, of_folders

FOLDERS = (("images", "labels"), ("images", "masks"), ("image", "mask"), ("image", "label"), ("imagesTr", "labelsTr"))
TABLE = "dataset.json"


def of_archive(folder: Path, rule: Rule, *, channels: Sequence[str] = (), skip_unknown: bool = False) -> Source:
    """The cases of a folder of a known layout: training cases with and without label, and test cases.

    A Decathlon `test` list and `imagesTs` are unlabeled, unless nnU-Net's `labelsTs` has their references: then they
    are test cases.

    Raises:
        UserError: E255, no known layout, files that are not there, or as `of_folders`; E257, a table that cannot be
            used.
    """
    if not folder.is_dir():
        raise UserError("E255", f"{folder} is no folder", "Correct the path")
    if (folder / TABLE).is_file():
        return _of_table(folder, _read(folder / TABLE))
    for images, labels in FOLDERS:
        if (folder / images).is_dir():
            of_labels = [str(folder / labels)] if (folder / labels).is_dir() else []
            return of_folders([str(folder / images)], of_labels, rule, channels=channels, skip_unknown=skip_unknown)
    pairs = ", ".join(f"{images}/ and {labels}/" for images, labels in FOLDERS)
    raise UserError("E255", f"{folder} holds neither {TABLE} nor {pairs}", "Name its folders by --images and --labels")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as fault:
        raise UserError("E257", f"{path} is no JSON: {fault}", "Mend it, or give --images and --labels") from fault
    if not isinstance(content, dict):
        raise UserError("E257", f"{path} holds no table", "Mend it, or give --images and --labels")
    return content


def _of_table(folder: Path, table: Mapping[str, Any]) -> Source:
    channels = table.get("channel_names") or table.get("modality") or {}
    names, ignore = _labels(folder / TABLE, table.get("labels") or {})
    training = table.get("training")
    if isinstance(training, list):
        cases = _listed(folder, training, table.get("test") or [])
    else:
        cases = [
            *_numbered(folder, "imagesTr", "labelsTr", "labeled"),
            *_numbered(folder, "imagesTs", "labelsTs", "test"),
        ]
    if not cases:
        cause = f"{folder} has {TABLE}, but neither a list of cases in it nor an image in imagesTr"
        raise UserError("E255", cause, "Give --images and --labels")
    ids = safe_ids([case.id for case in cases])
    named = [SourceCase(ids[case.id], case.images, case.labels, case.section) for case in cases]
    return Source(
        tuple(sorted(named, key=lambda case: case.id)),
        names=names,
        channels=tuple(str(channels[key]) for key in sorted(channels, key=int)) if isinstance(channels, dict) else (),
        ignore=ignore,
        name=str(table.get("name") or folder.resolve().name),
    )


def _labels(path: Path, labels: Mapping[str, Any]) -> tuple[dict[int, str], tuple[int, ...]]:
    """Names by code, and codes to ignore; code to name as Decathlon writes it, or name to code as nnU-Net does."""
    names: dict[int, str] = {}
    for key, value in labels.items():
        if isinstance(value, list):
            cause = f"{path} has the region {key!r} of several codes: classes exclude each other here"
            raise UserError("E257", cause, "List single codes under `labels`")
        code, name = (key, value) if str(key).isdecimal() else (value, key)
        if not str(code).isdecimal():
            raise UserError("E257", f"{path} has {key!r} with {value!r} under `labels`", "Write a code and a name")
        names[int(code)] = str(name)
    ignore = tuple(code for code, name in names.items() if name.casefold() == "ignore")
    return {code: name for code, name in sorted(names.items()) if code not in ignore}, ignore


def _listed(folder: Path, training: Sequence[Any], test: Sequence[Any]) -> list[SourceCase]:
    """The cases of Decathlon's lists; of an older nnU-Net's, whose images have their channel's number in their name."""
    cases: list[SourceCase] = []
    absent: list[str] = []
    for entry, is_test in [*((one, False) for one in training), *((one, True) for one in test)]:
        words = entry if isinstance(entry, dict) else {"image": entry}
        if not isinstance(words.get("image"), str):
            raise UserError("E257", f"{TABLE} in {folder} lists {entry!r}", "Write a path, or `image` and `label`")
        image = folder / words["image"]
        images = _channels_of(image)
        label = words.get("label")
        absent += [] if images else [words["image"]]
        if isinstance(label, str) and not is_test and not (folder / label).is_file():
            absent.append(label)
        labels = (str((folder / label).absolute()),) if isinstance(label, str) and not is_test else ()
        cases.append(SourceCase(_id_of(image), images, labels))
    if absent:
        cause = f"{TABLE} in {folder} lists files that are not there: {listed(absent)}"
        raise UserError("E255", cause, "Restore them, or take them out of the lists")
    return cases


def _channels_of(image: Path) -> Images:
    """The file, or those of its channels where it is none; nothing where there is neither."""
    if image.is_file():
        return (str(image.absolute()),)
    name, suffix = case_name(image), image.name[len(case_name(image)) :]
    files = sorted(path for path in image.parent.glob(f"*{suffix}") if _id_of(path) == name and path.name != image.name)
    return tuple(str(path.absolute()) for path in files)


def _id_of(path: Path) -> str:
    match = CHANNEL.fullmatch(case_name(path))
    return match[1] if match else case_name(path)


def _numbered(folder: Path, images: str, labels: str, section: str) -> list[SourceCase]:
    """The cases of nnU-Net's folders, each file's channel at the end of its name; test cases without reference are
    unlabeled."""
    if not (folder / images).is_dir():
        return []
    of_case: dict[str, dict[int, str]] = {}
    for path in sorted((folder / images).iterdir()):
        match = CHANNEL.fullmatch(case_name(path))
        if match and path.is_file() and not path.name.startswith("."):
            of_case.setdefault(match[1], {})[int(match[2])] = str(path.absolute())
    count = max((len(files) for files in of_case.values()), default=0)
    wrong = [case for case, files in of_case.items() if sorted(files) != list(range(count))]
    if wrong:
        cause = f"{images} in {folder} lacks a channel of {listed(wrong)}"
        raise UserError("E255", cause, "Add the missing files ID_0000, ID_0001 and so on, or take the cases away")
    there = sorted((folder / labels).iterdir()) if (folder / labels).is_dir() else []
    references = {case_name(path): str(path.absolute()) for path in there if not path.name.startswith(".")}
    if lonely := sorted(
        references.keys() - of_case.keys() - {case_name(path) for path in there if path.suffix == ".json"}
    ):
        raise UserError("E255", f"{labels} in {folder} has labels without image: {listed(lonely)}", "Add the images")
    return [
        SourceCase(
            case, tuple(files[n] for n in range(count)), (references[case],) if case in references else (), section
        )
        for case, files in of_case.items()
    ]
