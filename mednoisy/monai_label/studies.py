"""The studies of a folder: which are there, which are labeled, and the dataset that a training is given of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mednoisy.composition.catalogue import DATALIST
from mednoisy.data.datalist import Datalist
from mednoisy.data.datalist_checks import Case
from mednoisy.data.file_formats import reader_of
from mednoisy.data.held_out_names import is_held_out
from mednoisy.data.images import case_name, read_image
from mednoisy.errors import UserError
from mednoisy.files import written_aside
from mednoisy.inference.label_map_files import label_file
from mednoisy.monai_label.workplace import Settings, Workplace

HELD_FROM = 10  # labels from which on a part of them is set aside; below, folds hold each out in turn
FEWEST_HELD = 2


@dataclass(frozen=True)
class Study:
    """A scan, and its finished label where there is one.

    Attributes:
        id: name of the file without its suffix.
        image, label: files.
    """

    id: str
    image: Path
    label: Path | None

    @property
    def case(self) -> Case:
        """As an unlabeled case of a datalist."""
        return {"id": self.id, "image": str(self.image)}


def found_studies(place: Workplace) -> list[Study]:
    """The images that lie in the folder itself, by name; links that lead out of it are left out.

    Raises:
        UserError: E207, two files of one id.
    """
    inside = place.studies.resolve()
    images = [path for path in sorted(place.studies.iterdir()) if is_image(path) and inside in path.resolve().parents]
    studies: dict[str, Study] = {}
    for image in images:
        name = case_name(image)
        if name in studies:
            cause = f"{studies[name].image.name} and {image.name} are both called so"
            raise UserError("E207", cause, "Rename one of them", case=name)
        label = label_file(place.labels, name, image)
        studies[name] = Study(name, image, label if label.is_file() and not label.is_symlink() else None)
    return list(studies.values())


def is_image(path: Path) -> bool:
    """Whether a file is of a format that is read, by its name."""
    return not path.name.startswith(".") and path.is_file() and reader_of(path) is not None


def labeled(studies: Sequence[Study]) -> list[Study]:
    """Those with a finished label."""
    return [study for study in studies if study.label is not None]


def held_out(studies: Sequence[Study]) -> list[Study]:
    """Labeled studies that no network learns from, once there are enough: a study's name alone decides, for good.

    None below `HELD_FROM` labels, or where fewer than `FEWEST_HELD` names would be set aside.
    """
    known = labeled(studies)
    held = [study for study in known if is_held_out(study.id)]
    return held if len(known) >= HELD_FROM and len(held) >= FEWEST_HELD else []


def write_dataset(folder: Path, settings: Settings, studies: Sequence[Study], held: Sequence[Study]) -> Datalist:
    """Write `datalist.json` of the studies as they are now, and keep their labels, which may be corrected meanwhile.

    Those that are held out are its test section, scored and never learned from.

    Raises:
        UserError: E2xx, the first image cannot be read.
    """
    aside = {study.id for study in held}
    entries: dict[str, list[Case]] = {"labeled": [], "unlabeled": [], "validation": [], "test": [], "hidden": []}
    for study in studies:
        if study.label is None:
            entries["unlabeled"].append(study.case)
            continue
        kept = folder / "labels" / study.label.name
        keep_copy(study.label, kept)
        section = "test" if study.id in aside else "labeled"
        entries[section].append({**study.case, "label": os.path.abspath(kept)})
    datalist = Datalist(
        name=settings.name,
        channels={number: f"channel {number}" for number in range(_channels(studies[0]))},
        labels=dict(enumerate(settings.classes)),
        sections=entries,
        protocol="Labels of an annotation server, as they were when this training began.",
    )
    datalist.save(folder / DATALIST)
    return datalist


def keep_copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all; no second name for it, since editors and `cp` write into what is there."""
    with written_aside(target) as aside:
        shutil.copyfile(source, aside)


def _channels(study: Study) -> int:
    image = read_image(study.image, channels=True, case=study.id)
    return 1 if image.array.ndim == len(image.spacing) else int(np.shape(image.array)[-1])
