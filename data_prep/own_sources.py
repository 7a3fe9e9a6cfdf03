"""The cases of anybody's folders: which files are one case, before any of them is opened."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mednoisy.data.file_formats import reader_of
from mednoisy.data.file_matching import KNOWN, files_by_id
from mednoisy.data.formats.dicom import series_folders
from mednoisy.data.images import case_name, listed
from mednoisy.errors import UserError

from .own_labels import pictured
from .own_pairs import Rule, pair, safe_ids

CHANNEL = re.compile(r"(.+)_(\d{4})")  # nnU-Net's ending of an image's name: the number of the channel
LABEL_WORDS = re.compile(r"(?:[ _.-])(seg|segmentation|label|labels|mask|gt|lesion|roi|annotation)$", re.IGNORECASE)
Images = tuple[str, ...]  # the files of a case, one for each channel


@dataclass(frozen=True)
class SourceCase:
    """A case of the source: its id, its image's files by channel, and its label's: one, or one for each class."""

    id: str
    images: Images
    labels: tuple[str, ...] = ()
    section: str = "labeled"  # or "test"; what has no label is unlabeled


@dataclass(frozen=True)
class Source:
    """What a source holds and says.

    Attributes:
        cases: sorted by id.
        classes: names, where each class has a label file of its own.
        names: of label codes, where the source or the user states them; empty where not.
        channels: names, where stated.
        ignore: codes that mark what nobody looked at.
        name: of the dataset, where stated.
        notes: lines worth telling.
    """

    cases: tuple[SourceCase, ...]
    classes: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    ignore: tuple[int, ...] = ()
    name: str = ""
    notes: tuple[str, ...] = ()


def of_folders(
    images: Sequence[str],
    labels: Sequence[str],
    rule: Rule,
    *,
    label_suffix: str = "",
    channels: Sequence[str] = (),
    skip_unknown: bool = False,
) -> Source:
    """The cases of folders, files or globs of images and of labels.

    Args:
        images: what is named; folders are searched at any depth.
        labels: the same, or `CLASS=FOLDER` for each class; none where `label_suffix` tells labels, or without labels.
        label_suffix: ending of the names of labels that lie beside their images.
        channels: names of the channels; where there are several, names of images end in `_0000`, `_0001` and so on.
        skip_unknown: pass over files that no reader knows.

    Raises:
        UserError: E255, as `pair`, or nothing to be found; E257, labels named in two ways; E242, E420 and E421 as
            `files_by_id`.
    """
    files = _files(images, "images", skip_unknown)
    of_classes = dict(word.split("=", 1) for word in labels if re.match(r"[^=/\\]+=", word) and not Path(word).exists())
    if of_classes and len(of_classes) < len(labels):
        cause = "some --labels name a class, others do not"
        raise UserError("E257", cause, "Give one folder of all classes, or CLASS=FOLDER for each")
    if label_suffix:
        files, beside = _beside(files, label_suffix)
        sides = {"": beside}
    else:
        sides = {name: _files([where], "labels", skip_unknown) for name, where in of_classes.items()}
        if labels and not of_classes:
            sides = {"": _files(labels, "labels", skip_unknown)}
    if not sides:
        _refuse_hidden_labels(list(files))
    of_labels = {path for side in sides.values() for path in side.values()}
    files = {name: path for name, path in files.items() if path not in of_labels}  # labels below the images' folder
    all_labels = {name for side in sides.values() for name in side}
    grouped = _by_channel(files, all_labels, len(channels))
    cases, notes = _paired(grouped, sides, rule)
    return Source(cases, tuple(of_classes), channels=tuple(channels), notes=notes)


def _paired(
    images: Mapping[str, Images], sides: Mapping[str, Mapping[str, Path]], rule: Rule
) -> tuple[tuple[SourceCase, ...], tuple[str, ...]]:
    """Cases and lines worth telling; with one side of labels, or one for each class."""
    notes: dict[str, None] = {}
    image_of: dict[Images, str] = {}
    labels_of: dict[Images, dict[str, Path]] = {}
    for side, labels in (sides or {"": {}}).items():
        pairs, note = pair(images, labels, rule)
        notes |= {note: None} if note else {}
        for name, (files, label) in pairs.items():
            if not labels_of.get(files):  # the first side with a label of it says what the case is called
                image_of[files] = name
            labels_of.setdefault(files, {}).update({side: label} if label is not None else {})
    partly = [image_of[files] for files, found in labels_of.items() if found and len(found) < max(len(sides), 1)]
    if partly:
        cause = f"cases with labels of some classes only: {listed(sorted(partly))}"
        raise UserError(
            "E255", cause, "Add a file of zeros where a class does not occur, or leave such cases' labels out"
        )
    ids = safe_ids(list(image_of.values()))
    cases = [
        SourceCase(ids[image_of[files]], files, tuple(str(found[side]) for side in sides if side in found))
        for files, found in labels_of.items()
    ]
    return tuple(sorted(cases, key=lambda case: case.id)), tuple(notes)


def _files(named: Sequence[str], side: str, skip_unknown: bool) -> dict[str, Path]:
    """Files of known formats by name: the path below what was named, without suffix."""
    found: dict[str, Path] = {}
    loose: list[Path] = []
    for word in named:
        path = Path(word).expanduser()
        if path.is_dir() and side == "images" and (series := series_folders(path)):
            found |= {_below(path, folder): folder.absolute() for folder in series}
        elif path.is_dir():
            found |= {name: file.absolute() for name, file in files_by_id(path, skip_unknown=skip_unknown).items()}
        elif path.is_file():
            loose.append(path)
        else:
            matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True)) if os.path.isfile(match)]
            if not matches:
                raise UserError("E255", f"--{side} {word}: there is no such folder or file", "Correct the path")
            loose += matches
    unknown = [path.name for path in loose if reader_of(path) is None]
    if unknown and not skip_unknown:
        cause = f"--{side} names files that no reader knows: {listed(unknown)}"
        raise UserError("E255", cause, f"Convert them, or pass over them by --skip-unknown; known are {KNOWN}")
    known = [path.absolute() for path in loose if reader_of(path) is not None]
    common = Path(os.path.commonpath([path.parent for path in known])) if known else Path()
    for path in known:
        name = (path.parent.relative_to(common) / case_name(path)).as_posix()
        if name in found:
            raise UserError("E255", f"--{side} names {name!r} twice, {found[name]} and {path}", "Keep one of the two")
        found[name] = path
    return found


def _below(root: Path, folder: Path) -> str:
    """What the folder of a series is called: its path below `root`, or the name of `root` itself."""
    return root.resolve().name if folder == root else folder.relative_to(root).as_posix()


def _beside(files: Mapping[str, Path], suffix: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images, and labels under the names of their images, of one folder."""
    labels = {name.removesuffix(suffix): path for name, path in files.items() if name.endswith(suffix)}
    images = {name: path for name, path in files.items() if not name.endswith(suffix)}
    if not labels or not images:
        what = "no label" if images else "no image"
        cause = (
            f"{what}: of {len(files)} names, {listed(sorted(files), 3)} for example, {len(labels)} end in {suffix!r}"
        )
        raise UserError("E255", cause, "Give the ending of labels' names by --label-suffix")
    return images, labels


