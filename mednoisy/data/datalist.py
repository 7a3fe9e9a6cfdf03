"""Which cases a run reads and for what: one JSON file, checked when it is loaded."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mednoisy.data.datalist_checks import (
    CODES,
    IGNORE,
    LABELED_BY_HAND,
    PATHS,
    REGIONS,
    SECTIONS,
    SOURCE,
    TRAINING,
    Case,
    Regions,
    check_keys,
    check_patients,
    check_unique,
    checked_codes,
    checked_entry,
    checked_ignore,
    checked_regions,
    checked_table,
    patients_of,
    read_json,
)
from mednoisy.data.folds import without_held_out
from mednoisy.data.hidden_labels import with_labels_hidden
from mednoisy.errors import UserError, did_you_mean
from mednoisy.files import write_text

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Datalist:
    """The cases of a dataset by section, and what its channels and label codes mean.

    A case is in one of `labeled`, `unlabeled`, `pseudo`, `validation` and `test`. An unlabeled case has no label key;
    `hidden` may hold its reference for studies, and only evaluation reads that. A pseudo-labeled case is an unlabeled
    one whose `label` is a prediction, with the file of its `confidence`.

    Where cases name their `patient`, patients are what `--labeled` and `--validation` count, for the scans of one are
    alike, and no patient is in two of training, validation and test. `centre` says where a case comes from, `scene`
    which stretch of a recording it is a frame of: statistics resample frames of one scene together, nothing else
    reads it.

    Attributes:
        name: of the dataset.
        channels: what each image channel shows, by number from 0.
        labels: name of each label code; codes are 0 (background) to K-1.
        sections: cases by section, with absolute paths.
        spacing_unit: "mm", or "pixel" where the source states no size.
        protocol: what a reader of results must know about the split and the data.
        source: the file this was loaded from, for messages.
        ignore: codes that labels and references may hold besides, in voxels that nobody looked at: these take part in
            no loss and no figure. Pseudo-labels do not hold them. In the source's codes, where files hold these.
        codes: the source's code of each class, in the order of classes, which label maps for users carry; empty where
            these are 0 to K-1.
        as_source: whether the label files hold the source's codes, too; else those of classes.
        regions: unions of classes, in sets with names, whose Dice figures tell besides that of the classes.
    """

    name: str
    channels: dict[int, str]
    labels: dict[int, str]
    sections: dict[str, list[Case]]
    spacing_unit: str = "mm"
    protocol: str = ""
    source: Path | None = None
    ignore: tuple[int, ...] = ()
    codes: tuple[int, ...] = ()
    as_source: bool = False
    regions: Regions = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        path: Path | str,
        labeled: int | None = None,
        validation: int = 0,
        codes: int | None = None,
        fold: Sequence[int] | None = None,
        seed: int = 0,
    ) -> Datalist:
        """Read and check a file; `labeled` and `validation` as in `with_labeled`, `fold` and `seed` in `with_fold`.

        Args:
            codes: how many label codes, background included, the reader can work with; None for any number.

        Files are checked after the subset is taken: label files of cases that become unlabeled may be absent.

        Raises:
            UserError: E210 to E217 and E226, each with the file and the number of the entry, counted from 1; E219,
                another number of label codes than `codes`; E254, codes of the source that fit no class; E545, regions
                of no classes; E370 and E371, a fold that cannot be.
        """
        path = Path(path)
        content = read_json(path)
        check_keys(content, path)
        folder = Path(os.path.abspath(path.parent))
        sections = {
            section: [
                checked_entry(entry, section, n, folder, path) for n, entry in enumerate(content.get(section, []), 1)
            ]
            for section in SECTIONS
        }
        check_unique(sections, path)
        check_patients(sections, path)
        labels = checked_table(content, "labels", path)
        datalist = cls(
            name=content["name"],
            channels=checked_table(content, "channels", path),
            labels=labels,
            sections=sections,
            spacing_unit=content.get("spacing_unit", "mm"),
            protocol=content.get("protocol", ""),
            source=path,
            ignore=checked_ignore(content, labels, path),
            codes=checked_codes(content, labels, path),
            as_source=content.get("label_files") == SOURCE,
            regions=checked_regions(content, labels, path),
        )
        if codes is not None and len(datalist.labels) != codes:
            cause = f"{path} lists {len(datalist.labels)} label codes, the configuration has {codes}"
            raise UserError("E219", cause, "Correct `labels` there, or the bundle's `label_names`")
        if content.get("split_digest", datalist.split_digest) != datalist.split_digest:
            cause = f"{path}: the sections are not those that `split_digest` was taken of"
            raise UserError("E216", cause, "Restore the file, or remove `split_digest` if the change is meant")
        return datalist.with_labeled(labeled, validation).with_fold(fold, seed)._with_files()

    @property
    def split_digest(self) -> str:
        """16 hexadecimal digits that change with the ids of any section or their order."""
        ids = {section: [case["id"] for case in cases] for section, cases in self._listed.items()}
        return hashlib.blake2b(json.dumps(ids).encode(), digest_size=8).hexdigest()

    def cases(self, section: str) -> list[Case]:
        """The cases of a section, `{"id", "image", "label"}` with absolute paths; copies.

        They may also name their `patient`, `centre` and `scene`. Unlabeled cases have no `label`, those of `pseudo` a
        `confidence` besides; those of `hidden` are given the image of the case whose reference they are. Cases that
        somebody labeled have the codes to `ignore` where there are any ("254 255") and, where their files hold the
        source's codes, these as `codes`, in the order of classes ("0 2 4").
        """
        if section not in SECTIONS:
            raise UserError("E211", f"unknown section {section!r}", did_you_mean(section, SECTIONS))
        extra = {}
        if section in LABELED_BY_HAND:
            extra = ({IGNORE: " ".join(map(str, self.ignore))} if self.ignore else {}) | self._stored
        if section != "hidden":
            return [{**case, **extra} for case in self.sections.get(section, [])]
        pool = self.sections.get("unlabeled", []) + self.sections.get("pseudo", [])
        images = {case["id"]: case["image"] for case in pool}
        hidden = self.sections.get("hidden", [])
        return [{"id": c["id"], "image": images[c["id"]], "label": c["label"], **extra} for c in hidden]

    def patients(self, section: str) -> list[str]:
        """The patients of a section, each once, in order; a case that names none is one of its own, by its id."""
        return patients_of(self.cases(section))

    def with_labeled(self, labeled: int | None, validation: int = 0) -> Datalist:
        """The semi-supervised split: the first `labeled` cases (or patients) keep their label, the rest lose it.

        The unlabeled pool is the rest of `labeled` followed by the file's own `unlabeled`; references move to
        `hidden`. The last `validation` cases of the pool that have a reference join `validation`: last, so
        that they are the same ones whatever the number of labels. A label file that is absent is no reference.
        A patient's cases count as one and stay together (what has no reference is left out of `validation`), and of
        a patient who has labels already none is taken.

        Args:
            labeled: how many, at least 1; None keeps all.
            validation: how many cases to take from the pool, 0 for none.

        Raises:
            UserError: E217 where there are not so many, or where one is no whole number.
        """
        return replace(self, sections=with_labels_hidden(self.sections, labeled, validation, self._called))

    def with_fold(self, fold: Sequence[int] | None, seed: int = 0) -> Datalist:
        """What one network of a cross-validation sees: an Nth of the labeled patients is held out and becomes `test`.

        Args:
            fold: its number from 0, and the number of folds; None leaves all as it is.
            seed: of the run; see `folds.patients_by_fold`.

        Raises:
            UserError: E370, more folds than labeled patients, or fewer than two; E371, no such fold.
        """
        if fold is None:
            return self
        if not (isinstance(fold, list | tuple) and len(fold) == 2 and all(type(part) is int for part in fold)):
            raise UserError("E371", f"fold is {fold!r}", "Give its number from 0 and the number of folds, as [0, 4]")
        number, folds = fold
        last = max(folds, 1) - 1
        if not 0 <= number <= last:
            raise UserError("E371", f"fold is {number} of {folds}", f"Number folds from 0 to {last}")
        sections, held_out = without_held_out(self.sections, number, folds, seed)
        protocol = f"Fold {number} of {folds} (numbered from 0): {len(held_out)} labeled cases held out and scored."
        return replace(self, sections=sections, protocol=f"{protocol} {self.protocol}".strip())

    def save(self, path: Path | str) -> Path:
        """Write as JSON, with paths relative to the file; whole or not at all."""
        path = Path(path)
        write_text(path, self.as_json(path.parent))
        return path

    def as_json(self, folder: Path | str) -> str:
        """The text of a datalist file that lies in `folder`."""
        folder = os.path.abspath(folder)
        content: dict[str, Any] = {
            "name": self.name,
            "channels": {str(number): name for number, name in self.channels.items()},
            "labels": {str(code): name for code, name in self.labels.items()},
            "spacing_unit": self.spacing_unit,
            "protocol": self.protocol,
            "split_digest": self.split_digest,
            **({"ignore": list(self.ignore)} if self.ignore else {}),
            **({CODES: {str(number): code for number, code in enumerate(self.codes)}} if self.codes else {}),
            **({"label_files": SOURCE} if self.as_source else {}),
            **({REGIONS: {name: _listed(parts) for name, parts in self.regions.items()}} if self.regions else {}),
        }
        for section, cases in self._listed.items():
            content[section] = [
                {key: _relative(value, folder) if key in PATHS else value for key, value in case.items()}
                for case in cases
            ]
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    @property
    def _listed(self) -> dict[str, list[Case]]:
        """All sections, as a file lists them: that of pseudo-labels where there are any."""
        listed = {section: self.sections.get(section, []) for section in SECTIONS}
        return {section: cases for section, cases in listed.items() if cases or section != "pseudo"}

    @property
    def _stored(self) -> Case:
        """What an entry says besides where its label file holds the source's codes."""
        return {CODES: " ".join(map(str, self.codes))} if self.codes and self.as_source else {}

    @property
    def _called(self) -> str:
        return str(self.source) if self.source else repr(self.name)

    def _with_files(self) -> Datalist:
        """Itself, its files checked: absent hidden references are dropped, any other absent file is a fault."""
        for section in (*TRAINING, "validation", "test"):
            for case in self.sections.get(section, []):
                for key in case.keys() & PATHS:
                    if not os.path.isfile(case[key]):
                        cause = f"{key} {case[key]} does not exist ({self._called}, section {section!r})"
                        raise UserError("E215", cause, "Restore the file, or remove the entry", case=case["id"])
        hidden = [case for case in self.sections["hidden"] if os.path.isfile(case["label"])]
        if absent := len(self.sections["hidden"]) - len(hidden):
            log.info("%d unlabeled cases have no reference: pseudo-labels are not scored on them", absent)
        return replace(self, sections={**self.sections, "hidden": hidden})


def _listed(parts: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """A set of regions as JSON has it."""
    return {part: list(codes) for part, codes in parts.items()}


def _relative(path: str, folder: str) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path
