"""Which cases a run reads and for what: one JSON file, checked when it is loaded."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mednoisy.errors import UserError, did_you_mean
from mednoisy.files import write_text

log = logging.getLogger(__name__)

SECTIONS = {  # what an entry of each section holds, no more and no less
    "labeled": ("id", "image", "label"),
    "unlabeled": ("id", "image"),
    "validation": ("id", "image", "label"),
    "test": ("id", "image", "label"),
    "hidden": ("id", "label"),
}
TEXTS, TABLES = ("name", "spacing_unit", "protocol", "split_digest"), ("channels", "labels")
Case = dict[str, str]


@dataclass(frozen=True)
class Datalist:
    """The cases of a dataset by section, and what its channels and label codes mean.

    A case is in one of `labeled`, `unlabeled`, `validation` and `test`. An unlabeled case has no label key;
    `hidden` may hold its reference for studies, and only evaluation reads that.

    Attributes:
        name: of the dataset.
        channels: what each image channel shows, by number from 0.
        labels: name of each label code; codes are 0 (background) to K-1.
        sections: cases by section, with absolute paths.
        spacing_unit: "mm", or "pixel" where the source states no size.
        protocol: what a reader of results must know about the split and the data.
        source: the file this was loaded from, for messages.
    """

    name: str
    channels: dict[int, str]
    labels: dict[int, str]
    sections: dict[str, list[Case]]
    spacing_unit: str = "mm"
    protocol: str = ""
    source: Path | None = None

    @classmethod
    def load(
        cls, path: Path | str, labeled: int | None = None, validation: int = 0, codes: int | None = None
    ) -> Datalist:
        """Read and check a file; `labeled` and `validation` as in `with_labeled`.

        Args:
            codes: how many label codes, background included, the reader can work with; None for any number.

        Files are checked after the subset is taken: label files of cases that become unlabeled may be absent.

        Raises:
            UserError: E210 to E217, each with the file and the number of the entry, counted from 1; E219, another
                number of label codes than `codes`.
        """
        path = Path(path)
        content = _read_json(path)
        _check_keys(content, path)
        folder = Path(os.path.abspath(path.parent))
        sections = {
            section: [_entry(entry, section, n, folder, path) for n, entry in enumerate(content.get(section, []), 1)]
            for section in SECTIONS
        }
        _check_unique(sections, path)
        datalist = cls(
            name=content["name"],
            channels=_table(content, "channels", path),
            labels=_table(content, "labels", path),
            sections=sections,
            spacing_unit=content.get("spacing_unit", "mm"),
            protocol=content.get("protocol", ""),
            source=path,
        )
        if codes is not None and len(datalist.labels) != codes:
            cause = f"{path} lists {len(datalist.labels)} label codes, the configuration has {codes}"
            raise UserError("E219", cause, "Correct `labels` there, or the bundle's `label_names`")
        if content.get("split_digest", datalist.split_digest) != datalist.split_digest:
            cause = f"{path}: the sections are not those that `split_digest` was taken of"
            raise UserError("E216", cause, "Restore the file, or remove `split_digest` if the change is meant")
        return datalist.with_labeled(labeled, validation)._with_files()

    @property
    def split_digest(self) -> str:
        """16 hexadecimal digits that change with the ids of any section or their order."""
        ids = {section: [case["id"] for case in self.sections.get(section, [])] for section in SECTIONS}
        return hashlib.blake2b(json.dumps(ids).encode(), digest_size=8).hexdigest()

    def cases(self, section: str) -> list[Case]:
        """The cases of a section, `{"id", "image", "label"}` with absolute paths; copies.

        Unlabeled cases have no `label`; those of `hidden` are given the image of the unlabeled case.
        """
        if section not in SECTIONS:
            raise UserError("E211", f"unknown section {section!r}", did_you_mean(section, SECTIONS))
        if section != "hidden":
            return [dict(case) for case in self.sections.get(section, [])]
        images = {case["id"]: case["image"] for case in self.sections.get("unlabeled", [])}
        return [{"id": c["id"], "image": images[c["id"]], "label": c["label"]} for c in self.sections.get("hidden", [])]

    def with_labeled(self, labeled: int | None, validation: int = 0) -> Datalist:
        """The semi-supervised split: the first `labeled` cases keep their label, the rest become unlabeled.

        The unlabeled pool is the rest of `labeled` followed by the file's own `unlabeled`; references move to
        `hidden`. The last `validation` cases of the pool that have a reference join `validation`: last, so
        that they are the same ones whatever the number of labels. A label file that is absent is no reference.

        Args:
            labeled: how many, at least 1; None keeps all.
            validation: how many cases to take from the pool, 0 for none.

        Raises:
            UserError: E217 where there are not so many.
        """
        known = self.sections.get("labeled", [])
        keep = len(known) if labeled is None else labeled
        if labeled is not None and not 1 <= labeled <= len(known):
            cause = f"{labeled} labeled cases are asked for; {self._called} has {len(known)}"
            raise UserError("E217", cause, f"Ask for 1 to {len(known)}" if known else "Label some cases first")
        pool = [{"id": case["id"], "image": case["image"]} for case in known[keep:]]
        pool += self.sections.get("unlabeled", [])
        moved = [{"id": case["id"], "label": case["label"]} for case in known[keep:]]
        references = {case["id"]: case["label"] for case in moved + self.sections.get("hidden", [])}
        candidates = [case["id"] for case in pool if os.path.isfile(references.get(case["id"], ""))]
        if not 0 <= validation <= len(candidates):
            cause = f"{validation} validation cases are asked for; {len(candidates)} unlabeled cases have a reference"
            fewer = f"--validation {len(candidates)} or less" if candidates else "--validation 0"
            raise UserError("E217", cause, f"Use {fewer}, or keep fewer labels")
        chosen = set(candidates[len(candidates) - validation :])
        sections = {
            "labeled": known[:keep],
            "unlabeled": [case for case in pool if case["id"] not in chosen],
            "validation": self.sections.get("validation", [])
            + [{**case, "label": references[case["id"]]} for case in pool if case["id"] in chosen],
            "test": self.sections.get("test", []),
            "hidden": [
                {"id": case["id"], "label": references[case["id"]]}
                for case in pool
                if case["id"] in references and case["id"] not in chosen
            ],
        }
        return replace(self, sections=sections)

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
        }
        for section in SECTIONS:
            content[section] = [
                {key: value if key == "id" else _relative(value, folder) for key, value in case.items()}
                for case in self.sections.get(section, [])
            ]
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    @property
    def _called(self) -> str:
        return str(self.source) if self.source else repr(self.name)

    def _with_files(self) -> Datalist:
        """Itself, its files checked: absent hidden references are dropped, any other absent file is a fault."""
        for section in ("labeled", "unlabeled", "validation", "test"):
            for case in self.sections[section]:
                for key in SECTIONS[section][1:]:
                    if not os.path.isfile(case[key]):
                        cause = f"{key} {case[key]} does not exist ({self._called}, section {section!r})"
                        raise UserError("E215", cause, "Restore the file, or remove the entry", case=case["id"])
        hidden = [case for case in self.sections["hidden"] if os.path.isfile(case["label"])]
        if absent := len(self.sections["hidden"]) - len(hidden):
            log.info("%d unlabeled cases have no reference: pseudo-labels are not scored on them", absent)
        return replace(self, sections={**self.sections, "hidden": hidden})


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError("E210", f"datalist {path} does not exist", "Prepare the dataset first, or mend the path")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError("E210", f"datalist {path} is no JSON: {error}", "Mend the file") from error
    if not isinstance(content, dict):
        raise UserError("E210", f"datalist {path} holds no table of sections", "Write one JSON object")
    return content


def _check_keys(content: Mapping[str, Any], path: Path) -> None:
    known = (*TEXTS, *TABLES, *SECTIONS)
    for key, value in content.items():
        if key not in known:
            raise UserError("E211", f"{path}: unknown section or key {key!r}", did_you_mean(key, known))
        wanted = list if key in SECTIONS else dict if key in TABLES else str
        if not isinstance(value, wanted):
            kind = {list: "a list of entries", dict: "a table", str: "a text"}[wanted]
            raise UserError("E211", f"{path}: {key!r} is not {kind}", f"Write {kind}")
    for key in ("name", "channels", "labels"):
        if key not in content:
            raise UserError("E211", f"{path}: {key!r} is missing", "Add it")


def _table(content: Mapping[str, Any], key: str, path: Path) -> dict[int, str]:
    """`{"0": "background", "1": "atrium"}` with whole numbers as keys, which run from 0."""
    table = content[key]
    if sorted(table) != sorted(str(number) for number in range(len(table))) or not table:
        cause = f"{path}: {key!r} has the codes {', '.join(table) or '(none)'}"
        raise UserError("E212", cause, 'Number them "0", "1", "2" and so on, without a gap')
    return {number: str(table[str(number)]) for number in range(len(table))}


def _entry(entry: Any, section: str, number: int, folder: Path, path: Path) -> Case:
    where, wanted = f"({path}, section {section!r}, entry {number})", SECTIONS[section]
    if not isinstance(entry, dict) or not all(isinstance(value, str) and value for value in entry.values()):
        cause = f"an entry is a table of non-empty texts, this one is not {where}"
        raise UserError("E213", cause, f"Give it the keys {', '.join(wanted)}")
    name = entry.get("id")
    if section == "unlabeled" and "label" in entry:
        cure = "Remove the key, or list the label in the section 'hidden'"
        raise UserError("E213", f"an unlabeled case has a label {where}", cure, case=name)
    for key in entry:
        if key not in wanted:
            raise UserError("E213", f"unknown key {key!r} {where}", did_you_mean(key, wanted), case=name)
    for key in wanted:
        if key not in entry:
            raise UserError("E213", f"{key!r} is missing {where}", "Add it", case=name)
    if "/" in entry["id"] or "\\" in entry["id"] or entry["id"].startswith("."):
        raise UserError("E213", f"the id cannot be a file's name {where}", "Use letters and digits", case=name)
    return {key: value if key == "id" else os.path.normpath(folder / value) for key, value in entry.items()}


def _check_unique(sections: Mapping[str, list[Case]], path: Path) -> None:
    """Refuse a case or an image that is listed twice, and a hidden reference of no unlabeled case."""
    seen: dict[str, tuple[str, int]] = {}
    images: dict[str, str] = {}
    for section in ("labeled", "unlabeled", "validation", "test"):
        for number, case in enumerate(sections[section], 1):
            name, image = case["id"], case["image"]
            if name in seen:
                other, first = seen[name]
                twice = f"twice in {section!r}" if other == section else f"in {other!r} and in {section!r}"
                raise UserError("E207", f"is {twice} ({path}, entries {first} and {number})", "Remove one", case=name)
            if image in images:
                cause = f"its image is also that of {images[image]!r} ({path}, section {section!r}, entry {number})"
                raise UserError("E207", cause, "Remove one", case=name)
            seen[name], images[image] = (section, number), name
    unlabeled, hidden = {case["id"] for case in sections["unlabeled"]}, set()
    for number, case in enumerate(sections["hidden"], 1):
        if case["id"] not in unlabeled or case["id"] in hidden:
            fault = "is hidden twice" if case["id"] in hidden else "is hidden but not in 'unlabeled'"
            raise UserError("E214", f"{fault} ({path}, entry {number})", "Remove the entry", case=case["id"])
        hidden.add(case["id"])


def _relative(path: str, folder: str) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path