def _refuse_hidden_labels(names: Sequence[str]) -> None:
    """Refuse a folder of images alone where some are called as labels of others: they would be trained on as images."""
    known = {name.casefold() for name in names}
    for name in names:
        ending = LABEL_WORDS.search(name)
        if ending and any(
            one != name.casefold() and one.startswith(name[: ending.start()].casefold()) for one in known
        ):
            cause = f"without --labels, {name!r} among the images looks like a label"
            cure = f"Say --label-suffix {ending.group()} if names that end so are labels, or rename it"
            raise UserError("E255", cause, cure)


def _by_channel(files: Mapping[str, Path], labels: set[str], count: int) -> dict[str, Images]:
    """Files by case: one each, or those that differ in nnU-Net's number of the channel.

    Frames are numbered in the same way. So names are taken for channels where the user names several, or where volumes
    of two cases at least have the same numbers from 0 on and no label is called as a single file is.

    Raises:
        UserError: E255, a case lacks a channel.
    """
    alone: dict[str, Images] = {name: (str(path),) for name, path in files.items()}
    matches = {name: CHANNEL.fullmatch(name) for name in files}
    numbers: dict[str, dict[int, str]] = {}
    for name, match in matches.items():
        if match is not None:
            numbers.setdefault(match[1], {})[int(match[2])] = str(files[name])
    kinds = {tuple(sorted(of)) for of in numbers.values()}
    numbered = bool(files) and all(match is not None for match in matches.values())
    alike = len(kinds) == 1 and next(iter(kinds)) == tuple(range(len(next(iter(kinds)))))
    volumes = bool(files) and not pictured([str(next(iter(files.values())))])
    several = len(numbers) > 1 and volumes and not labels & files.keys()
    if count < 2 and not (numbered and alike and several):
        return alone
    wanted = count if count > 1 else len(next(iter(kinds)))
    if count > 1 and not numbered:
        return alone  # one file holds all channels
    wrong = [case for case, of in sorted(numbers.items()) if sorted(of) != list(range(wanted))]
    if wrong:
        cause = f"cases without one file for each of {wanted} channels: {listed(wrong)}"
        raise UserError("E255", cause, "Add the missing files ID_0000, ID_0001 and so on, or take the cases away")
    return {case: tuple(of[number] for number in range(wanted)) for case, of in numbers.items()}
