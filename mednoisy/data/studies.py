"""A folder of studies that a MONAI Label server annotates, as a datalist: what is labeled, and all beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.transforms import Compose

from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case
from mednoisy.data.file_formats import reader_of
from mednoisy.data.held_out_names import held_out_of_few
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
    broken upload would end every training. Which labeled studies are held out follows from their names: the server
    holds out the last ones of its list, which changes as labels come in, so that what is served, where each training
    begins, would have learned from them.

    Args:
        labeled, validation: pairs of files, as the server has split them.
        label_names: of the codes 0 to K-1, which labels may hold.
        name: of the dataset.
        preprocessing: how the network sees an image.

    Raises:
        UserError: E551, no labeled study can be used.
    """
    reader = checking_reader(preprocessing, range(len(label_names)))
    pairs = [_case(pair) for pair in (*labeled, *validation)]
    known = {case["image"] for case in pairs}
    fitting = [case for case in pairs if _fits(case, reader)]
    if not fitting:
        raise UserError("E551", "there is no labeled study to learn from", "Submit the label of one, then train again")
    held = held_out_of_few([case["id"] for case in fitting])
    beside = sorted({path for case in pairs for path in Path(case["image"]).parent.iterdir()})
    pool = [
        {"id": case_name(path), "image": str(path)} for path in beside if _is_image(path) and str(path) not in known
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
