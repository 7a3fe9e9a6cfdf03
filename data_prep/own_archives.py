"""The cases of published layouts: Decathlon's `dataset.json`, and nnU-Net's raw folders, one file a channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mednoisy.data.file_formats import reader_of
from mednoisy.data.images import case_name, listed
from mednoisy.errors import UserError
from mednoisy.text_files import Unusable, read_json

from .own_pairs import Rule, safe_ids
from .own_sources import CHANNEL, Images, Source, SourceCase, of_folders

FOLDERS = (("images", "labels"), ("images", "masks"), ("image", "mask"), ("image", "label"), ("imagesTr", "labelsTr"))
TABLE = "dataset.json"
MEND = "Mend it, or give --images and --labels"


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
    there = [(folder / images, folder / labels) for images, labels in FOLDERS if (folder / images).is_dir()]
    if there:
        images, labels = next((both for both in there if both[1].is_dir()), there[0])
        masks = [str(labels)] if labels.is_dir() else []
        return of_folders([str(images)], masks, rule, channels=channels, skip_unknown=skip_unknown)
    pairs = ", ".join(f"{of_images}/ and {of_labels}/" for of_images, of_labels in FOLDERS)
    raise UserError("E255", f"{folder} holds neither {TABLE} nor {pairs}", "Name its folders by --images and --labels")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
    except Unusable as fault:
        raise UserError("E257", f"{path} is no JSON: {fault}", MEND) from fault
    if not isinstance(content, dict):
        raise UserError("E257", f"{path} holds no table", MEND)
    return content


def _of_table(folder: Path, table: Mapping[str, Any]) -> Source:
    names, ignore = _labels(folder / TABLE, _part(folder / TABLE, table, "labels"))
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
    _refuse_twice(folder, [case.id for case in cases])
    ids = safe_ids([case.id for case in cases])
    named = [SourceCase(ids[case.id], case.images, case.labels, case.section) for case in cases]
    return Source(
        tuple(sorted(named, key=lambda case: case.id)),
        names=names,
        channels=_channel_names(folder / TABLE, table),
        ignore=ignore,
        name=str(table.get("name") or folder.resolve().name),
    )


def _part(path: Path, table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table within the table, empty where it has none."""
    part = table.get(name) or {}
    if not isinstance(part, dict):
        raise UserError("E257", f"{path} has {part!r} as `{name}`, wanted a table", MEND)
    return part


def _channel_names(path: Path, table: Mapping[str, Any]) -> tuple[str, ...]:
    """As nnU-Net or Decathlon writes them, by number; an old `modality` of one word says nothing of channels."""
    if not table.get("channel_names") and isinstance(table.get("modality"), str):
        return ()
    channels = _part(path, table, "channel_names" if table.get("channel_names") else "modality")
    if strange := [key for key in channels if not key.isdecimal()]:
        raise UserError("E257", f"{path} has a channel {strange[0]!r}", 'Number channels from "0" on')
    return tuple(str(channels[key]) for key in sorted(channels, key=int))


def _refuse_twice(folder: Path, ids: Sequence[str]) -> None:
    if twice := sorted(case for case, count in Counter(ids).items() if count > 1):
        cause = f"{TABLE} and the folders of {folder} have cases twice: {listed(twice)}"
        raise UserError("E255", cause, "Keep one of each, or give them names of their own")


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


def _listed(folder: Path, training: Sequence[Any], test: Any) -> list[SourceCase]:
    """The cases of Decathlon's lists; of an older nnU-Net's, whose images have their channel's number in their name."""
    cases: list[SourceCase] = []
    absent: list[str] = []
    if not isinstance(test, list):
        raise UserError("E257", f"{TABLE} in {folder} has {test!r} as `test`, wanted a list", MEND)
    for entry, is_test in [*((one, False) for one in training), *((one, True) for one in test)]:
        words = entry if isinstance(entry, dict) else {"image": entry}
        if not isinstance(words.get("image"), str) or not isinstance(words.get("label", ""), str):
            raise UserError("E257", f"{TABLE} in {folder} lists {entry!r}", "Write a path, or `image` and `label`")
        image = folder / words["image"]
        images = _channels_of(image)
        label = None if is_test else words.get("label")
        absent += [] if images else [words["image"]]
        absent += [label] if label is not None and not (folder / label).is_file() else []
        labels = (str((folder / label).absolute()),) if label is not None else ()
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
    files = [path for path in sorted((folder / images).iterdir()) if path.is_file() and not path.name.startswith(".")]
    matches = {path: CHANNEL.fullmatch(case_name(path)) for path in files if reader_of(path) is not None}
    if unnumbered := [path.name for path, match in matches.items() if match is None]:
        cause = f"{images} in {folder} has files without the number of their channel: {listed(unnumbered)}"
        raise UserError("E255", cause, "Call them ID_0000 and so on, or give --images and --labels")
    of_case: dict[str, dict[int, str]] = {}
    for path, match in matches.items():
        if match is not None:
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
