"""A folder of studies that a MONAI Label server annotates, as a datalist: what is labeled, and all beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.transforms import Compose

from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case
from mednoisy.data.file_formats import reader_of
from mednoisy.data.images import case_name
from mednoisy.data.load_case import CheckingReader, checking_reader
from mednoisy.errors import UserError
from mednoisy.notices import tell

Pair = Mapping[str, str]  # `image` and `label`, as the server lists them


def datalist_of_studies(
    labeled: Sequence[Pair], validation: Sequence[Pair], label_names: Sequence[str], name: str, preprocessing: Compose
) -> Datalist:
    """The studies whose image and label fit as labeled and validation cases, all other images beside them unlabeled.

    Files come from people and their viewers: each is read whole, and what cannot be used is told and left out, for one
    broken upload would end every training. Where the server holds nothing out, the last of two or more labeled studies
    is held out, so that networks can be compared.

    Args:
        labeled, validation: pairs of files.
        label_names: of the codes 0 to K-1, which labels may hold.
        name: of the dataset.
        preprocessing: how the network sees an image.

    Raises:
        UserError: E551, no labeled study can be used.
    """
    reader = checking_reader(preprocessing, range(len(label_names)))
    pairs = {part: [_case(pair) for pair in of] for part, of in (("labeled", labeled), ("validation", validation))}
    known = {case["image"] for of in pairs.values() for case in of}
    fitting = {part: [case for case in of if _fits(case, reader)] for part, of in pairs.items()}
    if not fitting["labeled"] and fitting["validation"]:
        fitting = {"labeled": fitting["validation"], "validation": []}
    if not fitting["labeled"]:
        raise UserError("E551", "there is no labeled study to learn from", "Submit the label of one, then train again")
    if not fitting["validation"] and len(fitting["labeled"]) > 1:
        fitting["validation"] = [fitting["labeled"].pop()]
    beside = sorted({path for of in pairs.values() for case in of for path in Path(case["image"]).parent.iterdir()})
    pool = [
        {"id": case_name(path), "image": str(path)} for path in beside if _is_image(path) and str(path) not in known
    ]
    return Datalist(
        name=name,
        channels={0: "image"},
        labels=dict(enumerate(label_names)),
        sections={
            **fitting,
            "unlabeled": [case for case in pool if _fits(case, reader)],
            "test": [],
            "hidden": [],
        },
        protocol="Studies of an annotation server; validation cases chose the checkpoint, too.",
    )


def _case(pair: Pair) -> Case:
    return {"id": case_name(pair["image"]), "image": str(pair["image"]), "label": str(pair["label"])}


def _is_image(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and reader_of(path) is not None


def _fits(case: Any, reader: CheckingReader) -> bool:
    """Whether a case can be read, and its label, where it has one, belongs to it; else why not is told."""
    try:
        reader(case)
    except UserError as fault:
        tell(f"left out of the training: {fault}")
        return False
    return True
