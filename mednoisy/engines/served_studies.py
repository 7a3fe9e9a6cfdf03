"""A folder of studies that a MONAI Label server annotates, as a datalist: what is labeled, and all beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import Compose

from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case
from mednoisy.data.file_formats import is_picture, reader_of
from mednoisy.data.held_out_names import held_out_of_few
from mednoisy.data.images import case_name, distinct_values
from mednoisy.data.label_maps import read_label_map, read_reference
from mednoisy.data.load_case import CheckingReader, checking_reader
from mednoisy.data.segments import codes_of_segments
from mednoisy.errors import UserError
from mednoisy.inference.label_map_files import label_file, write_labels
from mednoisy.notices import tell
from mednoisy.text_files import Unusable, read_json

Pair = Mapping[str, str]  # `image` and `label`, as the server lists them
FINAL, KEPT = ("labels", "final"), "datastore_v2.json"  # of the server, in the folder of studies
LEFT_OUT = "left out of the training: {}"


def datalist_of_studies(
    labeled: Sequence[Pair],
    validation: Sequence[Pair],
    label_names: Sequence[str],
    name: str,
    preprocessing: Compose,
    kept: Path | str,
) -> Datalist:
    """The studies whose image and label fit as labeled and validation cases, all other images beside them unlabeled.

    Files come from people and their viewers: each is read whole, and what cannot be used is told and left out, for one
    broken upload would end every training. Viewers number the segments that they save as they stand in the scene, and
    name them beside: the names tell the classes. Which labeled studies are held out follows from their names: the
    server holds out the last ones of its list, which changes as labels come in, so that what is served, where each
    training begins, would have learned from them.

    Args:
        labeled, validation: pairs of files, as the server has split them.
        label_names: of the codes 0 to K-1, which labels may hold.
        name: of the dataset.
        preprocessing: how the network sees an image.
        kept: folder of label maps in class codes, in place of those that hold other numbers.

    Raises:
        UserError: E551, no labeled study can be used.
    """
    reader = checking_reader(preprocessing, range(len(label_names)))
    pairs = [*labeled, *validation]
    folders = sorted({_folder(pair) for pair in pairs})
    segments = {place: listed for folder in folders for place, listed in _segments(folder).items()}
    known = {os.path.realpath(pair["image"]) for pair in pairs}
    cases = [_labeled(pair, segments, label_names, reader, Path(kept)) for pair in pairs]
    fitting = [case for case in cases if case is not None]
    if not fitting:
        raise UserError("E551", "there is no labeled study to learn from", "Submit the label of one, then train again")
    held = held_out_of_few([case["id"] for case in fitting])
    beside = [path for folder in folders for path in sorted(folder.iterdir())]
    pool: list[Case] = [
        {"id": case_name(path), "image": str(path)}
        for path in beside
        if _is_image(path) and os.path.realpath(path) not in known
    ]
    return Datalist(
        name=name,
        channels={0: "image"},
        labels=dict(enumerate(label_names)),
        sections={
            "labeled": [case for case in fitting if case["id"] not in held],
            "validation": [case for case in fitting if case["id"] in held],
            "unlabeled": [case for case in pool if _fits(case, reader)],
            "test": [],
            "hidden": [],
        },
        protocol="Studies of an annotation server; validation cases chose the checkpoint, too.",
    )


def _folder(pair: Pair) -> Path:
    """The folder of studies: its images may be links to elsewhere, which the server lists by their targets."""
    labels = Path(pair["label"]).parent
    return labels.parents[1] if labels.parts[-2:] == FINAL else Path(pair["image"]).parent


def _segments(folder: Path) -> dict[Path, Any]:
    """What viewers said of the segments of each label map, by its file; of a damaged list, which is told, nothing."""
    place = folder / KEPT
    if not place.is_file():
        return {}
    try:
        studies = dict(read_json(place)["objects"])
        finals = {case: study["labels"].get(FINAL[1]) for case, study in studies.items()}
        return {
            folder.joinpath(*FINAL, f"{case}{final['ext']}"): final["info"].get("label_info")
            for case, final in finals.items()
            if final is not None
        }
    except (Unusable, LookupError, TypeError, ValueError, AttributeError) as fault:
        tell(f"{place} cannot be read ({fault}): labels are taken for codes of the classes")
        return {}


def _labeled(
    pair: Pair, segments: Mapping[Path, Any], names: Sequence[str], reader: CheckingReader, kept: Path
) -> Case | None:
    """The case of a study and its label; None where it cannot be used, which is told."""
    image, label = Path(pair["image"]), Path(pair["label"])
    case: Case = {"id": case_name(label), "image": str(image), "label": str(label)}
    try:
        if listed := segments.get(label):
            case["label"] = str(_in_class_codes(label, listed, names, kept, case["id"]))
    except UserError as fault:
        tell(LEFT_OUT.format(fault))
        return None
    return case if _fits(case, reader) else None


def _in_class_codes(label: Path, listed: object, names: Sequence[str], kept: Path, case: str) -> Path:
    """The file itself where its values are the classes' codes, else one in `kept` that holds these.

    Raises:
        UserError: E575, as `codes_of_segments`; E201 to E209, E223, E224: it cannot be read.
    """
    found = read_label_map(label, case=case).image if is_picture(label) else read_reference(label, case=case)
    mapping = codes_of_segments(listed, names, distinct_values(found.array).tolist(), case) or {}
    if all(value == code for value, code in mapping.items()):
        return label
    codes = np.zeros(max(mapping) + 1, np.uint8)
    codes[list(mapping)] = list(mapping.values())
    place = label_file(kept, case, label)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_labels(place, codes[found.array], found.affine, label)
    return place


def _is_image(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and reader_of(path) is not None


def _fits(case: Any, reader: CheckingReader) -> bool:
    """Whether a case can be read, and its label, where it has one, belongs to it; else why not is told."""
    try:
        reader(case)
    except UserError as fault:
        tell(LEFT_OUT.format(fault))
        return False
    return True
